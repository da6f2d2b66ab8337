"""In which order a request meets the hooks."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence

import httpx
import pytest
from tests.core.inline import a_deployment, a_host

from turnout import (
    JSON,
    Assessment,
    Attempt,
    Candidate,
    Config,
    Deployment,
    Discovery,
    Done,
    Estimate,
    Event,
    ExecutionMetrics,
    Feedback,
    Fleet,
    Host,
    Instance,
    Lease,
    LLMResponseError,
    LoadOptions,
    ModelInfo,
    ModelRequest,
    ModelSelection,
    NextStep,
    Router,
    Signals,
    Text,
    hookimpl,
)

pytestmark = pytest.mark.anyio
HOST = a_host()


class Everything:
    """Implements every hook and writes down each call; its first execution fails."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.router: Router | None = None
        self.failures = 1

    @hookimpl
    def startup(self, router: Router) -> None:
        self.calls.append("startup")
        self.router = router

    @hookimpl
    def open_transport(self, host: Host) -> httpx.AsyncBaseTransport:
        self.calls.append("open_transport")
        return httpx.MockTransport(lambda _: httpx.Response(204))

    @hookimpl
    def discover_models(self, config: Config) -> Iterable[Discovery]:
        self.calls.append("discover_models")
        return [Discovery(HOST, self.listing)]

    @hookimpl
    def describe_models(self, deployments: Sequence[Deployment]) -> Mapping[Deployment, ModelInfo]:
        self.calls.append("describe_models")
        return {}

    async def listing(self) -> list[Deployment]:
        return [a_deployment(host=HOST)]

    @hookimpl
    def load_model(self, deployment: Deployment, options: LoadOptions) -> Awaitable[Instance]:
        self.calls.append("load_model")
        return self.loading()

    async def loading(self) -> Instance:
        return Instance("m:2")

    @hookimpl
    def unload_model(self, deployment: Deployment, instance: Instance) -> Awaitable[None]:
        self.calls.append("unload_model")
        return self.unloading()

    async def unloading(self) -> None:
        pass

    @hookimpl
    def classify_request(self, request: ModelRequest) -> Signals:
        self.calls.append("classify_request")
        return Signals(prompt_tokens=1)

    @hookimpl
    def veto_deployments(self, deployments: Sequence[Deployment]) -> Mapping[Deployment, str]:
        self.calls.append("veto_deployments")
        return {}

    @hookimpl
    def estimate(self, deployments: Sequence[Deployment]) -> Mapping[Deployment, Estimate]:
        self.calls.append("estimate")
        return {}

    @hookimpl
    def assess_models(self, models: Mapping[str, Sequence[Deployment]]) -> Mapping[str, Assessment]:
        self.calls.append("assess_models")
        return {}

    @hookimpl
    def select_model(self, request: ModelRequest, candidates: Sequence[Candidate]) -> ModelSelection:
        self.calls.append("select_model")
        return ModelSelection("m")

    @hookimpl
    def record_selection(
        self, request: ModelRequest, selection: ModelSelection, candidates: Sequence[Candidate]
    ) -> None:
        self.calls.append("record_selection")

    @hookimpl
    def place_request(self, selection: ModelSelection, fleet: Fleet) -> Awaitable[Lease]:
        self.calls.append("place_request")
        return self.placing(fleet.models[selection.model][0])

    async def placing(self, deployment: Deployment) -> Lease:
        return Lease(deployment, lambda: self.calls.append("(released)"))

    @hookimpl
    def execute_request(self, deployment: Deployment) -> Callable[[], AsyncIterator[Event]]:
        self.calls.append("execute_request")
        assert self.router is not None
        self.router.transport(deployment.host)
        return self.run

    async def run(self) -> AsyncIterator[Event]:
        if self.failures:
            self.failures -= 1
            message = "not yet"
            raise LLMResponseError(message)
        yield Text(text="now")
        yield Done()

    @hookimpl
    def on_failure(self, attempts: Sequence[Attempt]) -> NextStep:
        self.calls.append("on_failure")
        return NextStep.RETRY

    @hookimpl
    def record_execution(self, metrics: ExecutionMetrics) -> None:
        self.calls.append(f"record_execution {metrics.success}")

    @hookimpl
    def record_feedback(self, feedback: Feedback) -> None:
        self.calls.append("record_feedback")

    @hookimpl
    def report_stats(self) -> Mapping[str, JSON]:
        self.calls.append("report_stats")
        return {"calls": len(self.calls)}

    @hookimpl
    def shutdown(self) -> None:
        self.calls.append("shutdown")


async def test_a_request_meets_the_hooks_in_their_order() -> None:
    """One request with one failed attempt calls every hook of a request, in this order."""
    plugin = Everything()
    async with Router(Config(), plugins={"everything": plugin}, discover_plugins=False) as router:
        reply = await router.ask("hi")
        reply.rate(1)
    assert reply.text == "now"
    assert plugin.calls == [
        "startup",
        "classify_request",
        "discover_models",
        "describe_models",
        "veto_deployments",
        "estimate",
        "assess_models",
        "select_model",
        "record_selection",
        "place_request",
        "execute_request",
        "open_transport",
        "record_execution False",
        "(released)",
        "on_failure",
        # The same deployment again, as it was decided: nothing is selected, but it may be vetoed by now.
        "discover_models",
        "describe_models",
        "veto_deployments",
        "place_request",
        "execute_request",
        "record_execution True",
        "(released)",
        "record_feedback",
        "shutdown",
    ]


async def test_what_is_no_request_calls_its_hook_alone() -> None:
    """Loading, unloading and numbers ask only the hook of their name, and look at the fleet."""
    plugin = Everything()
    async with Router(Config(), plugins={"everything": plugin}, discover_plugins=False) as router:
        assert await router.load("m") == Instance("m:2")
        assert [instance.id for instance in await router.unload("m")] == ["m"]
        assert router.stats() == {"everything": {"calls": 8}}
    assert plugin.calls == [
        "startup",
        "discover_models",
        "describe_models",
        "load_model",
        "discover_models",
        "describe_models",
        "unload_model",
        "report_stats",
        "shutdown",
    ]
