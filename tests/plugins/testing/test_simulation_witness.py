"""What chaos knows of sendings and waits, and what follows: who cut what off, and who waited too long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext
from random import Random

import pytest

from turnout import Config, DeadlineExceededError, LLMTimeoutError, ModelRequest, Reply
from turnout.messages import JSONObject
from turnout_testing import EmulatedModel, Emulator
from turnout_testing.records import LoadRecord, UnloadRecord
from turnout_testing.simulation import chaos, misfortune
from turnout_testing.simulation.evictions import evictions
from turnout_testing.simulation.invariants import InvariantError
from turnout_testing.simulation.scene import Outcome, Scene, asked, echo, opened
from turnout_testing.simulation.starvation import Terms, check_waits, terms
from turnout_testing.simulation.witness import Sending

pytestmark = pytest.mark.anyio

OWL, WREN = "acme/owl-8b", "acme/wren-1b"


def emulator(*loaded: str, **options: bool) -> Emulator:
    models = [
        EmulatedModel(key, reply=echo, load_seconds=3.0, parallel=1, decode_rate=10) for key in (OWL, WREN)
    ]
    return Emulator(models, loaded=loaded, auto_evict=options.get("auto_evict", True))


async def ask(scene: Scene, model: str = OWL, seconds: float = 100.0) -> Outcome:
    return await asked(scene, ModelRequest("where", explicit_model=model, timeout=seconds, streaming=True))


# --- what a witness sees -------------------------------------------------------------------------------


async def test_a_witness_sees_what_is_sent_and_who_waits() -> None:
    """The first loads, the second waits for it and goes to a loaded model."""
    async with opened({"desk": emulator()}) as scene:
        await asyncio.gather(ask(scene), ask(scene))
        first, second = scene.witness.sendings
        assert (first.host, first.model, first.resident, second.resident) == ("desk", OWL, False, True)
        assert first.ended <= second.began
        waits = [wait.ended - wait.began for wait in scene.witness.waits]
        assert waits[0] == 0.0
        assert waits[1] == pytest.approx(first.seconds)
        assert scene.witness.waits[0].hosts == {"desk"}
        assert scene.witness.waits[0].beside(scene.witness.waits[1])


async def test_a_witness_tells_what_failed_from_what_was_left() -> None:
    """An error ends one sending, a client that goes another."""
    async with opened({"desk": emulator(OWL)}) as scene:
        failing = asyncio.create_task(ask(scene))
        await asyncio.sleep(0.5)
        scene.take_down("desk")
        scene.bring_up("desk")
        await failing
        assert isinstance((await ask(scene, seconds=0.5)).end, DeadlineExceededError)
    ends = [(sending.failed, sending.left) for sending in scene.witness.sendings]
    assert (ends[0], ends[-1]) == ((True, False), (False, True))


# --- evictions -----------------------------------------------------------------------------------------


def cut_off(scene: Scene, reason: str = "auto-evict", killed: int = 1) -> None:
    """Let the host have unloaded what was generating, at the time 10, for a load that began then."""
    desk = scene.emulators["desk"]
    scene.witness.sendings.append(Sending("desk", WREN, True, 1.0, 10.0, failed=True))
    desk.unloads.append(UnloadRecord(model=WREN, instance_id=WREN, reason=reason, killed=killed, at=10.0))
    if reason == "auto-evict":
        record = LoadRecord(model=OWL, instance_id=OWL, jit=True, seconds=3.0, context_length=4096, at=13.0)
        desk.loads.append(record)


def went(scene: Scene, reason: str, at: float) -> None:
    gone = UnloadRecord(model=OWL, instance_id=OWL, reason=reason, killed=0, at=at)
    scene.emulators["desk"].unloads.append(gone)


def sent(scene: Scene, *, resident: bool, failed: bool = False) -> None:
    scene.witness.sendings.append(Sending("desk", OWL, resident, 9.0, 20.0, failed=failed))


@pytest.fixture(name="scene")
async def _scene() -> AsyncIterator[Scene]:
    async with opened({"desk": emulator()}) as scene:
        yield scene


async def test_what_our_loads_and_unloads_cut_off_is_found(scene: Scene) -> None:
    """Also where nobody is known to have caused it; what nobody waited for any more is no matter."""
    cut_off(scene, killed=0)
    assert evictions(scene) == []
    cut_off(scene)
    cut_off(scene, "request")
    cut_off(scene, "person")
    assert evictions(scene) == [f"{WREN} on desk at 10"] * 2
    for sending in scene.witness.sendings:
        sending.failed, sending.left = False, True
    assert evictions(scene) == []


async def test_a_load_that_was_meant_is_ours(scene: Scene) -> None:
    """Who sends a request to load a model answers for what goes, whatever happened to the model before."""
    cut_off(scene)
    went(scene, "crash", 9.5)
    sent(scene, resident=False)
    sent(scene, resident=True)
    assert evictions(scene)


@pytest.mark.parametrize(
    ("reason", "at", "found"),
    [
        ("person", 9.5, False),
        ("crash", 10.0, False),
        ("evicted", 9.0, False),
        ("crash", 8.9, True),
        ("ttl", 9.5, True),
        ("auto-evict", 9.5, True),
    ],
)
async def test_nobody_can_know_what_is_lost_behind_a_request(
    scene: Scene, reason: str, at: float, found: bool
) -> None:
    """It was sent to a loaded model, which misfortune took before it arrived: the load is nobody's doing."""
    sent(scene, resident=True)
    went(scene, reason, at)
    cut_off(scene)
    assert bool(evictions(scene)) is found


async def test_a_load_that_another_cancels_counts_while_somebody_waits_for_it(scene: Scene) -> None:
    """One that its client has left is nobody's loss."""
    desk = scene.emulators["desk"]
    record = LoadRecord(
        model=OWL,
        instance_id=OWL,
        jit=True,
        seconds=1.0,
        context_length=1,
        at=10.0,
        failure="Operation canceled",
    )
    desk.loads.append(record)
    sent(scene, resident=False)
    assert evictions(scene) == []
    sent(scene, resident=False, failed=True)
    assert evictions(scene) == [f"{OWL} on desk at 10"]


# --- starvation ----------------------------------------------------------------------------------------


def test_the_bound_is_the_pools() -> None:
    """Turns of the others, what runs, the own load; and more rounds where one turn cannot serve all."""
    calm = Terms(models=3, slots=2, patience=10.0, answer=4.0, load=8.0)
    turn = 10 + 8 + 4 + 8
    first = 2 * turn + 4 + 8
    assert calm.bound(0) == first
    assert calm.bound(3) == first + 2 * 4.0
    assert calm.bound(4) == first + 3 * turn
    assert Terms(models=1, slots=1, patience=10.0, answer=0.0, load=8.0).bound(100) == pytest.approx(
        8.0, abs=1e-3
    )
    troubled = Terms(models=3, slots=2, patience=10.0, answer=4.0, load=8.0, troubles=1, lost=5.0)
    assert troubled.bound(0) > first + turn + 5


async def closed_loop(scene: Scene, model: str, until: float) -> None:
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        await ask(scene, model)


async def let_two_models_compete(scene: Scene) -> None:
    """Four clients ask for one model again and again, and one for another."""
    owls = [closed_loop(scene, OWL, 100.0) for _ in range(4)]
    await asyncio.gather(*owls, asyncio.create_task(asyncio.sleep(10, None)), ask(scene, WREN, 500.0))


@pytest.mark.parametrize(("patience", "starved"), [(10.0, False), (90.0, True)])
async def test_who_waits_longer_than_the_bound_is_found(patience: float, starved: bool) -> None:
    """A pool with the patience that is known keeps it; one with more does not."""
    pool: JSONObject = {"patience_seconds": patience, "patience_loads": 0.0}
    async with opened({"desk": emulator(OWL)}, Config(tables={"pool": pool})) as scene:
        await let_two_models_compete(scene)
        found = pytest.raises(InvariantError, match="waited too long") if starved else nullcontext()
        with found:
            check_waits(scene, 10.0, calm=True)


async def test_what_fails_makes_the_bound_wider() -> None:
    """Attempts that fail, models that are taken, loads that are left unseen; and seconds that are lost."""
    async with opened({"desk": emulator(OWL), "attic": emulator()}) as scene:
        assert terms(scene, "desk", 10.0, calm=True) == Terms(2, 1, 10.0, 0.0, 3.0)
        scene.witness.sendings += [
            Sending("desk", OWL, resident=True, began=0.0, ended=4.0, left=True),
            Sending("desk", OWL, resident=False, began=0.0, ended=8.0, left=True),
            Sending("attic", OWL, resident=True, began=0.0, ended=90.0, failed=True),
        ]
        assert terms(scene, "desk", 10.0, calm=True) == Terms(2, 1, 10.0, 5.0, 3.0)
        scene.witness.errors.append(LLMTimeoutError("no output", host="desk"))
        scene.emulators["desk"].unload(OWL)
        scene.away, scene.jumped = 2.0, 3.0
        assert terms(scene, "desk", 10.0, calm=False) == Terms(2, 1, 10.0, 5.0, 3.0, troubles=3, lost=5.0)


# --- jumps ---------------------------------------------------------------------------------------------


async def test_a_jump_of_the_clock_ends_what_was_due_meanwhile() -> None:
    """As after a machine's sleep: deadlines have passed, loads and answers are there, and all goes on."""
    async with opened({"desk": emulator(OWL)}) as scene:
        before = asyncio.get_running_loop().time()
        waiting = [asyncio.create_task(ask(scene, seconds=0.9)) for _ in range(2)]
        await asyncio.sleep(0.1)
        await misfortune._jump(scene, "desk", Random(1))
        ends = [(await task).end for task in waiting]
        assert scene.jumped > 1.0
        assert asyncio.get_running_loop().time() == pytest.approx(before + 0.1 + scene.jumped)
        assert all(isinstance(end, DeadlineExceededError) for end in ends)
        assert isinstance((await ask(scene)).end, Reply)


def test_the_seeds_have_jumps_resilience_and_managed_memory() -> None:
    """About every seventh seed with misfortune has a jump, half have resilience, a quarter manage memory."""
    assert [chaos.run(seed).jumped > 0 for seed in (7, 13, 27)] == [True] * 3
    resilient = [chaos.is_resilient(seed) for seed in range(320)]
    assert sum(resilient) == sum(not one for one in resilient) == 160
    assert sum(resilient[::4]) == 40
    managed = [bool(chaos.settings(seed, resilient=True).tables["pool"]["memory"]) for seed in range(320)]
    assert 60 <= sum(managed) <= 100
