"""Keeping everybody out of one deployment, by taking all of its slots."""

import asyncio
import enum
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Self

from attrs import evolve, frozen

from turnout.errors import LLMError, ModelNotFoundError
from turnout.fleet import Deployment, Fleet, ModelKind
from turnout.types import Ineligible, Lease, ModelRequest, ModelSelection
from turnout_resilience.traffic import Key

if TYPE_CHECKING:
    from turnout.router import Router

GIVE_WAY_SECONDS = 0.5
"""For so long a free slot is waited for, once nothing runs."""


def narrowed_to(key: Key, selection: ModelSelection, fleet: Fleet) -> ModelSelection:
    """Return *selection* with nothing but the deployment of that *key* left."""
    host, model = key
    others = (d.host.name for d in fleet.models.get(model, ()) if d.host.name != host)
    left_out = tuple(Ineligible(model, other, "another is reloaded") for other in others)
    explanation = selection.explanation
    return evolve(selection, explanation=evolve(explanation, ineligible=(*explanation.ineligible, *left_out)))


class Drained(enum.Enum):
    """How it went."""

    GONE = "the model is not loaded any more"
    GAVE_WAY = "another model's turn came before"


async def unless_idle(work: Awaitable[Lease], running: Callable[[], int]) -> Lease | None:
    """Return the lease, or None where there is none for a while although nothing is *running*."""
    waiting = asyncio.ensure_future(work)
    try:
        while not waiting.done():
            await asyncio.wait([waiting], timeout=GIVE_WAY_SECONDS)
            if not waiting.done() and not running():
                waiting.cancel()
                return None
    except asyncio.CancelledError:
        # A lease that comes in that moment is nobody's.
        if not waiting.cancel() and waiting.exception() is None:
            waiting.result().release()
        raise
    return waiting.result()


@frozen
class Holder:
    """Asks for slots of one deployment, to keep everybody else out of it."""

    deployment: Deployment
    request: ModelRequest

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
        return cls(deployment, request)

    def _place(self, router: "Router", fleet: Fleet) -> Awaitable[Lease] | None:
        """Ask for a slot there, and nowhere else: also not on a host that has come meanwhile."""
        selection = ModelSelection(self.deployment.model, "reload")
        selection = narrowed_to(self.deployment.key, selection, fleet)
        return router.plugins.place_request(self.request, selection, fleet)

    async def drain(
        self, router: "Router", slots: ExitStack, running: Callable[[], int]
    ) -> Drained | Deployment:
        """Take every slot, one after the other: then nothing generates there, and nothing starts.

        Returns the deployment as it is then. Whoever waits for anything after that may find that it has more
        slots, and somebody on them.

        Whoever holds slots and waits for others must not do so while somebody waits for his: when nothing is
        *running* and there is still no slot, it is another model's turn on that host. Or it has fewer slots
        than when the first was taken, and it takes another try to know that nobody else has one.
        """
        taken, most, fleet = 0, 0, await router.fleet()
        while not taken or taken < (most := max(most, self._slots(fleet))):
            work = self._place(router, fleet)
            if work is None:
                break
            lease = await (unless_idle(work, running) if taken else work)
            if lease is None:
                return Drained.GAVE_WAY
            slots.enter_context(lease)
            if not lease.deployment.resident:
                if not await self._load(router, lease.deployment):
                    return Drained.GONE
                most = 0  # of what is there now
            taken, fleet = taken + 1, await router.fleet()
        found = fleet.find(*self.deployment.key)
        return Drained.GONE if found is None or not found.slots else found

    async def _load(self, router: "Router", deployment: Deployment) -> bool:
        """Be the request that loads the model, for that is what the slot is for; tell whether it is loaded.

        The server makes room by its own rules then, as it would not for an explicit load.
        """
        if deployment.info.kind is not ModelKind.LLM:
            return False
        request = evolve(self.request, task="Hello.", max_tokens=1)
        async for _ in router.plugins.execute_request(request, deployment)():
            pass
        router.forget_fleet()
        return True

    def _slots(self, fleet: Fleet) -> int:
        deployment = fleet.find(*self.deployment.key)
        return 0 if deployment is None else deployment.slots

    async def show(self, router: "Router") -> None:
        """Let whoever places requests see how the deployment is now, before the slots are free again."""
        router.forget_fleet()
        fleet = await router.fleet()
        if fleet.find(*self.deployment.key) is None:
            return
        work = self._place(router, fleet)
        if work is not None:
            with suppress(LLMError, TimeoutError):
                async with asyncio.timeout(0):
                    (await work).release()
