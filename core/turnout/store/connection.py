"""One connection to a plugin's file: migrated, checked, and read in one piece."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from turnout.store.schema import Migrations, check, migrate

T = TypeVar("T")

BUSY_SECONDS = 5.0
"""How long one process waits for another's transaction."""
CACHE_KIB = 512
"""Pages held in memory; what is mostly appended to gains nothing by the 2 MiB that SQLite would take."""


def connect(path: Path, migrations: Migrations, name: str) -> sqlite3.Connection:
    """Open or create the database of the plugin *name* at *path*, with the newest schema and sound pages.

    Write-ahead logging with ``synchronous = NORMAL``: a committed row survives the death of the process at
    any instant; a power cut may cost the last commits but no consistency (https://sqlite.org/wal.html).
    Raises ``OSError``, ``sqlite3.Error`` and ``StoreError``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level="IMMEDIATE", check_same_thread=False
    )
    try:
        migrate(connection, migrations, name)
        check(connection)
        _log_ahead(connection)
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    except BaseException:
        connection.close()
        raise
    return connection


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Turn on write-ahead logging, unless another process is just doing it: the file remembers the mode."""
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
    connection.execute("PRAGMA synchronous = NORMAL")


def snapshot(connection: sqlite3.Connection, read: Callable[[sqlite3.Connection], T]) -> T:
    """Return what *read* finds at one moment, whoever writes meanwhile; what it writes is undone."""
    connection.text_factory = _text
    connection.execute("BEGIN")
    try:
        return read(connection)
    finally:
        connection.rollback()


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def read_only(path: Path, read: Callable[[sqlite3.Connection], T]) -> T:
    """Return what *read* finds without writing a byte, as far as that is possible.

    Beside a log the file alone may be inconsistent; without one nobody is writing, and SQLite must not
    try to create one in a directory that it cannot write. Raises ``sqlite3.Error``.
    """
    logged = path.with_name(path.name + "-wal").exists()
    uri = path.absolute().as_uri() + ("?mode=ro" if logged else "?mode=ro&immutable=1")
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        return snapshot(connection, read)
