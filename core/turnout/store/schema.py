"""From schema to schema, and whose file it is: SQLite's ``user_version`` and ``application_id`` say it."""

import sqlite3
import zlib
from collections.abc import Sequence
from typing import TypeAlias

from turnout.errors import LLMError

Migrations: TypeAlias = Sequence[Sequence[str]]
"""Statements that lead from each schema version to the next. Append; never change one that was released."""


class StoreError(LLMError):
    """A store cannot be used as it is; the message says why, and the advice what to do."""


class DamagedError(StoreError):
    """The file is a database whose structure is broken."""


def migrate(connection: sqlite3.Connection, migrations: Migrations, name: str) -> None:
    """Bring the database of the plugin *name* to the newest schema, wholly or not at all.

    Raises ``StoreError`` when a newer version of the plugin, another plugin or another program wrote it.
    """
    if _version(connection, len(migrations), name) == len(migrations):
        return
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        version = _version(connection, len(migrations), name)
        for statements in migrations[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute(f"PRAGMA application_id = {_mark(name)}")


def _version(connection: sqlite3.Connection, known: int, name: str) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not _is_ours(connection, version, name):
        message = "it is another program's or another plugin's database"
        raise StoreError(message, advice=f"Set another `[{name}] path`")
    if version > known:
        message = f"it has schema {version}, of a newer turnout; this one knows {known}"
        raise StoreError(message, advice="Update turnout")
    return int(version)


def _is_ours(connection: sqlite3.Connection, version: int, name: str) -> bool:
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    if version == 0:
        return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None
    return owner in {_mark(name), 0}  # turnout 0.1.0 set none


def _mark(name: str) -> int:
    """Return the ``application_id`` of *name*'s files: a positive number of 31 bits, as SQLite takes it."""
    return zlib.crc32(name.encode()) & 0x7FFFFFFF


def check(connection: sqlite3.Connection) -> None:
    """Raise ``DamagedError`` unless every page of the file is what it should be; 20 ms for 100,000 rows."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        message = f"it is damaged: {found}"
        raise DamagedError(message)
