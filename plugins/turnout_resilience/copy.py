"""One copy of a request on its way: what came of it, what is still silent, and for how long it may be."""

import asyncio
from collections.abc import AsyncIterator, Callable
from math import inf

from attrs import define, field

from turnout.attempt import is_output
from turnout.errors import Fault, LLMError, LLMTimeoutError, Where
from turnout.events import Event, Progress, Used
from turnout.fleet import Deployment
from turnout.types import Lease, ModelRequest
from turnout_resilience.bell import Bell
from turnout_resilience.learned import Limits, Sample
from turnout_resilience.observed import Observed
from turnout_resilience.pump import Pump, Run, closed

TICK = 1e-3
"""A timer may fire a clock tick early."""
SLACK = 0.02
"""The share of its limit by which a silence may be cut short."""


@define(eq=False)
class Watched:
    """The times of one run: when it ``began``, gave its last ``sign``, its ``first`` output. Loop seconds."""

    request: ModelRequest
    deployment: Deployment
    limits: Limits
    began: float
    sign: float = field(init=False)
    first: float | None = field(default=None, init=False)
    longest_gap: float = field(default=0.0, init=False)
    told: bool = field(default=False, init=False)
    """Whether the host reports its progress."""
    tokens: int = field(default=0, init=False)

    @sign.default
    def _at_first(self) -> float:
        return self.began

    def see(self, event: Event, now: float) -> None:
        """Note an event that came *now*."""
        if self.first is not None:
            self.longest_gap = max(self.longest_gap, now - self.sign)
        elif is_output(event):
            self.first = now
        elif isinstance(event, Progress):
            self.told = True
        if isinstance(event, Used):
            self.tokens = event.usage.completion_tokens
        self.sign = now

    @property
    def due(self) -> float:
        """When its silence will have lasted too long."""
        return self.sign + (self.limits.first if self.first is None else self.limits.gap)

    def stalled(self, now: float) -> LLMError:
        """Make the error of a silence that has lasted too long."""
        where: Where = {
            "host": self.deployment.host.name,
            "model": self.deployment.model,
            "fault": Fault.DEPLOYMENT,
        }
        kind = "no output" if self.first is None else "the answer stands still"
        message = f"{kind} for {now - self.sign:.1f} s, longer than it ever should take"
        return LLMTimeoutError(message, **where)

    def sample(self, now: float) -> Sample:
        """Return what a success at *now* teaches."""
        first = (self.first or now) - self.began
        prompt = max(self.request.signals.prompt_tokens or 0, 1)
        return Sample(prompt, first, now - self.began, self.longest_gap, self.tokens)


class Copy:
    """A request that runs on one deployment, on its own ``lease`` or on the attempt's (None)."""

    def __init__(self, run: Run, watched: Watched, bell: Bell, lease: Lease | None = None) -> None:
        self.watched = watched
        self.held: list[Event] = []
        self.error: LLMError | Exception | None = None
        self.over = False
        self._pump = Pump(run, bell)
        self._lease = lease

    @property
    def deployment(self) -> Deployment:
        """Where it runs."""
        return self.watched.deployment

    @property
    def has_output(self) -> bool:
        """Whether something came that can be shown."""
        return self.watched.first is not None

    def take(self, now: float) -> list[Event]:
        """Return what came since the last time."""
        taken: list[Event] = []
        while self._pump.events:
            event = self._pump.events.popleft()
            self.watched.see(event, now)
            taken.append(event)
        if self._pump.ended and not self._pump.events:
            self.over, self.error = True, self._pump.error
        elif now >= self.watched.due - TICK:
            self.over, self.error = True, self.watched.stalled(now)
        return taken

    @property
    def due(self) -> float:
        """When there will be nothing left to wait for."""
        return inf if self.over else self.watched.due

    async def close(self) -> None:
        """Stop it, and give back its slot if it has one of its own."""
        try:
            await self._pump.close()
        finally:
            if self._lease is not None:
                self._lease.release()


async def straight(
    run: Run, watched: Watched, observed: Observed, ended: Callable[[Watched], None]
) -> AsyncIterator[Event]:
    """Yield the events of *run* in the caller's own task, up to the first output within the limit.

    This is for an answer that comes as a whole, whose caller nobody has to keep company meanwhile; so what
    comes before its first output is held until then. *ended* is told when it has ended well.
    """
    loop = asyncio.get_running_loop()
    with observed:
        events = run()
        try:
            for event in await _beginning(events, watched, observed):
                yield event
            async for event in events:
                observed.see(event)
                watched.see(event, loop.time())
                yield event
        finally:
            await closed(events)
    ended(watched)


async def _beginning(events: AsyncIterator[Event], watched: Watched, observed: Observed) -> list[Event]:
    """Return what comes up to the first output; raises for a silence that lasts too long."""
    loop, found = asyncio.get_running_loop(), list[Event]()
    try:
        async with asyncio.timeout_at(watched.due if watched.due < inf else None) as limit:
            while watched.first is None and (event := await anext(events, None)) is not None:
                observed.see(event)
                watched.see(event, loop.time())
                found.append(event)
                when = limit.when()
                # Most events come at once; a timer for each would cost more than all else here.
                if when is not None and watched.due > when + SLACK * watched.limits.first:
                    limit.reschedule(watched.due)
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise watched.stalled(loop.time()) from error
    return found
