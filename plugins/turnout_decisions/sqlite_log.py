"""Looking decisions up in SQLite."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from turnout_decisions.codec import DECISION, Decoder, Row, UnreadableError
from turnout_decisions.journal import Event, Page, Wanted, joined

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
PART = "SELECT body FROM parts WHERE digest = ?"

Found: TypeAlias = tuple[int, Row]


class SqliteLog:
    """A :class:`~turnout_decisions.journal.Log` over an open connection, which must not change meanwhile."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def newest(self, wanted: Wanted) -> Page:
        """Return the newest decisions that are wanted."""
        limit = -1 if wanted.limit is None else wanted.limit
        task = None if wanted.task_type is None else str(wanted.task_type)
        chosen = (DECISION, wanted.since, task, task, limit)
        decisions = self._rows(DECISIONS, chosen)
        return self._page([*decisions, *self._rows(FOLLOWING, (DECISION, *chosen))])

    def request(self, request_id: str) -> Page:
        """Return all decisions about one request."""
        return self._page(self._rows(OF_REQUEST, (request_id,)))

    def ids(self) -> Sequence[str]:
        """Return the ids of all requests that were decided about, the newest first."""
        return [row[0] for row in self._connection.execute(IDS, (DECISION,))]

    def _rows(self, statement: str, values: Sequence[str | float | None]) -> Iterator[Found]:
        for number, *cells in self._connection.execute(statement, values):
            yield number, Row(*cells)

    def _page(self, rows: Iterable[Found]) -> Page:
        decoder = Decoder(self._part)
        events: list[Event] = []
        unreadable = newer = 0
        for _, row in sorted(rows, key=lambda found: found[0]):
            try:
                events.append(decoder.decode(row))
            except UnreadableError as error:
                newer += error.newer
                unreadable += not error.newer
        return Page(joined(events), unreadable, newer)

    def _part(self, digest: str) -> bytes:
        """Return a shared piece; raises ``KeyError`` where it is missing."""
        found = self._connection.execute(PART, (digest,)).fetchone()
        if found is None:
            raise KeyError(digest)
        body: bytes = found[0]
        return body
