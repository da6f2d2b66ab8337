"""Work that waits for the writer: in order, bounded, and without what can never be written."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from attrs import define, frozen

Row: TypeAlias = Sequence[str | int | float | bytes | None]

# https://sqlite.org/rescode.html: the statement or its values are wrong, and will be the next time too.
OWN_FAULTS = frozenset(
    {
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_RANGE,
    }
)


@define(eq=False)
class Rows:
    """Rows for one statement. They are made once, by the writer, when they are written first."""

    statement: str
    rows: Iterable[Row]

    def make(self) -> Sequence[Row]:
        """Return the rows, made if they were not yet."""
        self.rows = tuple(self.rows)
        return self.rows

    def newest(self, count: int) -> "Rows":
        """Return the last *count* rows, or all."""
        return Rows(self.statement, self.make()[-count:])

    def write(self, connection: sqlite3.Connection) -> None:
        """Execute the statement for each row."""
        connection.executemany(self.statement, self.make())


@frozen(eq=False)
class Call:
    """Statements of the plugin's own."""

    work: Callable[[sqlite3.Connection], object]

    def make(self) -> Sequence[Row]:
        """Return what counts as one row."""
        return ((),)

    def newest(self, _: int) -> "Call":
        """Return the statements: they are not divided."""
        return self

    def write(self, connection: sqlite3.Connection) -> None:
        """Have the plugin execute its statements."""
        self.work(connection)


Job: TypeAlias = Rows | Call


class FaultyError(Exception):
    """``job`` failed by its own fault: it would fail again."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job


def write(jobs: Iterable[Job], connection: sqlite3.Connection) -> None:
    """Write all *jobs* within the caller's transaction.

    Raises ``FaultyError`` from the error for the first that fails by its own fault, and what SQLite raises
    otherwise.
    """
    for job in jobs:
        with _blaming(job):
            job.write(connection)


def make(jobs: Iterable[Job]) -> None:
    """Make all rows; raises ``FaultyError`` for the first job whose rows cannot be made."""
    for job in jobs:
        with _blaming(job):
            job.make()


@contextmanager
def _blaming(job: Job) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        code: int | None = getattr(error, "sqlite_errorcode", None)
        if code is None or code & 0xFF in OWN_FAULTS:
            raise FaultyError(job) from error
        raise


def newest(jobs: Sequence[Job], rows: int) -> list[Job]:
    """Return the newest of *jobs*, with *rows* rows in all; their rows are made."""
    kept: list[Job] = []
    for job in reversed(jobs):
        kept.append(job.newest(rows))
        rows -= len(job.make())
        if rows <= 0:
            break
    return kept[::-1]
