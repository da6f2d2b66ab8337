"""The router: what a program, a command line or a server holds on to."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from attrs import evolve

from turnout import loading
from turnout.config import Config
from turnout.discovery import FleetView
from turnout.errors import (
    ConfigError,
    DeadlineExceededError,
    LLMConnectionError,
    LLMError,
    ModelLoadError,
    ModelNotFoundError,
)
from turnout.events import Event
from turnout.execution import Execution
from turnout.fleet import Deployment, Fleet, Host, HostReport, Instance, LoadOptions, ModelInfo, merged
from turnout.messages import JSON
from turnout.names import matches, near
from turnout.options import RequestOptions, as_request
from turnout.plugins import Plugins
from turnout.selection import Decision, decide, prepare
from turnout.settings import check_tables, load_config
from turnout.types import ExecutionMetrics, Feedback, ModelRequest, ModelSelection, Operation, Reply

if TYPE_CHECKING:
    import httpx


class Router:
    """Sends each request to the right model.

    Use it as an async context manager. *config* defaults to files and environment; *plugins* are asked in
    their order before the installed ones, which ``discover_plugins=False`` leaves out altogether. Raises
    ``ConfigError`` when a setting is wrong.

    ::

        async with Router() as router:
            reply = await router.ask("What is the capital of France?")
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        plugins: Mapping[str, object] | None = None,
        discover_plugins: bool = True,
        only_plugins: Iterable[str] | None = None,
    ) -> None:
        self.config = load_config() if config is None else config
        given = dict(plugins or {})
        only = None if only_plugins is None else frozenset(only_plugins)
        found = list(loading.find(self.config, only)) if discover_plugins else []
        if discover_plugins:
            check_tables(self.config, [*given, *(one.name for one in found)])
        self.plugins = Plugins(found, self.config.selection.order)
        for name, plugin in reversed(given.items()):
            self.plugins.add(name, loading.build(name, plugin, self.config))
        self._check_order()
        self._view = FleetView(self.config, self.plugins)
        self._transports: dict[tuple[str, str], httpx.AsyncBaseTransport] = {}
        self._open = False
        self._closed = False

    def _check_order(self) -> None:
        unknown = self.plugins.unknown_strategies
        if unknown:
            known = ", ".join(self.plugins.known_strategies) or "none"
            origin = self.config.origins.get("selection.order", "settings")
            message = f"{origin}: [selection] order names no strategy: {', '.join(unknown)} (known: {known})"
            raise ConfigError(message, advice="Install it, or take its name out.")

    async def __aenter__(self) -> Self:
        self._open, self._closed = True, False
        try:
            await self.plugins.startup(self)
        except BaseException:  # a cancelled start must not leave behind what has started
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop the plugins and close every connection. Doing it twice does no harm."""
        if not self._open:
            return
        self._open = False
        await self._view.close()
        await self.plugins.shutdown(self)
        self._closed = True
        transports, self._transports = list(self._transports.values()), {}
        for transport in transports:
            try:
                await transport.aclose()
            except Exception as error:  # noqa: BLE001  a transport is a plugin's
                self.plugins.report("?", "open_transport", error)

    def transport(self, host: Host) -> "httpx.AsyncBaseTransport":
        """Return the way to *host*, opened on first use; for backends.

        Raises ``LLMConnectionError`` when the router is closed: nobody would close what is opened then.
        """
        if self._closed:
            message = "the router is closed"
            raise LLMConnectionError(message, host=host.name, advice="Open it again.")
        key = host.name, host.url
        if key not in self._transports:
            self._transports[key] = self.plugins.open_transport(host)
        return self._transports[key]

    # --- asking ---------------------------------------------------------------------------------------

    async def route(self, request: ModelRequest | str, **options: Unpack[RequestOptions]) -> ModelSelection:
        """Decide which model would answer, and send nothing.

        Raises ``ModelNotFoundError``, ``NoSuitableModelError``, ``StrategyChainError`` or
        ``LLMConnectionError``.
        """
        return (await self.explain(request, **options)).chosen()

    async def explain(self, request: ModelRequest | str, **options: Unpack[RequestOptions]) -> Decision:
        """Decide, and tell everything: who was asked, what each said, who was ineligible and why."""
        prepared = await prepare(self.plugins, as_request(request, options), self.config)
        return decide(self.plugins, prepared, await self.fleet(), self.config)

    async def ask(self, request: ModelRequest | str, **options: Unpack[RequestOptions]) -> Reply:
        """Answer *request*, with one deadline over selection, queue, load and all attempts.

        Raises the ``LLMError`` that ended it; ``DeadlineExceededError`` when time was up. The error's
        ``partial`` is the text that had come. Cancelling stops the generation upstream.
        """
        made = as_request(request, options)
        limit = self._limit(made)
        due = asyncio.get_running_loop().time() + limit
        execution = None
        try:
            async with asyncio.timeout_at(due) as deadline:
                execution = Execution(self, await prepare(self.plugins, made, self.config), due)
                async for _ in execution.events():
                    pass
                return execution.reply()
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise _late(limit, made, error, execution) from error

    async def stream(
        self, request: ModelRequest | str, **options: Unpack[RequestOptions]
    ) -> AsyncGenerator[Event, None]:
        """Yield what happens, as it happens; the text is in the ``Text`` events.

        Nothing of a failed attempt is seen. After the first output a failure is raised as it is, and so is
        the end of the time; ``partial`` of the error is the text that was yielded. Close the iterator to
        stop the generation upstream.
        """
        async with aclosing(self.open_stream(request, **options)) as stream:
            async for event in stream:
                yield event

    def open_stream(self, request: ModelRequest | str, **options: Unpack[RequestOptions]) -> "ReplyStream":
        """Return the same events as :meth:`stream`, in an object that also knows the reply at the end."""
        made = evolve(as_request(request, options), streaming=True)
        return ReplyStream(self, made, self._limit(made))

    async def embed(self, texts: str | Sequence[str], **options: Unpack[RequestOptions]) -> Reply:
        """Return the vectors of *texts*, in their order, in ``Reply.embeddings``."""
        inputs: tuple[str, ...] = (texts,) if isinstance(texts, str) else tuple(texts)
        return await self.ask(ModelRequest(operation=Operation.EMBEDDINGS, inputs=inputs), **options)

    def _limit(self, request: ModelRequest) -> float:
        return self.config.router.timeout if request.timeout is None else request.timeout

    # --- the fleet ------------------------------------------------------------------------------------

    async def fleet(self, *, refresh: bool = False) -> Fleet:
        """Return all hosts and deployments as last seen, at most ``router.fleet_ttl`` seconds ago."""
        return await self._view.current(refresh=refresh)

    def forget_fleet(self) -> None:
        """Say that the fleet has changed, so that the next who asks looks again."""
        self._view.invalidate()

    async def models(self, *, refresh: bool = False) -> tuple[ModelInfo, ...]:
        """Return every model that some host has, each once."""
        fleet = await self.fleet(refresh=refresh)
        return tuple(merged(group) for group in fleet.models.values())

    async def hosts(self, *, refresh: bool = False) -> tuple[HostReport, ...]:
        """Return how each host answered."""
        return (await self.fleet(refresh=refresh)).hosts

    async def load(
        self, model: str, *, host: str | None = None, options: LoadOptions | None = None
    ) -> Instance:
        """Load *model* and return its instance when it is ready; on *host*, or where it is already.

        Raises ``ModelNotFoundError``, ``ModelLoadError`` or ``InsufficientMemoryError``.
        """
        deployment = await self._deployment(model, host)
        work = self.plugins.load_model(deployment, options or LoadOptions())
        if work is None:
            message = f"{deployment.host.backend} hosts cannot load models on demand"
            raise ModelLoadError(message, host=deployment.host.name, model=deployment.model)
        try:
            async with asyncio.timeout(self.config.router.load_timeout):
                return await work
        except TimeoutError as error:
            message = f"not loaded within {self.config.router.load_timeout:g} s"
            raise ModelLoadError(message, error, host=deployment.host.name, model=deployment.model) from error
        finally:
            self.forget_fleet()

    async def unload(self, model: str, *, host: str | None = None) -> tuple[Instance, ...]:
        """Unload every instance of *model*, on *host* or everywhere, and return them."""
        fleet = await self.fleet(refresh=True)
        name = _resolve(model, fleet, self.config)
        gone: list[Instance] = []
        try:
            for deployment in fleet.models[name]:
                if host in (None, deployment.host.name):
                    gone.extend([i for i in deployment.instances if await self._unload(deployment, i)])
        finally:
            self.forget_fleet()
        return tuple(gone)

    async def _unload(self, deployment: Deployment, instance: Instance) -> bool:
        work = self.plugins.unload_model(deployment, instance)
        if work is None:
            return False
        await work
        return True

    async def _deployment(self, model: str, host: str | None) -> Deployment:
        fleet = await self.fleet(refresh=True)
        name = _resolve(model, fleet, self.config)
        group = [d for d in fleet.models[name] if host in (None, d.host.name)]
        if not group:
            where = ", ".join(d.host.name for d in fleet.models[name])
            raise ModelNotFoundError(model, list(fleet.models), reason=f"is not on {host!r}, but on {where}")
        return next((d for d in group if d.resident), group[0])

    # --- plugins and numbers --------------------------------------------------------------------------

    def register_strategy(self, name: str, strategy: object) -> None:
        """Add a strategy, asked right after ``explicit`` unless ``[selection] order`` says otherwise.

        Raises ``PluginError`` when it is not valid or the name is taken.
        """
        self.plugins.add(name, loading.build(name, strategy, self.config))

    def record_metrics(self, metrics: ExecutionMetrics) -> None:
        """Teach the learning plugins an execution that happened elsewhere."""
        self.plugins.record_execution(metrics)

    def record_feedback(self, feedback: Feedback) -> None:
        """Tell the learning plugins what somebody thinks of an answer; :meth:`Reply.rate` does it for you.

        Raises ``RuntimeError`` when the router is closed.
        """
        if not self._open:
            message = "the router is closed: rate its replies before, or use `turnout rate`"
            raise RuntimeError(message)
        self.plugins.record_feedback(feedback)

    def stats(self) -> dict[str, JSON]:
        """Return every plugin's numbers, by plugin name."""
        return self.plugins.report_stats()


class ReplyStream:
    """The events of one request; ``reply`` is there once they have ended well."""

    def __init__(self, router: Router, request: ModelRequest, limit: float) -> None:
        self._router = router
        self._request = request
        self._limit = limit
        self._execution: Execution | None = None
        self._events = self._run()

    @property
    def selection(self) -> ModelSelection | None:
        """The selection of the attempt that is under way."""
        return None if self._execution is None else self._execution.selection

    @property
    def reply(self) -> Reply:
        """The whole reply; raises ``RuntimeError`` before the end."""
        if self._execution is None:
            message = "there is no reply yet"
            raise RuntimeError(message)
        return self._execution.reply()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._events

    async def aclose(self) -> None:
        """Stop the generation upstream."""
        await self._events.aclose()

    async def _run(self) -> AsyncGenerator[Event, None]:
        deadline = asyncio.get_running_loop().time() + self._limit
        try:
            async with asyncio.timeout_at(deadline):
                prepared = await prepare(self._router.plugins, self._request, self._router.config)
            self._execution = Execution(self._router, prepared, deadline)
            async with aclosing(self._execution.events()) as events:
                while True:
                    # The deadline is over our waiting, and never over what the caller does in between.
                    async with asyncio.timeout_at(deadline):
                        event = await anext(events, None)
                    if event is None:
                        return
                    yield event
        except TimeoutError as error:
            raise _late(self._limit, self._request, error, self._execution) from error


def _late(limit: float, request: ModelRequest, error: TimeoutError, execution: Execution | None) -> LLMError:
    message = f"no answer within {limit:g} s"
    late = DeadlineExceededError(message, error, {"request": request.id}, model=request.explicit_model)
    late.partial = "" if execution is None else execution.partial
    return late


def _resolve(model: str, fleet: Fleet, config: Config) -> str:
    """Return the model that *model* means; raises ``ModelNotFoundError`` with near names."""
    known = list(fleet.models)
    found = matches(model, known, config.selection.aliases)
    if len(found) == 1:
        return found[0]
    if found:
        raise ModelNotFoundError(model, known, near=found, reason="names more than one model")
    raise ModelNotFoundError(model, known, near=near(model, known))
