"""What an answer is worth, from 0 to 1: success times validity times rating, less the price of the wait."""

import math

from attrs import frozen

from turnout import ExecutionMetrics, Fault, LLMError, TaskType, errors
from turnout_bandit.settings import BanditSettings

ENDS_WELL = frozenset({"stop", "tool_calls"})


@frozen
class Outcome:
    """What came of one execution; ``at`` in seconds since the epoch, ``seconds`` without queue and load.

    ``valid``: a whole answer came. ``rating`` is from 0 to 1, None where nobody rated.
    """

    at: float
    request_id: str
    task: str
    model: str
    success: bool
    valid: bool
    seconds: float
    rating: float | None = None


def outcome_of(metrics: ExecutionMetrics, *, limited: bool) -> Outcome:
    """Return the outcome of an execution; *limited*: the caller had set ``max_tokens`` himself.

    Load and queue are left out: they say nothing of the model, and are predicted anew for each request.
    """
    reason = metrics.finish_reason
    whole = reason is None or reason in ENDS_WELL or (limited and reason == "length")
    return Outcome(
        at=metrics.timestamp,
        request_id=metrics.request_id,
        task=str(metrics.task_type or TaskType.OTHER),
        model=metrics.model_id,
        success=metrics.success,
        valid=metrics.success and whole,
        seconds=sensible(metrics.duration_seconds - (metrics.load_seconds or 0.0)),
    )


def says_something(metrics: ExecutionMetrics) -> bool:
    """Whether an execution says anything of its model.

    One that was cancelled does not, nor what was the fault of the request or the host. A deadline that passed
    does: the model was too slow.
    """
    if metrics.success or metrics.error is None:
        return True
    known = getattr(errors, metrics.error, None)
    if isinstance(known, type) and issubclass(known, LLMError):
        innocent = issubclass(known, errors.ContextOverflowError | errors.LLMRateLimitError)
        if issubclass(known, errors.DeadlineExceededError):
            return True
        return known.fault not in (Fault.REQUEST, Fault.HOST) and not innocent
    return metrics.error != "CancelledError"


def reward(outcome: Outcome, settings: BanditSettings) -> float:
    """Return what *outcome* is worth, from 0 to 1."""
    if not outcome.valid:
        return 0.0
    worth = settings.unrated if outcome.rating is None else outcome.rating
    return max(worth - price(outcome.seconds, settings.latency_weight, settings), 0.0)


def price(seconds: float, weight: float, settings: BanditSettings) -> float:
    """Return the price of a wait: from 0 up to *weight*, half of it at ``latency_seconds``."""
    if seconds == math.inf:
        return weight
    return weight * seconds / (seconds + settings.latency_seconds)


def sensible(seconds: float) -> float:
    """Return *seconds*, or 0 where they are no number of seconds."""
    return max(0.0, seconds)  # of 0 and NaN, 0
