"""Waiting for something to happen, or for a moment to come, at next to no cost where much happens."""

import asyncio
from math import inf


class Bell:
    """One waiter is woken when it rings, or at a moment. Times are the loop's seconds.

    Its timer is set again only when it goes off: a stream of a thousand pieces costs a timer or two, where
    ``asyncio.timeout`` would cost a thousand.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rung = False
        self._waiter: asyncio.Future[None] | None = None
        self._until = inf
        self._timer: asyncio.TimerHandle | None = None

    def ring(self) -> None:
        """Say that something has happened; it is kept until somebody waits."""
        self._rung = True
        self._wake()

    async def wait(self, until: float) -> None:
        """Wait until it has rung since the last time, or until the moment has come."""
        if not self._rung:
            self._set(until)
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._rung = False

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, until: float) -> None:
        self._until = until
        if self._timer is not None and self._timer.when() > until:
            self.close()
        if self._timer is None and until < inf:
            self._timer = self._loop.call_at(until, self._goes_off)

    def _goes_off(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        # A timer may go off a clock tick early, so the time itself is not asked.
        if self._set_for_later():
            self._set(self._until)
        else:
            self._wake()

    def _set_for_later(self) -> bool:
        return self._until > self._loop.time() + 1e-3

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
