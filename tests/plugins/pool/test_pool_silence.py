"""Requests that end without a word of what their host does: the load goes on, or the model has died."""

import asyncio
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager
from functools import partial

import pytest
from attrs import evolve

from turnout import Config, Deployment, ModelRequest, Reply, hookimpl
from turnout.config import PluginsSettings
from turnout.errors import LLMConnectionError, LLMError
from turnout.fleet import Discovery
from turnout.messages import JSONObject
from turnout_testing import Crash, EmulatedModel, Emulator
from turnout_testing.clock import VirtualLoop
from turnout_testing.faults import CannedAnswer, ConnectionLost, HtmlDiscovery
from turnout_testing.simulation.invariants import copies
from turnout_testing.simulation.scene import Outcome, Scene, asked, opened

pytestmark = pytest.mark.anyio

OWL, HAWK = "acme/owl-8b", "acme/hawk-8b"
CHAT = "/v1/chat/completions"
SLOW, QUICK = 9.0, 0.5
GB = 1_000_000_000


def emulator(*loaded: str, slow: float = SLOW) -> Emulator:
    models = [
        EmulatedModel(OWL, load_seconds=slow, size_bytes=5 * GB, decode_rate=20, parallel=2),
        EmulatedModel(HAWK, load_seconds=QUICK, size_bytes=5 * GB, decode_rate=20, parallel=2),
    ]
    return Emulator(models, loaded=loaded, auto_evict=False)


@asynccontextmanager
async def scene_of(
    desk: Emulator, plugins: Mapping[str, object] | None = None, memory: JSONObject | None = None
) -> AsyncIterator[Scene]:
    pool: JSONObject = {"unload_at_close": False, "memory": memory or {}}
    async with opened({"desk": desk}, Config(tables={"pool": pool}), plugins) as scene:
        yield scene


def ask(scene: Scene, model: str = OWL, *, streaming: bool = True) -> "asyncio.Task[Outcome]":
    request = ModelRequest("hello", explicit_model=model, timeout=300, streaming=streaming)
    return asyncio.create_task(asked(scene, request))


async def loads_of(desk: Emulator) -> list[str]:
    """Wait until nothing loads any more, and return what was loaded."""
    await asyncio.sleep(2 * SLOW)
    return [load.instance_id for load in desk.loads if load.jit]


async def test_a_load_that_was_never_measured_is_not_judged_by_another_models() -> None:
    """Others load in half a second here; one whose client has gone still has the time that its size takes."""
    desk = emulator()
    async with scene_of(desk) as scene:
        for _ in range(3):
            await ask(scene, HAWK)
        gone = ask(scene)
        await asyncio.sleep(1)
        gone.cancel()
        outcome = await ask(scene)
        assert isinstance(outcome.end, Reply)
        assert await loads_of(desk) == [HAWK, OWL]


async def test_a_load_that_was_once_long_is_believed_for_as_long_again() -> None:
    """It may be cold again: the average of many warm loads does not say."""
    desk = emulator(slow=60.0)
    async with scene_of(desk) as scene:
        await ask(scene)
        for seconds in (*[QUICK] * 12, 60.0):
            desk.unload(OWL)
            desk.models = emulator(slow=seconds).models
            scene.router.forget_fleet()
            task = ask(scene)
            await asyncio.sleep(0.1)
            if seconds > QUICK:
                task.cancel()
            await task
        await ask(scene)
    assert not copies(desk)


async def test_a_load_whose_request_loses_its_connection_goes_on() -> None:
    """The next one waits for it, and loads no second copy; it starts when the host lists the model."""
    desk = emulator()
    async with scene_of(desk) as scene:
        first = ask(scene)
        await asyncio.sleep(2)
        scene.take_down("desk")
        scene.bring_up("desk")
        assert isinstance((await first).end, LLMConnectionError)
        second = await ask(scene)
        assert isinstance(second.end, Reply)
        assert second.end.timings.queue == pytest.approx(SLOW - 2, abs=1.1)
        assert await loads_of(desk) == [OWL]


async def test_a_load_that_never_came_about_is_believed_for_a_while_only() -> None:
    """What breaks before the host has begun looks the same; after twice the time the next one tries."""
    desk = emulator()
    desk.inject(ConnectionLost(route=CHAT, times=1))
    async with scene_of(desk) as scene:
        assert isinstance((await ask(scene)).end, LLMConnectionError)
        outcome = await ask(scene)
        assert isinstance(outcome.end, Reply)
        assert SLOW < outcome.end.timings.queue < 2 * SLOW
        assert await loads_of(desk) == [OWL]


class Telling:
    """A backend that tells when a model is being loaded, as some servers do."""

    def __init__(self, desk: Emulator) -> None:
        self._desk = desk

    @hookimpl(wrapper=True)
    def discover_models(self) -> Generator[None, list[list[Discovery]], list[list[Discovery]]]:
        found = yield
        return [[Discovery(one.host, partial(self._look, one)) for one in offers] for offers in found]

    async def _look(self, offer: Discovery) -> list[Deployment]:
        keys = {load.instance.model.key for load in self._desk.loading}
        return [evolve(one, loading=one.model in keys) for one in await offer.run()]


async def test_a_load_that_the_host_reports_is_waited_for() -> None:
    """Its own word counts for more than what its size makes one expect."""
    desk = emulator(slow=100.0)
    async with scene_of(desk, {"telling": Telling(desk)}) as scene:
        gone = ask(scene)
        await asyncio.sleep(1)
        gone.cancel()
        outcome = await ask(scene)
    assert isinstance(outcome.end, Reply)
    assert outcome.end.timings.queue == pytest.approx(99.0, abs=1.1)
    assert not copies(desk)


async def test_who_was_refused_a_connection_has_left_no_load() -> None:
    """Nobody waits for a load that cannot have begun."""
    desk = emulator()
    async with scene_of(desk) as scene:
        await scene.router.fleet()
        scene.take_down("desk")
        assert isinstance((await ask(scene)).end, LLMError)
        scene.bring_up("desk")
        scene.router.forget_fleet()
        outcome = await ask(scene)
        assert isinstance(outcome.end, Reply)
        assert outcome.end.timings.queue == 0.0


async def test_an_answer_ends_the_load_whatever_it_says() -> None:
    """A host that answers does not load for that request any more: the next one tries at once."""
    desk = emulator()
    desk.inject(CannedAnswer(route=CHAT, status=503, body="bad gateway", times=1))
    async with scene_of(desk) as scene:
        outcome = await ask(scene)
        assert isinstance(outcome.end, Reply)
        assert [attempt.error is None for attempt in outcome.end.attempts] == [False, True]
        assert outcome.end.timings.queue == 0.0


@pytest.mark.parametrize("delivery", ["empty", "data"])
async def test_after_a_crash_one_loads_the_model_and_the_others_wait(delivery: str) -> None:
    """A model that dies says so, or only ends its streams: two that waited for a slot load one copy."""
    desk = emulator(OWL)
    desk.inject(Crash(times=1, after_chunks=2, delivery=delivery))  # type: ignore[arg-type]
    async with scene_of(desk) as scene:
        ends = [outcome.end for outcome in await asyncio.gather(*(ask(scene) for _ in range(5)))]
        assert sum(isinstance(end, Reply) for end in ends) >= 3
        assert await loads_of(desk) == [OWL]


async def lost_with_two_waiting(scene: Scene, desk: Emulator) -> list[float]:
    """Let one of two lose its connection while two others wait; return what the others waited."""
    desk.inject(ConnectionLost(route=CHAT, times=1, after_chunks=2))
    outcomes = await asyncio.gather(*(ask(scene) for _ in range(5)))
    return [outcome.end.timings.queue for outcome in outcomes if isinstance(outcome.end, Reply)]


async def test_a_model_that_is_still_there_is_found_by_a_look() -> None:
    """A connection that breaks says nothing of its model: nobody waits, and no load is measured."""
    desk, undisturbed = emulator(OWL), emulator(OWL)
    async with scene_of(desk) as scene:
        waits = await lost_with_two_waiting(scene, desk)
        numbers = scene.router.stats()["pool"]
    async with scene_of(undisturbed) as scene:
        await asyncio.gather(*(ask(scene) for _ in range(5)))
    assert not [load for load in desk.loads if load.jit]
    assert len(waits) == 4
    assert max(waits) < 3.0
    assert numbers["desk"]["models"][OWL]["load_seconds"] is None  # type: ignore[index, call-overload]


async def test_where_no_look_succeeds_the_next_request_settles_it() -> None:
    """The host lists nothing for a while: one goes, and the others follow its first word."""
    desk = emulator(OWL)
    async with scene_of(desk) as scene:
        await scene.router.fleet()
        desk.inject(HtmlDiscovery(times=3))
        waits = await lost_with_two_waiting(scene, desk)
        numbers = scene.router.stats()["pool"]
    assert len(waits) == 4
    assert not [load for load in desk.loads if load.jit]
    assert numbers["desk"]["models"][OWL]["load_seconds"] is None  # type: ignore[index, call-overload]


async def test_a_load_of_the_pools_own_goes_on_when_its_connection_breaks() -> None:
    """Who waits for it waits on, nobody gets an error, and the model is the pool's, to be unloaded again."""
    desk = emulator()
    async with scene_of(desk, memory={"desk": "7GB"}) as scene:
        waiting = ask(scene)
        await asyncio.sleep(2)
        scene.take_down("desk")
        scene.bring_up("desk")
        outcome = await waiting
        assert isinstance(outcome.end, Reply)
        assert outcome.end.timings.queue == pytest.approx(SLOW, abs=1.1)
        assert isinstance((await ask(scene, HAWK)).end, Reply)
    assert [load.instance_id for load in desk.loads] == [OWL, HAWK]
    assert [view.model for view in desk.instances] == [HAWK]


async def test_what_was_perhaps_no_load_is_not_measured() -> None:
    """Another load may have unloaded it, and no look tells: an answer that comes soon teaches nothing."""
    desk = emulator(OWL)
    async with scene_of(desk) as scene:
        await ask(scene, OWL)
        desk.inject(HtmlDiscovery(skip=1))
        await ask(scene, HAWK)
        await ask(scene, OWL)
        models = scene.router.stats()["pool"]["desk"]["models"]  # type: ignore[index, call-overload]
    assert models[HAWK]["load_seconds"] is not None  # type: ignore[index, call-overload]
    assert models[OWL]["load_seconds"] is None  # type: ignore[index, call-overload]
    assert [load.model for load in desk.loads if load.jit] == [HAWK]


async def test_a_load_through_which_the_machine_slept_is_not_measured() -> None:
    """An hour of sleep would be believed of the next load that nobody sees, and hold up everybody."""
    desk, loop = emulator(), asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with scene_of(desk) as scene:
        loading = ask(scene)
        await asyncio.sleep(1)
        loop.jump(200)
        assert isinstance((await loading).end, Reply)
        models = scene.router.stats()["pool"]["desk"]["models"]  # type: ignore[index, call-overload]
    assert models[OWL]["load_seconds"] is None  # type: ignore[index, call-overload]


async def test_what_is_ours_stays_ours_when_a_connection_breaks() -> None:
    """On a host whose memory is the pool's: the model was loaded by it, and makes room as before."""
    desk = emulator()
    async with scene_of(desk, memory={"desk": "7GB"}) as scene:
        await ask(scene)
        await lost_with_two_waiting(scene, desk)
        outcome = await ask(scene, HAWK)
        assert isinstance(outcome.end, Reply)
    assert [view.model for view in desk.instances] == [HAWK]
    assert len(desk.loads) == 2


async def test_a_host_that_comes_back_serves_those_who_wait() -> None:
    """Also those who came while it was away, though nobody comes after them."""
    hosts = {name: emulator(OWL) for name in ("desk", "attic")}
    async with opened(hosts) as scene:
        scene.take_down("attic")
        asking = [ask(scene, streaming=False) for _ in range(40)]
        await asyncio.sleep(3)
        scene.bring_up("attic")
        replies = [end for task in asking if isinstance(end := (await task).end, Reply)]
    assert len(replies) == 40
    assert sum(reply.host == "attic" for reply in replies) > 5


async def test_a_host_that_comes_back_gets_only_those_who_may_go_there() -> None:
    """Its context counts, and the hosts that a request names."""
    attic = Emulator((EmulatedModel(OWL, parallel=4),), loaded=(OWL,), default_context=1024)
    async with opened({"desk": emulator(OWL), "attic": attic}) as scene:
        scene.take_down("attic")
        long = ModelRequest("x" * 8000, explicit_model=OWL, timeout=300)
        here = ModelRequest("hello", explicit_model=OWL, timeout=300, hosts=["desk"])
        asking = [asyncio.create_task(asked(scene, one)) for one in [long, here] * 10]
        await asyncio.sleep(0.1)
        scene.bring_up("attic")
        await scene.router.fleet(refresh=True)
        late = await ask(scene, streaming=False)
        ends = [(await task).end for task in asking]
    assert isinstance(late.end, Reply)
    assert late.end.host == "attic"
    assert all(isinstance(end, Reply) and end.host == "desk" for end in ends)


async def test_a_host_that_dies_takes_nobody_with_it_who_waits() -> None:
    """Who waits for either of two hosts stays with the one that is left; what ran is sent again."""
    hosts = {name: emulator(OWL) for name in ("desk", "attic")}
    async with opened(hosts, Config(plugins=PluginsSettings(("resilience",)))) as scene:
        asking = [ask(scene, streaming=False) for _ in range(20)]
        await asyncio.sleep(0.1)
        running = [sending for sending in scene.witness.sendings if sending.host == "attic"]
        scene.take_down("attic")
        ends = [(await task).end for task in asking]
    assert all(isinstance(end, Reply) and end.host == "desk" for end in ends)
    assert sum(len(end.attempts) - 1 for end in ends if isinstance(end, Reply)) == len(running) == 2
