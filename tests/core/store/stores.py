"""A plugin's store of notes, as the tests and their processes use it."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from turnout.store import Migrations, Opened, Store, open_store

MIGRATIONS: Migrations = (
    (
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",
        "CREATE INDEX notes_by_text ON notes (text, id)",
    ),
)
NEWER = (*MIGRATIONS, ("ALTER TABLE notes ADD COLUMN more TEXT DEFAULT 'x'",))
INSERT = "INSERT INTO notes (text) VALUES (?)"

Notes = list[str]


def texts(connection: sqlite3.Connection) -> Notes:
    return [text for (text,) in connection.execute("SELECT text FROM notes ORDER BY id")]


def open_notes(path: Path, prune: Callable[[sqlite3.Connection], None] | None = None) -> Opened[Notes]:
    return open_store(path, MIGRATIONS, texts, name="notes", prune=prune, meanwhile="Notes are kept")


def use(path: Path, prune: Callable[[sqlite3.Connection], None] | None = None) -> Store:
    opened = open_notes(path, prune)
    assert opened.store is not None, opened.warning
    return opened.store


def append(store: Store, notes: Iterable[str]) -> None:
    store.append(INSERT, ((text,) for text in notes))


def write(path: Path, notes: Iterable[str]) -> None:
    store = use(path)
    append(store, notes)
    assert store.close()


def impatient(store: Store) -> None:
    """Have *store* report a lock at once."""
    store.submit(lambda connection: connection.execute("PRAGMA busy_timeout = 1"))
    assert store.flush()


def on_disk(path: Path) -> Notes:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return texts(connection)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the write lock, as another process would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
