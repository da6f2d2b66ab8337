"""Explicit loads and unloads, on the hosts whose memory the pool manages.

LM Studio's auto-evict leaves what was loaded this way alone (protocol §4.3), so several models can be
resident; and nobody but the pool unloads it.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import evolve, frozen
from loguru import logger

from turnout.errors import LLMError, ModelLoadError, Where
from turnout.fleet import Deployment, Instance, LoadOptions
from turnout_pool.line import Line, Load
from turnout_pool.schedule import Schedule
from turnout_pool.silence import leaves_open
from turnout_pool.watch import Watch
from turnout_pool.yard import Yard

if TYPE_CHECKING:
    from turnout.router import Router

CLOSE_SECONDS = 5.0
RETRY_SECONDS = 60.0
"""After this time a kept model that could not be loaded is tried again."""


@frozen(eq=False)
class Leaving:
    """An instance of ours that goes."""

    line: Line
    instance: Instance

    @property
    def deployment(self) -> Deployment:
        """The deployment as its host's backend knows it."""
        return evolve(self.line.slots.deployment, instances=(self.instance,))


class ExplicitLoads:
    """Unloads what is ours to make room, and loads."""

    def __init__(self, yard: Yard, router: "Router", watch: Watch) -> None:
        self._yard = yard
        self._router = router
        self._watch = watch

    def begin(self, schedule: Schedule, line: Line, evicted: Sequence[Line]) -> None:
        """Begin to load *line*, in the place of *evicted*, which nobody uses."""
        now = asyncio.get_running_loop().time()
        load = schedule.begin_load(line, now, explicit=True)
        leaving = [Leaving(one, Instance(one.ours)) for one in evicted if one.ours is not None]
        for one in leaving:
            one.line.gone(now)
        self._watch.spawn(self._run(schedule, line, load, leaving))

    async def _run(self, schedule: Schedule, line: Line, load: Load, leaving: list[Leaving]) -> None:
        try:
            for one in leaving:
                await self._unload(one)
            instance = await self._found(line) or await self._load(line, load)
        except LLMError as error:
            self._fail(schedule, line, load, error)
        except Exception as error:  # noqa: BLE001  a backend is a plugin
            message = f"the backend {line.slots.deployment.host.backend!r} failed: {error!r}"
            self._fail(schedule, line, load, ModelLoadError(message, error, **where(line)))
        else:
            schedule.loaded(line.model, asyncio.get_running_loop().time(), instance)
        await self._look()

    async def close(self) -> None:
        """Unload what is ours, idle and not to be kept: nobody would know later that it may go."""
        for schedule in self._yard.schedules.values():
            for line in schedule.lines.values():
                kept = self._yard.settings.keeps(line.model, schedule.host)
                if line.ours is not None and not kept and not line.slots.in_flight:
                    await self._unload_last(Leaving(line, Instance(line.ours)))

    async def _unload_last(self, leaving: Leaving) -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._unload(leaving)
        except (LLMError, TimeoutError) as error:
            logger.warning("{} stays loaded: {}", leaving.line.model, error or "its host does not answer")

    async def _look(self) -> None:
        self._router.forget_fleet()
        await self._watch.look()

    async def _found(self, line: Line) -> Instance | None:
        """Return an instance that is there after all: somebody else has loaded it, so it is not ours."""
        await self._look()
        return next(iter(line.slots.deployment.instances), None)

    async def _unload(self, leaving: Leaving) -> None:
        work = self._router.plugins.unload_model(leaving.deployment, leaving.instance)
        if work is None:
            return
        try:
            await work
        except LLMError:
            leaving.line.ours = leaving.instance.id  # it is still there, and ours
            raise

    async def _load(self, line: Line, load: Load) -> Instance:
        deployment = line.slots.deployment
        options = LoadOptions(deployment.load_context, on_demand=True)
        work = self._router.plugins.load_model(deployment, options)
        if work is None:
            message = f"{line.slots.deployment.host.backend} hosts cannot load models on demand"
            raise ModelLoadError(message, **where(line))
        limit = self._router.config.router.load_timeout
        try:
            async with asyncio.timeout(limit):
                instance = await work
        except TimeoutError as error:
            message = f"not loaded within {limit:g} s"
            raise ModelLoadError(message, error, **where(line)) from error
        except LLMError as error:
            if leaves_open(error):
                load.abandoned = asyncio.get_running_loop().time()
            raise
        line.ours = instance.id
        return instance

    def _fail(self, schedule: Schedule, line: Line, load: Load, error: LLMError) -> None:
        """Let who waits the longest know; the next one tries again. Or watch a load that may go on."""
        now = asyncio.get_running_loop().time()
        logger.info("{} is not loaded on {}: {}", line.model, schedule.host, error)
        if load.abandoned is not None:
            self._watch.follow(line.slots.deployment)
            return
        self._yard.put_off(line.model, now + RETRY_SECONDS)
        self._yard.refuse_first(line.model, schedule.host, error)
        schedule.failed(line, load, now)


def where(line: Line) -> Where:
    """Name the deployment, for an error."""
    return {"host": line.slots.deployment.host.name, "model": line.model}
