"""Copies of requests, for models that nobody waits for: one at a time, on a host that is idle."""

import asyncio
from collections.abc import Collection

from attrs import evolve
from loguru import logger

from turnout import Fleet, LLMError, ModelRequest, Router

LOW = -10
CLIENT = "shadow"
"""The ``client`` of copies, by which other plugins can tell them from what somebody waits for."""


class Shadow:
    """Sends copies through *router*. Must be used from one event loop."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._task: asyncio.Task[None] | None = None
        self._host: str | None = None

    @property
    def busy(self) -> bool:
        """Whether a copy is under way."""
        return self._task is not None and not self._task.done()

    def send(self, copy: ModelRequest) -> None:
        """Send *copy* to its model when that is resident on an idle host, else nowhere; returns at once."""
        self._task = asyncio.create_task(self._run(copy))

    def make_way(self, hosts: Collection[str]) -> None:
        """Break off the copy that runs on one of *hosts*: somebody is about to wait there."""
        if self._task is not None and self._host in hosts:
            self._task.cancel()

    async def close(self) -> None:
        """Break off what runs, and wait until it has ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self, copy: ModelRequest) -> None:
        try:
            self._host = self._idle_host(copy, await self._router.fleet())
            if self._host is not None:
                await self._router.ask(evolve(copy, hosts=frozenset({self._host})))
        except LLMError as error:
            logger.debug("the copy {} for {} failed: {}", copy.id, copy.explicit_model, error)
        finally:
            self._host = None

    def _idle_host(self, copy: ModelRequest, fleet: Fleet) -> str | None:
        """Return a host where the model is loaded and no model does or awaits anything."""
        estimates = self._router.plugins.estimate(copy, fleet.deployments)
        busy = {d.host.name for d, e in estimates.items() if e.in_flight or e.queued}
        resident = [d.host.name for d in fleet.models.get(str(copy.explicit_model), ()) if d.resident]
        allowed = [name for name in resident if copy.hosts is None or name in copy.hosts]
        return next((name for name in sorted(allowed) if name not in busy), None)


def copied(request: ModelRequest, model: str) -> ModelRequest:
    """Return the copy of *request* for *model*: the same words, at low priority, in no conversation."""
    return evolve(
        request,
        id=f"{request.id}-copy",
        explicit_model=model,
        allow_fallback=False,
        priority=request.priority + LOW,
        client=CLIENT,
        conversation_id="",
        attempts=(),
    )
