"""Executions kept in ``turnout.store``: what is read at a start, and what is pruned."""

import sqlite3
from functools import partial
from pathlib import Path
from typing import TypeAlias

from attrs import frozen

from turnout import store
from turnout.clock import now
from turnout_metrics.schema import MIGRATIONS, DeploymentHistory, read

DAY = 86_400.0

Opened: TypeAlias = store.Opened[tuple[DeploymentHistory, ...]]


@frozen
class Retention:
    """What is kept: at most ``rows`` executions, none older than ``days``."""

    rows: int
    days: float


def open_store(path: Path, retention: Retention, newest: int) -> Opened:
    """Open or create the store at *path*, and read the *newest* executions of each deployment. Blocks."""
    return store.open_store(
        path,
        MIGRATIONS,
        lambda connection: tuple(read(connection, newest)),
        name="metrics",
        prune=partial(prune, retention=retention),
        meanwhile="Speeds are learned",
    )


def prune(connection: sqlite3.Connection, retention: Retention) -> None:
    """Delete what *retention* does not keep, within the caller's transaction."""
    oldest = now().timestamp() - retention.days * DAY
    connection.execute("DELETE FROM executions WHERE timestamp < ?", (oldest,))
    connection.execute(
        "DELETE FROM executions WHERE id <= (SELECT max(id) FROM executions) - ?", (retention.rows,)
    )
