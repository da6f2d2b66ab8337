"""A second copy of a request whose first output is late (Dean & Barroso, "The tail at scale", CACM 2013).

Only on a host that has the model loaded and idle; never while the first host reports progress or loads; for
a bounded share of all requests. Whoever gives the first output answers, and the other is cancelled at once.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import evolve

from turnout import eligibility
from turnout.errors import LLMError
from turnout.fleet import Deployment, Fleet
from turnout.types import Explanation, Ineligible, Lease, ModelRequest, ModelSelection, Operation
from turnout_resilience.budget import Budget
from turnout_resilience.learned import Learned
from turnout_resilience.settings import ResilienceSettings
from turnout_resilience.traffic import Traffic

if TYPE_CHECKING:
    from turnout.router import Router

LEAST_SECONDS = 0.25
MARGIN = 1.2
"""How much later than the slowest twentieth an output has to be."""
SECOND = "resilience.second"
"""The note that a second copy bears, so that it gets none itself."""


class Hedging:
    """Decides when and where a second copy runs."""

    def __init__(self, settings: ResilienceSettings, learned: Learned, traffic: Traffic) -> None:
        self._learned = learned
        self._traffic = traffic
        self._enabled = settings.hedging
        self.budget = Budget(settings.hedge_share)
        self.sent = 0
        self.won = 0

    def delay(self, request: ModelRequest, deployment: Deployment, fleet: Fleet) -> float | None:
        """Return after how many seconds without output a second copy is worth it; None: never."""
        if not self._enabled or not _may_run_twice(request) or not deployment.resident:
            return None
        if len(fleet.models.get(deployment.model, ())) < 2:
            return None
        expected = self._learned.expected(request, deployment)
        return None if expected is None else max(LEAST_SECONDS, MARGIN * expected.tail)

    async def second(
        self, router: "Router", request: ModelRequest, first: Deployment, now: float
    ) -> Lease | None:
        """Lease an idle slot for a second copy of *request*; None when there is none, or no budget."""
        if not self.budget.can_spend(now):
            return None
        lease = await lease_elsewhere(router, request, first, self._is_idle, at_once=True)
        if lease is not None:
            self.budget.spend(now)
            self.sent += 1
        return lease

    @property
    def counts(self) -> tuple[int, int]:
        """How many second copies were sent, and how many of them answered."""
        return self.sent, self.won

    def _is_idle(self, deployment: Deployment) -> bool:
        return deployment.resident and not self._traffic.on(deployment.key)


def _may_run_twice(request: ModelRequest) -> bool:
    """Whether a second copy changes nothing but the time."""
    return (
        request.operation is Operation.CHAT and not request.stateful and SECOND not in request.signals.notes
    )


def second_copy(request: ModelRequest) -> ModelRequest:
    """Return *request* as it is sent a second time."""
    notes = {**request.signals.notes, SECOND: True}
    return evolve(request, signals=evolve(request.signals, notes=notes))


async def lease_elsewhere(
    router: "Router",
    request: ModelRequest,
    first: Deployment,
    suits: Callable[[Deployment], bool],
    *,
    at_once: bool,
) -> Lease | None:
    """Lease a slot of the same model on another host that *suits*; None when none may serve *request*.

    With *at_once* only a slot that is free this very moment.
    """
    try:
        fleet = await router.fleet()
        others = [d for d in fleet.models.get(first.model, ()) if d.host.name != first.host.name]
        able, _ = eligibility.eligible(eligibility.needs_of(request), others)
        vetoes = router.plugins.veto_deployments(request, able).reasons
        chosen = {d.host.name for d in able if d not in vetoes and suits(d)}
        if not chosen:
            return None
        work = router.plugins.place_request(request, _only(first.model, chosen, fleet), fleet)
        if work is None:
            return None
        async with asyncio.timeout(0 if at_once else None):
            return await work
    except (LLMError, TimeoutError):
        return None


def _only(model: str, hosts: set[str], fleet: Fleet) -> ModelSelection:
    """Return a selection of *model* that leaves nothing but these *hosts*."""
    left_out = tuple(
        Ineligible(model, d.host.name, "not for the second copy")
        for d in fleet.models.get(model, ())
        if d.host.name not in hosts
    )
    return ModelSelection(model, "second copy", explanation=Explanation((model,), left_out))
