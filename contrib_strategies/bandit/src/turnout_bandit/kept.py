"""The outcomes as they are kept: facts, from which everything is learned anew at each start."""

import sqlite3

from turnout.store import Migrations, Row
from turnout_bandit.reward import Outcome

NAME = "bandit"
NEWEST = 5_000
"""Outcomes that are learned from at a start: by then the discount has left nothing of older ones."""
MOST = 50_000

MIGRATIONS: Migrations = (
    (
        """CREATE TABLE outcomes (
            id INTEGER PRIMARY KEY, at REAL NOT NULL, request_id TEXT NOT NULL, task TEXT NOT NULL,
            model TEXT NOT NULL, success INTEGER NOT NULL, valid INTEGER NOT NULL, seconds REAL NOT NULL,
            rating REAL)""",
        "CREATE INDEX outcomes_by_request ON outcomes (request_id)",
    ),
)
KEEP = """INSERT INTO outcomes (at, request_id, task, model, success, valid, seconds)
    VALUES (?, ?, ?, ?, ?, ?, ?)"""
RATE = "UPDATE outcomes SET rating = ? WHERE request_id = ? AND success AND ? IN ('', model)"
_READ = """SELECT at, request_id, task, model, success, valid, seconds, rating FROM outcomes
    ORDER BY id DESC LIMIT ?"""
_PRUNE = "DELETE FROM outcomes WHERE id <= (SELECT max(id) FROM outcomes) - ?"


def row(outcome: Outcome) -> Row:
    """Return an outcome as it is written."""
    o = outcome
    return o.at, o.request_id, o.task, o.model, o.success, o.valid, o.seconds


def newest(connection: sqlite3.Connection) -> list[Outcome]:
    """Return the newest outcomes, the oldest of them first."""
    found = connection.execute(_READ, (NEWEST,)).fetchall()
    return [
        Outcome(at, request, task, model, bool(success), bool(valid), seconds, rating)
        for at, request, task, model, success, valid, seconds, rating in reversed(found)
    ]


def prune(connection: sqlite3.Connection) -> None:
    """Forget the oldest outcomes beyond the bound."""
    connection.execute(_PRUNE, (MOST,))
