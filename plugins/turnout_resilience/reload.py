"""A prompt that does not fit the loaded context: load the model again with a larger one, before giving up."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Self

from attrs import evolve, frozen
from loguru import logger

from turnout import eligibility
from turnout.errors import ContextOverflowError, Fault, LLMError, ModelNotFoundError
from turnout.fleet import Deployment, Fleet, Instance, LoadOptions
from turnout.types import Attempt, Explanation, Ineligible, ModelRequest, ModelSelection
from turnout_resilience.settings import ResilienceSettings
from turnout_resilience.traffic import Key

if TYPE_CHECKING:
    from turnout.router import Router

ROOM = 1.1
"""Our count of tokens is an estimate: this much more is asked for."""


@frozen
class Plan:
    """To load the model on ``key`` with a context of so many tokens."""

    key: Key
    context: int


class Reloads:
    """Which models turnout itself has loaded, and the reloads that are planned and under way."""

    def __init__(self, settings: ResilienceSettings) -> None:
        self._settings = settings
        self._ours: set[Key] = set()
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._frozen: dict[Key, tuple[Instance, ...]] = {}
        self._waiting: Counter[Key] = Counter()
        self.done = 0

    def loaded(self, key: Key) -> None:
        """Learn that a request or a load of ours has loaded a model."""
        self._ours.add(key)

    def seen(self, deployments: Iterable[Deployment]) -> None:
        """Go by a listing: what is not loaded any more may be loaded by somebody else the next time."""
        if self._ours:
            self._ours -= {d.key for d in deployments if not d.resident and d.key not in self._running}

    def plan(self, request: ModelRequest, attempts: Sequence[Attempt], fleet: Fleet) -> Plan | None:
        """Return the reload that is the only way left for *request* after its *attempts*, if there is one."""
        last = attempts[-1]
        if not isinstance(last.error, ContextOverflowError) or last.error.fault is Fault.PASSING:
            return None
        here = [a for a in attempts if (a.host, a.model) == (last.host, last.model)]
        deployment = fleet.find(last.host, last.model)
        if len(here) > 1 or deployment is None or not self._may(deployment):
            return None
        context = larger(deployment, _needed(request, last.error, deployment.loaded_context))
        if context is None or _others(request, attempts, fleet):
            return None
        return Plan(deployment.key, context)

    def _may(self, deployment: Deployment) -> bool:
        known = self._settings.reload_larger or deployment.key in self._ours
        return known and deployment.resident and deployment.loadable

    async def carry_out(self, router: "Router", plan: Plan) -> None:
        """Do it, or wait for whoever does. What goes wrong is logged: the next attempt shows it."""
        task = self._running.get(plan.key)
        if task is None:
            task = self._running[plan.key] = asyncio.create_task(self._reload(router, plan))
            task.add_done_callback(lambda _: self._running.pop(plan.key, None))
        self._waiting[plan.key] += 1
        try:
            await asyncio.shield(task)
        finally:
            self._waiting[plan.key] -= 1
            # Nobody waits any more; but a model that is unloaded already is not left so.
            if not self._waiting[plan.key] and plan.key not in self._frozen:
                task.cancel()

    async def _reload(self, router: "Router", plan: Plan) -> None:
        try:
            with ExitStack() as slots:
                holder = await Holder.of(router, plan.key)
                await holder.drain(router, slots)
                try:
                    self._frozen[plan.key] = holder.deployment.instances
                    await _load(router, plan)
                finally:
                    del self._frozen[plan.key]
                    await holder.show(router)
            self._ours.add(plan.key)
            self.done += 1
        except LLMError as error:
            logger.warning("no reload with a context of {}: {}", plan.context, error)

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
        running = list(self._running.values())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)


def larger(deployment: Deployment, needed: int) -> int | None:
    """Return the context to load with: the next power of two, up to the maximum; None where none does."""
    maximum, loaded = deployment.info.context_length, deployment.loaded_context
    if maximum is None or loaded is None or needed > maximum:
        return None
    context = min(1 << (int(needed * ROOM) - 1).bit_length(), maximum)
    return context if context > loaded else None


def _needed(request: ModelRequest, error: ContextOverflowError, loaded: int | None) -> int:
    """Return the tokens that it takes: more than there are, whatever the numbers say."""
    prompt = error.prompt_tokens or request.signals.prompt_tokens or eligibility.estimate_tokens(request)
    output = request.max_tokens or request.signals.output_tokens or 0
    return max(prompt + output, loaded or 0) + 1


def _others(request: ModelRequest, attempts: Sequence[Attempt], fleet: Fleet) -> list[Deployment]:
    """Return who else could serve: the core knows whose context is too small as well."""
    pinned = request.explicit_model is not None and not request.allow_fallback
    considered = fleet.models.get(attempts[-1].model, ()) if pinned else fleet.deployments
    needs = eligibility.needs_of(evolve(request, attempts=tuple(attempts)))
    able, _ = eligibility.eligible(needs, considered)
    return able


async def _load(router: "Router", plan: Plan) -> None:
    host, model = plan.key
    await router.unload(model, host=host)
    await router.load(model, host=host, options=LoadOptions(context_length=plan.context))


@frozen
class Holder:
    """Asks for slots of one deployment, to keep everybody else out of it."""

    deployment: Deployment
    request: ModelRequest
    selection: ModelSelection

    @classmethod
    async def of(cls, router: "Router", key: Key) -> Self:
        """Return the holder for a deployment; raises ``ModelNotFoundError`` when it is gone."""
        host, model = key
        fleet = await router.fleet()
        deployment = fleet.find(host, model)
        if deployment is None:
            raise ModelNotFoundError(model, list(fleet.models), host=host, reason="is gone")
        # Of ordinary length: whoever learns from how long a slot was held must not learn of an endless token.
        request = ModelRequest(explicit_model=model, hosts=frozenset({host}), client="reload")
        others = (d.host.name for d in fleet.models[model] if d is not deployment)
        left_out = tuple(Ineligible(model, other, "not to be reloaded") for other in others)
        return cls(
            deployment, request, ModelSelection(model, "reload", explanation=Explanation((), left_out))
        )

    async def drain(self, router: "Router", slots: ExitStack) -> None:
        """Take every slot, one after the other: then nothing generates there, and nothing starts."""
        fleet = await router.fleet()
        for _ in range(self.deployment.slots):
            work = router.plugins.place_request(self.request, self.selection, fleet)
            if work is not None:
                slots.enter_context(await work)

    async def show(self, router: "Router") -> None:
        """Let whoever places requests see how the deployment is now, before the slots are free again."""
        router.forget_fleet()
        fleet = await router.fleet()
        if fleet.find(*self.deployment.key) is None:
            return
        work = router.plugins.place_request(self.request, self.selection, fleet)
        if work is not None:
            with suppress(LLMError, TimeoutError):
                async with asyncio.timeout(0):
                    (await work).release()
