"""Hosts whose memory the pool manages: explicit loads, beside each other, within what is granted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest

from turnout import Config, Deployment, Instance, ModelRequest, Router, RouterSettings, hookimpl
from turnout.errors import LLMError, ModelLoadError
from turnout.messages import JSONObject
from turnout_testing import EmulatedModel, Emulator, emulated_router

pytestmark = pytest.mark.anyio

GB = 1_000_000_000
OWL, HAWK, WREN = "acme/owl-8b", "acme/hawk-8b", "acme/wren-1b"
TWO_FIT: JSONObject = {"memory": {"desk": "20GB"}}


def emulator(*loaded: str, memory: int | None = None) -> Emulator:
    models = [EmulatedModel(key, load_seconds=5.0, size_bytes=8 * GB) for key in (OWL, HAWK, WREN)]
    return Emulator(models, loaded=loaded, memory_bytes=memory)


@asynccontextmanager
async def opened(desk: Emulator, table: JSONObject) -> AsyncIterator[Router]:
    config = Config(tables={"pool": {"unload_at_close": False, **table}})
    async with emulated_router({"desk": desk}, config=config) as router:
        yield router


async def ask(router: Router, model: str) -> str:
    return (await router.ask(ModelRequest("hello", explicit_model=model, timeout=600))).model


def resident(desk: Emulator) -> set[str]:
    return {instance.model for instance in desk.instances}


async def test_models_live_beside_each_other_as_far_as_the_memory_goes() -> None:
    """What alternates between two models loads each of them once, and evicts neither."""
    desk = emulator()
    async with opened(desk, TWO_FIT) as router:
        for model in (OWL, HAWK, OWL, HAWK):
            assert await ask(router, model) == model
    assert [load.model for load in desk.loads] == [OWL, HAWK]
    assert not any(load.jit for load in desk.loads)
    assert resident(desk) == {OWL, HAWK}


async def test_a_third_model_takes_the_place_of_one_of_ours() -> None:
    """The one that is asked for least, and nothing that generates is ended for it."""
    desk = emulator()
    async with opened(desk, TWO_FIT) as router:
        for model in (OWL, HAWK, OWL, OWL, OWL):
            await ask(router, model)
        running = [asyncio.create_task(ask(router, OWL)) for _ in range(3)]
        await ask(router, WREN)
        await asyncio.gather(*running)
    assert resident(desk) == {OWL, WREN}
    assert all(not record.killed for record in desk.unloads)


async def test_what_a_person_loaded_is_never_unloaded() -> None:
    """It takes its memory, and the others share the rest."""
    desk = emulator(WREN)
    async with opened(desk, TWO_FIT) as router:
        for model in (OWL, HAWK, OWL, WREN):
            await ask(router, model)
    assert WREN in resident(desk)
    assert WREN not in {record.model for record in desk.unloads}
    assert len(resident(desk)) == 2


async def test_a_burst_causes_one_explicit_load_and_starts_together() -> None:
    """All who wait go when the load has ended, not after the first answer."""
    desk = emulator()
    async with opened(desk, TWO_FIT) as router:
        asked = [ModelRequest("hello", explicit_model=OWL, timeout=600) for _ in range(4)]
        replies = await asyncio.gather(*(router.ask(request) for request in asked))
    assert [load.model for load in desk.loads] == [OWL]
    assert {round(reply.timings.queue, 3) for reply in replies} == {5.0}


async def test_a_load_that_fails_is_an_error_for_one_and_the_next_tries_again() -> None:
    """Nobody waits for ever for what does not fit."""
    desk = emulator(memory=GB)
    async with opened(desk, TWO_FIT) as router:
        ends = await asyncio.gather(*(ask(router, OWL) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(end, LLMError) for end in ends)
    assert any(isinstance(end, ModelLoadError) for end in ends)


class Clumsy:
    """A plugin that owns loads and unloads, and fails at them in a way of its own."""

    def __init__(self, *, load: str = "", unload: str = "") -> None:
        self.load = load
        self.unload = unload

    @hookimpl(tryfirst=True)
    def load_model(self, deployment: Deployment) -> Awaitable[Instance] | None:
        return self._loading(deployment) if self.load and deployment.model == HAWK else None

    async def _loading(self, deployment: Deployment) -> Instance:
        if self.load == "hangs":
            await asyncio.sleep(10_000)
        message = f"no {deployment.model} today"
        raise RuntimeError(message)

    @hookimpl(tryfirst=True)
    def unload_model(self, deployment: Deployment) -> Awaitable[None] | None:
        return self._unloading(deployment) if self.unload else None

    async def _unloading(self, deployment: Deployment) -> None:
        raise ModelLoadError(self.unload, host=deployment.host.name, model=deployment.model)


@pytest.mark.parametrize(("how", "words"), [("raises", "no acme/hawk-8b"), ("hangs", "not loaded within")])
async def test_a_backend_that_fails_costs_the_request_and_not_the_host(how: str, words: str) -> None:
    """Whatever it raises, and also when it never ends, others are served there afterwards."""
    desk, clumsy = emulator(), {"clumsy": Clumsy(load=how)}
    config = Config(tables={"pool": TWO_FIT}, router=RouterSettings(load_timeout=60.0))
    async with emulated_router({"desk": desk}, config=config, plugins=clumsy) as router:
        with pytest.raises(ModelLoadError, match=words):
            await ask(router, HAWK)
        assert await ask(router, OWL) == OWL


async def test_what_could_not_be_unloaded_is_still_ours() -> None:
    """The load that needed its room fails, and a later one may try again."""
    desk, clumsy = emulator(), Clumsy(unload="busy")
    config = Config(tables={"pool": {"memory": {"desk": "10GB"}, "unload_at_close": False}})
    async with emulated_router({"desk": desk}, config=config, plugins={"clumsy": clumsy}) as router:
        await ask(router, OWL)
        with pytest.raises(ModelLoadError, match="busy"):
            await ask(router, HAWK)
        clumsy.unload = ""
        assert await ask(router, HAWK) == HAWK
    assert resident(desk) == {HAWK}


async def test_what_somebody_has_loaded_meanwhile_is_used_and_is_not_ours() -> None:
    """No second copy is loaded, and it is never unloaded."""
    desk = emulator()
    async with opened(desk, {"memory": {"desk": "10GB"}}) as router:
        await router.fleet()
        desk.load(OWL)
        assert await ask(router, OWL) == OWL
        assert await ask(router, HAWK) == HAWK
    assert OWL in resident(desk)
    assert [load.model for load in desk.loads] == [OWL, HAWK]


async def test_a_kept_model_is_loaded_unasked_and_stays() -> None:
    """Others come and go beside it, also where the memory is not known."""
    desk = emulator()
    async with opened(desk, {"keep": [WREN]}) as router:
        for model in (OWL, HAWK, OWL):
            await ask(router, model)
    assert resident(desk) == {WREN, OWL}
    assert WREN not in {record.model for record in desk.unloads}


async def test_a_kept_model_that_has_gone_comes_back() -> None:
    """Somebody unloaded it; with the next look at the host it is loaded again."""
    desk = emulator()
    async with opened(desk, {"keep_on": {"desk": [WREN]}}) as router:
        await ask(router, OWL)
        await asyncio.sleep(30)
        await router.unload(WREN)
        await ask(router, OWL)
        await asyncio.sleep(30)
    assert [load.model for load in desk.loads].count(WREN) == 2
    assert WREN in resident(desk)


async def test_what_is_ours_goes_when_the_router_closes() -> None:
    """What is kept and what a person loaded stays; nobody else would know that the rest may go."""
    desk = emulator(WREN)
    async with opened(desk, {"memory": {"desk": "40GB"}, "keep": [OWL], "unload_at_close": True}) as router:
        for model in (OWL, HAWK):
            await ask(router, model)
        assert resident(desk) == {WREN, OWL, HAWK}
    assert resident(desk) == {WREN, OWL}


async def test_a_host_that_is_gone_does_not_keep_the_router_from_closing() -> None:
    """What could not be unloaded stays, and nothing is raised."""
    desk, clumsy = emulator(), Clumsy(unload="busy")
    config = Config(tables={"pool": TWO_FIT})
    async with emulated_router({"desk": desk}, config=config, plugins={"clumsy": clumsy}) as router:
        await ask(router, OWL)
    assert resident(desk) == {OWL}
