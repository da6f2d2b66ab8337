"""Watching loads: when a model is there, who else wants it may go."""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING

from turnout.fleet import Deployment
from turnout_pool.dispatch import Dispatcher
from turnout_pool.line import Line, Load
from turnout_pool.schedule import Schedule

if TYPE_CHECKING:
    from turnout.router import Router

FIRST_LOOK = 0.9
"""Part of a measured load after which it is worth looking."""
UNKNOWN_FIRST_LOOK_SECONDS = 0.5
MOST_LOOK_SECONDS, LEAST_LOOK_SECONDS = 1.0, 0.02
SLEPT_SECONDS = 5.0
"""A look that comes so much later than it was to: the machine slept, and the load's time tells nothing."""
PART, UNKNOWN_PART = 0.05, 0.12
"""The next look comes after this part of the time that the load has taken."""


class Watch:
    """Looks at the hosts while they load, and after. Its tasks end with :meth:`close`.

    The request that loads a model shows that it is resident by its first output, which for an answer that
    is not streamed comes with the last word. So the host is asked meanwhile, if somebody waits there.
    """

    def __init__(self, dispatcher: Dispatcher, router: "Router") -> None:
        self._dispatcher = dispatcher
        self._router = router
        self._tasks: set[asyncio.Task[None]] = set()
        self._attending: asyncio.Task[None] | None = None

    def follow(self, deployment: Deployment) -> None:
        """Look until the load of *deployment* is over; also when its client has gone (bt#1751)."""
        found = self._dispatcher.find(deployment)
        if found is not None and found[1].load is not None:
            self.spawn(self._follow(*found, found[1].load))

    def shown(self, deployment: Deployment) -> None:
        """Learn that *deployment* has given output; look how many slots it has, if that is new."""
        if self._dispatcher.loaded(deployment, parallel=1):
            self.look_soon()

    def look_soon(self) -> None:
        """See the hosts as they are now, beside everything else."""
        self._router.forget_fleet()
        self.spawn(self.look())

    def attend(self) -> None:
        """See the hosts as often as newcomers would have them looked at: while others wait, none may come."""
        if self._attending is None or self._attending.done():
            self._attending = self.spawn(self._attend())

    async def _attend(self) -> None:
        fleet = await self._router.fleet()
        self._dispatcher.yard.show(fleet, asyncio.get_running_loop().time())

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Let *work* be done beside everything else."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def look(self) -> None:
        """See the hosts as they are."""
        self._dispatcher.seen(await self._router.fleet())

    def close(self) -> None:
        """Look no more."""
        for task in self._tasks:
            task.cancel()

    async def _follow(self, schedule: Schedule, line: Line, load: Load) -> None:
        loop, usual = asyncio.get_running_loop(), line.load_seconds.value
        pause = UNKNOWN_FIRST_LOOK_SECONDS if usual is None else usual * FIRST_LOOK
        while line.load is load:
            asked = loop.time()
            await asyncio.sleep(pause)
            if loop.time() - asked > pause + SLEPT_SECONDS:
                load.certain = False
            if line.load is load and (load.abandoned is not None or schedule.waiting):
                self._router.forget_fleet()
                await self.look()
            now = loop.time()
            if load.given_up(now) and not line.slots.deployment.loading:
                schedule.failed(line, load, now)
            part = UNKNOWN_PART if usual is None else PART
            pause = min(max((now - load.began) * part, LEAST_LOOK_SECONDS), MOST_LOOK_SECONDS)
