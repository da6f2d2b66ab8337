"""A prompt that is surely too long for what is loaded: elsewhere, or after a load with a larger context."""

import asyncio

import pytest
from tests.plugins.resilience.scene import (
    ANSWER,
    HAWK,
    OWL,
    Scene,
    ask,
    deployment,
    failure,
    host,
    opened,
    owl,
    route,
)

from turnout import ContextOverflowError, Decision, LoadOptions, ModelRequest
from turnout.types import Lease
from turnout_resilience import ResilienceSettings
from turnout_resilience.holding import unless_idle
from turnout_resilience.larger import Plan, next_smaller
from turnout_resilience.reload import REFUSED_SECONDS
from turnout_testing import EmulatedModel, Emulator, LoadFails

pytestmark = pytest.mark.anyio
BY_HAND = ResilienceSettings(reload_larger=True)
LONG = "x" * 48_000
"""About 12,000 tokens."""


def small(*models: EmulatedModel, **knobs: object) -> Emulator:
    """Return a host that loads with 4096 tokens of the 32,768 that its models know."""
    return host(*(models or (owl(max_context_length=32_768),)), default_context=4096, **knobs)  # type: ignore[arg-type]


def long(text: str = LONG, **options: object) -> ModelRequest:
    return ModelRequest(text, explicit_model=OWL, timeout=600, **options)  # type: ignore[arg-type]


def contexts(emulator: Emulator) -> list[tuple[str, int]]:
    return [(instance.id, instance.context_length) for instance in emulator.instances]


async def used(scene: Scene, *names: str) -> None:
    """Let a short request load the model on each of the hosts."""
    for name in names or scene.emulators:
        await ask(scene.router, ModelRequest("hello", explicit_model=OWL, hosts=[name], timeout=60))


async def explained(scene: Scene, request: ModelRequest) -> Decision:
    return await scene.router.explain(request)


# --- what is done -----------------------------------------------------------------------------------


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_long_prompt_gets_the_context_that_it_needs(streaming: bool) -> None:
    """Without an attempt that had to fail, and with one load."""
    async with opened({"desk": small(loaded=())}) as scene:
        await used(scene)
        reply = await ask(scene.router, long(streaming=streaming))
        assert reply.text == ANSWER
        assert route(reply.attempts) == [("desk", None)]
        assert contexts(scene.emulators["desk"]) == [(OWL, 16_384)]
        assert scene.told("reloads") == 1
        assert (await ask(scene.router, long())).text == ANSWER
        assert len(scene.emulators["desk"].loads) == 2


async def test_who_has_enough_context_is_asked_and_nothing_is_loaded() -> None:
    """A load is the last thing to do, whichever host is the faster."""
    hosts = {"desk": small(loaded=()), "attic": host(owl(decode_rate=5.0), default_context=32_768)}
    async with opened(hosts) as scene:
        await used(scene)
        replies = [await ask(scene.router, long()) for _ in range(4)]
        assert {reply.host for reply in replies} == {"attic"}
        assert contexts(hosts["desk"]) == [(OWL, 4096)]


async def test_another_model_with_enough_context_comes_before_a_load() -> None:
    """Where nobody has named a model; a pinned one is never replaced, and loaded anew."""
    desk = small(owl(max_context_length=32_768), EmulatedModel(HAWK, reply="I."), loaded=())
    attic = Emulator((EmulatedModel(HAWK, reply="I."),), loaded=(HAWK,), default_context=32_768)
    async with opened({"desk": desk, "attic": attic}) as scene:
        await used(scene, "desk")
        assert (await ask(scene.router, ModelRequest(LONG, timeout=600))).model == HAWK
        assert contexts(desk) == [(OWL, 4096)]
        assert (await ask(scene.router, long())).model == OWL
        assert contexts(desk) == [(OWL, 16_384)]


async def test_of_several_hosts_one_is_loaded_anew_and_the_idle_one() -> None:
    """The request runs there, and the other goes on with what it has."""
    talkative = owl(reply="on and on " * 300, max_context_length=32_768)
    hosts = {name: small(talkative, loaded=()) for name in ("desk", "attic")}
    async with opened(hosts) as scene:
        await used(scene)
        for busy, idle in (("desk", "attic"), ("attic", "desk")):
            running = asyncio.create_task(
                ask(scene.router, ModelRequest("hello", explicit_model=OWL, hosts=[busy], timeout=600))
            )
            await asyncio.sleep(1)
            text = LONG if idle == "attic" else LONG * 2
            assert (await ask(scene.router, long(text))).host == idle
            await running
        assert [contexts(hosts[name]) for name in ("desk", "attic")] == [[(OWL, 32_768)], [(OWL, 16_384)]]


async def test_what_generates_ends_before_and_who_comes_waits() -> None:
    """Nothing is cut off, and everybody is answered once."""
    desk = small(owl(reply="on and on " * 100, max_context_length=32_768, load_seconds=3.0), loaded=())
    async with opened({"desk": desk}) as scene:
        await used(scene)
        requests = [ModelRequest(f"r{n}", explicit_model=OWL, timeout=600) for n in range(8)]
        running = [asyncio.create_task(ask(scene.router, one)) for one in requests[:3]]
        await asyncio.sleep(0.5)
        enlarging = asyncio.create_task(ask(scene.router, long()))
        await asyncio.sleep(1)
        late = [asyncio.create_task(ask(scene.router, one)) for one in requests[3:]]
        replies = await asyncio.gather(*running, enlarging, *late)
        assert all(len(reply.attempts) == 1 for reply in replies)
        assert [record.killed for record in desk.unloads] == [0]
        assert contexts(desk) == [(OWL, 16_384)]


async def test_a_model_that_nobody_has_loaded_is_loaded_again_at_once() -> None:
    """How much the server gives a model shows only in the overflow; it was the request that loaded it."""
    async with opened({"desk": small(loaded=())}) as scene:
        reply = await ask(scene.router, long())
        assert route(reply.attempts) == [("desk", "ContextOverflowError"), ("desk", None)]
        assert contexts(scene.emulators["desk"]) == [(OWL, 16_384)]


@pytest.mark.parametrize("memory", [{}, {"memory": {"desk": "8GB"}}], ids=["just in time", "managed"])
async def test_another_models_turn_is_not_held_up(memory: dict[str, object]) -> None:
    """Who has taken some slots and waits for the others gives them back, and everybody is answered."""
    models = owl(max_context_length=32_768, reply="on and on " * 100), EmulatedModel(HAWK, reply="I.")
    desk = small(*models, loaded=(), memory_bytes=8_000_000_000)
    tables = {"pool": {"patience_seconds": 0.5, "patience_loads": 0.0, **memory}}
    async with opened({"desk": desk}, tables=tables) as scene:
        await used(scene)
        running = [asyncio.create_task(used(scene)) for _ in range(2)]
        await asyncio.sleep(0.1)
        enlarging = asyncio.create_task(ask(scene.router, long()))
        await asyncio.sleep(0.1)
        other = asyncio.create_task(others_turn(scene))
        await asyncio.gather(*running, enlarging, other)
        assert enlarging.result().attempts[-1].error is None
        assert contexts(desk) == [(OWL, 16_384)]
        assert [load.model for load in desk.loads if load.model == HAWK] == [HAWK]
        assert not any(record.killed for record in desk.unloads)


async def test_two_lengths_at_once_end_in_a_context_for_both() -> None:
    """The longer one waits for the shorter one's load, and then loads for itself; the others share one."""
    desk = small(loaded=())
    async with opened({"desk": desk}) as scene:
        await used(scene)
        texts = (LONG, LONG, LONG * 2, LONG)
        replies = await asyncio.gather(*(ask(scene.router, long(text)) for text in texts))
        assert [reply.text for reply in replies] == [ANSWER] * 4
        assert contexts(desk) == [(OWL, 32_768)]
        assert scene.told("reloads") == 2


async def test_a_context_that_is_there_already_is_not_loaded_again() -> None:
    """Somebody may have been faster than the fleet that was decided by."""
    async with opened({"desk": small(loaded=())}) as scene:
        await used(scene)
        assert (await ask(scene.router, long())).text == ANSWER
        assert await scene.plugin.reloads.carry_out(scene.router, Plan(("desk", OWL), 8192)) is None
        assert contexts(scene.emulators["desk"]) == [(OWL, 16_384)]
        assert len(scene.emulators["desk"].loads) == 2


async def test_what_may_just_fit_is_tried_with_all_there_is() -> None:
    """The count of tokens is an estimate: only what is surely too long is refused."""
    async with opened({"desk": small(loaded=())}) as scene:
        await used(scene)
        assert (await ask(scene.router, long("x" * 4 * 32_500))).text == ANSWER
        assert contexts(scene.emulators["desk"]) == [(OWL, 32_768)]


async def test_the_explanation_says_what_would_be_loaded_again() -> None:
    """Before it is done, with the numbers; and nothing of it where nobody is too small."""
    async with opened({"desk": small(loaded=())}) as scene:
        await used(scene)
        told = await explained(scene, long())
        (reload,) = told.explanation.reloads
        assert (reload.model, reload.host, reload.loaded) == (OWL, "desk", 4096)
        assert str(reload) == f"{OWL} on desk: the request needs about 9006 tokens, and 4096 are loaded"
        assert told.explanation.ineligible == ()
        assert (await explained(scene, long("short"))).explanation.reloads == ()


# --- what is not ------------------------------------------------------------------------------------


async def refused(scene: Scene, request: ModelRequest, context: int = 4096) -> ContextOverflowError:
    """Check that the request fails for its length and that nothing is loaded; return the error."""
    error = await failure(scene.router, request)
    assert isinstance(error, ContextOverflowError)
    assert (await explained(scene, request)).explanation.reloads == ()
    assert contexts(scene.emulators["desk"]) == [(OWL, context)]
    return error


async def test_a_prompt_above_the_maximum_is_an_error_that_says_so() -> None:
    """No load makes it fit."""
    async with opened({"desk": small(loaded=())}) as scene:
        await used(scene)
        error = await refused(scene, long("x" * 4 * 60_000))
        assert "loaded with 4096" in error.message
        assert error.advice == "Shorten the prompt: no model takes so much."


@pytest.mark.parametrize("settings", [None, BY_HAND])
async def test_a_model_loaded_by_hand_stays_as_it_is(settings: ResilienceSettings | None) -> None:
    """Unless that is allowed; the error names the command that does it."""
    async with opened({"desk": small()}, settings) as scene:
        if settings is BY_HAND:
            assert (await ask(scene.router, long())).text == ANSWER
        else:
            error = await refused(scene, long())
            assert f"`turnout models load {OWL} --context-length 32768` gives it more" in error.message
            assert (error.prompt_tokens, error.context_length) == (9006, 4096)


async def test_it_can_be_switched_off_altogether() -> None:
    """Then nobody is offered, and the error is the same."""
    async with opened({"desk": small(loaded=())}, ResilienceSettings(reload=False)) as scene:
        await used(scene)
        await refused(scene, long())


async def test_copies_of_one_model_are_left_alone() -> None:
    """One of them may have the larger context, and both would go."""
    async with opened({"desk": small(loaded=())}, BY_HAND) as scene:
        await used(scene)
        scene.emulators["desk"].load(OWL, context_length=8192)
        await scene.router.fleet(refresh=True)
        told = await explained(scene, long("x" * 4 * 30_000))
        assert isinstance(told.error, ContextOverflowError)


# --- what goes wrong --------------------------------------------------------------------------------


async def test_where_the_larger_context_does_not_load_it_is_as_before() -> None:
    """The error says why, the model is there again, and for a while nothing so large is tried."""
    async with opened({"desk": small(loaded=())}) as scene:
        await used(scene)
        scene.emulators["desk"].inject(LoadFails(reason="no room", route="/api/v1/models/load", times=1))
        error = await failure(scene.router, long())
        assert isinstance(error, ContextOverflowError)
        assert "loading with a context of 16384 failed" in error.message
        await refused(scene, long())
        assert (await ask(scene.router, long("x" * 4 * 7_000))).text == ANSWER
        await refused(scene, long(), context=8192)
        await asyncio.sleep(REFUSED_SECONDS)
        assert (await ask(scene.router, long())).text == ANSWER


async def test_where_one_host_cannot_another_does() -> None:
    """The failed load is an attempt like any other."""
    hosts = {name: small(loaded=()) for name in ("desk", "attic")}
    async with opened(hosts) as scene:
        await used(scene)
        hosts["desk"].inject(LoadFails(reason="no room", route="/api/v1/models/load", times=1))
        reply = await ask(scene.router, long())
        assert route(reply.attempts) == [("desk", "ContextOverflowError"), ("attic", None)]
        assert [contexts(hosts[name]) for name in ("desk", "attic")] == [[(OWL, 4096)], [(OWL, 16_384)]]


def test_after_a_failure_the_next_smaller_power_of_two_is_the_most() -> None:
    """Down to nothing."""
    assert list(map(next_smaller, (40_960, 16_384, 2, 1, 0))) == [32_768, 8192, 1, 0, 0]


@pytest.mark.parametrize("ticks", range(4))
async def test_who_comes_when_the_last_who_waited_leaves_is_answered(ticks: int) -> None:
    """The end of a reload that nobody wants any more is not the end of whoever wants one at that moment."""
    desk = small(owl(max_context_length=32_768, parallel=2, decode_rate=5.0), loaded=())
    async with opened({"desk": desk}) as scene:
        await used(scene)
        running = asyncio.create_task(used(scene))
        await asyncio.sleep(0.5)
        leaving = asyncio.create_task(ask(scene.router, long()))
        await asyncio.sleep(1)
        leaving.cancel()
        for _ in range(ticks):
            await asyncio.sleep(0)
        assert (await ask(scene.router, long())).text == ANSWER
        await running
        assert scene.told("desk", "in_flight", of="pool") == 0


async def test_a_host_that_comes_back_meanwhile_is_not_taken_for_the_one_that_is_reloaded() -> None:
    """Its slots say nothing of what still generates where the model is unloaded."""
    talker = owl(max_context_length=32_768, parallel=2, decode_rate=2.0)
    hosts = {"desk": small(talker, loaded=()), "attic": small(talker)}
    async with opened(hosts) as scene:
        scene.take_down("attic")
        await used(scene, "desk")
        running = [asyncio.create_task(used(scene, "desk")) for _ in range(2)]
        await asyncio.sleep(1)
        asking = asyncio.create_task(ask(scene.router, long()))
        await asyncio.sleep(0.5)
        running.append(asyncio.create_task(used(scene, "desk")))
        await asyncio.sleep(0.5)
        scene.bring_up("attic")
        scene.router.forget_fleet()
        await asking
        await asyncio.gather(*running)
    assert not any(record.killed for record in hosts["desk"].unloads)


async def test_a_slot_that_comes_when_nobody_wants_it_any_more_is_free() -> None:
    """A reload that is given up while it takes slot after slot keeps none of them."""
    released: list[str] = []
    come: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(unless_idle(come, lambda: 1))
    await asyncio.sleep(0)
    come.set_result(Lease(deployment(), lambda: released.append("slot")))
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert released == ["slot"]


# --- whose it is afterwards -------------------------------------------------------------------------


async def others_turn(scene: Scene) -> None:
    await ask(scene.router, ModelRequest("hello", explicit_model=HAWK, timeout=60))


@pytest.mark.parametrize(
    "tables", [{}, {"pool": {"memory": {"desk": "8GB"}}}], ids=["just in time", "managed"]
)
async def test_what_was_loaded_again_for_a_request_goes_when_another_model_is_needed(
    tables: dict[str, dict[str, object]],
) -> None:
    """It is loaded explicitly, which the server leaves alone: so it is the pool that has to unload it."""
    desk = small(owl(max_context_length=32_768), EmulatedModel(HAWK), loaded=(), memory_bytes=8_000_000_000)
    async with opened({"desk": desk}, tables=tables) as scene:
        await used(scene)
        await ask(scene.router, long())
        await others_turn(scene)
        assert [name for name, _ in contexts(desk)] == [HAWK]
        await used(scene)
        assert contexts(desk) == [(OWL, 16_384)], "long prompts come again: it is loaded as they need it"
    assert desk.instances == ()
    assert not any(record.killed for record in desk.unloads)


async def test_a_context_that_does_not_load_any_more_is_forgotten() -> None:
    """The next load is as the host does it."""
    desk = small(owl(max_context_length=32_768), EmulatedModel(HAWK), loaded=(), memory_bytes=8_000_000_000)
    async with opened({"desk": desk}, tables={"pool": {"memory": {"desk": "8GB"}}}) as scene:
        await used(scene)
        await ask(scene.router, long())
        await others_turn(scene)
        desk.inject(LoadFails(reason="no room", route="/api/v1/models/load", times=1))
        await failure(scene.router, ModelRequest("hello", explicit_model=OWL, timeout=60))
        await used(scene)
        assert contexts(desk) == [(OWL, 4096)]


async def test_what_somebody_asked_to_be_loaded_stays_his_after_a_larger_load() -> None:
    """``router.load`` allows a larger context, and not that the model goes."""
    desk = small(owl(max_context_length=32_768), EmulatedModel(HAWK), loaded=())
    async with opened({"desk": desk}, tables={"pool": {"memory": {"desk": "8GB"}}}) as scene:
        await scene.router.load(OWL, options=LoadOptions(context_length=4096))
        await ask(scene.router, long())
        await others_turn(scene)
        assert (OWL, 16_384) in contexts(desk)
    assert (OWL, 16_384) in contexts(desk)


async def test_a_larger_context_needs_room_in_the_memory_that_is_set() -> None:
    """What runs beside it is counted, and the veto says so."""
    desk = small(owl(max_context_length=131_072), EmulatedModel(HAWK), loaded=(OWL, HAWK))
    async with opened({"desk": desk}, BY_HAND, tables={"pool": {"memory": {"desk": "13GB"}}}) as scene:
        await used(scene)
        error = await failure(scene.router, long(LONG * 4))
        assert isinstance(error, ContextOverflowError)
        assert "has no room beside what is loaded" in error.message
        assert contexts(desk)[0] == (OWL, 4096)
        assert (await ask(scene.router, long("x" * 4 * 6000))).text == ANSWER
