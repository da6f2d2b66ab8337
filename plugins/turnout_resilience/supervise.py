"""Every execution, watched: counted, limited in its silence, hedged, continued; and what it teaches."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from turnout.errors import LLMError, ModelCrashedError
from turnout.events import Event, Progress
from turnout.fleet import Deployment, Fleet
from turnout.types import ExecutionMetrics, ModelRequest
from turnout_resilience.bell import Bell
from turnout_resilience.breakers import Breakers, Outcome
from turnout_resilience.concurrency import Concurrency
from turnout_resilience.continuation import continued, is_asked
from turnout_resilience.copy import Copy, Watched, straight
from turnout_resilience.hedging import Hedging, second_copy
from turnout_resilience.learned import Learned, Limits
from turnout_resilience.observed import Observed
from turnout_resilience.pump import Run, closed
from turnout_resilience.race import Race
from turnout_resilience.settings import ResilienceSettings
from turnout_resilience.traffic import Traffic
from turnout_resilience.verdict import Kind, Verdict, is_unreachable

if TYPE_CHECKING:
    from turnout.router import Router

UNLIMITED = Limits(inf, inf)
LEAST_BAD = "its circuit is not closed: it is the least bad there is, or this is the probe"


class Supervisor:
    """Wraps the runs of one router, and counts them as ``traffic``.

    ``kinds`` are the classes of all errors that it has met, by name.
    """

    def __init__(
        self,
        router: "Router",
        settings: ResilienceSettings,
        breakers: Breakers,
        concurrency: Concurrency,
        loaded: Callable[[tuple[str, str]], None],
    ) -> None:
        self._router = router
        self._settings = settings
        self._breakers = breakers
        self._concurrency = concurrency
        self._loaded = loaded
        self.traffic = Traffic()
        self._learned = Learned(settings)
        self.hedging = Hedging(settings, self._learned, self.traffic)
        self.kinds: dict[str, Kind] = {}

    def run(
        self, run: Run, request: ModelRequest, deployment: Deployment, fleet: Fleet
    ) -> AsyncIterator[Event]:
        """Return the events of *run*, under supervision."""
        if is_asked(request, always=self._settings.continue_streams):
            watched = partial(self._supervised, run, request, deployment, fleet)
            return continued(self._router, watched, request, deployment)
        return self._supervised(run, request, deployment, fleet)

    def _supervised(
        self, run: Run, request: ModelRequest, deployment: Deployment, fleet: Fleet
    ) -> AsyncIterator[Event]:
        if not (self._settings.time_limits or self._settings.hedging):
            return self._observed(run, request, deployment)
        watched = self._watch(request, deployment)
        delay = self.hedging.delay(request, deployment, fleet)
        self.hedging.budget.earn()
        if not request.streaming and delay is None:
            return straight(run, watched, self._observe(request, deployment), self._took)
        return self._raced(partial(self._observed, run, request, deployment), watched, delay)

    def _observe(self, request: ModelRequest, deployment: Deployment) -> Observed:
        return Observed(
            deployment,
            self.traffic,
            self._concurrency,
            loaded=self._loaded,
            met=partial(self._met, request),
            freed=self._router.forget_fleet,  # a new look shows how many slots may be used
        )

    async def _observed(
        self, run: Run, request: ModelRequest, deployment: Deployment
    ) -> AsyncGenerator[Event, None]:
        with self._observe(request, deployment) as observed:
            events = run()
            try:
                async for event in events:
                    observed.see(event)
                    yield event
            finally:
                await closed(events)

    def _met(self, request: ModelRequest, error: LLMError, observed: Observed) -> None:
        """Learn what only the error itself tells, and not its name."""
        self.kinds[type(error).__name__] = type(error)
        key, now = observed.key, _now()
        if isinstance(error, ModelCrashedError):
            self._concurrency.crashed(key, self.traffic.on(key), observed.began, now)
        if self._settings.breakers and is_unreachable(error):
            reason = "it cannot be reached"
            self._breakers.learn(Outcome(key, request.id, observed.began, now, Verdict.UNREACHABLE, reason))

    def _took(self, watched: Watched) -> None:
        self._learned.took(watched.request, watched.deployment, watched.sample(_now()))

    async def _raced(self, run: Run, watched: Watched, delay: float | None) -> AsyncGenerator[Event, None]:
        if self._breakers.is_open(watched.deployment.key, watched.began):
            yield Progress(stage="queue", detail=LEAST_BAD)
        race = self._race(run, watched, delay)
        events = race.events()
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()
        if race.winner is not None:
            winner = race.winner.watched
            self.hedging.won += winner is not watched
            self._learned.took(watched.request, winner.deployment, winner.sample(_now()))

    def _watch(self, request: ModelRequest, deployment: Deployment) -> Watched:
        limits = UNLIMITED
        if self._settings.time_limits:
            limits = self._learned.limits(request, deployment, self._router.config.router.load_timeout)
        return Watched(request, deployment, limits, _now())

    def _race(self, run: Run, watched: Watched, delay: float | None) -> Race:
        bell = Bell()
        return Race(
            watched.request,
            Copy(run, watched, bell),
            bell,
            keepalive=self._settings.keepalive if self._settings.time_limits else inf,
            expected=self._learned.expected(watched.request, watched.deployment),
            delay=delay,
            make_second=partial(self._second, watched.request, watched.deployment),
            lost=self._lost,
        )

    async def _second(self, request: ModelRequest, first: Deployment, bell: Bell) -> Copy | None:
        """Start a second copy of *request* elsewhere, where that can be done at once."""
        lease = await self.hedging.second(self._router, request, first, _now())
        if lease is None:
            return None
        copy, deployment = second_copy(request), lease.deployment
        try:
            run = self._router.plugins.execute_request(copy, deployment)
        except LLMError:
            lease.release()
            raise
        return Copy(run, self._watch(copy, deployment), bell, lease)

    def _lost(self, copy: Copy) -> None:
        """Tell the learning plugins of a second copy that failed unseen."""
        watched, now = copy.watched, _now()
        host, model = copy.deployment.host.name, copy.deployment.model
        self._router.plugins.record_execution(
            ExecutionMetrics(
                model,
                host,
                now - watched.began,
                success=False,
                error=type(copy.error).__name__,
                request_id=watched.request.id,
            )
        )


def _now() -> float:
    return asyncio.get_running_loop().time()
