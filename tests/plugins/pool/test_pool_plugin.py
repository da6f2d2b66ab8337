"""The pool as the router sees it: its hooks, through real plugins."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise

import pytest

from turnout import Router
from turnout.config import Config, RouterSettings
from turnout.errors import ConfigError, ModelLoadError, OverloadedError
from turnout.events import Done, Event, Progress, Started, Text
from turnout.fleet import Deployment, Discovery, Estimate, Fleet, Host, Instance, ModelInfo
from turnout.markers import hookimpl
from turnout.messages import JSONObject
from turnout.plugins import Plugins
from turnout.types import Lease, ModelRequest, ModelSelection
from turnout_pool import Pool, PoolSettings

pytestmark = pytest.mark.anyio

DESK = Host("desk", "http://desk:1234", "lmstudio")
WARM = Deployment(ModelInfo("m"), DESK, (Instance("m", parallel=1),))
COLD = Deployment(ModelInfo("m"), DESK, default_parallel=4)
IDLE = Deployment(ModelInfo("idle"), DESK)
ASKED = ModelRequest("hello")
NOTHING_SET = Config()


class Backend:
    """One host with one model, which takes 10 s to load, and 5 s to answer."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.loaded = False
        self.began: list[tuple[float, bool]] = []
        self.closed = 0
        self.looks = 0

    @hookimpl
    def discover_models(self) -> Iterator[Discovery]:
        yield Discovery(DESK, self.deployments)

    async def deployments(self) -> list[Deployment]:
        self.looks += 1
        instances = (Instance("m", parallel=4),) if self.loaded else ()
        return [Deployment(ModelInfo("m"), DESK, instances, default_parallel=4)]

    @hookimpl
    def execute_request(self, deployment: Deployment) -> Callable[[], AsyncIterator[Event]] | None:
        return partial(self.run, deployment) if deployment.host == DESK else None

    async def run(self, deployment: Deployment) -> AsyncIterator[Event]:
        self.began.append((asyncio.get_running_loop().time(), deployment.resident))
        yield Started(host="desk", model="m")
        try:
            if not self.loaded:
                await asyncio.sleep(10)
                if self.broken:
                    message = "no memory"
                    raise ModelLoadError(message)
                self.loaded = True
            yield Text(text="hi")
            await asyncio.sleep(5)
            yield Done(model="m")
        finally:
            self.closed += 1

    @hookimpl
    def select_model(self, candidates: Sequence[object]) -> ModelSelection | None:
        return ModelSelection("m") if candidates else None


class Whole(Backend):
    """Gives its answers whole: the first output comes with the last word."""

    async def run(self, deployment: Deployment) -> AsyncIterator[Event]:
        self.began.append((asyncio.get_running_loop().time(), deployment.resident))
        yield Started(host="desk", model="m")
        if not self.loaded:
            await asyncio.sleep(10)
            self.loaded = True
        await asyncio.sleep(60)
        yield Text(text="hi")
        yield Done(model="m")


class Oracle:
    """Predicts the same of everything."""

    @hookimpl
    def estimate(self, deployments: Sequence[Deployment]) -> Mapping[Deployment, Estimate]:
        return dict.fromkeys(deployments, Estimate(decode_seconds_per_token=0.01, load_seconds=9.0))


def plugged(**plugins: object) -> Plugins:
    found = Plugins()
    for name, plugin in plugins.items():
        found.add(name, plugin)
    return found


async def place(plugins: Plugins, *deployments: Deployment) -> Lease:
    work = plugins.place_request(ASKED, ModelSelection("m"), Fleet(deployments))
    assert work is not None
    return await work


def router(backend: Backend, config: Config = NOTHING_SET) -> Router:
    return Router(config, plugins={"pool": Pool, "backend": backend}, discover_plugins=False)


# --- with a router ----------------------------------------------------------------------------------


async def test_a_cold_burst_loads_once_and_goes_on_at_the_first_output() -> None:
    """The others wait for the load, and not for the loader's whole answer."""
    backend = Backend()
    async with router(backend) as one:
        replies = await asyncio.gather(*(one.ask("hello") for _ in range(3)))
    assert [reply.text for reply in replies] == ["hi"] * 3
    assert backend.began == [(0.0, False), (10.0, True), (10.0, True)]
    assert sorted(reply.timings.queue for reply in replies) == [0.0, 10.0, 10.0]


async def test_who_waits_for_a_load_does_not_wait_for_the_first_answer() -> None:
    """The host is asked while it loads, so a whole answer that takes long holds nobody up."""
    backend = Whole()
    async with router(backend) as one:
        await asyncio.gather(*(one.ask("hello", timeout=500) for _ in range(3)))
    (_, cold), *others = backend.began
    assert not cold
    assert all(resident and 10 <= at <= 11 for at, resident in others)


async def test_nobody_looks_while_nobody_waits() -> None:
    """A load that is only its own request's costs the host no looks."""
    backend = Whole()
    async with router(backend) as one:
        await one.ask("hello", timeout=500)
    assert backend.looks <= 3


async def test_the_fleet_is_looked_at_again_after_a_load() -> None:
    """What the load has unloaded is known with the next request, however long a look counts."""
    backend = Backend()
    async with router(backend, Config(router=RouterSettings(fleet_ttl=1000.0))) as one:
        assert not (await one.fleet()).deployments[0].resident
        stream = one.stream("hello")
        while not isinstance(await anext(stream), Text):
            pass
        assert (await one.fleet()).deployments[0].resident
        await stream.aclose()


async def test_a_cancelled_request_ends_the_run_below_it_and_frees_its_slot() -> None:
    """The watch over a load passes the end on."""
    backend = Backend()
    async with router(backend) as one:
        task = asyncio.create_task(one.ask("hello"))
        await asyncio.sleep(5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        stats = one.stats()["pool"]
    assert backend.closed == 1
    assert isinstance(stats, dict)
    assert isinstance(stats["desk"], dict)
    assert stats["desk"]["in_flight"] == 0


async def test_a_load_that_fails_lets_the_next_try() -> None:
    """Each waits for the one before it, and none for ever."""
    backend = Backend(broken=True)
    async with router(backend) as one:
        answers = await asyncio.gather(*(one.ask("hello") for _ in range(2)), return_exceptions=True)
    assert all(isinstance(answer, ModelLoadError) for answer in answers)
    times = [at for at, _ in backend.began]
    assert all(later - earlier >= 10 for earlier, later in pairwise(times))


# --- hook by hook -----------------------------------------------------------------------------------


async def test_estimates_of_idle_deployments_are_left_as_they_are() -> None:
    """Nothing is copied while nothing runs."""
    plugins = plugged(oracle=Oracle(), pool=Pool(PoolSettings()))
    estimates = plugins.estimate(ASKED, (WARM, IDLE))
    assert estimates[WARM] is estimates[IDLE]
    assert estimates[WARM].in_flight == 0


async def test_estimates_of_busy_deployments_tell_their_queue() -> None:
    """What the others predict stays, beside the wait for a slot."""
    plugins = plugged(oracle=Oracle(), pool=Pool(PoolSettings()))
    await place(plugins, WARM, IDLE)
    waiting = asyncio.create_task(place(plugins, WARM, IDLE))
    await asyncio.sleep(0)
    estimates = plugins.estimate(ASKED, (WARM, IDLE))
    busy = estimates[WARM]
    assert (busy.in_flight, busy.queued, busy.load_seconds) == (1, 1, 0.0)
    assert busy.queue_seconds == pytest.approx(2 * 256 * 0.01)
    assert estimates[IDLE] == Estimate(decode_seconds_per_token=0.01, load_seconds=9.0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_the_queue_is_told_also_where_nobody_else_predicts() -> None:
    """The pool knows its own part without a metrics plugin."""
    plugins = plugged(pool=Pool(PoolSettings()))
    assert plugins.estimate(ASKED, (WARM,)) == {}
    await place(plugins, WARM)
    assert plugins.estimate(ASKED, (WARM, IDLE))[WARM].in_flight == 1
    assert IDLE not in plugins.estimate(ASKED, (WARM, IDLE))


async def test_a_load_under_way_counts_as_its_rest_and_not_twice() -> None:
    """Whoever comes now waits for what is left of the load, and loads nothing itself."""
    plugins = plugged(oracle=Oracle(), pool=Pool(PoolSettings()))
    plugins.estimate(ASKED, (COLD,))
    await place(plugins, COLD)
    await asyncio.sleep(3)
    estimate = plugins.estimate(ASKED, (COLD,))[COLD]
    assert (estimate.queue_seconds, estimate.load_seconds) == (6.0, 0.0)


async def test_only_requests_that_may_load_are_watched() -> None:
    """A resident deployment's events come straight from the backend."""
    backend = Backend()
    plugins = plugged(backend=backend, pool=Pool(PoolSettings()))
    run = plugins.execute_request(ASKED, WARM)
    assert isinstance(run, partial)
    assert run.func == backend.run


async def test_a_backend_that_does_not_answer_is_none_of_our_business() -> None:
    """The wrapper passes on that nobody owns the host."""
    plugins = plugged(backend=Backend(), pool=Pool(PoolSettings()))
    strange = Deployment(ModelInfo("m"), Host("strange", "http://strange", "unknown"))
    with pytest.raises(Exception, match="no plugin executes"):
        plugins.execute_request(ASKED, strange)


async def test_prefill_shows_that_the_load_is_over() -> None:
    """A server that tells its progress lets the others go before the first word."""
    pool = Pool(PoolSettings())

    async def run() -> AsyncIterator[Event]:
        yield Progress(stage="load", fraction=0.5)
        yield Progress(stage="prefill", fraction=0.1)
        yield Text(text="hi")

    class Talkative:
        @hookimpl
        def execute_request(self) -> Callable[[], AsyncIterator[Event]]:
            return run

    plugins = plugged(backend=Talkative(), pool=pool)
    lease = await place(plugins, COLD)
    seen = []
    async for _ in plugins.execute_request(ASKED, lease.deployment)():
        waiting = asyncio.create_task(place(plugins, COLD))
        await asyncio.sleep(0)
        seen.append(waiting.done())
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert seen == [False, True, True]


async def test_closing_a_watched_run_closes_the_backends_own_at_once() -> None:
    """A generation that nobody reads ends now, and not when somebody collects the garbage."""
    backend = Backend()
    backend.loaded = True
    inner = backend.run(COLD)

    class Holder:
        @hookimpl
        def execute_request(self) -> Callable[[], AsyncIterator[Event]]:
            return lambda: inner

    watched = plugged(backend=Holder(), pool=Pool(PoolSettings())).execute_request(ASKED, COLD)()
    assert isinstance(await anext(watched), Started)
    assert isinstance(await anext(watched), Text)
    assert isinstance(watched, AsyncGenerator)
    await watched.aclose()
    assert backend.closed == 1


async def test_the_stats_tell_what_runs_and_what_waited() -> None:
    """Per host and model, in requests and seconds."""
    pool = Pool(PoolSettings(queue=1))
    plugins = plugged(pool=pool)
    first = await place(plugins, WARM)
    waiting = asyncio.create_task(place(plugins, WARM))
    await asyncio.sleep(4)
    with pytest.raises(OverloadedError):
        await place(plugins, WARM)
    first.release()
    second = await waiting
    assert plugins.report_stats() == {"pool": pool.get_stats()}
    assert pool.get_stats() == {
        "desk": {
            "in_flight": 1,
            "queued": 0,
            "loads": 0,
            "models": {
                "m": {
                    "slots": 1,
                    "in_flight": 1,
                    "queued": 0,
                    "refused": 1,
                    "resident": True,
                    "wait_p50": 2.0,
                    "wait_max": 4.0,
                    "service_seconds": 4.0,
                    "load_seconds": None,
                }
            },
        }
    }
    second.release()


async def test_the_first_start_of_a_line_has_waited_for_nothing() -> None:
    """Numbers are there from the first request."""
    pool = Pool(PoolSettings())
    assert pool.get_stats() == {}
    (await place(plugged(pool=pool), WARM)).release()
    assert "desk" in pool.get_stats()


async def test_hosts_that_are_not_http_are_left_to_others() -> None:
    """A backend that lives in the process brings its own way."""
    pool = Pool(PoolSettings())
    assert pool.open_transport(Host("inside", "embedded://", "embedded")) is None
    transport = pool.open_transport(DESK)
    assert transport is not None
    await transport.aclose()


def test_the_plugin_imports_no_http_library_before_it_is_needed() -> None:
    """`turnout --help` must not pay for them."""
    code = "import sys, turnout_pool; print(sorted({'httpx', 'aiohttp', 'yarl'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"queue": -1}, "queue"),
        ({"keepalive": 0}, "keepalive"),
        ({"patience": 3}, "patience"),
        ({"memory": {"desk": "lots"}}, "amount of memory"),
    ],
)
def test_a_wrong_setting_is_named(table: JSONObject, complaint: str) -> None:
    """The table is checked when the router is made."""
    with pytest.raises(ConfigError, match=complaint):
        Router(Config(tables={"pool": table}), plugins={"pool": Pool}, discover_plugins=False)
