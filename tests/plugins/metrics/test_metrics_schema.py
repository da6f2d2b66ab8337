"""The table holds every execution as it was, as near as SQLite can."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import chain

import attrs
import pytest

from turnout.types import ExecutionMetrics
from turnout_metrics.schema import COLUMNS, INSERT, MIGRATIONS, cells, read

ORDINARY = ExecutionMetrics("m", "h", 1.0, success=True, request_id="r")


@pytest.fixture(name="database")
def _database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level="IMMEDIATE")) as connection:
        for statement in chain.from_iterable(MIGRATIONS):
            connection.execute(statement)
        with connection:
            connection.execute(INSERT, cells(ORDINARY))
        yield connection


def test_what_sqlite_cannot_hold_is_kept_as_near_as_it_can(database: sqlite3.Connection) -> None:
    """A NaN, a number beyond 64 bits and half a surrogate pair are no errors."""
    odd = attrs.evolve(
        ORDINARY,
        duration_seconds=float("nan"),
        tokens_generated=2**70,
        model_id="m\ud800",
        tokens_per_second=float("inf"),
    )
    database.execute(INSERT, cells(odd))
    found = {one.model: one.newest[0] for one in read(database, 10)}
    assert found["m"] == ORDINARY
    assert found["m?"].duration_seconds == found["m?"].tokens_per_second == 0.0
    assert found["m?"].tokens_generated == 2**63 - 1


def test_a_cell_of_another_type_is_read_as_the_columns_own(database: sqlite3.Connection) -> None:
    """SQLite lets any value into any column; what is read is typed all the same."""
    database.execute("UPDATE executions SET load_seconds = 'abc', prompt_tokens = 'x', task_type = 'later'")
    ((found,),) = (one.newest for one in read(database, 10))
    assert (found.load_seconds, found.prompt_tokens, found.task_type) == (0.0, 0, None)


def test_no_text_of_a_request_has_a_place(database: sqlite3.Connection) -> None:
    """The table's columns are the fields of an execution, none of which holds content."""
    columns = {row[1] for row in database.execute("PRAGMA table_info(executions)")}
    fields = {field.name for field in attrs.fields(ExecutionMetrics)}
    assert columns == fields - {"model_id"} | {"id", "model"}


def test_rows_of_the_first_version_are_kept() -> None:
    """What a newer version tells beside is unknown of them."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in MIGRATIONS[0]:
            connection.execute(statement)
        columns = [name for name in COLUMNS if name != "expected_tokens"]
        marks = ", ".join("?" * len(columns))
        known = cells(ORDINARY)[: len(columns)]
        connection.execute(f"INSERT INTO executions ({', '.join(columns)}) VALUES ({marks})", known)
        for statement in chain.from_iterable(MIGRATIONS[1:]):
            connection.execute(statement)
        ((found,),) = (one.newest for one in read(connection, 10))
    assert found == ORDINARY
