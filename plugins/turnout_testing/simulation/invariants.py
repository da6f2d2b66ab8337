"""What must hold whatever happens to the hosts; each check raises `InvariantError`."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import cast

from turnout import Reply
from turnout.errors import LLMError
from turnout_testing.emulator import Emulator
from turnout_testing.engine import Instance
from turnout_testing.records import GenerationRecord
from turnout_testing.simulation.scene import Outcome, Scene, expected

TOLERANCE = 1e-6


class InvariantError(AssertionError):
    """Something happened that must not happen, whatever else does."""


def require(holds: bool, *facts: object) -> None:
    """Raise `InvariantError` with the facts unless it *holds*."""
    if not holds:
        raise InvariantError("; ".join(map(str, facts)))


def check_outcome(outcome: Outcome, jumped: float = 0.0) -> None:
    """Its own answer or its own error, in time; *jumped* seconds are nobody's fault."""
    request, end = outcome.request, outcome.end
    assert request.timeout is not None
    in_time = outcome.seconds <= request.timeout + jumped + TOLERANCE
    require(in_time, "a request ended after its deadline", outcome)
    own = expected(request)
    require(own.startswith(outcome.heard), "a client heard what is not its own", outcome)
    if isinstance(end, Reply):
        _check_reply(outcome, end, own)
    elif isinstance(end, LLMError):
        partial = end.partial
        require(own.startswith(partial), "an error carries another's text", outcome)


def _check_reply(outcome: Outcome, reply: Reply, own: str) -> None:
    request, said = outcome.request, reply.text or reply.reasoning
    right = own.startswith(said) if reply.truncated else said == own
    require(right and reply.request_id == request.id, "a request got an answer that is not its own", outcome)
    if request.streaming:
        require(outcome.heard == reply.text, "a client heard another text than its reply has", outcome)
    if request.explicit_model is not None:
        model = reply.model.partition(":")[0]
        require(model == request.explicit_model, "another model answered than the one named", outcome)


def check_idle(scene: Scene) -> None:
    """Nothing is left in the pool."""
    for host, numbers in _pool(scene).items():
        for name, counts in ((host, numbers), *_lines(numbers)):
            busy = counts["in_flight"], counts["queued"]
            require(busy == (0, 0), "the pool still counts requests when all have ended", host, name, counts)


def check_queues(scene: Scene, bound: int) -> None:
    """No deployment has more than *bound* requests waiting."""
    for host, numbers in _pool(scene).items():
        for model, line in _lines(numbers):
            queued = cast("int", line["queued"])
            require(queued <= bound, "a queue is longer than its bound", host, model, line)


def _pool(scene: Scene) -> dict[str, dict[str, object]]:
    return cast("dict[str, dict[str, object]]", scene.router.stats().get("pool", {}))


def _lines(numbers: dict[str, object]) -> Iterable[tuple[str, dict[str, object]]]:
    return cast("dict[str, dict[str, object]]", numbers["models"]).items()


def check_hosts(scene: Scene) -> None:
    """No instance has more clients than slots."""
    for name, emulator in scene.emulators.items():
        for instance in emulator.resident:
            clients = _clients(instance)
            full = "an instance has more clients than slots"
            require(clients <= instance.parallel, full, name, instance.id, clients, instance.parallel)


def check_copies(scene: Scene) -> None:
    """No request has loaded a second copy of a model.

    This holds where models go by loads alone. Where one is taken away, those whose requests are on their way
    to it just then each load a copy (bt#1751), and the router learns of it only by them.
    """
    for name, emulator in scene.emulators.items():
        found = copies(emulator)
        require(not found, "a request has loaded a second copy", name, *found)


def _clients(instance: Instance) -> int:
    return sum(not one.abandoned for one in (*instance.running, *instance.waiting))


def check_answered_once(scene: Scene, outcomes: Collection[Outcome]) -> None:
    """No more was generated to the end, for somebody who stayed, than was answered or failed."""
    whole = sum(
        record.outcome == "finished" and record.left_at is None
        for emulator in scene.emulators.values()
        for record in emulator.generations
    )
    answered = sum(isinstance(outcome.end, Reply) for outcome in outcomes)
    failed = len(scene.witness.errors) + sum(not isinstance(o.end, Reply) for o in outcomes)
    require(whole <= answered + failed, "something was answered twice", whole, answered, failed)


def copies(emulator: Emulator) -> list[str]:
    """Return the ids of second copies that the router has loaded; a person's loads take no time."""
    return [load.instance_id for load in emulator.loads if load.seconds and ":" in load.instance_id]


def most_at_once(records: Iterable[GenerationRecord]) -> dict[str, int]:
    """Return, by instance, the most generations that clients waited for at one time."""
    steps: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for record in records:
        until = record.ended_at if record.left_at is None else min(record.left_at, record.ended_at)
        if until > record.submitted_at:
            steps[record.instance_id] += [(record.submitted_at, 1), (until, -1)]
    most: dict[str, int] = {}
    for instance, changes in steps.items():
        running = 0
        for _, change in sorted(changes):
            running += change
            most[instance] = max(most.get(instance, 0), running)
    return most
