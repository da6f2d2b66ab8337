"""What came of each request, as it is kept."""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from attrs import frozen

from turnout import ExecutionMetrics
from turnout.store import Migrations, Row

NAME = "canary"
MOST_OUTCOMES = 200_000

MIGRATIONS: Migrations = (
    (
        """CREATE TABLE outcomes (
            id INTEGER PRIMARY KEY, at REAL NOT NULL, experiment TEXT NOT NULL, model TEXT NOT NULL,
            unit TEXT NOT NULL, request_id TEXT NOT NULL, copy INTEGER NOT NULL,
            success INTEGER NOT NULL, valid INTEGER NOT NULL, seconds REAL NOT NULL, rating REAL,
            UNIQUE (experiment, request_id, model))""",
        "CREATE INDEX outcomes_by_request ON outcomes (request_id)",
    ),
)
KEEP = """INSERT INTO outcomes (at, experiment, model, unit, request_id, copy, success, valid, seconds)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (experiment, request_id, model) DO UPDATE SET
        success = excluded.success, valid = excluded.valid, seconds = seconds + excluded.seconds"""
RATE = "UPDATE outcomes SET rating = ? WHERE request_id = ? AND copy = 0 AND ? IN ('', model)"
PRUNE = "DELETE FROM outcomes WHERE id <= (SELECT max(id) FROM outcomes) - ?"
READ = """SELECT experiment, model, unit, avg(success), avg(valid), avg(rating),
        avg(CASE WHEN success AND seconds > 0 THEN seconds END)
    FROM outcomes GROUP BY experiment, model, unit ORDER BY min(id)"""

ENDS_WELL = frozenset({"stop", "tool_calls"})


@frozen
class Conversation:
    """What came of one conversation in one arm: means over its requests; None where nothing was seen.

    ``success``, ``valid`` and ``rating`` are shares, ``seconds`` those of the answers that came.
    """

    unit: str
    success: float
    valid: float
    rating: float | None = None
    seconds: float | None = None


Outcomes: TypeAlias = Mapping[tuple[str, str], Sequence[Conversation]]
"""By experiment and model."""


@frozen
class Slot:
    """Where the outcome of an execution belongs.

    ``limited``: the caller set ``max_tokens`` himself. ``misshapen``: what came has not the shape that was
    asked for. ``in_shadow``: there are copies in this experiment; ``copy``: this is one.
    """

    experiment: str
    model: str
    unit: str
    request_id: str
    limited: bool
    copy: bool = False
    in_shadow: bool = False
    misshapen: bool = False

    def row(self, metrics: ExecutionMetrics) -> Row:
        """Return the outcome as it is written."""
        valid = metrics.success and not self.misshapen and self._ends_well(metrics.finish_reason)
        return (
            metrics.timestamp,
            self.experiment,
            self.model,
            self.unit,
            self.request_id,
            self.copy,
            metrics.success,
            valid,
            self._seconds(metrics),
        )

    def _ends_well(self, reason: str | None) -> bool:
        return reason is None or reason in ENDS_WELL or (self.limited and reason == "length")

    def _seconds(self, metrics: ExecutionMetrics) -> float:
        """Return what the caller waits for; beside copies, which never queue nor load, the work alone."""
        if self.in_shadow:
            return max(metrics.duration_seconds - (metrics.load_seconds or 0.0), 0.0)
        return metrics.duration_seconds + metrics.queue_seconds


def read(connection: sqlite3.Connection) -> Outcomes:
    """Return all outcomes, one for each conversation: requests of one conversation are not independent."""
    found: defaultdict[tuple[str, str], list[Conversation]] = defaultdict(list)
    for experiment, model, unit, success, valid, rating, seconds in connection.execute(READ):
        found[experiment, model].append(Conversation(unit, success, valid, rating, seconds))
    return dict(found)


def nothing(_: sqlite3.Connection) -> None:
    """Read no history: a selection does not depend on what came of the earlier ones."""


def prune(connection: sqlite3.Connection) -> None:
    """Forget the oldest outcomes beyond the bound."""
    connection.execute(PRUNE, (MOST_OUTCOMES,))
