"""What is loaded because requests need it is ours to unload, whoever loads it; what is asked for is not."""

import pytest
from attrs import evolve

from turnout import Config, Deployment, Host, Instance, LoadOptions, ModelInfo, ModelRequest, Signals
from turnout.fleet import Fleet
from turnout.messages import JSONObject
from turnout_pool import PoolSettings
from turnout_pool.room import CONTEXT_BYTES, REASON, without_room
from turnout_pool.situation import MEMORY_FACTOR
from turnout_pool.yard import Yard
from turnout_testing import EmulatedModel, Emulator, emulated_router

pytestmark = pytest.mark.anyio
GB = 1_000_000_000
OWL, HAWK = "acme/owl-8b", "acme/hawk-8b"
ONE_FITS: JSONObject = {"memory": {"desk": "10GB"}}
ON_DEMAND = LoadOptions(8192, on_demand=True)


def emulator() -> Emulator:
    return Emulator([EmulatedModel(key, load_seconds=5.0, size_bytes=8 * GB) for key in (OWL, HAWK)])


@pytest.mark.parametrize("table", [ONE_FITS, {}], ids=["managed", "just in time"])
@pytest.mark.parametrize(("options", "left"), [(ON_DEMAND, {HAWK}), (LoadOptions(8192), {OWL, HAWK})])
async def test_a_load_on_demand_makes_room_for_the_next_model(
    table: JSONObject, options: LoadOptions, left: set[str]
) -> None:
    """Also where the server evicts by itself, for it leaves alone what was loaded explicitly."""
    desk = emulator()
    async with emulated_router({"desk": desk}, config=Config(tables={"pool": table})) as router:
        await router.load(OWL, options=options)
        await router.ask(ModelRequest("hello", explicit_model=HAWK, timeout=60))
        assert {one.model for one in desk.instances} == left


@pytest.mark.parametrize(("options", "stays"), [(ON_DEMAND, False), (LoadOptions(8192), True)])
async def test_what_is_ours_goes_when_the_router_closes(options: LoadOptions, stays: bool) -> None:
    """Nobody would know later that it may go; what somebody asked for is for him to unload."""
    desk = emulator()
    async with emulated_router({"desk": desk}) as router:
        await router.load(OWL, options=options)
    assert bool(desk.instances) is stays


# --- the room for a larger context ------------------------------------------------------------------

DESK = Host("desk", "http://desk:1234", "lmstudio")


def deployment(model: str = OWL, *, size: int | None = 8 * GB, enlargeable: int = 131_072) -> Deployment:
    info = ModelInfo(model, size_bytes=size, context_length=131_072)
    return Deployment(info, DESK, (Instance(model, 4096),), enlargeable=enlargeable)


def vetoed(memory: str, tokens: int, *beside: Deployment, of: Deployment | None = None) -> bool:
    asked = of or deployment()
    yard = Yard(PoolSettings(memory={"desk": memory}))
    yard.adopt(Fleet((asked, *beside), taken_at=1.0), now=1.0)
    request = ModelRequest("x", signals=Signals(prompt_tokens=tokens))
    found = without_room(yard, request, [asked])
    assert not found or found == {asked: REASON}
    return bool(found)


@pytest.mark.anyio
async def test_a_larger_context_takes_memory() -> None:
    """A short one is within what a model is counted with; more than that is added to its file."""
    assert not vetoed("9.7GB", 12_000)
    needed = 8 * GB + 80_000 * CONTEXT_BYTES
    assert needed > 8 * GB * MEMORY_FACTOR
    longer = int(80_000 / 0.75)
    assert vetoed(f"{needed / GB - 0.1:.3f}GB", longer)
    assert not vetoed(f"{needed / GB + 0.1:.3f}GB", longer)


async def test_what_is_beside_it_takes_memory_too() -> None:
    """As the planner counts it; what has no known size counts nothing."""
    assert vetoed("12GB", 12_000, deployment(HAWK))
    assert not vetoed("20GB", 12_000, deployment(HAWK))
    assert not vetoed("12GB", 12_000, evolve(deployment(HAWK), instances=()))
    assert not vetoed("12GB", 12_000, deployment(HAWK, size=None))


async def test_nobody_is_left_out_who_needs_no_load() -> None:
    """What has room as it is, what cannot be loaded again, and what has no known size."""
    assert not vetoed("1GB", 1000)
    assert not vetoed("1GB", 12_000, of=deployment(enlargeable=0))
    assert not vetoed("1GB", 12_000, of=deployment(size=None))
