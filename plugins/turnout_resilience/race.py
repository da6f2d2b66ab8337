"""One request until its first output, perhaps in two copies, and then the stream of the one that answers."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from math import inf

from loguru import logger

from turnout.attempt import HandedOver
from turnout.errors import LLMError, LLMTimeoutError
from turnout.events import Event, Progress
from turnout.types import Attempt, ModelRequest
from turnout_resilience.bell import Bell
from turnout_resilience.copy import TICK, Copy
from turnout_resilience.learned import Expected

MakeSecond = Callable[[Bell], Awaitable[Copy | None]]
OVERTAKEN = "CancelledError"
"""Whoever was slower is recorded as given up: that he was slow is no failure."""


class Race:
    """A request with its first copy, and perhaps a second.

    *make_second* is asked once for another, after *delay* seconds without a sign (None: never); *lost* is
    told when that one fails. Before any output the caller of a stream gets a ``Progress`` every *keepalive*
    seconds. ``winner`` is the copy that answers, None until that is known.
    """

    def __init__(
        self,
        request: ModelRequest,
        first: Copy,
        bell: Bell,
        *,
        keepalive: float,
        expected: Expected | None,
        delay: float | None,
        make_second: MakeSecond,
        lost: Callable[[Copy], None],
    ) -> None:
        self._request = request
        self._bell = bell
        self._first = first
        self._running = [first]
        self.winner: Copy | None = None
        self._keepalive = keepalive if request.streaming else inf
        self._alive_at = first.watched.began + self._keepalive
        self._expected = expected
        self._hedge_at = inf if delay is None else first.watched.began + delay
        self._make_second = make_second
        self._lost = lost
        self._finding: asyncio.Task[None] | None = None
        self.copies = [first]

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield the events of the copy that answers, after the first one's progress."""
        try:
            while self.winner is None:
                for event in await self._look():
                    yield event
            winner = self.winner
            await self._end_others(winner)
            if winner is not self._first:
                yield self._handed_over(winner)
            for event in winner.held:
                yield event
            while not winner.over:
                await self._bell.wait(winner.due)
                for event in winner.take(_now()):
                    yield event
            if winner.error is not None:
                raise winner.error
        finally:
            self._bell.close()
            self._find_no_more()
            # Cancel scopes cancel again and again, and whatever is met by that still closes all copies.
            async with AsyncExitStack() as stack:
                for copy in self.copies:
                    stack.push_async_callback(copy.close)

    async def _look(self) -> list[Event]:
        """Wait for a while, and return what the caller shall see of it."""
        until = min(self._hedge_at, self._alive_at, *(copy.due for copy in self._running))
        await self._bell.wait(until)
        now = _now()
        late = now + TICK
        shown = [event for copy in [*self._running] for event in self._see(copy, now)]
        if self.winner is None:
            await self._end_failed()
            if late >= self._hedge_at:
                self._hedge()
        if shown:
            self._alive_at = now + self._keepalive
        elif late >= self._alive_at:
            self._alive_at = now + self._keepalive
            shown = [self._alive(now)]
        return shown

    def _see(self, copy: Copy, now: float) -> list[Event]:
        shown: list[Event] = []
        for event in copy.take(now):
            if not isinstance(event, Progress) or copy.has_output:
                copy.held.append(event)
            elif copy is self._first:
                shown.append(event)
        if self.winner is None and (copy.has_output or (copy.over and len(self._running) == 1)):
            self.winner = copy
        return shown

    async def _end_failed(self) -> None:
        """Leave out a copy that has failed while another runs."""
        for copy in [copy for copy in self._running if copy.over][: len(self._running) - 1]:
            self._running.remove(copy)
            if copy is not self._first:
                self._lost(copy)
            await copy.close()
        if len(self._running) == 1 and self._running[0].over:
            self.winner = self._running[0]

    def _hedge(self) -> None:
        self._hedge_at = inf
        if not (self._first.watched.told or self._first.over):
            self._finding = asyncio.create_task(self._find_second())

    async def _find_second(self) -> None:
        """Add a second copy; that may take a look at the hosts, which the first does not wait for."""
        try:
            second = await self._make_second(self._bell)
        except LLMError as error:
            logger.debug("no second copy: {}", error)
            return
        if second is not None:
            self.copies.append(second)
            self._running.append(second)
            self._bell.ring()

    def _find_no_more(self) -> None:
        if self._finding is not None:
            self._finding.cancel()

    async def _end_others(self, winner: Copy) -> None:
        self._find_no_more()
        for copy in self._running:
            if copy is not winner:
                await copy.close()

    def _handed_over(self, winner: Copy) -> HandedOver:
        """Say that the second copy answers."""
        place, now = self._first.deployment, _now()
        host = place.host.name
        error = self._first.error
        if not isinstance(error, LLMError):
            waited = now - self._first.watched.began
            message = f"no output after {waited:.1f} s, and {winner.deployment.host.name} was faster"
            error = LLMTimeoutError(message, error, host=host, model=place.model)
        known = type(error).__name__ if self._first.error is not None else OVERTAKEN
        return HandedOver(
            deployment=winner.deployment,
            attempt=Attempt(place.model, host, error, 0.0, now - self._first.watched.began),
            recorded_as=known,
            began=winner.watched.began,
        )

    def _alive(self, now: float) -> Progress:
        watched = self._first.watched
        cold = not watched.deployment.resident and watched.deployment.loadable
        expected = None if self._expected is None else self._expected.typical
        return Progress(
            stage="load" if cold else "prefill",
            expected_seconds=expected,
            detail=f"waiting for {now - watched.began:.0f} s",
        )


def _now() -> float:
    return asyncio.get_running_loop().time()
