"""One host's order of work: which requests may start now.

A model that is not resident is loaded once, and those who want it wait. Where a load may unload other
models it waits until nothing generates on them; how much may overtake it is bounded.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from math import inf

from turnout.fleet import UNKNOWN, Deployment, Fleet, Instance
from turnout.types import Lease
from turnout_pool.line import Average, Line, Load, Turn
from turnout_pool.placement import Work, load_seconds
from turnout_pool.settings import PoolSettings
from turnout_pool.situation import Loading, Move
from turnout_pool.slots import Slots


class Schedule:
    """The lines of one host. Times are the loop's seconds.

    ``changed`` is called whenever somebody who waits can perhaps start. ``next`` is the load that is planned;
    ``load_pace`` is how much longer than predicted loads take here.
    """

    def __init__(
        self, host: str, loading: Loading, settings: PoolSettings, changed: Callable[[float], None]
    ) -> None:
        self.host = host
        self.loading = loading
        self.settings = settings
        self.lines: dict[str, Line] = {}
        self.in_flight = 0
        self.waiting = 0
        self.loads = 0
        self.next: Move | None = None
        self._took = Average()
        self._predicted = Average()
        self.load_pace = Average()
        self._changed = changed
        self._under_way = 0
        self._loaded_at = -inf
        self._starts = 0
        self._batch_began = 0

    def line(self, deployment: Deployment, taken_at: float) -> Line:
        """Return the line of a deployment, which comes from a snapshot of that time."""
        line = self.lines.get(deployment.info.id)
        if line is None:
            line = Line(Slots(deployment))
            line.usual_load = load_seconds(deployment, UNKNOWN)
            self.lines[deployment.info.id] = line
            if self.loading is Loading.EVICTS and taken_at <= self._loaded_at:
                line.doubt(self._loaded_at)
        return line

    def show(self, fleet: Fleet, now: float) -> None:
        """Go by a newer snapshot."""
        for model, line in self.lines.items():
            deployment = fleet.find(self.host, model)
            if deployment is None:
                line.listed = False
            else:
                line.show(deployment, fleet.taken_at)
            load = line.load
            if load is not None and line.resident and (not load.explicit or load.abandoned is not None):
                instance = line.slots.deployment.instances[0]
                if load.explicit:
                    line.ours = instance.id
                self._succeed(line, now, instance)

    # --- starting and ending ------------------------------------------------------------------------

    def may_start(self, line: Line, now: float, tokens: float = 0.0, priority: int = 0) -> bool:
        """Whether one more request may start on *line* now without a load; those that wait come first."""
        if not line.resident or line.load is not None or not line.slots.fits(tokens):
            return False
        if self._under_way and self.loading is Loading.EVICTS:
            return False
        return self.next is None or not self._held(self.next, line, priority, now)

    def start(self, line: Line, work: Work, now: float, waited: float = 0.0) -> Lease:
        """Start a request that may start, or the one that loads its model."""
        load = None
        if not line.resident:
            load = self.begin_load(line, now)
        self._starts += load is None
        self.in_flight += 1
        line.expect(work)
        line.waits.append(waited)
        instance, deployment = line.slots.take(work.tokens)
        return Lease(
            deployment,
            partial(self._finish, line, instance, work, now, load),
            waited=waited,
            expected_load_seconds=None if load is None else load.expected,
        )

    def _finish(self, line: Line, instance: str, work: Work, began: float, load: Load | None) -> None:
        now = asyncio.get_running_loop().time()
        line.slots.give_back(instance, work.tokens)
        self.in_flight -= 1
        line.settle(work)
        line.used = now
        if load is None:
            line.measure(now - began, work.seconds)
            if work.seconds > 0.0:
                self._took.add(now - began)
                self._predicted.add(work.seconds)
        elif line.load is load and load.abandoned is None:
            self._fail_load(line, now)
        self._changed(now)

    def _held(self, planned: Move, line: Line, priority: int, now: float) -> bool:
        """Whether *line* lets nobody start any more, so that the load that is planned gets its turn."""
        if line.model == planned.model or line.model not in planned.evicts:
            return False
        due = self.due(self.lines[planned.model])
        if due <= now:
            return due == -inf or line.model not in planned.finishing
        served = self._starts - self._batch_began >= line.slots.size and now >= planned.not_before
        return served and planned.want.priority > priority

    # --- loads --------------------------------------------------------------------------------------

    def loading_takes(self, line: Line) -> float:
        """Return the seconds that a load of *line* takes, as measured there, else as others took here."""
        return line.load_seconds.value or line.usual_load * (self.load_pace.value or 1.0)

    @property
    def _pace(self) -> float:
        return (self._took.value or 1.0) / (self._predicted.value or 1.0)

    def serving_takes(self, line: Line) -> float:
        """Return the seconds that a request takes on *line*, as measured there, else as others took here."""
        return line.service.value or line.usual_service * self._pace

    def begin_load(self, line: Line, now: float, *, explicit: bool = False) -> Load:
        """Begin a load, by the request that starts or explicitly."""
        expected = self.loading_takes(line)
        line.load = Load(
            now, expected, line.believed_for(expected), explicit=explicit, certain=not line.suspected
        )
        line.turn = None
        self.next = None
        self._under_way += 1
        self.loads += 1
        return line.load

    def loaded(self, model: str, now: float, instance: Instance) -> bool:
        """Learn that *model* is resident as *instance*; tell whether a load was under way until now."""
        line = self.lines[model]
        load = line.load
        if load is None:
            return False
        self._succeed(line, now, instance)
        if self.loading is Loading.EVICTS and not load.explicit:
            self._doubt_others(line, now)
        self._changed(now)
        return True

    def _succeed(self, line: Line, now: float, instance: Instance) -> None:
        if line.load is not None and line.load.certain and line.usual_load > 0:
            self.load_pace.add((now - line.load.began) / line.usual_load)
        line.loaded(now, instance)
        self._end_load(now)

    def failed(self, line: Line, load: Load, now: float) -> None:
        """Learn that a load has failed, or take an abandoned one for over."""
        if line.load is load:
            self._fail_load(line, now)
            self._changed(now)

    def _fail_load(self, line: Line, now: float) -> None:
        explicit = line.load is not None and line.load.explicit
        line.load = None
        self._end_load(now)
        if self.loading is Loading.EVICTS and not explicit:
            self._doubt_others(line, now)

    def _end_load(self, now: float) -> None:
        self._under_way -= 1
        self._batch_began = self._starts
        for line in self.lines.values():
            if line.turn is not None:
                line.turn = Turn(line.turn.wanted, now, self._starts)

    def _doubt_others(self, line: Line, now: float) -> None:
        self._loaded_at = now
        for other in self.lines.values():
            if other is not line:
                other.doubt(now)

    # --- turns --------------------------------------------------------------------------------------

    def want(self, line: Line, now: float) -> None:
        """Note that somebody waits for *line* to be loaded."""
        if line.needs_load and line.turn is None:
            line.turn = Turn(now, now, self._starts)

    def due(self, line: Line) -> float:
        """Return when its load has been overtaken for as long as the settings allow; -inf: as often."""
        turn, settings = line.turn, self.settings
        if turn is None:
            return inf
        if self._starts - turn.starts >= settings.max_overtakes:
            return -inf
        return turn.began + max(settings.patience_seconds, settings.patience_loads * self.loading_takes(line))

    def expected_wait(self, line: Line, now: float, own: float, queue: float) -> float:
        """Predict the seconds until one more request could start, behind *queue* seconds on its line.

        *own* is what such a request takes, for what is not measured.
        """
        evicts = self.loading is Loading.EVICTS
        loads = (other.load for other in self.lines.values() if other is line or evicts)
        wait = queue + max((load.remaining(now) for load in loads if load is not None), default=0.0)
        if evicts and line.needs_load:
            others = (other for other in self.lines.values() if other is not line and other.slots.in_flight)
            wait += max((other.service.value or own for other in others), default=0.0)
        return wait
