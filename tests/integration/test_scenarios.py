"""What a person would try first to break it."""

import asyncio

import pytest
from attrs import define, field
from tests.integration.world import HAWK, OWL, echoing

from turnout import Config, ModelRequest, Reply, RouterSettings, hookimpl
from turnout.errors import (
    AuthenticationError,
    ContextOverflowError,
    DeadlineExceededError,
    LLMError,
    ModelNotFoundError,
    StreamInterruptedError,
)
from turnout_testing import ConnectionLost, Crash, Emulator, HangBeforeHeaders
from turnout_testing.simulation.evictions import evictions
from turnout_testing.simulation.invariants import (
    check_idle,
    check_outcome,
    copies,
    most_at_once,
)
from turnout_testing.simulation.scene import Outcome, Scene, asked, expected, opened

pytestmark = pytest.mark.anyio


def request(
    name: str,
    model: str | None = OWL,
    *,
    streaming: bool = False,
    timeout: float = 120.0,
    max_tokens: int | None = None,
) -> ModelRequest:
    return ModelRequest(
        name, id=name, explicit_model=model, streaming=streaming, timeout=timeout, max_tokens=max_tokens
    )


async def ask_all(world: Scene, requests: list[ModelRequest]) -> list[Outcome]:
    return list(await asyncio.gather(*(asked(world, one) for one in requests)))


def check_all_answered(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        check_outcome(outcome)
        assert isinstance(outcome.end, Reply), outcome


async def given_up(world: Scene, one: ModelRequest, patience: float) -> None:
    """Ask, and leave after a while."""
    leaving = asyncio.create_task(asked(world, one))
    await asyncio.sleep(patience)
    leaving.cancel()
    await asyncio.wait([leaving])


def now() -> float:
    return asyncio.get_running_loop().time()


# -- loads -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hosts", [1, 2])
async def test_a_burst_on_a_cold_model_causes_one_load(hosts: int) -> None:
    """Twenty clients come at once, and each host that has the model loads it at most once."""
    emulators = {f"host{n}": Emulator((echoing(OWL, load_seconds=10),)) for n in range(hosts)}
    async with opened(emulators) as world:
        outcomes = await ask_all(world, [request(f"r{n}", streaming=n % 2 == 0) for n in range(20)])
        check_idle(world)
    check_all_answered(outcomes)
    for emulator in emulators.values():
        assert [load.instance_id for load in emulator.loads] in ([], [OWL])
        assert max(most_at_once(emulator.generations).values()) <= 4


async def test_a_model_that_was_just_loaded_gets_no_more_than_its_slots() -> None:
    """The burst that waited for a load of an instance with one slot runs one by one."""
    emulator = Emulator((echoing(OWL, parallel=1),))
    async with opened({"desk": emulator}) as world:
        outcomes = await ask_all(world, [request(f"r{n}", streaming=True) for n in range(6)])
    check_all_answered(outcomes)
    assert most_at_once(emulator.generations) == {OWL: 1}


async def test_models_that_evict_each_other_take_turns_and_not_lives() -> None:
    """On an auto-evict host two models alternate in a few loads, and no load ends what another runs."""
    emulator = Emulator((echoing(OWL), echoing(HAWK)))
    async with opened({"desk": emulator}) as world:
        first = [request(f"a{n}", (OWL, HAWK)[n % 2]) for n in range(20)]
        second = [request(f"b{n}", (OWL, HAWK)[n % 2], streaming=True) for n in range(20)]
        outcomes = [*await ask_all(world, first), *await ask_all(world, second)]
        assert evictions(world) == []
        check_idle(world)
    check_all_answered(outcomes)
    assert emulator.evicted_while_generating == 0
    assert 2 <= len(emulator.loads) <= 4


async def test_a_trickle_of_two_models_is_served_in_batches() -> None:
    """Requests for two models that come one after the other do not swap for each of them."""
    emulator = Emulator((echoing(OWL, load_seconds=10), echoing(HAWK, load_seconds=10)))

    async def late(world: Scene, n: int) -> Outcome:
        await asyncio.sleep(n * 0.5)
        return await asked(world, request(f"r{n}", (OWL, HAWK)[n % 2]))

    async with opened({"desk": emulator}) as world:
        outcomes = await asyncio.gather(*(late(world, n) for n in range(60)))
    check_all_answered(outcomes)
    assert emulator.evicted_while_generating == 0
    assert len(emulator.loads) <= 8


async def test_who_gives_up_during_a_load_does_not_cause_a_second_copy() -> None:
    """The load goes on at the host, and whoever comes next must not start another (bt#1751)."""
    emulator = Emulator((echoing(OWL, load_seconds=10),))
    async with opened({"desk": emulator}) as world:
        await given_up(world, request("impatient"), 3)
        outcome = await asked(world, request("patient"))
    check_all_answered([outcome])
    assert copies(emulator) == []


async def test_who_waits_behind_a_crash_does_not_cause_a_second_copy() -> None:
    """Both the one that crashed and the one that waited for its slot need the model, which is loaded once."""
    emulator = Emulator((echoing(OWL, parallel=1),), loaded=OWL)
    emulator.inject(Crash(times=1, after_chunks=2))
    async with opened({"desk": emulator}) as world:
        outcomes = await ask_all(world, [request("first"), request("second")])
    check_all_answered(outcomes)
    assert copies(emulator) == []


async def test_a_load_that_is_given_up_serves_those_who_wait() -> None:
    """Behind the one whose request loads the model, others wait, and they outlive its leaving."""
    emulator = Emulator((echoing(OWL, load_seconds=10),))
    async with opened({"desk": emulator}) as world:
        leaving = asyncio.create_task(given_up(world, request("impatient"), 3))
        await asyncio.sleep(1)
        outcomes = await ask_all(world, [request(f"r{n}") for n in range(5)])
        await leaving
        check_idle(world)
    check_all_answered(outcomes)


# -- hosts that are ill ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["down", "hangs"])
async def test_a_dead_host_among_three_delays_nobody_beyond_one_look(how: str) -> None:
    """Answers come within the discovery's time limit and their own time, also when looks are renewed."""
    emulators = {name: Emulator((echoing(OWL),), loaded=OWL) for name in ("desk", "attic", "cellar")}
    config = Config(router=RouterSettings(discovery_timeout=1.5))
    async with opened(emulators, config) as world:
        if how == "down":
            world.take_down("desk")
        else:
            emulators["desk"].inject(HangBeforeHeaders())
        for round_ in range(5):
            outcomes = await ask_all(world, [request(f"{round_}-{n}") for n in range(4)])
            check_all_answered(outcomes)
            assert max(outcome.seconds for outcome in outcomes) < 1.5 + 1.0
            await asyncio.sleep(4)


@pytest.mark.parametrize("how", ["down", "hangs"])
async def test_a_host_that_comes_back_is_used_again(how: str) -> None:
    """What was dead is looked at again with the next look."""
    emulators = {"desk": Emulator((echoing(OWL),), loaded=OWL)}
    async with opened(emulators) as world:
        if how == "down":
            world.take_down("desk")
        else:
            emulators["desk"].inject(HangBeforeHeaders())
        assert isinstance((await asked(world, request("early"))).end, LLMError)
        world.heal()
        await asyncio.sleep(6)
        check_all_answered([await asked(world, request("late"))])


async def test_a_stream_whose_host_dies_ends_with_what_had_come() -> None:
    """After the first output nobody else can go on, so the error carries the partial text."""
    emulators = {name: Emulator((echoing(OWL, decode_rate=2),), loaded=OWL) for name in ("desk", "attic")}
    async with opened(emulators) as world:
        asking = asyncio.create_task(asked(world, request("a long story", streaming=True)))
        await asyncio.sleep(4)
        busy = next(name for name, one in emulators.items() if one.instances[0].in_flight)
        world.take_down(busy)
        outcome = await asking
        check_outcome(outcome)
        check_idle(world)
    assert isinstance(outcome.end, StreamInterruptedError)
    assert outcome.heard
    assert outcome.end.partial == outcome.heard
    assert outcome.end.host == busy


async def test_a_question_whose_host_dies_is_answered_by_another() -> None:
    """Nothing had reached the caller, so another host answers, and the reply tells of both."""
    emulators = {name: Emulator((echoing(OWL, decode_rate=2),), loaded=OWL) for name in ("desk", "attic")}
    async with opened(emulators) as world:
        asking = asyncio.create_task(asked(world, request("a long story")))
        await asyncio.sleep(4)
        busy = next(name for name, one in emulators.items() if one.instances[0].in_flight)
        world.take_down(busy)
        outcome = await asking
    check_all_answered([outcome])
    assert isinstance(outcome.end, Reply)
    assert outcome.end.attempts[0].host == busy
    assert outcome.end.host != busy


async def test_a_host_that_wants_a_token_says_so_and_the_others_serve() -> None:
    """Alone it is a clear error that shows no secret, and beside others it is left out."""
    locked = Emulator((echoing(OWL),), loaded=OWL, token="sk-lm-abcdefgh:01234567890123456789")
    async with opened({"desk": locked}) as world:
        alone = await asked(world, request("alone"))
    assert isinstance(alone.end, AuthenticationError)
    assert "token" in str(alone.end).casefold()
    assert "sk-lm-abcdefgh" not in str(alone.end)
    async with opened({"desk": locked, "attic": Emulator((echoing(OWL),), loaded=OWL)}) as world:
        outcomes = await ask_all(world, [request(f"r{n}") for n in range(8)])
        reports = {report.host.name: report.error for report in await world.router.hosts()}
    check_all_answered(outcomes)
    assert isinstance(reports["desk"], AuthenticationError)


# -- what may answer ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("words", [600, 1200])
async def test_what_overflows_one_context_is_answered_in_a_larger_one(streaming: bool, words: int) -> None:
    """A prompt that the small context refuses goes to the deployment whose loaded context is larger."""
    small, large = Emulator((echoing(OWL),)), Emulator((echoing(OWL),))
    small.load(OWL, context_length=256)
    large.load(OWL, context_length=8192)
    prompt = " ".join(f"{n % 10}" for n in range(words))
    async with opened({"desk": small, "attic": large}) as world:
        outcomes = await ask_all(world, [request(f"{n} {prompt}", streaming=streaming) for n in range(4)])
    check_all_answered(outcomes)


async def test_an_overflow_that_nobody_can_hold_is_told_with_its_numbers() -> None:
    """With no larger context anywhere the error says that it is the context."""
    small = Emulator((echoing(OWL),))
    small.load(OWL, context_length=256)
    async with opened({"desk": small}) as world:
        outcome = await asked(world, request(" ".join("x" for _ in range(600))))
    assert isinstance(outcome.end, ContextOverflowError)
    assert outcome.end.context_length == 256


async def test_a_pinned_model_is_never_replaced() -> None:
    """Neither a model that fails nor one that is gone is answered for by another."""
    emulator = Emulator((echoing(OWL), echoing(HAWK)), loaded=(OWL, HAWK))
    async with opened({"desk": emulator}) as world:
        emulator.inject(Crash(model=OWL))
        for n in range(3):
            outcome = await asked(world, request(f"r{n}"))
            check_outcome(outcome)
            assert isinstance(outcome.end, LLMError), outcome
        missing = await asked(world, request("r9", "acme/dodo-1b"))
        assert isinstance(missing.end, ModelNotFoundError)
        free = await asked(world, request("r10", None))
    assert isinstance(free.end, Reply)
    assert {record.model for record in emulator.generations if record.outcome == "finished"} == {HAWK}


async def test_a_pinned_model_that_vanished_since_the_last_look_is_not_replaced() -> None:
    """One loaded model answers for every unknown name, and that answer is refused (bt#619)."""
    emulator = Emulator((echoing(OWL), echoing(HAWK)), loaded=HAWK)
    async with opened({"desk": emulator}) as world:
        await world.router.fleet()
        emulator.models = tuple(model for model in emulator.models if model.key == HAWK)
        outcome = await asked(world, request("who are you"))
    assert isinstance(outcome.end, LLMError)


# -- plugins and callers that misbehave --------------------------------------------------------------------


@define(eq=False)
class Broken:
    """A plugin whose every hook raises."""

    called: set[str] = field(factory=set)

    def _fail(self, hook: str) -> None:
        self.called.add(hook)
        message = f"{hook} is broken"
        raise RuntimeError(message)

    @hookimpl
    def classify_request(self) -> None:
        self._fail("classify_request")

    @hookimpl
    def veto_deployments(self) -> None:
        self._fail("veto_deployments")

    @hookimpl
    def estimate(self) -> None:
        self._fail("estimate")

    @hookimpl
    def select_model(self) -> None:
        self._fail("select_model")

    @hookimpl
    def record_selection(self) -> None:
        self._fail("record_selection")

    @hookimpl
    def record_execution(self) -> None:
        self._fail("record_execution")

    @hookimpl
    def discover_models(self) -> None:
        self._fail("discover_models")

    @hookimpl
    def place_request(self) -> None:
        self._fail("place_request")

    @hookimpl
    def execute_request(self) -> None:
        self._fail("execute_request")

    @hookimpl
    def on_failure(self) -> None:
        self._fail("on_failure")

    @hookimpl
    def open_transport(self) -> None:
        self._fail("open_transport")

    @hookimpl
    def report_stats(self) -> None:
        self._fail("report_stats")

    @hookimpl
    def shutdown(self) -> None:
        self._fail("shutdown")


async def test_a_plugin_that_raises_in_every_hook_costs_nothing_but_itself() -> None:
    """Requests are answered, failures are survived, and the pool's numbers are there."""
    broken = Broken()
    emulators = {name: Emulator((echoing(OWL),), loaded=OWL) for name in ("desk", "attic")}
    async with opened(emulators, plugins={"broken": broken}) as world:
        emulators["desk"].inject(ConnectionLost(times=1, route="/v1/chat/completions"))
        emulators["attic"].inject(ConnectionLost(times=1, skip=1, route="/v1/chat/completions"))
        outcomes = await ask_all(world, [request(f"r{n}", streaming=n % 2 == 0) for n in range(8)])
        check_idle(world)
        assert "pool" in world.router.stats()
    check_all_answered(outcomes)
    assert {"estimate", "place_request", "execute_request", "discover_models", "on_failure"} <= broken.called


async def test_a_deadline_frees_the_slot_for_the_next() -> None:
    """A host that hangs costs each its own time limit, and no slot."""
    emulator = Emulator((echoing(OWL),), loaded=OWL)
    emulator.inject(HangBeforeHeaders(route="/v1/chat/completions", times=8))
    async with opened({"desk": emulator}) as world:
        outcomes = await ask_all(world, [request(f"r{n}", timeout=5) for n in range(8)])
        assert all(isinstance(outcome.end, LLMError) for outcome in outcomes)
        assert any(isinstance(outcome.end, DeadlineExceededError) for outcome in outcomes)
        check_idle(world)
        emulator.clear_faults()
        check_all_answered([await asked(world, request("after", timeout=5))])


async def test_a_stream_that_is_left_open_holds_its_slot_and_closing_frees_it() -> None:
    """Whoever stops reading in the middle gives the slot back by closing, and the host stops generating."""
    emulator = Emulator((echoing(OWL, decode_rate=2),), loaded=OWL)
    async with opened({"desk": emulator}) as world:
        stream = world.router.open_stream(request("left open", streaming=True))
        async for _ in stream:
            break
        await stream.aclose()
        check_idle(world)
        await asyncio.sleep(1)
        assert emulator.instances[0].in_flight == 0
        assert (await world.router.ask(request("next"))).text == expected(request("next"))
