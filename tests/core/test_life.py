"""Plugins start, stop, and close what they have opened."""

import httpx
import pytest
from tests.core.inline import a_host

from turnout import (
    Config,
    Host,
    LLMConnectionError,
    Router,
    hookimpl,
)

pytestmark = pytest.mark.anyio


class Lives:
    """Writes down its start and stop; may fail in either."""

    def __init__(self, name: str, lived: list[str], *, fails: str = "", awaited: bool = False) -> None:
        self.name = name
        self.lived = lived
        self.fails = fails
        self.awaited = awaited

    def step(self, what: str) -> object:
        if self.awaited:
            return self.work(what)
        self.do(what)
        return None

    async def work(self, what: str) -> None:
        self.do(what)

    def do(self, what: str) -> None:
        self.lived.append(f"{what} {self.name}")
        if self.fails == what:
            message = f"cannot {what}"
            raise OSError(message)

    @hookimpl
    def startup(self) -> object:
        return self.step("start")

    @hookimpl
    def shutdown(self) -> object:
        return self.step("stop")


@pytest.mark.anyio
@pytest.mark.parametrize("awaited", [False, True])
async def test_plugins_stop_in_the_reverse_of_their_start(awaited: bool) -> None:
    """What was started last may lean on what was started first."""
    lived: list[str] = []
    plugins = {name: Lives(name, lived, awaited=awaited) for name in "abc"}
    async with Router(Config(), plugins=plugins, discover_plugins=False):
        lived.append("run")
    assert lived == ["start a", "start b", "start c", "run", "stop c", "stop b", "stop a"]


@pytest.mark.anyio
@pytest.mark.parametrize("awaited", [False, True])
async def test_a_plugin_that_does_not_start_is_left_out(awaited: bool, log: list[str]) -> None:
    """It is named, is not stopped, and the others run."""
    lived: list[str] = []
    plugins = {
        "a": Lives("a", lived, awaited=awaited),
        "b": Lives("b", lived, awaited=awaited, fails="start"),
        "c": Lives("c", lived, awaited=awaited),
    }
    async with Router(Config(), plugins=plugins, discover_plugins=False) as router:
        failed = router.plugins.found[1]
        assert (failed.name, failed.status, failed.error) == (
            "b",
            "failed",
            "does not start: OSError: cannot start",
        )
    assert lived == ["start a", "start b", "start c", "stop c", "stop a"]
    assert log == ["WARNING plugin 'b' is left out: does not start: OSError: cannot start"]


@pytest.mark.anyio
@pytest.mark.parametrize("awaited", [False, True])
async def test_a_plugin_that_does_not_stop_keeps_nobody_from_stopping(awaited: bool, log: list[str]) -> None:
    """It is named, and the others are stopped all the same."""
    lived: list[str] = []
    plugins = {
        name: Lives(name, lived, awaited=awaited, fails="stop" if name == "b" else "") for name in "abc"
    }
    async with Router(Config(), plugins=plugins, discover_plugins=False):
        lived.clear()
    assert lived == ["stop c", "stop b", "stop a"]
    assert log == ["WARNING plugin 'b' failed in shutdown: OSError: cannot stop"]


class Way(httpx.AsyncBaseTransport):
    """A transport that says when it is closed; may fail at that."""

    def __init__(self, name: str, closed: list[str]) -> None:
        self.name = name
        self.closed = closed

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(204)

    async def aclose(self) -> None:
        self.closed.append(self.name)
        if self.name == "bad":
            message = "no"
            raise OSError(message)


class Ways:
    """Opens them."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.closed: list[str] = []

    @hookimpl
    def open_transport(self, host: Host) -> httpx.AsyncBaseTransport:
        self.opened.append(host.name)
        return Way(host.name, self.closed)


@pytest.mark.anyio
async def test_the_router_opens_each_way_once_and_closes_all(log: list[str]) -> None:
    """A host has one transport, and one that does not close keeps no other open."""
    ways = Ways()
    async with Router(Config(), plugins={"ways": ways}, discover_plugins=False) as router:
        assert router.transport(a_host("bad")) is router.transport(a_host("bad"))
        router.transport(a_host("good"))
        assert ways.closed == []
    await router.close()
    assert (ways.opened, ways.closed) == (["bad", "good"], ["bad", "good"])
    assert log == ["WARNING plugin '?' failed in open_transport: OSError: no"]


@pytest.mark.anyio
async def test_a_closed_router_opens_no_way_until_it_is_opened_again() -> None:
    """Nobody would close it: whoever is still at work gets an error."""
    ways = Ways()
    router = Router(Config(), plugins={"ways": ways}, discover_plugins=False)
    async with router:
        router.transport(a_host("good"))
    with pytest.raises(LLMConnectionError, match="closed"):
        router.transport(a_host("good"))
    async with router:
        router.transport(a_host("good"))
    assert (ways.opened, ways.closed) == (["good", "good"], ["good", "good"])
