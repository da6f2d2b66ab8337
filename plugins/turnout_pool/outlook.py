"""What is where, what waits, and what would be loaded next: the pool's state as a person reads it."""

from collections.abc import Iterable, Sequence

from attrs import frozen

from turnout.fleet import UNKNOWN, Fleet
from turnout.messages import JSONObject
from turnout_pool.dispatch import Estimates
from turnout_pool.line import Line
from turnout_pool.placement import load_seconds
from turnout_pool.planner import plan
from turnout_pool.schedule import Schedule
from turnout_pool.situation import Move, Want
from turnout_pool.yard import Yard


@frozen
class Standing:
    """One model on one host that is resident, loading, in use or waited for. Seconds."""

    host: str
    model: str
    state: str
    running: int
    slots: int
    waiting: int
    load_seconds: float

    def to_json(self) -> JSONObject:
        """Return it as ``turnout plan --json`` shows it."""
        return {
            "host": self.host,
            "model": self.model,
            "state": self.state,
            "running": self.running,
            "slots": self.slots,
            "waiting": self.waiting,
            "load_seconds": self.load_seconds,
        }


@frozen
class Outlook:
    """The standings of all hosts and the loads that come next, the most urgent first."""

    standings: tuple[Standing, ...]
    moves: tuple[Move, ...]

    def to_json(self) -> JSONObject:
        """Return it as ``turnout plan --json`` shows it."""
        return {
            "deployments": [standing.to_json() for standing in self.standings],
            "next": [_move(move) for move in self.moves],
        }


def outlook(yard: Yard, fleet: Fleet, estimates: Estimates, asked: Sequence[str], now: float) -> Outlook:
    """Return how things stand, and the loads that would come next if each of *asked* were asked for now.

    Nothing is begun. Times are the loop's seconds.
    """
    yard.adopt(fleet, now)
    for deployment in fleet.deployments:
        _, line = yard.line(deployment)
        line.usual_load = load_seconds(deployment, estimates.get(deployment, UNKNOWN))
    hypothetical = [
        Want(model, frozenset(d.host.name for d in fleet.models[model]), 1, now)
        for model in asked
        if model in fleet.models
    ]
    wants = [*yard.wants(now), *hypothetical]
    moves = plan(yard.survey.places(wants, now), wants, now, yard.stay)
    return Outlook(tuple(_standings(yard.schedules.values(), now)), moves)


def _standings(schedules: Iterable[Schedule], now: float) -> Iterable[Standing]:
    for schedule in schedules:
        for line in schedule.lines.values():
            state = _state(line, now)
            if state or line.slots.in_flight or line.queued:
                yield Standing(
                    schedule.host,
                    line.model,
                    state or "not loaded",
                    line.slots.in_flight,
                    line.slots.size,
                    line.queued,
                    schedule.loading_takes(line),
                )


def _state(line: Line, now: float) -> str:
    if line.load is not None:
        return f"loading, {line.load.remaining(now):.0f} s left"
    if not line.slots.deployment.instances:
        return ""
    return "loaded by turnout" if line.ours is not None else "loaded"


def _move(move: Move) -> JSONObject:
    return {
        "host": move.host,
        "model": move.model,
        "evicts": list(move.evicts),
        "ready": move.ready,
        "seconds": move.cost.total,
        "waiting": move.want.waiting,
        "reason": move.reason,
    }
