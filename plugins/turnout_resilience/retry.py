"""What follows a failure: the same place again, another one, or the end (protocol §2.5).

Where somebody else can serve he is asked at once. Where nobody can, what may pass is tried again after the
usual pause (``[router] backoff``, doubled each time; or the server's Retry-After) and a random part of as
much again, so that those who failed together do not come back together.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache, partial
from random import Random
from typing import TYPE_CHECKING

from turnout.errors import Fault, LLMConnectionError, LLMError, StreamInterruptedError
from turnout.execution import usual_pause
from turnout.fleet import Deployment, Fleet
from turnout.types import Attempt, ModelRequest, ModelSelection, NextStep, failed_models
from turnout_resilience.budget import Budget
from turnout_resilience.settings import ResilienceSettings
from turnout_resilience.verdict import is_unreachable

if TYPE_CHECKING:
    from tenacity import wait_exponential

LONGEST_JITTER = 8.0


class Retries:
    """The policy, and each host's budget."""

    def __init__(self, settings: ResilienceSettings) -> None:
        self._settings = settings
        self._budgets: defaultdict[str, Budget] = defaultdict(partial(Budget, settings.retry_share))

    def earn(self, host: str) -> None:
        """Count a request on *host*."""
        self._budgets[host].earn()

    def next_step(
        self,
        request: ModelRequest,
        attempts: Sequence[Attempt],
        fleet: Fleet,
        now: float,
        *,
        is_open: bool = False,
    ) -> NextStep | None:
        """Return what follows the last of *attempts*; None leaves it to its fault.

        Where the circuit of the last one *is_open*, it is not tried again as long as there is another place.
        """
        last = attempts[-1]
        if last.error is None or not may_pass(last.error) or _may_still_load(last, fleet):
            return None
        others = elsewhere(request, attempts, fleet)
        if others and (is_open or last.error.fault is Fault.HOST or any(d.resident for d in others)):
            return NextStep.CHOOSE_AGAIN
        tries = 1 if others else self._settings.retries_alone
        if _failures_of(last, attempts) <= tries and self._budgets[last.host].spend(now):
            return NextStep.RETRY
        return NextStep.CHOOSE_AGAIN if others else NextStep.STOP


def may_pass(error: LLMError) -> bool:
    """Whether the same deployment may do it the next time: also after a connection or a stream was lost."""
    if isinstance(error, LLMConnectionError):
        return not is_unreachable(error)
    return error.fault is Fault.PASSING or isinstance(error, StreamInterruptedError)


def _may_still_load(last: Attempt, fleet: Fleet) -> bool:
    """Whether the host may go on loading though the connection is lost: to ask again loads a second copy."""
    deployment = fleet.find(last.host, last.model)
    lost = isinstance(last.error, LLMConnectionError)
    return lost and deployment is not None and not deployment.resident


def _failures_of(last: Attempt, attempts: Sequence[Attempt]) -> int:
    return sum((a.host, a.model) == (last.host, last.model) for a in attempts)


def elsewhere(request: ModelRequest, attempts: Sequence[Attempt], fleet: Fleet) -> list[Deployment]:
    """Return where else the request could go: for a pin, the same model on other hosts."""
    failed = failed_models(attempts)
    pinned = request.explicit_model is not None and not request.allow_fallback
    considered = fleet.models.get(attempts[-1].model, ()) if pinned else fleet.deployments
    kind = next((d.info.kind for d in fleet.models.get(attempts[-1].model, ())), None)
    return [
        deployment
        for deployment in considered
        if deployment.key not in failed
        and deployment.info.kind is kind
        and not deployment.host.last_resort
        and (request.hosts is None or deployment.host.name in request.hosts)
    ]


def is_retried(request: ModelRequest, selection: ModelSelection, fleet: Fleet) -> bool:
    """Whether *request* is about to be placed where it has just failed, and nowhere else."""
    if not request.attempts:
        return False
    last = request.attempts[-1]
    return [d.key for d in able(selection, fleet)] == [(last.host, last.model)]


def able(selection: ModelSelection, fleet: Fleet) -> list[Deployment]:
    """Return the deployments to which a selection may go."""
    out = {entry.host for entry in selection.explanation.ineligible if entry.model == selection.model}
    return [d for d in fleet.models.get(selection.model, ()) if d.host.name not in out]


def pause(request: ModelRequest, attempts: Sequence[Attempt], backoff: float) -> float:
    """Return the seconds to wait before *request* is tried again where the last of *attempts* failed."""
    return usual_pause(attempts, backoff) + jitter(request)


def jitter(request: ModelRequest) -> float:
    """Return the random part of the pause, in seconds."""
    # A source of its own for each attempt, so that a replay waits as long.
    chance = Random(f"{request.id}/{len(request.attempts)}")
    return chance.uniform(0.0, _growing(len(request.attempts)))


def _growing(attempt: int) -> float:
    from tenacity import AsyncRetrying, RetryCallState

    state = RetryCallState(AsyncRetrying(), None, (), {})
    state.attempt_number = attempt
    return float(_wait()(state))


@lru_cache(maxsize=1)
def _wait() -> "wait_exponential":
    from tenacity import wait_exponential

    return wait_exponential(multiplier=0.25, max=LONGEST_JITTER)
