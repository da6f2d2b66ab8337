"""Every invariant is broken on purpose here, and found; the clock tells who watches it."""

import asyncio

import pytest
from attrs import evolve

from turnout import LLMError, ModelCrashedError, ModelRequest, Reply
from turnout_testing import EmulatedModel, Emulator, VirtualLoop
from turnout_testing.simulation import invariants
from turnout_testing.simulation.invariants import InvariantError
from turnout_testing.simulation.scene import Outcome, Scene, asked, echo, expected, opened

OWL, WREN = "acme/owl-8b", "acme/wren-1b"
ASKED = ModelRequest("where", id="one", explicit_model=OWL, timeout=10.0)


def reply(text: str = expected(ASKED), model: str = OWL, request_id: str = "one") -> Reply:
    return Reply(text, model, "desk", request_id=request_id)


def outcome(
    end: Reply | LLMError, seconds: float = 1.0, heard: str = "", *, streaming: bool = False
) -> Outcome:
    request = ModelRequest("where", id="one", explicit_model=OWL, timeout=10.0, streaming=streaming)
    return Outcome(request, end, seconds, heard)


def partial() -> ModelCrashedError:
    error = ModelCrashedError("crashed")
    error.partial = "<somewhere else>"
    return error


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (outcome(reply(), 11.0), "after its deadline"),
        (outcome(reply("<somewhere else>")), "not its own"),
        (outcome(reply(request_id="two")), "not its own"),
        (outcome(reply(model=WREN)), "another model"),
        (outcome(reply(), heard="<somewhere"), "heard what is not its own"),
        (outcome(reply(), heard="<where", streaming=True), "another text than its reply"),
        (outcome(partial()), "another's text"),
    ],
)
def test_a_wrong_outcome_is_found(wrong: Outcome, words: str) -> None:
    """Late, foreign and mixed-up answers are no answers."""
    with pytest.raises(InvariantError, match=words):
        invariants.check_outcome(wrong)


def test_a_right_outcome_passes() -> None:
    """So does one that is late by a jump of the clock alone."""
    invariants.check_outcome(outcome(reply()))
    invariants.check_outcome(outcome(reply(), 30.0), jumped=20.0)
    invariants.check_outcome(outcome(reply(expected(ASKED)), heard=expected(ASKED), streaming=True))


def emulator(**options: int) -> Emulator:
    models = [EmulatedModel(key, reply=echo, parallel=1, decode_rate=5) for key in (OWL, WREN)]
    return Emulator(models, **options)  # type: ignore[arg-type]


async def scene_with(scene: Scene, count: int) -> list[asyncio.Task[Outcome]]:
    """Let some ask, and wait until they are under way."""
    tasks = [
        asyncio.create_task(asked(scene, ModelRequest("w", id=f"{n}", explicit_model=OWL, timeout=60)))
        for n in range(count)
    ]
    await asyncio.sleep(5)
    return tasks


@pytest.mark.anyio
async def test_what_is_under_way_is_not_idle_and_may_be_too_many() -> None:
    """The pool's own counts are held to what must be so."""
    async with opened({"desk": emulator()}) as scene:
        tasks = await scene_with(scene, 3)
        with pytest.raises(InvariantError, match="still counts"):
            invariants.check_idle(scene)
        invariants.check_queues(scene, 2)
        with pytest.raises(InvariantError, match="longer than its bound"):
            invariants.check_queues(scene, 1)
        invariants.check_hosts(scene)
        scene.emulators["desk"].resident[0].parallel = 0
        with pytest.raises(InvariantError, match="more clients than slots"):
            invariants.check_hosts(scene)
        scene.emulators["desk"].resident[0].parallel = 1
        outcomes = await asyncio.gather(*tasks)
        invariants.check_answered_once(scene, outcomes)
        with pytest.raises(InvariantError, match="answered twice"):
            invariants.check_answered_once(scene, outcomes[1:])


@pytest.mark.anyio
async def test_a_copy_that_requests_loaded_is_found() -> None:
    """A second copy that a person loads is none of it."""
    host = emulator(memory_bytes=10**12)
    async with opened({"desk": host}) as scene:
        host.load(OWL)
        host.load(OWL)
        invariants.check_copies(scene)
        tasks = await scene_with(scene, 1)
        await asyncio.gather(*tasks)
        invariants.check_copies(scene)
        host.loads.append(evolve(host.loads[-1], instance_id=f"{OWL}:3", seconds=1.0))
        with pytest.raises(InvariantError, match="second copy"):
            invariants.check_copies(scene)


def test_the_clock_calls_who_watches_before_it_moves() -> None:
    """Once for each moment; an error of his ends the run; a jump moves all timers."""
    seen: list[float] = []

    async def main() -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.watch(lambda: seen.append(loop.time()))
        await asyncio.sleep(1)
        sleeping = asyncio.create_task(asyncio.sleep(5))
        await asyncio.sleep(1)
        loop.jump(10)
        await sleeping
        loop.watch(None)
        return loop.time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(main()) == 12.0
    assert seen[:2] == [0.0, 1.0]

    async def failing() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.watch(lambda: invariants.require(False, "seen"))
        await asyncio.sleep(1)

    with pytest.raises(InvariantError, match="seen"), asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(failing())
