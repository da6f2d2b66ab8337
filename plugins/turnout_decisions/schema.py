"""How the log lies in SQLite: one row for each event, and the pieces that decisions share beside them.

Rows go in through the view ``incoming``, so that an event and its pieces are one statement; a piece goes
when the last event that rests on it does.
"""

import math
import sqlite3

from attrs import frozen

from turnout.clock import now
from turnout.store import Migrations

DAY = 86_400.0
WITNESSES = 100
"""Events that must agree with the clock before it makes anything too old."""

MIGRATIONS: Migrations = (
    (
        "CREATE TABLE parts (digest TEXT PRIMARY KEY, body BLOB NOT NULL)",
        """CREATE TABLE events (
            id INTEGER PRIMARY KEY,
            at REAL NOT NULL,
            kind TEXT NOT NULL,
            request_id TEXT NOT NULL,
            task_type TEXT,
            version INTEGER NOT NULL,
            fleet TEXT,
            qualities TEXT,
            estimates BLOB,
            body BLOB NOT NULL
        )""",
        "CREATE INDEX events_by_kind ON events (kind)",
        "CREATE INDEX events_by_request ON events (request_id)",
        "CREATE INDEX events_by_time ON events (at)",
        "CREATE INDEX events_by_fleet ON events (fleet) WHERE fleet IS NOT NULL",
        "CREATE INDEX events_by_qualities ON events (qualities) WHERE qualities IS NOT NULL",
        """CREATE VIEW incoming AS
            SELECT at, kind, request_id, task_type, version, fleet, qualities, estimates, body,
                NULL AS fleet_body, NULL AS qualities_body FROM events""",
        """CREATE TRIGGER take_in INSTEAD OF INSERT ON incoming BEGIN
            INSERT OR IGNORE INTO parts
                SELECT NEW.fleet, NEW.fleet_body WHERE NEW.fleet IS NOT NULL;
            INSERT OR IGNORE INTO parts
                SELECT NEW.qualities, NEW.qualities_body WHERE NEW.qualities IS NOT NULL;
            INSERT INTO events (at, kind, request_id, task_type, version, fleet, qualities, estimates, body)
            VALUES (NEW.at, NEW.kind, NEW.request_id, NEW.task_type, NEW.version,
                NEW.fleet, NEW.qualities, NEW.estimates, NEW.body);
        END""",
        """CREATE TRIGGER drop_parts AFTER DELETE ON events WHEN OLD.fleet IS NOT NULL BEGIN
            DELETE FROM parts WHERE digest IN (OLD.fleet, OLD.qualities)
                AND NOT EXISTS (SELECT 1 FROM events WHERE fleet = parts.digest)
                AND NOT EXISTS (SELECT 1 FROM events WHERE qualities = parts.digest);
        END""",
    ),
)
INSERT = """INSERT INTO incoming
    (at, kind, request_id, task_type, version, fleet, qualities, estimates, body, fleet_body, qualities_body)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""


@frozen
class Retention:
    """What is kept: at most ``rows`` events, none older than ``days``.

    Ages are counted from the clock, or from the oldest of the newest :data:`WITNESSES` events where that is
    earlier: a start with the clock a year ahead must not cost the log. So that many are kept at any age.
    """

    rows: int
    days: float

    def prune(self, connection: sqlite3.Connection) -> None:
        """Delete the rest, within the caller's transaction."""
        oldest = min(now().timestamp(), _witnessed(connection)) - self.days * DAY
        connection.execute("DELETE FROM events WHERE at < ?", (oldest,))
        connection.execute("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", (self.rows,))


def _witnessed(connection: sqlite3.Connection) -> float:
    newest = "SELECT min(CAST(at AS REAL)) FROM (SELECT at FROM events ORDER BY id DESC LIMIT ?)"
    found = connection.execute(newest, (WITNESSES,)).fetchone()[0]
    return math.inf if found is None else float(found)
