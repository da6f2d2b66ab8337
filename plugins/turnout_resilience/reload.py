"""A prompt that does not fit the loaded context: load the model again with a larger one, before giving up."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve, frozen
from loguru import logger

from turnout.errors import ContextOverflowError, Fault, LLMError, OverloadedError
from turnout.fleet import Deployment, Fleet, Instance, LoadOptions
from turnout.types import Attempt, ModelRequest, ModelSelection
from turnout_resilience.holding import Drained, Holder
from turnout_resilience.larger import Plan, counted_on, larger, needed, next_smaller, others
from turnout_resilience.settings import ResilienceSettings
from turnout_resilience.traffic import Key

if TYPE_CHECKING:
    from turnout.router import Router

REFUSED_SECONDS = 600.0
"""For so long a context that did not load is not tried again."""


@frozen
class Running:
    """A reload under way, to that context; its result is what went wrong."""

    context: int
    task: "asyncio.Task[LLMError | None]"


@frozen
class Refused:
    """The largest context that may still load, until that time."""

    most: int
    until: float


class Reloads:
    """Which models turnout itself has loaded, and the reloads that are planned and under way.

    *running* tells how many requests run on a deployment.
    """

    def __init__(self, settings: ResilienceSettings, running: Callable[[Key], int] = lambda _: 0) -> None:
        self._settings = settings
        self._running_on = running
        self._ours: dict[Key, bool] = {}
        self._running: dict[Key, Running] = {}
        self._frozen: dict[Key, tuple[Instance, ...]] = {}
        self._waiting: Counter[Key] = Counter()
        self._refused: dict[Key, Refused] = {}
        self._enlarged: dict[Key, int] = {}
        self.done = 0

    # --- whose it is ----------------------------------------------------------------------------------

    def loaded(self, key: Key, *, on_demand: bool = True) -> None:
        """Learn that turnout has loaded a model; *on_demand*: because of a request."""
        self._ours[key] = on_demand

    def refused(self, key: Key) -> None:
        """Learn that a load of ours has failed: what the model was loaded with before may be too much now."""
        self._enlarged.pop(key, None)

    def seen(self, deployments: Iterable[Deployment]) -> None:
        """Go by a listing: what is not loaded any more may be loaded by somebody else the next time."""
        if self._ours:
            for deployment in deployments:
                if not deployment.resident and deployment.key not in self._running:
                    self._ours.pop(deployment.key, None)

    def offered(self, deployments: Sequence[Deployment]) -> Sequence[Deployment]:
        """Return *deployments* with what may be loaded again marked as that.

        Not where there are copies: of these one may have the larger context already.
        """
        if not self._settings.reload:
            return deployments
        return [self._offer(deployment) for deployment in deployments]

    def _offer(self, deployment: Deployment) -> Deployment:
        most = self._most(deployment) if len(deployment.instances) == 1 else 0
        context = self._enlarged.get(deployment.key)
        return evolve(deployment, enlargeable=most, load_context=context) if most or context else deployment

    def _most(self, deployment: Deployment) -> int:
        """Return the context that it may be loaded again with; 0 where it may not, or has it already."""
        maximum, loaded = deployment.info.context_length, deployment.loaded_context
        known = self._settings.reload_larger or deployment.key in self._ours
        if not known or not deployment.loadable or maximum is None or loaded is None:
            return 0
        refused = self._refused.get(deployment.key)
        most = min(maximum, refused.most) if refused is not None and _now() < refused.until else maximum
        return most if most > loaded else 0

    # --- when -----------------------------------------------------------------------------------------

    def plan(self, request: ModelRequest, attempts: Sequence[Attempt], fleet: Fleet) -> Plan | None:
        """Return the reload that is the only way left for *request* after its *attempts*, if there is one."""
        last = attempts[-1]
        if not isinstance(last.error, ContextOverflowError) or last.error.fault is Fault.PASSING:
            return None
        deployment = fleet.find(last.host, last.model)
        if deployment is None or others(request, attempts, fleet):
            return None
        if deployment.loaded_context is None:
            # It was loaded by the attempt itself, and the fleet is older than that.
            told = Instance(deployment.model, last.error.context_length)
            deployment = evolve(deployment, instances=(told,))
        # More than there is, whatever the numbers say.
        return self._plan(deployment, max(needed(request, [last]), deployment.loaded_context or 0) + 1)

    def asked(self, request: ModelRequest, selection: ModelSelection, fleet: Fleet) -> Plan | None:
        """Return the reload that *selection* counts on: of several, where the fewest requests run."""
        found = (fleet.find(*key) for key in counted_on(selection))
        tokens = needed(request, request.attempts)
        # The count is an estimate: what may just fit is tried with all there is.
        plans = [self._plan(d, min(tokens, self._most(d))) for d in found if d is not None]
        possible = [plan for plan in plans if plan is not None]
        return min(possible, key=lambda plan: self._running_on(plan.key), default=None)

    def _plan(self, deployment: Deployment, tokens: int) -> Plan | None:
        context = larger(deployment.loaded_context or 0, tokens, self._most(deployment))
        return None if context is None else Plan(deployment.key, context)

    # --- how ------------------------------------------------------------------------------------------

    async def carry_out(self, router: "Router", plan: Plan) -> LLMError | None:
        """Do it, or wait for whoever does. Returns, and logs, what goes wrong."""
        while (running := self._running.get(plan.key)) is not None and running.context < plan.context:
            await asyncio.wait([running.task])
        if running is None:
            running = self._begin(router, plan)
        self._waiting[plan.key] += 1
        try:
            await asyncio.wait([running.task])
        finally:
            self._waiting[plan.key] -= 1
            # Nobody waits any more; but a model that is unloaded already is not left so.
            if not self._waiting[plan.key] and plan.key not in self._frozen:
                self._give_up(plan.key, running)
        return closing(plan.key) if running.task.cancelled() else running.task.result()

    def _begin(self, router: "Router", plan: Plan) -> Running:
        running = Running(plan.context, asyncio.create_task(self._reload(router, plan)))
        running.task.add_done_callback(lambda _: self._forget(plan.key, running))
        self._running[plan.key] = running
        return running

    def _give_up(self, key: Key, running: Running) -> None:
        """End a reload; whoever comes while it ends begins another one, rather than share its end."""
        running.task.cancel()
        self._forget(key, running)

    def _forget(self, key: Key, running: Running) -> None:
        if self._running.get(key) is running:
            del self._running[key]

    async def _reload(self, router: "Router", plan: Plan) -> LLMError | None:
        try:
            while await self._try(router, plan) is Drained.GAVE_WAY:
                router.forget_fleet()
        except LLMError as error:
            logger.warning("no reload with a context of {}: {}", plan.context, error)
            return error
        return None

    async def _try(self, router: "Router", plan: Plan) -> Drained | None:
        """Do it, unless it is done already, or the model is gone: then whoever is next loads it."""
        with ExitStack() as slots:
            holder = await Holder.of(router, plan.key)
            if (holder.deployment.loaded_context or 0) >= plan.context:
                return None
            drained = await holder.drain(router, slots, partial(self._running_on, plan.key))
            if isinstance(drained, Drained):
                return drained
            try:
                self._frozen[plan.key] = drained.instances
                await self._load(router, plan, drained.loaded_context)
            finally:
                del self._frozen[plan.key]
                await holder.show(router)
        self.done += 1
        return None

    async def _load(self, router: "Router", plan: Plan, before: int | None) -> None:
        """Load with the larger context; where that fails, as it was *before*."""
        host, model = plan.key
        options = LoadOptions(plan.context, on_demand=self._ours.get(plan.key, False))
        await router.unload(model, host=host)
        try:
            await router.load(model, host=host, options=options)
            self._enlarged[plan.key] = plan.context
        except LLMError:
            self._refused[plan.key] = Refused(next_smaller(plan.context), _now() + REFUSED_SECONDS)
            with suppress(LLMError):
                await router.load(model, host=host, options=evolve(options, context_length=before))
            raise

    def frozen(self, deployments: Sequence[Deployment]) -> Sequence[Deployment]:
        """Return *deployments* with those that are being reloaded as they were before.

        So nobody takes a model that is just unloaded for one that has to be loaded: that would load it twice.
        """
        if not self._frozen:
            return deployments
        return [
            evolve(d, instances=self._frozen[d.key], loading=True) if d.key in self._frozen else d
            for d in deployments
        ]

    async def close(self) -> None:
        """Give up what is under way."""
        running = [one.task for one in self._running.values()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)


def closing(key: Key) -> LLMError:
    """Make the error of those who wait for a reload when the router goes."""
    host, model = key
    return OverloadedError("the router is closing", host=host, model=model, fault=Fault.REQUEST)


def _now() -> float:
    return asyncio.get_running_loop().time()
