"""How executions lie in SQLite: one row each, no word of any prompt or answer."""

import math
import sqlite3
from collections.abc import Iterator
from typing import Any, TypeAlias

from attrs import fields, frozen

from turnout.skills import TaskType
from turnout.store import Migrations
from turnout.types import ExecutionMetrics
from turnout_metrics.learned import Tally, failure_class

MIGRATIONS: Migrations = (
    (
        """CREATE TABLE executions (
            id INTEGER PRIMARY KEY,
            timestamp REAL NOT NULL,
            host TEXT NOT NULL,
            model TEXT NOT NULL,
            duration_seconds REAL NOT NULL,
            success INTEGER NOT NULL,
            task_type TEXT,
            tokens_generated INTEGER NOT NULL,
            tokens_per_second REAL,
            prompt_tokens INTEGER NOT NULL,
            cached_tokens INTEGER NOT NULL,
            time_to_first_token REAL,
            load_seconds REAL,
            queue_seconds REAL NOT NULL,
            resident INTEGER NOT NULL,
            error TEXT,
            finish_reason TEXT,
            strategy TEXT NOT NULL,
            request_id TEXT NOT NULL
        )""",
        "CREATE INDEX executions_by_deployment ON executions (host, model)",
        "CREATE INDEX executions_by_time ON executions (timestamp)",
    ),
    ("ALTER TABLE executions ADD COLUMN expected_tokens INTEGER NOT NULL DEFAULT 0",),
)
"""Statements that lead from each schema version to the next. Append; never change one that was released."""

COLUMNS = {
    "model": "TEXT",
    "host": "TEXT",
    "duration_seconds": "REAL",
    "success": "INTEGER",
    "task_type": "TEXT",
    "tokens_generated": "INTEGER",
    "tokens_per_second": "REAL",
    "prompt_tokens": "INTEGER",
    "time_to_first_token": "REAL",
    "load_seconds": "REAL",
    "queue_seconds": "REAL",
    "resident": "INTEGER",
    "error": "TEXT",
    "finish_reason": "TEXT",
    "strategy": "TEXT",
    "request_id": "TEXT",
    "timestamp": "REAL",
    "cached_tokens": "INTEGER",
    "expected_tokens": "INTEGER",
}
"""In the order of the fields of ``ExecutionMetrics``. Read through casts: SQLite's types are not strict."""

# ruff: noqa: S608  (the statements are made of the constants above)
INSERT = f"INSERT INTO executions ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
NEWEST = f"""SELECT {", ".join(f"CAST({name} AS {kind})" for name, kind in COLUMNS.items())} FROM (
    SELECT * FROM executions WHERE host = ? AND model = ? ORDER BY id DESC LIMIT ?
) ORDER BY id"""
# The index would lead through the table row by row: twice as slow as reading it all.
TALLIES = """SELECT host, model, success, error, finish_reason, count(*), min(timestamp),
    CAST(total(prompt_tokens) AS INTEGER), CAST(total(tokens_generated) AS INTEGER)
FROM executions NOT INDEXED GROUP BY host, model, success, error, finish_reason"""

LARGEST_INTEGER = 2**63 - 1

Cell: TypeAlias = str | int | float | None


@frozen
class DeploymentHistory:
    """What the store knows of one deployment: counts of all its rows, and its newest executions in order."""

    host: str
    model: str
    tally: Tally
    newest: tuple[ExecutionMetrics, ...]


def cells(metrics: ExecutionMetrics) -> tuple[Cell, ...]:
    """Return *metrics* as a row; what SQLite cannot hold (NaN, lone surrogates) becomes what it can."""
    return tuple(_cell(getattr(metrics, field.name)) for field in fields(ExecutionMetrics))


def _cell(value: Cell) -> Cell:
    if isinstance(value, str):
        return str(value).encode("utf-8", "replace").decode()
    if isinstance(value, int):
        return max(-LARGEST_INTEGER, min(int(value), LARGEST_INTEGER))
    if value is not None and not math.isfinite(value):
        return 0.0
    return value


_TASK_TYPES = {task.value: task for task in TaskType}


def execution(row: tuple[Any, ...]) -> ExecutionMetrics:
    """Return the execution of a row as :data:`NEWEST` selects it."""
    values = dict(zip(COLUMNS, row, strict=True))
    values["success"] = bool(values["success"])
    values["resident"] = bool(values["resident"])
    values["task_type"] = _TASK_TYPES.get(values["task_type"])
    return ExecutionMetrics(*values.values())


def read(connection: sqlite3.Connection, newest: int) -> Iterator[DeploymentHistory]:
    """Read every deployment's counts and its *newest* executions."""
    tallies: dict[tuple[str, str], Tally] = {}
    for row in connection.execute(TALLIES):
        host, model, success, error, finish_reason, requests, since, prompt, generated = row
        tally = Tally(requests, prompt_tokens=prompt, tokens_generated=generated, since=since)
        if not success:
            tally.failures[failure_class(error, finish_reason)] = requests
        tallies.setdefault((host, model), Tally()).add(tally)
    for (host, model), tally in tallies.items():
        rows = connection.execute(NEWEST, (host, model, newest))
        yield DeploymentHistory(host, model, tally, tuple(map(execution, rows)))
