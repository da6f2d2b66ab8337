"""Typed calls to every hook; nobody else calls them."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from turnout.errors import LLMError, PluginError
from turnout.events import Event
from turnout.fleet import (
    Candidate,
    Deployment,
    Discovery,
    Estimate,
    Fleet,
    Host,
    Instance,
    LoadOptions,
    ModelInfo,
)
from turnout.messages import JSON
from turnout.registry import Registry
from turnout.skills import Assessment, TaskType
from turnout.types import (
    After,
    Attempt,
    ExecutionMetrics,
    Feedback,
    Lease,
    ModelRequest,
    ModelSelection,
    NextStep,
    Signals,
    Vetoes,
)

if TYPE_CHECKING:
    import httpx

    from turnout.config import Config
    from turnout.router import Router

_NO_VETOES = Vetoes()


# Whether something is a Mapping takes fifty times as long to see as that it is a dict.
_MAPPINGS = (dict, Mapping)


class Plugins(Registry):
    """The hooks as methods, isolated from each other where the hook says so.

    A strategy is called by :mod:`turnout.selection`, through ``strategies``.
    """

    def call(self, hook: str, **arguments: object) -> list[object]:
        """Call a hook that a plugin brought itself; an error costs only its own answer.

        A plugin brings hooks with an attribute ``hookspecs``: a module or class that holds them.
        """
        return [answer for _, answer in self.isolated(hook, **arguments)]

    async def startup(self, router: "Router") -> None:
        """Start every plugin; one that fails is left out and named."""
        for name, caller in list(self.each("startup")):
            try:
                for work in cast("list[Awaitable[None] | None]", caller(router=router)):
                    if work is not None:
                        await work
            except Exception as error:  # noqa: BLE001  the plugin boundary
                self.remove(name, f"does not start: {type(error).__name__}: {error}")

    async def shutdown(self, router: "Router") -> None:
        """Stop every plugin, in the reverse of the start's order, whatever the others do."""
        for name, caller in reversed(self.each("shutdown")):
            try:
                for work in cast("list[Awaitable[None] | None]", caller(router=router)):
                    if work is not None:
                        await work
            except Exception as error:  # noqa: BLE001  the plugin boundary
                self.report(name, "shutdown", error)

    def _first(self, hook: str, **arguments: object) -> object:
        """Return the first answer; where a plugin fails, that of the first who does not."""
        try:
            answer: object = getattr(self._hooks.hook, hook)(**arguments)
        except LLMError:
            raise
        except Exception:
            others = next((answer for _, answer in self.isolated(hook, **arguments)), None)
            if others is None:
                raise
            return others
        return answer

    def open_transport(self, host: Host) -> "httpx.AsyncBaseTransport":
        """Open the way to *host*; raises ``PluginError`` when no plugin can."""
        transport = self._first("open_transport", host=host)
        if transport is None:
            message = f"no plugin opens a transport to {host.url}"
            raise PluginError(message, host=host.name, advice="Enable the plugin `pool`.")
        return cast("httpx.AsyncBaseTransport", transport)

    def discover_models(self, config: "Config") -> Iterator[Discovery]:
        """Collect every backend's offers; of two hosts with one name the first counts."""
        names: set[str] = set()
        for plugin, offers in self.isolated("discover_models", config=config):
            try:
                for offer in cast("Iterable[Discovery]", offers):
                    if offer.host.name not in names:
                        names.add(offer.host.name)
                        yield offer
            except Exception as error:  # noqa: BLE001  offers may be a stranger's generator
                self.report(plugin, "discover_models", error)

    def describe_models(self, deployments: Sequence[Deployment]) -> dict[Deployment, ModelInfo]:
        """Collect what plugins know beside the hosts; of two for one deployment the first counts."""
        known: dict[Deployment, ModelInfo] = {}
        for name, answer in self.isolated("describe_models", deployments=deployments):
            if isinstance(answer, _MAPPINGS) and set(map(type, answer.values())) <= {ModelInfo}:
                known = {**answer, **known}
            else:
                self.report(name, "describe_models", TypeError(f"returned {answer!r}, not models"))
        return known

    def load_model(self, deployment: Deployment, options: LoadOptions) -> Awaitable[Instance] | None:
        """Return the work that loads a model, or None when its host cannot."""
        work = self._first("load_model", deployment=deployment, options=options)
        return cast("Awaitable[Instance] | None", work)

    def unload_model(self, deployment: Deployment, instance: Instance) -> Awaitable[None] | None:
        """Return the work that unloads an instance, or None when its host cannot."""
        work = self._first("unload_model", deployment=deployment, instance=instance)
        return cast("Awaitable[None] | None", work)

    async def classify_request(self, request: ModelRequest) -> list[Signals]:
        """Collect everybody's signals, in plugin order."""
        signals: list[Signals] = []
        for name, answer in self.isolated("classify_request", request=request):
            try:
                value = await answer if inspect.isawaitable(answer) else answer
            except Exception as error:  # noqa: BLE001  the plugin boundary
                self.report(name, "classify_request", error)
                continue
            if isinstance(value, Signals):
                signals.append(value)
            elif value is not None:
                self.report(name, "classify_request", TypeError(f"returned {value!r}, not Signals"))
        return signals

    def task_type_of(self, request: ModelRequest) -> TaskType | None:
        """Return what kind of work *request* is, by those who say so at once."""
        for _, answer in self.isolated("classify_request", request=request):
            if isinstance(answer, Signals) and answer.task_type is not None:
                return answer.task_type
            if inspect.iscoroutine(answer):
                answer.close()
        return None

    def veto_deployments(
        self, request: ModelRequest, deployments: Sequence[Deployment]
    ) -> Vetoes:
        """Collect the vetoes; of two for one deployment the first reason counts."""
        reasons: dict[Deployment, str] = {}
        notes: list[str] = []
        for name, answer in self.isolated("veto_deployments", request=request, deployments=deployments):
            said = answer
            if isinstance(said, Vetoes):
                notes.extend(f"{note} ({name})" for note in said.notes)
                said = said.reasons
            if not isinstance(said, _MAPPINGS):
                self.report(name, "veto_deployments", TypeError(f"returned {answer!r}, not a mapping"))
                continue
            for deployment, reason in said.items():
                reasons.setdefault(deployment, f"{reason} ({name})")
        return Vetoes(reasons, tuple(notes)) if reasons or notes else _NO_VETOES

    def estimate(
        self, request: ModelRequest, deployments: Sequence[Deployment]
    ) -> Mapping[Deployment, Estimate]:
        """Return the predictions; none when nobody predicts, or the one who does fails."""
        try:
            answer = self._first("estimate", request=request, deployments=deployments)
        except LLMError as error:
            self.report("?", "estimate", error)
            return {}
        except Exception:  # noqa: BLE001  the plugin boundary, and reported by name already
            return {}
        if answer is None:
            return {}
        if not isinstance(answer, _MAPPINGS) or not set(map(type, answer.values())) <= {Estimate}:
            self.report("?", "estimate", TypeError(f"returned {answer!r}, not estimates"))
            return {}
        return cast("Mapping[Deployment, Estimate]", answer)

    def assess_models(
        self, request: ModelRequest, models: Mapping[str, Sequence[Deployment]]
    ) -> tuple[Mapping[str, Assessment], ...]:
        """Collect what is known of *models*, one mapping by model key from each plugin that knows any."""
        found = []
        for name, answer in self.isolated("assess_models", request=request, models=models):
            if isinstance(answer, _MAPPINGS):
                found.append(cast("Mapping[str, Assessment]", answer))
            else:
                self.report(name, "assess_models", TypeError(f"returned {answer!r}, not a mapping"))
        return tuple(found)

    def record_selection(
        self, request: ModelRequest, selection: ModelSelection, candidates: Sequence[Candidate]
    ) -> None:
        """Tell everybody of a decision."""
        told = {"request": request, "selection": selection, "candidates": candidates}
        for _ in self.isolated("record_selection", **told):
            pass

    def place_request(
        self, request: ModelRequest, selection: ModelSelection, fleet: Fleet
    ) -> Awaitable[Lease] | None:
        """Return the work that leases a slot, or None when nobody places."""
        work = self._first("place_request", request=request, selection=selection, fleet=fleet)
        return cast("Awaitable[Lease] | None", work)

    def execute_request(
        self, request: ModelRequest, deployment: Deployment
    ) -> Callable[[], AsyncIterator[Event]]:
        """Return the callable that runs a request; raises ``PluginError`` when no backend owns the host."""
        run = self._first("execute_request", request=request, deployment=deployment)
        if run is None:
            backend = deployment.host.backend
            message = f"no plugin executes on {backend!r} hosts"
            raise PluginError(message, host=deployment.host.name, advice=f"Enable the plugin {backend!r}.")
        return cast("Callable[[], AsyncIterator[Event]]", run)

    def on_failure(self, request: ModelRequest, attempts: Sequence[Attempt]) -> NextStep | After | None:
        """Return what a plugin wants done after a failure, if any does."""
        try:
            step = self._first("on_failure", request=request, attempts=attempts)
        except LLMError as error:
            self.report("?", "on_failure", error)
            return None
        except Exception:  # noqa: BLE001  the plugin boundary, and reported by name already
            return None
        return step if isinstance(step, NextStep | After) else None

    def record_execution(self, metrics: ExecutionMetrics) -> None:
        """Tell everybody of an execution."""
        for _ in self.isolated("record_execution", metrics=metrics):
            pass

    def record_feedback(self, feedback: Feedback) -> None:
        """Tell everybody what somebody thinks of an answer."""
        for _ in self.isolated("record_feedback", feedback=feedback):
            pass

    def report_stats(self) -> dict[str, JSON]:
        """Collect every plugin's own numbers, by plugin name."""
        return {name: cast(JSON, stats) for name, stats in self.isolated("report_stats") if stats}
