"""Keeping everybody out of one deployment, by taking all of its slots."""

import asyncio
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Self

from attrs import evolve, frozen

from turnout.errors import LLMError, ModelNotFoundError
from turnout.fleet import Deployment, Fleet
from turnout.types import Ineligible, ModelRequest, ModelSelection
from turnout_resilience.traffic import Key

if TYPE_CHECKING:
    from turnout.router import Router


def narrowed_to(key: Key, selection: ModelSelection, fleet: Fleet) -> ModelSelection:
    """Return *selection* with nothing but the deployment of that *key* left."""
    host, model = key
    others = (d.host.name for d in fleet.models.get(model, ()) if d.host.name != host)
    left_out = tuple(Ineligible(model, other, "another is reloaded") for other in others)
    explanation = selection.explanation
    return evolve(selection, explanation=evolve(explanation, ineligible=(*explanation.ineligible, *left_out)))


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
        return cls(deployment, request, narrowed_to(key, ModelSelection(model, "reload"), fleet))

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
