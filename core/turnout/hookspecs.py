"""Every hook that turnout calls, in the order that a request meets them.

Three rules:

- A hook takes its arguments by name; ask only for those that you use.
- Return ``None`` to abstain.
- **Decide now, work later**: a hook is a plain ``def``. One that must do I/O returns its work unstarted
  (an awaitable, or a callable where somebody may want to start it again) or ``None`` at once. Never an
  ``async def``: a coroutine is not ``None``, so it would always win.

A plugin is a module with functions like the examples below, or a class with such methods whose first
parameter is its settings; its entry point stands in the group ``turnout``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

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
from turnout.markers import hookspec
from turnout.messages import JSON
from turnout.skills import Assessment
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

# --- life -------------------------------------------------------------------------------------------


@hookspec
def startup(router: Router) -> Awaitable[None] | None:
    """Begin: called once when the router opens, before anything else.

    Everybody is called, in plugin order; an awaitable is awaited. A plugin that raises here is
    reported and left out; the others go on.

    Example::

        @hookimpl
        def startup(self, router):
            self.router = router
    """


@hookspec(firstresult=True)
def open_transport(host: Host) -> httpx.AsyncBaseTransport | None:
    """Open the way to *host*: an httpx transport, closed by the router at the end.

    Called once per host; the first answer wins. A plugin that raises is reported by name and the next one
    is asked; where nobody is left, the error is that of the request that needed the transport.

    Example::

        @hookimpl
        def open_transport(self, host):
            return httpx.AsyncHTTPTransport() if host.url.startswith("http") else None
    """


# --- discovery --------------------------------------------------------------------------------------


@hookspec
def discover_models(config: Config) -> Iterable[Discovery]:
    """Offer the hosts of your kind, each with unstarted work that lists its deployments.

    Called at each refresh of the fleet; all answers are joined and run at once, each with its own
    deadline, so that a dead host delays no other. A host whose work raises is reported as unreachable.

    Example::

        @hookimpl
        def discover_models(self, config):
            for name, settings in config.hosts.items():
                if settings.backend == "mine":
                    host = Host(name, settings.url, "mine")
                    yield Discovery(host, partial(self.list_models, host))
    """
    return ()


@hookspec
def describe_models(deployments: Sequence[Deployment]) -> Mapping[Deployment, ModelInfo] | None:
    """Fill in what the hosts do not say of their models, for those *deployments* of which you know more.

    Called at each refresh of the fleet, with all deployments at once. Everybody is asked, in plugin order; of
    each deployment the first answer counts, and what the configuration says of a model goes before. An error
    is logged with the plugin's name, and the hosts' own words stand.

    Example::

        @hookimpl
        def describe_models(deployments):
            large = [d for d in deployments if "gpt-oss-20b" in d.model]
            return {d: evolve(d.info, active_parameters=3_600_000_000) for d in large}
    """


@hookspec(firstresult=True)
def load_model(deployment: Deployment, options: LoadOptions) -> Awaitable[Instance] | None:
    """Load a model on its host, and return the instance when it is ready to answer.

    Called by :meth:`~turnout.router.Router.load`, and by plugins with ``options.on_demand`` where requests
    need the model. Only the backend that owns ``deployment.host`` answers; the first answer wins. The work
    raises ``ModelLoadError`` or ``InsufficientMemoryError``, which the caller gets. An error of the hook
    itself is reported by name, and the next plugin is asked.

    Example::

        @hookimpl
        def load_model(self, deployment, options):
            return self.load(deployment, options) if deployment.host.backend == "mine" else None
    """


@hookspec(firstresult=True)
def unload_model(deployment: Deployment, instance: Instance) -> Awaitable[None] | None:
    """Unload one instance, and return when it is gone.

    Called by :meth:`~turnout.router.Router.unload`, once per instance. Only the backend that owns
    ``deployment.host`` answers; the first answer wins. An error of the work goes to the caller; one of the
    hook itself is reported by name, and the next plugin is asked.

    Example::

        @hookimpl
        def unload_model(self, deployment, instance):
            return self.unload(deployment, instance) if deployment.host.backend == "mine" else None
    """


# --- selection --------------------------------------------------------------------------------------


@hookspec
def classify_request(request: ModelRequest) -> Signals | Awaitable[Signals] | None:
    """Say facts about *request*: its task type, its size, what it needs.

    Everybody is asked; of each signal the first that is known counts. An error is logged with the
    plugin's name and the request goes on without these signals.

    Example::

        @hookimpl
        def classify_request(request):
            if "diff --git" in request.text:
                return Signals(task_type=TaskType.CODE_REVIEW, confidence=0.9)
    """


@hookspec
def veto_deployments(
    request: ModelRequest, deployments: Sequence[Deployment]
) -> Mapping[Deployment, str] | Vetoes | None:
    """Forbid some of the eligible *deployments*, each with a reason that a person reads.

    Everybody is asked, once per selection with all deployments together; one veto is enough. An error
    is logged with the plugin's name and forbids nothing. Who has something to say of the decision as a whole
    returns ``Vetoes``, with or without any reasons: its ``notes`` are shown with the answer and wherever the
    decision is explained.

    Example::

        @hookimpl
        def veto_deployments(deployments):
            laptop = {d: "on battery" for d in deployments if d.host.name == "laptop"}
            return laptop if len(laptop) < len(deployments) else Vetoes(notes="the battery pays for this")
    """


@hookspec(firstresult=True)
def estimate(
    request: ModelRequest, deployments: Sequence[Deployment]
) -> Mapping[Deployment, Estimate] | None:
    """Predict queue, load and speed of all *deployments* at once.

    Called once per selection; the first answer wins, and wrappers may refine it. An error is reported by
    name and the next plugin is asked; where nobody is left, the strategies see plain priors.

    Example::

        @hookimpl
        def estimate(self, deployments):
            return {d: self.learned[d.key] for d in deployments if d.key in self.learned}
    """


@hookspec
def assess_models(
    request: ModelRequest, models: Mapping[str, Sequence[Deployment]]
) -> Mapping[str, Assessment] | None:
    """Say how well some of *models* (by model key) do what, for such a *request*, each with its weight.

    Everybody is asked, once per selection, and what all know adds up: what was probed or rated here
    outweighs a prior by its number of trials. Return the same mapping each time where nothing has changed.
    An error is logged with the plugin's name and says nothing of any model.

    Example::

        @hookimpl
        def assess_models(models):
            coders = [key for key in models if "coder" in key]
            return {key: {TaskType.CODE_GENERATION: Quality(0.8, weight=2)} for key in coders}
    """


@hookspec(firstresult=True)
def select_model(request: ModelRequest, candidates: Sequence[Candidate]) -> ModelSelection | None:
    """Choose among *candidates*: this is a strategy.

    A pure function of its arguments. Each plugin is asked alone, in the order of ``[selection] order``;
    the first answer wins. Raise ``NoSuitableModelError`` to decline with a reason. One that raises
    anything else, or names a model that is no candidate, is skipped and logged.

    Example::

        @hookimpl
        def select_model(request, candidates):
            if candidates:
                return ModelSelection(min(c.id for c in candidates), "first in the alphabet")
    """


@hookspec
def record_selection(
    request: ModelRequest, selection: ModelSelection, candidates: Sequence[Candidate]
) -> None:
    """See each decision, with the *candidates* that the strategies saw.

    Everybody is told; an error here is logged and goes no further.

    Example::

        @hookimpl
        def record_selection(request, selection):
            logger.info("{} -> {}", request.id, selection.model)
    """


# --- execution --------------------------------------------------------------------------------------


@hookspec(firstresult=True)
def place_request(request: ModelRequest, selection: ModelSelection, fleet: Fleet) -> Awaitable[Lease] | None:
    """Choose the deployment of the selected model, and wait for a slot on it.

    Called after selection; the first answer wins. The work raises ``OverloadedError`` when waiting is
    in vain. ``selection.explanation`` names the deployments that are not eligible. An ``LLMError`` of the
    work that names its host is an attempt there; any other error ends the request. An error of the hook
    itself is reported by name, and the next plugin is asked.

    Example::

        @hookimpl
        def place_request(request, selection, fleet):
            async def place():
                return Lease(fleet.models[selection.model][0])
            return place()
    """


@hookspec(firstresult=True)
def execute_request(
    request: ModelRequest, deployment: Deployment
) -> Callable[[], AsyncIterator[Event]] | None:
    """Return a callable that runs *request* on *deployment*, each time it is called.

    Called once per attempt, when there is a slot. Only the backend that owns ``deployment.host`` answers;
    the first answer wins. A wrapper may return another callable: to retry, to cache, to measure. The
    iterator raises ``LLMError`` s, whose ``fault`` decides what follows; any other error counts as the
    deployment's. When it is closed early, the backend stops the generation upstream. An error of the hook
    itself is reported by name, and the next plugin is asked.

    Example::

        @hookimpl
        def execute_request(self, request, deployment):
            if deployment.host.backend == "mine":
                return partial(self.run, request, deployment)
    """


@hookspec(firstresult=True)
def on_failure(request: ModelRequest, attempts: Sequence[Attempt]) -> NextStep | After | None:
    """Decide what follows the last of *attempts*, which failed.

    The first answer wins; without one the error's own ``fault`` decides. Before ``NextStep.RETRY`` the core
    makes a pause of its own: as long as the server asked for, else ``[router] backoff``, doubled each time.
    ``After`` says how long it is instead, before either step; the caller of a stream sees it as
    ``Progress``. A pause that would outlast the deadline is not begun: the error is raised at once. An error
    here counts as no answer.

    Example::

        @hookimpl
        def on_failure(attempts):
            if len(attempts) > 5:
                return NextStep.STOP
            if isinstance(attempts[-1].error, ModelCrashedError):
                return After(NextStep.RETRY, seconds=10)  # the engine restarts as slowly here
    """


# --- metrics ----------------------------------------------------------------------------------------


@hookspec
def record_execution(metrics: ExecutionMetrics) -> None:
    """See each attempt when it has ended, well or not.

    Everybody is told; an error here is logged and goes no further. The ``error`` of one that the caller
    gave up is ``"CancelledError"``.

    Example::

        @hookimpl
        def record_execution(metrics):
            print(metrics.model_id, metrics.tokens_per_second)
    """


@hookspec
def record_feedback(feedback: Feedback) -> None:
    """See what somebody thinks of an answer.

    Called by :meth:`~turnout.types.Reply.rate` and ``turnout rate``. Everybody is told; an error here is
    logged and goes no further.

    Example::

        @hookimpl
        def record_feedback(self, feedback):
            self.scores[feedback.model].append(feedback.score)
    """


@hookspec
def report_stats() -> Mapping[str, JSON]:
    """Say how you are doing, as JSON that ``turnout stats`` shows under your plugin's name.

    Everybody is asked when somebody wants to know. An error is logged and leaves your part out.

    Example::

        @hookimpl
        def report_stats(self):
            return {"in_flight": self.in_flight}
    """
    return {}


@hookspec
def shutdown(router: Router) -> Awaitable[None] | None:
    """End: called once when the router closes, in the reverse of the start's order.

    Everybody is called, and an awaitable is awaited. An error is logged and costs nobody else his call.

    Example::

        @hookimpl
        def shutdown(self):
            return self.store.close()
    """
