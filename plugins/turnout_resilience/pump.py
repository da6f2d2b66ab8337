"""A backend's events, read in a task of its own, so that whoever waits for them can do something else too."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

from turnout.events import Event
from turnout_resilience.bell import Bell

Run: TypeAlias = Callable[[], AsyncIterator[Event]]


class Pump:
    """Reads the events of one run; they wait in ``events`` until they are taken.

    ``ended`` says that no more will come, ``error`` why if not well. *bell* rings at everything that
    happens. The whole run stays in one task: a backend may hold a time limit or a cancel scope over it.
    """

    def __init__(self, run: Run, bell: Bell) -> None:
        self.events: deque[Event] = deque()
        self.error: Exception | None = None
        self.ended = False
        self._bell = bell
        self._task = asyncio.create_task(self._read(run))

    async def _read(self, run: Run) -> None:
        try:
            events = run()
            try:
                async for event in events:
                    self.events.append(event)
                    self._bell.ring()
            finally:
                await closed(events)
        except Exception as error:  # noqa: BLE001  it is raised again where the events are taken
            self.error = error
        finally:
            self.ended = True
            self._bell.ring()

    async def close(self) -> None:
        """Stop the run, and wait until it has stopped."""
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])


async def closed(events: AsyncIterator[Event]) -> None:
    """Close *events*, if that is something that can be closed."""
    close = getattr(events, "aclose", None)
    if close is not None:
        await close()
