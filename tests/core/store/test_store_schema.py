"""A schema moves from version to version whole, and keeps what is there."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.core.store.stores import INSERT, MIGRATIONS, NEWER

from turnout.store import StoreError
from turnout.store.schema import migrate


@pytest.fixture(name="database")
def _database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level="IMMEDIATE")) as connection:
        migrate(connection, MIGRATIONS, "notes")
        with connection:
            connection.execute(INSERT, ("a",))
        yield connection


def version(database: sqlite3.Connection) -> int:
    (found,) = database.execute("PRAGMA user_version").fetchone()
    return int(found)


def test_a_migration_keeps_the_rows_and_runs_once(database: sqlite3.Connection) -> None:
    """A later schema is reached from any earlier one, and rows written before stay."""
    migrate(database, NEWER, "notes")
    migrate(database, NEWER, "notes")
    assert database.execute("SELECT text, more FROM notes").fetchall() == [("a", "x")]
    assert version(database) == len(NEWER)


def test_a_newer_schema_is_refused(database: sqlite3.Connection) -> None:
    """What a newer version has migrated, this one does not touch."""
    migrate(database, NEWER, "notes")
    with pytest.raises(StoreError, match="newer turnout"):
        migrate(database, MIGRATIONS, "notes")


def test_another_plugins_tables_are_refused(database: sqlite3.Connection) -> None:
    """A schema version alone does not say whose tables they are."""
    with pytest.raises(StoreError, match=r"Set another `\[other\] path`"):
        migrate(database, NEWER, "other")
    assert version(database) == len(MIGRATIONS)


def test_a_migration_that_fails_changes_nothing(database: sqlite3.Connection) -> None:
    """The schema moves wholly or not at all."""
    before = database.execute("SELECT sql FROM sqlite_master").fetchall()
    with pytest.raises(sqlite3.OperationalError):
        migrate(database, (*NEWER, ("NONSENSE",)), "notes")
    assert version(database) == len(MIGRATIONS)
    assert database.execute("SELECT sql FROM sqlite_master").fetchall() == before
