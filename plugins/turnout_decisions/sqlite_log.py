"""Looking decisions up in SQLite."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from attrs import define, field

from turnout_decisions.codec import DECISION, Decoder, Row, UnreadableError
from turnout_decisions.journal import Event, LoggedDecision, Page, Wanted, joined

# Read through casts: SQLite's types are not strict.
COLUMNS = """id, CAST(at AS REAL), CAST(kind AS TEXT), CAST(version AS INTEGER), body,
    CAST(estimates AS BLOB), CAST(fleet AS TEXT), CAST(qualities AS TEXT)"""
CHOSEN = "kind = ? AND at >= ? AND (? IS NULL OR task_type = ?) ORDER BY id DESC LIMIT ?"
# ruff: noqa: S608  (the statements are made of the constants above)
DECISIONS = f"SELECT {COLUMNS} FROM events WHERE {CHOSEN}"
FOLLOWING = f"""SELECT {COLUMNS} FROM events WHERE kind <> ? AND request_id IN (
    SELECT request_id FROM events WHERE {CHOSEN})"""
OF_REQUEST = f"SELECT {COLUMNS} FROM events WHERE request_id = ?"
IDS = "SELECT CAST(request_id AS TEXT) FROM events WHERE kind = ? GROUP BY request_id ORDER BY max(id) DESC"
ALL = -1
PART = "SELECT body FROM parts WHERE digest = ?"

Found: TypeAlias = tuple[int, Row]


@define(eq=False)
class _Reading:
    """What was read so far, each event by its number, and what of it cannot be or is not wanted."""

    decoder: Decoder
    found: dict[int, Event] = field(factory=dict)
    unreadable: int = 0
    newer: int = 0
    unseen: int = 0

    def decisions(self, rows: Iterable[Found], wanted: Wanted) -> int:
        """Read decisions, the newest first, until there are as many as wanted; return how many it took.

        Whether nobody was shown an answer stands in the body, so it costs decoding to know.
        """
        looked_at = 0
        for number, row in rows:
            if len(self.found) + self.unreadable + self.newer == wanted.limit:
                break
            looked_at += 1
            event = self._decoded(row)
            if isinstance(event, LoggedDecision) and wanted.passes_over(event):
                self.unseen += 1
            elif event is not None:
                self.found[number] = event
        return looked_at

    def events(self, rows: Iterable[Found]) -> None:
        """Read all of *rows*."""
        for number, row in rows:
            event = self._decoded(row)
            if event is not None:
                self.found[number] = event

    def _decoded(self, row: Row) -> Event | None:
        try:
            return self.decoder.decode(row)
        except UnreadableError as error:
            self.newer += error.newer
            self.unreadable += not error.newer
            return None

    def page(self) -> Page:
        """Return what was read, in the order in which it happened."""
        events = (event for _, event in sorted(self.found.items(), key=lambda found: found[0]))
        return Page(joined(events), self.unreadable, self.newer, self.unseen)


class SqliteLog:
    """A :class:`~turnout_decisions.journal.Log` over an open connection, which must not change meanwhile."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def newest(self, wanted: Wanted) -> Page:
        """Return the newest decisions that are wanted."""
        task = None if wanted.task_type is None else str(wanted.task_type)
        chosen = (DECISION, wanted.since, task, task)
        reading = _Reading(Decoder(self._part))
        looked_at = reading.decisions(self._rows(DECISIONS, (*chosen, ALL)), wanted)
        reading.events(self._rows(FOLLOWING, (DECISION, *chosen, looked_at)))
        return reading.page()

    def request(self, request_id: str) -> Page:
        """Return all decisions about one request."""
        reading = _Reading(Decoder(self._part))
        reading.events(self._rows(OF_REQUEST, (request_id,)))
        return reading.page()

    def ids(self) -> Sequence[str]:
        """Return the ids of all requests that were decided about, the newest first."""
        return [row[0] for row in self._connection.execute(IDS, (DECISION,))]

    def _rows(self, statement: str, values: Sequence[str | float | None]) -> Iterator[Found]:
        for number, *cells in self._connection.execute(statement, values):
            yield number, Row(*cells)

    def _part(self, digest: str) -> bytes:
        """Return a shared piece; raises ``KeyError`` where it is missing."""
        found = self._connection.execute(PART, (digest,)).fetchone()
        if found is None:
            raise KeyError(digest)
        body: bytes = found[0]
        return body
