"""The router opens, answers, streams, loads and closes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from pathlib import Path

import pytest
from tests.core.inline import Inline, a_deployment, a_host, a_router

from turnout import (
    JSON,
    Config,
    ConfigError,
    ContextOverflowError,
    DeadlineExceededError,
    Deployment,
    Discovery,
    Done,
    Event,
    ExecutionMetrics,
    Instance,
    LLMConnectionError,
    ModelCapability,
    ModelNotFoundError,
    ModelRequest,
    PluginError,
    Router,
    StrategyChainError,
    Text,
    hookimpl,
)

pytestmark = pytest.mark.anyio

# --- opening and closing ----------------------------------------------------------------------------


async def test_a_router_without_arguments_reads_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files and environment are its defaults."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TURNOUT_ROUTER__TIMEOUT", "7")
    assert Router(discover_plugins=False).config.router.timeout == 7.0


def test_a_table_of_no_plugin_is_refused() -> None:
    """It is most often a misspelt one; those of plugins in code are known."""
    config = Config(tables={"mine": {}})
    with pytest.raises(ConfigError, match="no plugin is called 'mine'"):
        Router(config, only_plugins=())
    assert Router(config, plugins={"mine": Inline()}, only_plugins=()).config is config


def test_only_some_plugins_may_be_loaded() -> None:
    """All others are listed as disabled."""
    router = Router(Config(), only_plugins=["nothing of that name"])
    assert {one.status for one in router.plugins.found} <= {"disabled"}


class Life:
    """Writes down when it starts and stops."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.hangs = hangs
        self.lived: list[str] = []

    @hookimpl
    def startup(self) -> Awaitable[None] | None:
        self.lived.append("start")
        return asyncio.sleep(1000) if self.hangs else None

    @hookimpl
    def shutdown(self) -> None:
        self.lived.append("stop")


async def test_closing_twice_does_no_harm() -> None:
    """And a router that was never opened has nothing to close."""
    life = Life()
    router = a_router(plugins={"life": life})
    await router.close()
    async with router:
        await router.close()
    assert life.lived == ["start", "stop"]


async def test_a_start_that_is_cancelled_stops_what_has_started() -> None:
    """Nobody is left running behind a router that never opened."""
    life = Life()
    router = a_router(plugins={"life": life, "slow": Life(hangs=True)})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await router.__aenter__()
    assert life.lived == ["start", "stop"]


# --- deciding without asking ------------------------------------------------------------------------


async def test_a_route_sends_nothing() -> None:
    """It says which model would answer."""
    backend = Inline(a_deployment("m"), a_deployment("n"))
    async with a_router(backend=backend) as router:
        selection = await router.route("hi", model="n")
        assert (selection.model, selection.strategy_used) == ("n", "explicit")
        decision = await router.explain(ModelRequest("hi"))
        assert decision.chosen().model == "m"
        assert [verdict.strategy for verdict in decision.explanation.verdicts] == ["explicit", "performance"]
    assert backend.ran == []


@pytest.mark.parametrize(
    ("deployments", "request_", "error"),
    [
        ([], ModelRequest("hi"), LLMConnectionError),
        ([a_deployment()], ModelRequest("hi", explicit_model="n"), ModelNotFoundError),
        ([a_deployment()], ModelRequest("x" * 90_000, explicit_model="m"), ContextOverflowError),
        ([a_deployment()], ModelRequest("x" * 90_000), ContextOverflowError),
    ],
)
async def test_a_route_to_nobody_is_an_error(
    deployments: list[Deployment], request_: ModelRequest, error: type[Exception]
) -> None:
    """Each reason has its own class, and explaining it raises nothing."""
    async with a_router(*deployments) as router:
        with pytest.raises(error):
            await router.route(request_)
        assert isinstance((await router.explain(request_)).error, error)


# --- streaming --------------------------------------------------------------------------------------


async def test_a_stream_knows_its_reply_at_the_end() -> None:
    """Selection and reply come with the events, and there is no reply before the end."""
    backend = Inline(a_deployment())
    async with a_router(backend=backend) as router:
        stream = router.open_stream("hi")
        assert stream.selection is None
        with pytest.raises(RuntimeError, match="there is no reply yet"):
            _ = stream.reply
        text = ""
        async for event in stream:
            assert stream.selection is not None
            if isinstance(event, Text):
                text += event.text
                with pytest.raises(RuntimeError, match="there is no reply yet"):
                    _ = stream.reply
        assert (stream.reply.text, text) == ("hello", "hello")
    assert backend.requests[0].streaming


async def test_a_stream_that_is_closed_stops_the_generation() -> None:
    """Breaking off is enough to free the server."""
    backend = Inline(a_deployment())
    backend.tell([Text(text="a"), 100.0], [Text(text="a"), 100.0])
    seen = Seen()
    async with a_router(backend=backend, plugins={"seen": seen}) as router:
        stream = router.open_stream("hi")
        async for _ in stream:
            break
        assert backend.running == 1
        await stream.aclose()
        assert backend.running == 0
        events = router.stream("hi")
        await anext(events)
        await events.aclose()
        assert backend.running == 0
    assert [metrics.error for metrics in seen.executions] == ["CancelledError", "CancelledError"]


async def test_a_stream_that_is_closed_at_its_end_is_a_success() -> None:
    """Who stops at the last event has the whole answer."""
    seen = Seen()
    async with a_router(a_deployment(), plugins={"seen": seen}) as router:
        stream = router.open_stream("hi")
        async for event in stream:
            if isinstance(event, Done):
                break
        await stream.aclose()
        assert stream.reply.text == "hello"
    assert [metrics.success for metrics in seen.executions] == [True]


async def test_the_deadline_of_a_stream_is_not_over_its_reader() -> None:
    """What the caller does between two events costs no time of ours."""
    backend = Inline(a_deployment())
    backend.tell([1.0, Text(text="a"), Done()], [Text(text="a"), 10.0, Done()])
    async with a_router(backend=backend) as router:
        async for _ in router.stream("hi", timeout=5):
            await asyncio.sleep(3)
        assert asyncio.get_running_loop().time() == 10
        with pytest.raises(DeadlineExceededError):
            async for _ in router.stream("hi", timeout=5):
                pass
    assert backend.running == 0


class Seen:
    """Writes down executions."""

    def __init__(self) -> None:
        self.executions: list[ExecutionMetrics] = []

    @hookimpl
    def record_execution(self, metrics: ExecutionMetrics) -> None:
        self.executions.append(metrics)

    @hookimpl
    def report_stats(self) -> Mapping[str, JSON]:
        return {"executions": len(self.executions)}


class Late:
    """A plugin whose own work times out."""

    @hookimpl
    def place_request(self) -> Awaitable[None]:
        return asyncio.wait_for(asyncio.Event().wait(), 1)  # type: ignore[arg-type]


async def test_a_plugins_own_timeout_is_not_the_requests_deadline() -> None:
    """It is an error of the plugin, long before the deadline."""
    async with a_router(a_deployment(), plugins={"late": Late()}) as router:
        for ask in (router.ask("hi"), anext(router.stream("hi"))):
            with pytest.raises(PluginError, match="placing the request failed: TimeoutError"):
                await ask


async def test_embedding_takes_one_text_or_many() -> None:
    """A single text is not taken for its letters."""
    backend = Inline(a_deployment(kind=a_deployment().info.kind.EMBEDDING))
    async with a_router(backend=backend) as router:
        await router.embed("one")
        await router.embed(["one", "two"], model="m")
    assert [request.inputs for request in backend.requests] == [("one",), ("one", "two")]
    assert backend.requests[1].explicit_model == "m"


# --- plugins and numbers ----------------------------------------------------------------------------


async def test_a_strategy_can_be_registered_while_the_router_runs() -> None:
    """It is asked with the next request, and one that is not valid is refused."""
    from tests.core.worlds import last

    async with a_router(a_deployment("m"), a_deployment("n")) as router:
        assert (await router.ask("hi")).model == "m"
        router.register_strategy("mine", last())
        assert (await router.ask("hi")).model == "n"
        with pytest.raises(PluginError, match="already called 'mine'"):
            router.register_strategy("mine", last())


async def test_numbers_come_from_the_plugins() -> None:
    """What happened elsewhere can be taught to them."""
    async with a_router(a_deployment(), plugins={"seen": Seen()}) as router:
        await router.ask("hi")
        router.record_metrics(ExecutionMetrics("m", "elsewhere", 1.0, True))
        assert router.stats() == {"seen": {"executions": 2}}


async def test_hosts_of_last_resort_wait_for_the_others() -> None:
    """One is taken where nobody else can, and by name."""
    spare = a_host("spare", last_resort=True)
    backend = Inline(a_deployment("small", spare), a_deployment("big", context=100_000, loaded=100_000))
    async with a_router(backend=backend) as router:
        assert (await router.ask("hi")).model == "big"
        assert (await router.ask("hi", model="small")).model == "small"
        backend.deployments.pop()
        router.forget_fleet()
        assert (await router.ask("hi")).model == "small"


class Twice:
    """Offers a host that another backend has too."""

    @hookimpl
    def discover_models(self) -> Iterator[Discovery]:
        yield Discovery(a_host(), self.look)

    async def look(self) -> list[Deployment]:
        return [a_deployment("never")]

    async def run(self) -> AsyncIterator[Event]:
        yield Done()


async def test_a_host_is_offered_once() -> None:
    """Of two backends with one host, the first who is asked has it."""
    async with a_router(a_deployment(), backend=Inline(a_deployment()), plugins={"twice": Twice()}) as router:
        assert [model.id for model in await router.models()] == ["never"]


async def test_needs_that_nobody_meets_are_told() -> None:
    """A request says what it needs, and a model what it has."""
    info = a_deployment().info
    fast = Deployment(
        type(info)("m", capabilities=frozenset({ModelCapability.FAST})), a_host(), (Instance("m"),)
    )
    request = ModelRequest("hi", required_capabilities=frozenset({ModelCapability.CODING}))
    async with a_router(fast) as router:
        with pytest.raises(StrategyChainError, match="m on one: lacks coding"):
            await router.ask(request)
