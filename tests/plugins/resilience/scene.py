"""Emulated hosts under a router that has the plugin, and short ways to ask."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from attrs import define, evolve

from turnout import JSON, Attempt, Config, LLMError, ModelRequest, Reply, Router, RouterSettings, hookimpl
from turnout.config import PluginsSettings
from turnout.events import Event, Text
from turnout.fleet import Deployment, Host, Instance, ModelInfo
from turnout.types import ExecutionMetrics
from turnout_resilience import Resilience, ResilienceSettings
from turnout_testing import EmulatedHosts, EmulatedModel, Emulator, emulated_router
from turnout_testing.fleet import url_of
from turnout_testing.models import Behaviour

OWL, HAWK = "acme/owl-8b", "acme/hawk-4b"
CHAT = "/v1/chat/completions"
ANSWER = "There are twelve signals between the station and the bridge, and all of them are green."


def owl(key: str = OWL, **traits: object) -> EmulatedModel:
    """Return a model that always says the same."""
    return EmulatedModel(key, **{"reply": ANSWER, **traits})  # type: ignore[arg-type]


def host(*models: EmulatedModel, loaded: tuple[str, ...] = (OWL,), **knobs: object) -> Emulator:
    """Return a host that has a model loaded."""
    return Emulator(models or (owl(),), loaded=loaded, **knobs)  # type: ignore[arg-type]


def pair(reply: Behaviour = ANSWER) -> dict[str, Emulator]:
    """Return two hosts of which the desk writes twice as fast: whoever knows both asks it first."""
    fast = owl(reply=reply)
    return {"desk": host(fast), "attic": host(evolve(fast, decode_rate=fast.decode_rate / 2))}


class Seen:
    """A plugin that notes what the learning plugins are told."""

    def __init__(self) -> None:
        self.executions: list[ExecutionMetrics] = []

    @hookimpl
    def record_execution(self, metrics: ExecutionMetrics) -> None:
        self.executions.append(metrics)


@define
class Scene:
    """A router, its plugin, and the hosts."""

    router: Router
    plugin: Resilience
    seen: Seen
    emulators: Mapping[str, Emulator]
    hosts: EmulatedHosts

    def told(self, *path: str, of: str = "resilience") -> JSON:
        """Return what the plugin reports at *path*."""
        value: JSON = self.router.stats()[of]
        for name in path:
            assert isinstance(value, dict)
            value = value[name]
        return value

    def take_down(self, name: str) -> None:
        self.hosts.transport.take_down(url_of(name))

    def bring_up(self, name: str) -> None:
        self.hosts.transport.bring_up(url_of(name))

    async def warm_up(self, times: int = 12, *, streaming: bool = True) -> None:
        """Let the plugin learn how fast each host is."""
        for name in self.emulators:
            for _ in range(times):
                request = ModelRequest("hello", explicit_model=OWL, hosts=[name], streaming=streaming)
                await ask(self.router, request)

    async def favourite(self, *, streaming: bool = True) -> tuple[str, str]:
        """Warm up a :func:`pair`; return who is asked first, and who is not."""
        await self.warm_up(streaming=streaming)
        request = ModelRequest("hello", explicit_model=OWL, streaming=streaming)
        assert (await ask(self.router, request)).host == "desk"
        return "desk", "attic"


@asynccontextmanager
async def opened(
    emulators: Mapping[str, Emulator],
    settings: ResilienceSettings | None = None,
    *,
    router: RouterSettings | None = None,
    tables: Mapping[str, dict[str, object]] | None = None,
    others: Mapping[str, object] | None = None,
) -> AsyncIterator[Scene]:
    """Open a router over *emulators*, with the plugin alone or with *others*."""
    hosts, seen = EmulatedHosts(emulators), Seen()
    plugin = Resilience(settings or ResilienceSettings())
    config = Config(
        router=router or RouterSettings(),
        # Where the plugin is installed, it is this one that is tested.
        plugins=PluginsSettings(disabled=("resilience",)),
        tables=dict(tables or {}),  # type: ignore[arg-type]
    )
    added = {**(others or {}), "resilience": plugin, "seen": seen, "emulated_hosts": hosts}
    async with emulated_router(emulators, config=config, plugins=added) as made:
        yield Scene(made, plugin, seen, emulators, hosts)


async def ask(router: Router, request: ModelRequest) -> Reply:
    """Return the reply, streamed where the request wants it."""
    if not request.streaming:
        return await router.ask(request)
    return (await heard(router, request)).reply()


@define
class Heard:
    """What the caller of a stream saw."""

    text: str
    events: list[Event]
    error: LLMError | None
    _reply: Reply | None

    def reply(self) -> Reply:
        if self.error is not None:
            raise self.error
        assert self._reply is not None
        return self._reply


async def heard(router: Router, request: ModelRequest) -> Heard:
    """Listen to a stream to its end, whatever that is."""
    stream = router.open_stream(request)
    events: list[Event] = []
    error: LLMError | None = None
    try:
        async for event in stream:
            events.append(event)  # noqa: PERF401  what came before an error counts
    except LLMError as failed:
        error = failed
    finally:
        await stream.aclose()
    text = "".join(event.text for event in events if isinstance(event, Text))
    return Heard(text, events, error, None if error else stream.reply)


async def failure(router: Router, request: ModelRequest) -> LLMError:
    """Return the error in which *request* ends."""
    try:
        await ask(router, request)
    except LLMError as error:
        return error
    message = "it was answered"
    raise AssertionError(message)


def route(attempts: tuple[Attempt, ...]) -> list[tuple[str, str | None]]:
    """Return where a request was tried, and what became of it there."""
    return [(a.host, None if a.error is None else type(a.error).__name__) for a in attempts]


def deployment(name: str = "desk", model: str = OWL, *, slots: int = 4, resident: bool = True) -> Deployment:
    """Return a deployment that no host need have."""
    instances = (Instance(model, 4096, slots),) if resident else ()
    where = Host(name, url_of(name), "lmstudio")
    return Deployment(ModelInfo(model, context_length=32_768), where, instances, default_parallel=slots)


def now() -> float:
    return asyncio.get_running_loop().time()
