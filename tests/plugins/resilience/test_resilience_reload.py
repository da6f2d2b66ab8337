"""A prompt that does not fit: elsewhere, or with a larger context, before giving up."""

import asyncio

import pytest
from attrs import evolve
from tests.plugins.resilience.scene import (
    ANSWER,
    OWL,
    Scene,
    ask,
    deployment,
    failure,
    host,
    now,
    opened,
    owl,
    route,
)

from turnout import ContextOverflowError, ModelRequest
from turnout.errors import OverloadedError
from turnout.fleet import Instance
from turnout_resilience import ResilienceSettings
from turnout_resilience.larger import larger
from turnout_resilience.reload import Reloads
from turnout_testing import EmulatedModel, Emulator, LoadFails, Overflow, OverflowForm

pytestmark = pytest.mark.anyio
BY_HAND = ResilienceSettings(reload_larger=True)


def contexts(emulator: Emulator) -> list[tuple[str, int]]:
    return [(instance.id, instance.context_length) for instance in emulator.instances]


async def loaded_by_us(scene: Scene) -> None:
    """Let a request of ours load the model."""
    await ask(scene.router, ModelRequest("hello", explicit_model=OWL, timeout=60))


# --- how large --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("needed", "expected"), [(4000, 8192), (3000, None), (8000, 16_384), (30_000, 32_768), (32_769, None)]
)
def test_the_next_power_of_two_up_to_the_maximum(needed: int, expected: int | None) -> None:
    """With room for what the estimate may miss, and only where that is more than there is."""
    assert larger(4096, needed, 32_768) == expected


@pytest.mark.anyio
async def test_only_what_is_known_is_offered() -> None:
    """Not where the maximum is unknown, nor the loaded context, nor where the host does not load."""
    known, reloads = deployment(), Reloads(BY_HAND)
    unknown = [
        evolve(known, info=evolve(known.info, context_length=None)),
        evolve(known, instances=(Instance(OWL),)),
        evolve(known, loadable=False),
    ]
    assert [one.enlargeable for one in reloads.offered([known, *unknown])] == [32_768, 0, 0, 0]


# --- through a router -------------------------------------------------------------------------------

OVERFLOWS = [
    Overflow(times=1, prompt_tokens=5000, context_length=4096),
    Overflow(form=OverflowForm.N_KEEP, times=1, prompt_tokens=5000, context_length=4096),
    Overflow(stream=True, times=1, prompt_tokens=5000, context_length=4096),
]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("fault", OVERFLOWS, ids=["plain", "n_keep", "in-stream"])
async def test_a_model_of_ours_is_loaded_larger(fault: Overflow, streaming: bool) -> None:
    """The request is answered by the same model in a larger context, and the attempts say why."""
    async with opened({"desk": host(loaded=(), default_context=4096)}) as scene:
        await loaded_by_us(scene)
        scene.emulators["desk"].inject(fault)
        reply = await ask(
            scene.router, ModelRequest("x", explicit_model=OWL, streaming=streaming, timeout=60)
        )
        assert reply.text == ANSWER
        assert route(reply.attempts) == [("desk", "ContextOverflowError"), ("desk", None)]
        assert contexts(scene.emulators["desk"]) == [(OWL, 8192)]
        assert scene.told("reloads") == 1


@pytest.mark.parametrize(("settings", "done"), [(None, False), (BY_HAND, True)])
async def test_a_model_loaded_by_hand_is_the_persons(settings: ResilienceSettings | None, done: bool) -> None:
    """It is loaded anew only where that is allowed; else the error says what to do."""
    async with opened({"desk": host(default_context=4096)}, settings) as scene:
        scene.emulators["desk"].inject(OVERFLOWS[0])
        asking = ModelRequest("x", explicit_model=OWL, timeout=60)
        if done:
            assert (await ask(scene.router, asking)).text == ANSWER
        else:
            assert isinstance(await failure(scene.router, asking), ContextOverflowError)
        assert contexts(scene.emulators["desk"]) == [(OWL, 8192 if done else 4096)]


async def test_a_load_that_was_asked_of_the_router_is_ours() -> None:
    """``router.load`` is no person in front of LM Studio."""
    async with opened({"desk": host(loaded=(), default_context=4096)}) as scene:
        await scene.router.load(OWL)
        scene.emulators["desk"].inject(OVERFLOWS[0])
        assert (await ask(scene.router, ModelRequest("x", explicit_model=OWL))).text == ANSWER
        scene.emulators["desk"].unload(OWL)
        await scene.router.fleet(refresh=True)
        scene.emulators["desk"].load(OWL, context_length=4096)
        await scene.router.fleet(refresh=True)
        scene.emulators["desk"].inject(OVERFLOWS[0])
        assert isinstance(
            await failure(scene.router, ModelRequest("x", explicit_model=OWL)), ContextOverflowError
        )


async def test_another_host_with_a_larger_context_comes_first() -> None:
    """A load is the last thing to do."""
    small, large = host(default_context=4096), host(default_context=16_384)
    async with opened({"desk": small, "attic": large}, BY_HAND) as scene:
        small.inject(Overflow(prompt_tokens=5000, context_length=4096))
        for _ in range(6):
            reply = await ask(scene.router, ModelRequest("x", explicit_model=OWL))
            assert reply.host == "attic"
        assert contexts(small) == [(OWL, 4096)]


async def test_nothing_that_generates_is_cut_off() -> None:
    """The reload waits for those that run, and those that come wait for the reload."""
    model = EmulatedModel(OWL, reply="on and on " * 100, load_seconds=3.0)
    emulator = Emulator((model,), default_context=4096)
    async with opened({"desk": emulator}) as scene:
        await loaded_by_us(scene)
        running = [
            asyncio.create_task(ask(scene.router, ModelRequest(f"r{n}", explicit_model=OWL, timeout=600)))
            for n in range(3)
        ]
        await asyncio.sleep(0.5)
        emulator.inject(OVERFLOWS[0])
        overflown = asyncio.create_task(ask(scene.router, ModelRequest("x", explicit_model=OWL, timeout=600)))
        await asyncio.sleep(1)
        emulator.clear_faults()
        late = [
            asyncio.create_task(ask(scene.router, ModelRequest(f"l{n}", explicit_model=OWL, timeout=600)))
            for n in range(6)
        ]
        replies = await asyncio.gather(*running, overflown, *late)
        assert len(replies) == 10
        assert [record.killed for record in emulator.unloads] == [0]
        assert contexts(emulator) == [(OWL, 8192)]
        assert all(len(reply.attempts) == 1 for reply in replies if reply is not overflown.result())


async def test_who_comes_during_a_reload_loads_no_copy() -> None:
    """A model that is just unloaded is not taken for one that has to be loaded."""
    emulator = Emulator((owl(load_seconds=5.0, parallel=1),), default_context=4096)
    async with opened({"desk": emulator}) as scene:
        await loaded_by_us(scene)
        emulator.inject(OVERFLOWS[0])
        overflown = asyncio.create_task(ask(scene.router, ModelRequest("x", explicit_model=OWL, timeout=600)))
        await asyncio.sleep(2)
        late = [ModelRequest(f"l{n}", explicit_model=OWL, timeout=6000) for n in range(6)]
        replies = await asyncio.gather(overflown, *(ask(scene.router, one) for one in late))
        assert [len(reply.attempts) for reply in replies] == [2] + [1] * 6
        assert [load.instance_id for load in emulator.loads] == [OWL, OWL]


async def test_two_that_overflow_together_share_one_reload() -> None:
    """The second waits for the first one's, and goes on."""
    async with opened({"desk": host(loaded=(), default_context=4096)}) as scene:
        await loaded_by_us(scene)
        scene.emulators["desk"].inject(evolve(OVERFLOWS[0], times=2))
        asked = (ModelRequest(f"x{n}", explicit_model=OWL, timeout=60) for n in range(2))
        replies = await asyncio.gather(*(ask(scene.router, one) for one in asked))
        assert [reply.text for reply in replies] == [ANSWER] * 2
        assert contexts(scene.emulators["desk"]) == [(OWL, 8192)]


async def test_a_router_that_closes_gives_the_reload_up() -> None:
    """Closing does not wait for a load of minutes, and the request ends in an error of its own kind."""
    emulator = Emulator((owl(load_seconds=300.0),), default_context=4096)
    async with opened({"desk": emulator}) as scene:
        await scene.router.load(OWL)
        emulator.inject(OVERFLOWS[0])
        overflown = asyncio.create_task(ask(scene.router, ModelRequest("x", explicit_model=OWL, timeout=30)))
        await asyncio.sleep(2)
        began = now()
    assert now() - began < 1
    with pytest.raises(OverloadedError, match="closing"):
        await overflown
    assert now() - began < 1


async def test_where_the_larger_context_does_not_load_the_overflow_is_the_answer() -> None:
    """It is tried once, and the request ends in a typed error within its time."""
    async with opened({"desk": host(loaded=(), default_context=4096)}) as scene:
        await loaded_by_us(scene)
        scene.emulators["desk"].inject(
            Overflow(prompt_tokens=5000, context_length=4096),
            LoadFails(reason="no room", route="/api/v1/models/load"),
        )
        assert isinstance(
            await failure(scene.router, ModelRequest("x", explicit_model=OWL, timeout=60)),
            ContextOverflowError,
        )


async def test_it_can_be_switched_off() -> None:
    """Then a prompt that does not fit has no other way."""
    async with opened(
        {"desk": host(loaded=(), default_context=4096)}, ResilienceSettings(reload=False)
    ) as scene:
        await loaded_by_us(scene)
        scene.emulators["desk"].inject(OVERFLOWS[0])
        error = await failure(scene.router, ModelRequest("x", explicit_model=OWL))
        assert isinstance(error, ContextOverflowError)
        assert contexts(scene.emulators["desk"]) == [(OWL, 4096)]
