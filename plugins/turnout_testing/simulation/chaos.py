"""Random traffic on random hosts that fail at random, the same for the same seed, under all invariants."""

import asyncio
from collections.abc import Iterable, Mapping
from random import Random

from attrs import frozen

from turnout import Config, DeadlineExceededError, ModelRequest, Reply
from turnout_testing.clock import VirtualLoop
from turnout_testing.emulator import Emulator
from turnout_testing.models import EmulatedModel
from turnout_testing.simulation.invariants import (
    check_answered_once,
    check_copies,
    check_hosts,
    check_idle,
    check_outcome,
    check_queues,
    copies,
    evictions_seen,
    require,
)
from turnout_testing.simulation.misfortune import misfortune
from turnout_testing.simulation.scene import Outcome, Scene, asked, echo, expected, opened

SECONDS = 30.0
HOSTS = ("desk", "attic", "cellar")
EVERYWHERE = "acme/owl-8b"
MODELS = (EVERYWHERE, "acme/hawk-4b", "acme/wren-1b")
WORDS = ("signal", "points", "sleeper", "ballast", "siding", "semaphore", "frog", "crossing")

QUEUE, PATIENCE = 12, 10.0
LOADS, DECODING, PREFILLING = (0.5, 3.0, 8.0), (10.0, 50.0), (20.0, 1000.0)
LONGEST_ANSWER = 25.0
"""Seconds, for the longest prompt on the slowest of the models."""
STARVATION = len(MODELS) * (PATIENCE + 2 * max(LOADS) + LONGEST_ANSWER) + (QUEUE + 1) * LONGEST_ANSWER
"""Seconds that nobody waits longer where nothing fails: each model has its turn, which ends when it has
overtaken for as long as the pool allows, and a load longer if that spares one, and the queue before is no
longer than its bound."""


@frozen
class Visit:
    """A request that comes at ``at`` and whose client leaves after ``patience``; both in seconds."""

    request: ModelRequest
    at: float
    patience: float | None


@frozen
class Course:
    """What came of one seed. ``copies``: second loads of a model; ``events``: moments that were checked."""

    seed: int
    requests: int
    answered: int
    failed_attempts: int
    copies: int
    events: int
    seconds: float


def replay_command(seed: int) -> str:
    """Return what runs one seed again."""
    return f"turnout simulate --chaos --seed {seed}"


def settings() -> Config:
    """Return the router's settings: short queues and little patience, so that their bounds are met."""
    return Config(tables={"pool": {"queue": QUEUE, "patience_seconds": PATIENCE}})


def emulators(random: Random) -> dict[str, Emulator]:
    """Return one to three hosts, each with some of the models, some of them loaded."""
    return {name: _emulator(random) for name in HOSTS[: random.randint(1, 3)]}


def _emulator(random: Random) -> Emulator:
    models = [
        EmulatedModel(
            key,
            reply=echo,
            load_seconds=random.choice(LOADS),
            decode_rate=random.choice(DECODING),
            prefill_rate=random.choice(PREFILLING),
            parallel=random.randint(1, 4),
        )
        for key in MODELS
        if key is EVERYWHERE or random.random() < 0.7
    ]
    loaded = [model.key for model in models if random.random() < 0.3]
    return Emulator(models, loaded=loaded, auto_evict=random.random() < 0.7, default_context=4096)


def visits(random: Random, seed: int) -> list[Visit]:
    """Return the traffic: bursts and strays, pinned and free, plain and streamed, patient and not."""
    burst = random.uniform(0, SECONDS)
    return [
        Visit(
            _request(random, f"{seed}-{number}"),
            burst if random.random() < 0.4 else random.uniform(0, SECONDS),
            random.uniform(0, 8) if random.random() < 0.2 else None,
        )
        for number in range(random.randint(8, 22))
    ]


def _request(random: Random, name: str) -> ModelRequest:
    words = " ".join(random.choices(WORDS, k=random.randint(1, 40)))
    return ModelRequest(
        f"{name}: {words}",
        id=name,
        explicit_model=random.choice([None, EVERYWHERE, *MODELS]),
        streaming=random.random() < 0.5,
        timeout=random.choice([2.0, 10.0, 60.0, 300.0]),
    )


async def visited(scene: Scene, visit: Visit) -> Outcome:
    """Come, ask, and perhaps leave early; the outcome and the queues are checked at once."""
    await asyncio.sleep(visit.at)
    asking = asyncio.create_task(asked(scene, visit.request))
    await asyncio.wait([asking], timeout=visit.patience)
    asking.cancel()
    await asyncio.wait([asking])
    check_outcome(asking.result(), scene.jumped)
    check_queues(scene, QUEUE)
    return asking.result()


def run(seed: int, plugins: Mapping[str, object] | None = None) -> Course:
    """Run one seed; every fourth one without misfortune, to hold the bound on starvation.

    Raises `InvariantError` where something happened that must not, with a note of how to see it again.
    """
    try:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(course(seed, plugins))
    except BaseException as error:
        error.add_note(f"seed {seed}; again: {replay_command(seed)}")
        raise


async def course(seed: int, plugins: Mapping[str, object] | None = None) -> Course:
    """Do as `run` does, in a running `VirtualLoop`."""
    random, loop = Random(seed), asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with opened(emulators(random), settings(), plugins) as scene:
        events = _Counter(scene)
        loop.watch(events)
        lucky = seed % 4 == 0
        fate = asyncio.create_task(asyncio.sleep(0) if lucky else misfortune(scene, random, SECONDS))
        traffic = visits(random, seed)
        outcomes = await asyncio.gather(*(visited(scene, visit) for visit in traffic))
        await fate
        _check_all(scene, outcomes, lucky=lucky)
        await _check_alive(scene, seed)
        loop.watch(None)
        answered = sum(isinstance(outcome.end, Reply) for outcome in outcomes)
        failed, twice = len(scene.witness.errors), sum(map(len, map(copies, scene.emulators.values())))
        return Course(seed, len(traffic), answered, failed, twice, events.count, loop.time())


class _Counter:
    """Checks the hosts, and counts how often."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.count = 0

    def __call__(self) -> None:
        self.count += 1
        check_hosts(self._scene)


def _check_all(scene: Scene, outcomes: list[Outcome], *, lucky: bool) -> None:
    check_idle(scene)
    check_answered_once(scene, outcomes)
    cut = evictions_seen(scene, outcomes)
    require(not cut, "a load of ours has cut off what was generating", *cut)
    if lucky:
        _check_waits(outcomes)
    if lucky and not any(map(_left, outcomes)):
        check_copies(scene)


def _left(outcome: Outcome) -> bool:
    """Whether the client was gone before the end: a load that it has caused may go on unseen."""
    return isinstance(outcome.end, (asyncio.CancelledError, DeadlineExceededError))


def _check_waits(outcomes: Iterable[Outcome]) -> None:
    """Nobody waits longer than the bound."""
    for outcome in outcomes:
        if isinstance(outcome.end, Reply):
            waited = outcome.end.timings.queue
            require(waited <= STARVATION, "a request has waited too long", waited, STARVATION, outcome)


async def _check_alive(scene: Scene, seed: int) -> None:
    """Ask once more, when all is well again."""
    scene.heal()
    await asyncio.sleep(10)
    again = ModelRequest("are you there", id=f"{seed}-again", explicit_model=EVERYWHERE, timeout=120)
    outcome = await asked(scene, again)
    answered = isinstance(outcome.end, Reply) and outcome.end.text == expected(again)
    require(answered, "no right answer when all was well again", outcome)
    check_idle(scene)
