"""The newest decisions, held in this process alone."""

from collections import deque
from collections.abc import Sequence

from turnout_decisions.journal import Entry, Event, LoggedDecision, Page, Wanted, event_of, joined
from turnout_decisions.noted import Noted

MOST_EVENTS = 1_000
"""Decisions, outcomes and ratings that are held: those of a few hundred requests."""


class MemoryLog:
    """A :class:`~turnout_decisions.journal.Log` of the newest events; nothing of it outlives the process."""

    def __init__(self, *, content: bool = False) -> None:
        self._content = content
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)

    def add(self, event: Event) -> None:
        """Hold *event*, and let the oldest go where there are too many."""
        self._events.append(event)

    def note(self, noted: Noted) -> None:
        """Hold what a hook noted, without its words unless they are to be kept."""
        self.add(event_of(noted, content=self._content))

    def newest(self, wanted: Wanted) -> Page:
        """Return the newest decisions that are wanted."""
        kept: deque[Entry] = deque()
        unseen = 0
        for entry in reversed(joined(self._events)):
            decision = entry.decision
            if decision.at < wanted.since or wanted.task_type not in (None, decision.task_type):
                continue
            if len(kept) == wanted.limit:
                break
            if wanted.passes_over(decision):
                unseen += 1
            else:
                kept.appendleft(entry)
        return Page(tuple(kept), unseen=unseen)

    def request(self, request_id: str) -> Page:
        """Return all decisions about one request."""
        return Page(joined(event for event in self._events if _request(event) == request_id))

    def ids(self) -> Sequence[str]:
        """Return the ids of all requests that were decided about, the newest first."""
        found = [event.id for event in reversed(self._events) if isinstance(event, LoggedDecision)]
        return tuple(dict.fromkeys(found))


def _request(event: Event) -> str:
    return event.id if isinstance(event, LoggedDecision) else event.request_id
