"""The last resort: what succeeds most often and has not failed here for a reason that will repeat."""

from collections.abc import Sequence

from turnout import (
    Attempt,
    Candidate,
    ContextOverflowError,
    Fault,
    LLMError,
    LLMValidationError,
    ModelCapability,
    ModelRequest,
    ModelSelection,
    NoSuitableModelError,
    hookimpl,
)


@hookimpl
def select_model(request: ModelRequest, candidates: Sequence[Candidate]) -> ModelSelection | None:
    """Choose by recent success rate, then by quality for the kind of work, then by predicted completion.

    Deployments that failed here are no candidates any more. Raises ``NoSuitableModelError`` when every
    model left would fail as another has.
    """
    able = [candidate for candidate in candidates if not would_repeat(candidate, request.attempts)]
    if not able:
        if candidates:
            message = "every model left would fail for the same reason"
            raise NoSuitableModelError(message, [candidate.id for candidate in candidates])
        return None
    ranked = sorted(able, key=lambda candidate: _rank(candidate, request))
    best = ranked[0]
    reason = f"succeeds most often ({success(best):.0%}){_after(request.attempts)}"
    return ModelSelection(best.id, reason, [candidate.id for candidate in ranked[1:]])


def _rank(candidate: Candidate, request: ModelRequest) -> tuple[float, float, float, str]:
    known = candidate.quality(request.signals.task_type or ModelCapability.GENERAL)
    prompt, output = request.signals.prompt_tokens or 0, request.signals.output_tokens or 0
    quality = 0.5 if known is None else known.score
    return -success(candidate), -round(quality, 1), candidate.completion_seconds(prompt, output), candidate.id


def success(candidate: Candidate) -> float:
    """Return the best success rate among the candidate's deployments, in steps of 5 %; 0 where none is known.

    The rate forgets: a deployment that failed comes back to the others as time passes.
    """
    rates = [rate for d in candidate.deployments if 0 <= (rate := candidate.estimate(d).success_rate) <= 1]
    return round(20 * max(rates, default=0.0)) / 20


def would_repeat(candidate: Candidate, attempts: Sequence[Attempt]) -> bool:
    """Whether one of *attempts* failed for a reason that holds for *candidate*, wherever it is.

    A context that overflowed overflows again where there is no more room; what a model cannot do at all
    (see, call tools) it cannot do on another host.
    """
    return any(_repeats(candidate, attempt.model, attempt.error) for attempt in attempts)


def _repeats(candidate: Candidate, failed: str, error: LLMError | None) -> bool:
    if isinstance(error, ContextOverflowError):
        return max(deployment.room for deployment in candidate.deployments) <= (error.context_length or 0)
    cannot = isinstance(error, LLMValidationError) and error.fault is Fault.DEPLOYMENT
    return cannot and failed == candidate.id


def _after(attempts: Sequence[Attempt]) -> str:
    failed = [f"{a.model} on {a.host}: {type(a.error).__name__}" for a in attempts if a.error is not None]
    return f", after {'; '.join(failed)}" if failed else ""
