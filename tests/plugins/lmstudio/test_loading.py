"""Loads and unloads happen once, are verified, and end in an instance or in an error that says why."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from turnout import Deployment, Instance, LoadOptions
from turnout.errors import Fault, InsufficientMemoryError, LLMError, ModelLoadError, ModelNotFoundError
from turnout_lmstudio import LMStudioSettings
from turnout_testing import CannedAnswer, EmulatedModel, Emulator, GuardrailRefusal, LoadFails
from turnout_testing import Fault as Strike

if TYPE_CHECKING:
    from tests.plugins.lmstudio.conftest import Desk, OpenDesk

pytestmark = pytest.mark.anyio
OWL = EmulatedModel("acme/owl-8b", load_seconds=30.0)
ANY = LoadOptions()


async def load(one: Desk, deployment: Deployment, options: LoadOptions = ANY) -> Instance:
    work = one.backend.load_model(deployment, options)
    assert work is not None
    return await work


async def unload(one: Desk, deployment: Deployment, instance: Instance) -> None:
    work = one.backend.unload_model(deployment, instance)
    assert work is not None
    await work


async def test_a_load_returns_the_instance_that_the_listing_then_has(desk: OpenDesk) -> None:
    """Quirk 9: the context is given explicitly, and read back from the listing."""
    async with desk(Emulator((OWL,))) as one:
        instance = await load(one, await one.find(), LoadOptions(context_length=16384, ttl=60))
        assert instance == Instance("acme/owl-8b", 16384, 4)
        assert (await one.find()).instances == (instance,)
    assert one.sent("/api/v1/models/load") == [{"model": "acme/owl-8b", "context_length": 16384}]


async def test_neither_ttl_nor_parallel_is_ever_sent(desk: OpenDesk) -> None:
    """Quirks 10 and 49: both are refused as unknown keys there."""
    async with desk(Emulator((OWL,))) as one:
        await load(one, await one.find(), LoadOptions(ttl=60))
    assert one.sent("/api/v1/models/load") == [{"model": "acme/owl-8b"}]


async def test_a_loaded_model_is_not_loaded_again(desk: OpenDesk) -> None:
    """Quirk 7: a second load would make ``:2`` with default settings, so the listing is read first."""
    async with desk(Emulator((OWL,), loaded=("acme/owl-8b",))) as one:
        instance = await load(one, await one.find())
        assert instance.id == "acme/owl-8b"
    assert one.sent("/api/v1/models/load") == []
    assert len(one.emulator.instances) == 1


async def test_a_context_that_is_too_small_is_loaded_larger(desk: OpenDesk) -> None:
    """Only an instance that will do is taken instead of a load."""
    async with desk(Emulator((OWL,), loaded=("acme/owl-8b",))) as one:
        instance = await load(one, await one.find(), LoadOptions(context_length=65536))
        assert instance == Instance("acme/owl-8b:2", 65536, 4)


async def test_all_who_want_a_cold_model_wait_for_one_load(desk: OpenDesk) -> None:
    """Quirk 5: LM Studio would load one copy for each; here there is one load for all."""
    async with desk(Emulator((OWL,))) as one:
        cold = await one.find()
        instances = await asyncio.gather(*(load(one, cold) for _ in range(10)))
        assert len(set(instances)) == 1
        assert len(one.emulator.instances) == 1
    assert len(one.sent("/api/v1/models/load")) == 1


async def test_one_who_gives_up_does_not_end_the_load_for_the_others(desk: OpenDesk) -> None:
    """The load belongs to everybody who waits for it."""
    async with desk(Emulator((OWL,))) as one:
        cold = await one.find()
        patient = asyncio.create_task(load(one, cold))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await load(one, cold)
        assert (await patient).id == "acme/owl-8b"


@pytest.mark.parametrize(
    ("fault", "kind", "whose"),
    [
        (GuardrailRefusal(), InsufficientMemoryError, Fault.DEPLOYMENT),
        (LoadFails(reason="Operation canceled"), ModelLoadError, Fault.PASSING),
        (LoadFails(reason="cannot mmap"), ModelLoadError, Fault.DEPLOYMENT),
    ],
)
async def test_a_load_that_fails_says_why_to_everybody(
    desk: OpenDesk, fault: Strike, kind: type[LLMError], whose: Fault
) -> None:
    """Memory, eviction and the rest are told apart; every waiter gets the error, and none is lost."""
    async with desk(Emulator((OWL,), faults=(fault,))) as one:
        cold = await one.find()
        errors = await asyncio.gather(*(load(one, cold) for _ in range(3)), return_exceptions=True)
    for error in errors:
        assert type(error) is kind
        assert isinstance(error, LLMError)
        assert error.fault is whose
        assert error.host == "desk"


async def test_a_load_that_never_ends_is_given_up(desk: OpenDesk) -> None:
    """Loading has its own limit, in minutes, apart from any request's."""
    forever = EmulatedModel("acme/owl-8b", load_seconds=10_000)
    async with desk(Emulator((forever,)), LMStudioSettings(load_timeout=120)) as one:
        cold = await one.find()
        began = asyncio.get_running_loop().time()
        with pytest.raises(ModelLoadError, match="not loaded within 120 s"):
            await load(one, cold)
        assert asyncio.get_running_loop().time() - began == pytest.approx(120)


async def test_readiness_is_seen_and_not_assumed(desk: OpenDesk) -> None:
    """The answer of the load is no proof: the instance must be in the listing, or else it has gone again."""
    answer = json.dumps({"type": "llm", "instance_id": "acme/owl-8b", "status": "loaded"})
    liar = CannedAnswer(route="/api/v1/models/load", status=200, body=answer)
    async with desk(Emulator((OWL,), faults=(liar,))) as one:
        began = asyncio.get_running_loop().time()
        with pytest.raises(ModelLoadError, match="perhaps somebody has unloaded it"):
            await load(one, await one.find())
        assert asyncio.get_running_loop().time() - began < 10


async def test_an_answer_without_an_instance_is_no_success(desk: OpenDesk) -> None:
    """Quirk 2: 200 from a route that is none must not pass for a load or an unload."""
    odd = [
        CannedAnswer(route=f"/api/v1/models/{verb}", status=200, body='{"ok": true}')
        for verb in ("load", "unload")
    ]
    async with desk(Emulator((OWL,), faults=tuple(odd))) as one:
        cold = await one.find()
        with pytest.raises(ModelLoadError, match="without an instance"):
            await load(one, cold)
        with pytest.raises(ModelLoadError, match="without an instance"):
            await unload(one, cold, Instance("acme/owl-8b"))


async def test_a_model_that_is_not_there_cannot_be_loaded(desk: OpenDesk) -> None:
    """It may have been deleted since the last look."""
    async with desk(Emulator((OWL,))) as one:
        owl = await one.find()
        one.emulator.models = ()
        with pytest.raises(ModelNotFoundError):
            await load(one, owl)


async def test_old_servers_load_nothing_over_http_and_the_error_says_what_to_do(desk: OpenDesk) -> None:
    """Before 0.4 there is no such route."""
    async with desk(Emulator((OWL,), era="0.3")) as one:
        owl = await one.find()
        with pytest.raises(ModelLoadError, match="lms load acme/owl-8b"):
            await load(one, owl)
        with pytest.raises(ModelLoadError, match="lms unload x"):
            await unload(one, owl, Instance("x"))


async def test_an_unload_is_over_when_the_instance_is_gone(desk: OpenDesk) -> None:
    """The instance's id is sent, not the key; the other copies stay."""
    emulator = Emulator((OWL,))
    emulator.load("acme/owl-8b")
    emulator.load("acme/owl-8b")
    async with desk(emulator) as one:
        owl = await one.find()
        await unload(one, owl, owl.instances[1])
        assert (await one.find()).instances == owl.instances[:1]
    assert one.sent("/api/v1/models/unload") == [{"instance_id": "acme/owl-8b:2"}]


async def test_what_is_gone_already_is_unloaded(desk: OpenDesk) -> None:
    """Somebody else was faster."""
    async with desk(Emulator((OWL,))) as one:
        await unload(one, await one.find(), Instance("acme/owl-8b"))


async def test_an_instance_that_stays_is_an_error(desk: OpenDesk) -> None:
    """The answer of the unload is no proof either."""
    answer = json.dumps({"instance_id": "acme/owl-8b"})
    liar = CannedAnswer(route="/api/v1/models/unload", status=200, body=answer)
    emulator = Emulator((OWL,), loaded=("acme/owl-8b",), faults=(liar,))
    async with desk(emulator, LMStudioSettings(load_timeout=5)) as one:
        owl = await one.find()
        with pytest.raises(ModelLoadError, match="not unloaded within 5 s"):
            await unload(one, owl, owl.instances[0])


async def test_a_router_that_closes_gives_up_its_loads(desk: OpenDesk) -> None:
    """Nothing is left running, and nobody waits for ever."""
    async with desk(Emulator((OWL,))) as one:
        task = asyncio.create_task(load(one, await one.find()))
        await asyncio.sleep(1)
    with pytest.raises(ModelLoadError, match="router closed"):
        await task
