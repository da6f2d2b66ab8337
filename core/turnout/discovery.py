"""Looking at all hosts at once, and keeping what was seen for as long as it counts."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve, frozen
from loguru import logger

from turnout.config import Config, ModelSettings
from turnout.errors import LLMError, LLMTimeoutError
from turnout.fleet import Deployment, Discovery, Fleet, HostReport, ModelInfo
from turnout.plugins import Plugins


@frozen
class _Look:
    report: HostReport
    deployments: Sequence[Deployment] = ()


class FleetView:
    """The fleet as last seen; one look at a time, shared by all who wait for it.

    A look is as slow as its slowest host and never slower than ``router.discovery_timeout``.
    """

    def __init__(self, config: Config, plugins: Plugins) -> None:
        self._config = config
        self._plugins = plugins
        self._fleet: Fleet | None = None
        self._stale = False
        self._look: asyncio.Task[Fleet] | None = None
        self._unreachable: set[str] = set()

    def invalidate(self) -> None:
        """Say that something has changed: the next who asks looks again."""
        self._stale = True

    async def current(self, *, refresh: bool = False) -> Fleet:
        """Return the fleet, looking again when the last look is too old, or on *refresh*."""
        now = asyncio.get_running_loop().time()
        fleet = self._fleet
        fresh = fleet is not None and now - fleet.taken_at <= self._config.router.fleet_ttl
        if fleet is not None and fresh and not refresh and not self._stale:
            return fleet
        return await self._shared_look()

    async def _shared_look(self) -> Fleet:
        if self._look is None or self._look.done() or self._stale:
            # A look that began before the change may have missed it, so another follows it.
            if self._stale:
                # What is known to be wrong is for nobody, not even while the look goes on.
                self._stale, self._fleet = False, None
            self._look = asyncio.create_task(self._take(self._look))
        # A caller that gives up must not end the look for the others.
        return await asyncio.shield(self._look)

    async def _take(self, before: "asyncio.Task[Fleet] | None") -> Fleet:
        if before is not None:
            await asyncio.wait([before])
        began = asyncio.get_running_loop().time()
        offers = list(self._plugins.discover_models(self._config))
        looks = await asyncio.gather(*(self._one(offer) for offer in offers))
        deployments = self._described([deployment for look in looks for deployment in look.deployments])
        reports = tuple(look.report for look in looks)
        # Stamped with its beginning: what changed meanwhile it may have missed.
        fleet = Fleet(deployments, reports, began)
        if self._look is asyncio.current_task():
            self._fleet = fleet
        return fleet

    async def _one(self, offer: Discovery) -> _Look:
        loop = asyncio.get_running_loop()
        began = loop.time()
        limit = self._config.router.discovery_timeout
        host = offer.host
        try:
            async with asyncio.timeout(limit):
                deployments = _checked(await offer.run())
        except TimeoutError as late:
            message = f"{host.url} did not list its models within {limit:g} s"
            error: LLMError = LLMTimeoutError(message, late, host=host.name)
        except LLMError as problem:
            error = problem
        except Exception as problem:  # noqa: BLE001  a backend is a plugin
            self._plugins.report(host.backend, "discover_models", problem)
            error = LLMError(f"{type(problem).__name__}: {problem}", problem, host=host.name)
        else:
            self._reached(host.name)
            seen = deployments[0].host if deployments else host
            return _Look(HostReport(seen, len(deployments), None, loop.time() - began), deployments)
        self._missed(host.name, error)
        return _Look(HostReport(host, 0, error, loop.time() - began))

    def _missed(self, host: str, error: LLMError) -> None:
        if host not in self._unreachable:
            self._unreachable.add(host)
            logger.info("host {!r} does not answer: {}", host, error)

    def _reached(self, host: str) -> None:
        if host in self._unreachable:
            self._unreachable.discard(host)
            logger.info("host {!r} answers again", host)

    def _described(self, found: Sequence[Deployment]) -> tuple[Deployment, ...]:
        """Add what plugins know, then what the configuration knows better."""
        described = self._plugins.describe_models(found)
        return tuple(self._overridden(deployment, described) for deployment in found)

    def _overridden(self, deployment: Deployment, described: Mapping[Deployment, ModelInfo]) -> Deployment:
        info = described.get(deployment, deployment.info)
        settings = self._config.models.get(info.id)
        info = info if settings is None else _known(info, settings)
        return deployment if info is deployment.info else evolve(deployment, info=info)

    async def close(self) -> None:
        """Give up a look that is under way."""
        if self._look is not None and not self._look.done():
            self._look.cancel()
            await asyncio.wait([self._look])


def _checked(found: Iterable[object]) -> tuple[Deployment, ...]:
    deployments = tuple(one for one in found if isinstance(one, Deployment))
    if len(deployments) < len(found := tuple(found)):
        message = f"found {found!r}, which are not all deployments"
        raise TypeError(message)
    return deployments


def _known(info: ModelInfo, settings: ModelSettings) -> ModelInfo:
    """Return *info* with what the configuration knows better."""
    return evolve(
        info,
        kind=settings.kind or info.kind,
        capabilities=info.capabilities if settings.capabilities is None else settings.capabilities,
        vision=info.vision if settings.vision is None else settings.vision,
        tools=info.tools if settings.tools is None else settings.tools,
        context_length=settings.context_length or info.context_length,
    )
