"""The plugin: each part of it is a veto, a wrapper, or an answer to ``on_failure``."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Generator, Iterable, Sequence
from functools import partial
from inspect import iscoroutine
from typing import TYPE_CHECKING, TypeAlias

from turnout.config import Config
from turnout.errors import LLMError, OverloadedError
from turnout.events import Event
from turnout.fleet import Deployment, Discovery, Fleet, Instance, LoadOptions
from turnout.markers import hookimpl
from turnout.messages import JSONObject
from turnout.types import (
    After,
    Attempt,
    ExecutionMetrics,
    Lease,
    ModelRequest,
    ModelSelection,
    NextStep,
    Vetoes,
)
from turnout_resilience.breakers import Breakers, Outcome
from turnout_resilience.concurrency import Concurrency
from turnout_resilience.hedging import SECOND
from turnout_resilience.holding import narrowed_to
from turnout_resilience.larger import Plan, not_enlarged
from turnout_resilience.lookout import Lookout, narrowed
from turnout_resilience.pump import Run
from turnout_resilience.reload import Reloads
from turnout_resilience.retry import Retries, able, is_retried, pause
from turnout_resilience.settings import ResilienceSettings
from turnout_resilience.supervise import Supervisor
from turnout_resilience.traffic import Key
from turnout_resilience.verdict import Verdict, verdict_on

if TYPE_CHECKING:
    from turnout.router import Router

Offers: TypeAlias = list[Iterable[Discovery]]
Place: TypeAlias = Awaitable[Lease] | None
Load: TypeAlias = Awaitable[Instance] | None
NOWHERE = Fleet(taken_at=float("-inf"))


class Resilience:
    """Circuit breakers, retries, time limits, hedging, gentler concurrency, reloads and continuations."""

    def __init__(self, settings: ResilienceSettings) -> None:
        self.settings = settings
        self.breakers = Breakers(settings)
        self.concurrency = Concurrency()
        self.retries = Retries(settings)
        self.reloads = Reloads(settings, self._running)
        self._lookout = Lookout(self.breakers.listed, self._host_answers)
        self._router: Router | None = None
        self._supervisor: Supervisor | None = None
        self._fleet = NOWHERE
        self._placing_again = False

    @hookimpl
    def startup(self, router: "Router") -> None:
        """Remember whom to ask for slots and loads."""
        self._router = router
        self._supervisor = Supervisor(
            router, self.settings, self.breakers, self.concurrency, self.reloads.loaded
        )

    def _running(self, key: Key) -> int:
        return 0 if self._supervisor is None else self._supervisor.traffic.on(key)

    def _host_answers(self) -> None:
        if self._router is not None:
            self._router.forget_fleet()

    # --- discovery ----------------------------------------------------------------------------------

    @hookimpl(wrapper=True)
    def discover_models(self, config: Config) -> Generator[None, Offers, Offers]:
        """Wait for no silent host, and show no more slots than a deployment can bear."""
        found = yield
        limit = config.router.discovery_timeout
        return [map(partial(self._offered, limit), offers) for offers in found]

    def _offered(self, limit: float, offer: Discovery) -> Discovery:
        guarded = self._lookout.guarded(offer, limit) if self.settings.breakers else offer
        return Discovery(offer.host, partial(self._look, guarded))

    async def _look(self, offer: Discovery) -> Sequence[Deployment]:
        found = await offer.run()
        self.reloads.seen(found)
        return narrowed(self.reloads.offered(self.reloads.frozen(found)), self._allowed)

    def _allowed(self, deployment: Deployment, slots: int) -> int:
        allowed, key = slots, deployment.key
        if self.settings.concurrency:
            allowed = self.concurrency.allowed(key, slots)
        recovering = self.breakers.allowance(key) if self.settings.breakers else None
        return allowed if recovering is None else min(allowed, recovering)

    # --- selection and placement --------------------------------------------------------------------

    @hookimpl
    def veto_deployments(
        self, request: ModelRequest, deployments: Sequence[Deployment]
    ) -> Vetoes | None:
        """Leave out what has an open circuit."""
        return self.breakers.vetoes(request.id, deployments, _now()) if self.settings.breakers else None

    @hookimpl(wrapper=True)
    def place_request(
        self, request: ModelRequest, selection: ModelSelection, fleet: Fleet
    ) -> Generator[None, Place, Place]:
        """Before a request goes where there is too little context: a load with a larger one."""
        work = yield
        self._fleet = fleet
        if self.settings.breakers and not self.breakers.all_well:
            # Not where it is vetoed: to ask who would be chosen makes nobody the probe.
            self.breakers.admit(request.id, able(selection, fleet), _now())
        if work is None or self._router is None or self._placing_again or not self.settings.reload:
            return work
        plan = self._plan(request, selection, fleet)
        return work if plan is None else self._reloaded(self._router, plan, work, request, selection)

    def _plan(self, request: ModelRequest, selection: ModelSelection, fleet: Fleet) -> Plan | None:
        """Return the reload that comes before *request* can run."""
        if selection.explanation.reloads:
            return self.reloads.asked(request, selection, fleet)
        again = is_retried(request, selection, fleet)
        return self.reloads.plan(request, request.attempts, fleet) if again else None

    async def _reloaded(
        self,
        router: "Router",
        plan: Plan,
        work: Awaitable[Lease],
        request: ModelRequest,
        selection: ModelSelection,
    ) -> Lease:
        _put_back(work)
        problem = await self.reloads.carry_out(router, plan)
        if isinstance(problem, OverloadedError):
            raise problem  # there was no slot to be had: that says nothing of the context
        if problem is not None:
            raise not_enlarged(plan, problem)
        fleet = await router.fleet()
        selection = narrowed_to(plan.key, selection, fleet)
        self._placing_again = True
        try:
            again = router.plugins.place_request(request, selection, fleet)
        finally:
            self._placing_again = False
        found = fleet.find(*plan.key)
        if again is None and found is not None:
            return Lease(found)
        assert again is not None
        return await again

    # --- execution ----------------------------------------------------------------------------------

    @hookimpl(wrapper=True, tryfirst=True)
    def execute_request(
        self, request: ModelRequest, deployment: Deployment
    ) -> Generator[None, Run | None, Run | None]:
        """Watch the request while it runs."""
        run = yield
        if not self.breakers.all_well and SECOND not in request.signals.notes:
            self.breakers.runs(request.id, deployment.key)
        return None if run is None else partial(self._run, run, request, deployment)

    def _run(self, run: Run, request: ModelRequest, deployment: Deployment) -> AsyncIterator[Event]:
        if self._supervisor is None:
            return run()
        return self._supervisor.run(run, request, deployment, self._fleet)

    @hookimpl
    def on_failure(self, request: ModelRequest, attempts: Sequence[Attempt]) -> NextStep | After | None:
        """Say whether it is worth another try, where, and after how long."""
        if self.settings.reload and self.reloads.plan(request, attempts, self._fleet) is not None:
            return After(NextStep.RETRY, 0.0)
        if not self.settings.retries or self._router is None:
            return None
        now, key = _now(), (attempts[-1].host, attempts[-1].model)
        is_open = self.settings.breakers and self.breakers.is_open(key, now)
        step = self.retries.next_step(request, attempts, self._fleet, now, is_open=is_open)
        if step is not NextStep.RETRY:
            return step
        return After(step, pause(request, attempts, self._router.config.router.backoff))

    @hookimpl(wrapper=True)
    def load_model(self, deployment: Deployment, options: LoadOptions) -> Generator[None, Load, Load]:
        """Remember what turnout itself has loaded: that it may load again."""
        work = yield
        return None if work is None else self._loading(deployment, options, work)

    async def _loading(
        self, deployment: Deployment, options: LoadOptions, work: Awaitable[Instance]
    ) -> Instance:
        try:
            instance = await work
        except LLMError:
            self.reloads.refused(deployment.key)
            raise
        if not deployment.resident:
            self.reloads.loaded(deployment.key, on_demand=options.on_demand)
        return instance

    # --- metrics ------------------------------------------------------------------------------------

    @hookimpl
    def record_execution(self, metrics: ExecutionMetrics) -> None:
        """Learn from each execution how its host and its model are doing."""
        self.retries.earn(metrics.host)
        if not self.settings.breakers:
            return
        now, kinds = _now(), {} if self._supervisor is None else self._supervisor.kinds
        verdict = verdict_on(metrics.error, kinds)
        if verdict is Verdict.GOOD and self.breakers.all_well:
            return
        key, began = (metrics.host, metrics.model_id), now - metrics.duration_seconds
        before = self.breakers.allowance(key)
        self.breakers.learn(Outcome(key, metrics.request_id, began, now, verdict, metrics.error or ""))
        if self._router is not None and self.breakers.allowance(key) != before:
            self._router.forget_fleet()  # which shows how many slots may be used

    @hookimpl
    def report_stats(self) -> JSONObject:
        """Return what is open, limited, hedged and reloaded; seconds."""
        now = _now()
        limits = self.concurrency.report() if self.settings.concurrency else {}
        hedges = (0, 0) if self._supervisor is None else self._supervisor.hedging.counts
        return {
            "breakers": self.breakers.report(now),
            "silent_hosts": {**self._lookout.silent(now)},
            "concurrency": [{"host": h, "model": m, "allowed": n} for (h, m), n in limits.items()],
            "hedges": {"sent": hedges[0], "won": hedges[1]},
            "reloads": self.reloads.done,
        }

    @hookimpl
    def shutdown(self) -> Awaitable[None]:
        """Give up the looks and loads that are under way."""
        return self._close()

    async def _close(self) -> None:
        await self._lookout.close()
        await self.reloads.close()


def _put_back(work: Awaitable[Lease]) -> None:
    """Give up work that has not begun: Python complains of a coroutine that nobody awaits."""
    if iscoroutine(work):
        work.close()


def _now() -> float:
    return asyncio.get_running_loop().time()
