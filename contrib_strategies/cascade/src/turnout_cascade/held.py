"""An answer that is held until it is known to hold."""

import asyncio
from collections.abc import Iterator

from attrs import evolve

from turnout import OUTPUT, Done, Event
from turnout.wire import ReplyBuilder
from turnout_cascade.repetition import repeats

LOOK_EVERY = 1024
"""Characters after which a text that still grows is looked at."""


class Held:
    """Collects the events of one execution; times are of the running loop."""

    def __init__(self) -> None:
        self.answer = ReplyBuilder()
        self._events: list[Event] = []
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._first: float | None = None
        self._last = self._began
        self._characters = 0
        self._looked = 0

    def take(self, event: Event) -> None:
        """Take one event."""
        self._events.append(event)
        self.answer.feed(event)
        if isinstance(event, OUTPUT):
            self._last = self._loop.time()
            self._first = self._last if self._first is None else self._first
            self._characters += len(getattr(event, "text", ""))

    @property
    def circles(self) -> bool:
        """Whether what has come so far goes round in circles; looked at now and then."""
        if self._characters - self._looked < LOOK_EVERY:
            return False
        self._looked = self._characters
        return repeats(self.answer.text) or repeats(self.answer.reasoning)

    def release(self, *, streamed: bool) -> Iterator[Event]:
        """Yield all events, at the end with the speed at which they came, not that of their release."""
        for event in self._events:
            yield self._timed(event) if streamed and isinstance(event, Done) else event

    def _timed(self, done: Done) -> Done:
        known = done.timings
        first = None if self._first is None else self._first - self._began
        timings = evolve(
            known,
            time_to_first_token=known.time_to_first_token or first,
            tokens_per_second=known.tokens_per_second or self._speed(),
        )
        return evolve(done, timings=timings)

    def _speed(self) -> float | None:
        usage = self.answer.usage
        tokens = self._characters // 4 if usage is None else usage.completion_tokens
        first = self._began if self._first is None or self._first == self._last else self._first
        return max(tokens - 1, 1) / (self._last - first) if self._last > first else None
