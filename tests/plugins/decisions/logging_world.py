"""Decisions, candidates and logs for the tests of this plugin."""

from collections.abc import Mapping, Sequence

from attrs import evolve
from tests.core.inline import a_deployment

from turnout import (
    Candidate,
    Deployment,
    Estimate,
    ExecutionMetrics,
    Explanation,
    Feedback,
    ModelRequest,
    ModelSelection,
    Signals,
    TaskType,
    Verdict,
)
from turnout_decisions.journal import Entry, LoggedDecision, logged
from turnout_decisions.noted import Made

SECRET = "sesame-open-the-door"
CODE = Signals(TaskType.CODE_GENERATION, 0.9, prompt_tokens=100, output_tokens=200)


def candidates(
    seconds: Mapping[str, float] | None = None, *, loaded: Sequence[str] = ("a", "b")
) -> tuple[Candidate, ...]:
    """Return candidates that take so many *seconds* each, at any length; by default a is the fastest."""
    wanted = seconds or {"a": 1.0, "b": 2.0}
    deployments = {name: a_deployment(name, loaded=8192 if name in loaded else None) for name in wanted}
    estimates = {deployments[name]: _taking(took) for name, took in wanted.items()}
    return tuple(_candidate(one, estimates) for one in deployments.values())


def _taking(seconds: float) -> Estimate:
    return Estimate(0.0, 0.0, queue_seconds=seconds)


def _candidate(deployment: Deployment, estimates: Mapping[Deployment, Estimate]) -> Candidate:
    return Candidate(deployment.info, (deployment,), estimates)


def made(
    model: str = "a",
    *,
    request_id: str = "one",
    at: float = 1000.0,
    propensity: float = 1.0,
    among: Sequence[Candidate] = (),
    task: str = SECRET,
    client: str = "cli",
) -> Made:
    """Return a decision for *model* as the hook sees it."""
    explanation = Explanation(("a", "b"), (), (Verdict("performance", "selected", "fastest"),), CODE)
    selection = ModelSelection(
        model, "fastest", (), 1.0, "performance", explanation, propensity=propensity
    )
    request = ModelRequest(task, id=request_id, signals=CODE, client=client)
    return Made(at, request, selection, among or candidates())


def a_decision(model: str = "a", **facts: object) -> LoggedDecision:
    """Return a decision as it is kept."""
    return logged(made(model, **facts), content=False)  # type: ignore[arg-type]


OUTCOME = ExecutionMetrics(
    "a", "one", 10.0, success=True, task_type=TaskType.CODE_GENERATION, request_id="one", timestamp=1001.0
)


def an_entry(
    model: str = "a",
    *,
    seconds: float | None = 0.0,
    success: bool = True,
    rating: float | None = None,
    **facts: object,
) -> Entry:
    """Return a decision that ended after *seconds* (None: its end is not known)."""
    decision = a_decision(model, **facts)
    error = None if success else "ModelCrashedError"
    ended = evolve(OUTCOME, duration_seconds=seconds or 0.0, success=success, error=error)
    ratings = [] if rating is None else [Feedback(decision.id, rating, model)]
    return Entry(decision, [] if seconds is None else [ended], ratings)
