"""Opening a store: whatever is wrong with it costs one warning, and never a byte of what was there."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Generic, TypeVar

from attrs import evolve, frozen

from turnout.store.committing import Committing
from turnout.store.connection import connect, read_only, snapshot
from turnout.store.files import identity, is_ours, move_aside
from turnout.store.schema import DamagedError, Migrations, StoreError
from turnout.store.writer import Store

T = TypeVar("T")

DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
UNUSABLE = (OSError, sqlite3.Error, StoreError)


@frozen
class Opened(Generic[T]):
    """What opening gave.

    ``store`` is None when nothing can be kept, ``history`` when nothing could be read. ``warning`` says
    why, for a person; it begins with the plugin's name, and whoever opened logs it.
    """

    store: Store | None
    history: T | None = None
    warning: str | None = None


@frozen
class _Asked(Generic[T]):
    """What is to be opened: the arguments of :func:`open_store`."""

    path: Path
    migrations: Migrations
    read: Callable[[sqlite3.Connection], T]
    name: str
    prune: Callable[[sqlite3.Connection], None] | None
    meanwhile: str


def open_store(
    path: Path,
    migrations: Migrations,
    read: Callable[[sqlite3.Connection], T],
    *,
    name: str,
    prune: Callable[[sqlite3.Connection], None] | None = None,
    meanwhile: str = "What is new is kept",
) -> Opened[T]:
    """Open or create the store of the plugin *name* at *path*, and *read* its history. Blocks.

    *read* sees the newest schema, and returns values rather than a cursor. *prune* runs after each write,
    in its transaction. *meanwhile* begins the sentences that end "in memory only." and "in memory until it
    can be written again.". *name* is also the table of settings whose ``path`` a warning may advise to set.

    Raises nothing for a store that cannot be used: a damaged database is moved aside and a new one begun; a
    file that is none stays as it is; of one that cannot be written, what can be read is read. An error of
    *read* that is neither SQLite's nor the system's is passed on.
    """
    asked = _Asked(path, migrations, read, name, prune, meanwhile)
    found = identity(path)
    try:
        return _open(asked)
    except UNUSABLE as error:
        if not _is_damage(error):
            return _unusable(asked, error)
        if not is_ours(path):
            foreign = StoreError(f"it is no database. Set another `[{name}] path`, or take the file away")
            return _unusable(asked, foreign)
    try:
        aside = move_aside(path, found)
        opened = _open(asked)
    except UNUSABLE as error:
        return _unusable(asked, error)
    warning = f"{name}: {path} is damaged. It was moved to {aside}, and a new one begins."
    return evolve(opened, warning=warning)


def _open(asked: _Asked[T]) -> Opened[T]:
    connection = connect(asked.path, asked.migrations, asked.name)
    try:
        history = snapshot(connection, asked.read)
    except BaseException:
        connection.close()
        raise
    committing = Committing(connection, asked.path, asked.name, asked.prune, asked.meanwhile)
    return Opened(Store(committing), history)


def _is_damage(error: Exception) -> bool:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return isinstance(error, DamagedError) or code & 0xFF in DAMAGED


def _unusable(asked: _Asked[T], error: Exception) -> Opened[T]:
    warning = f"{asked.name}: cannot use {asked.path}: {error}. {asked.meanwhile} in memory only."
    if isinstance(error, StoreError):
        return Opened(None, warning=warning)
    try:
        return Opened(None, read_only(asked.path, asked.read), warning)
    except sqlite3.Error:
        return Opened(None, warning=warning)


def read_store(
    path: Path, migrations: Migrations, read: Callable[[sqlite3.Connection], T], *, name: str
) -> T | None:
    """Return what *read* finds in the store of the plugin *name* at *path*; None where no file is. Blocks.

    For commands, while other processes may be writing. The file is brought to the newest schema if it can
    be written, and only read if not. Raises ``StoreError`` if it cannot be read; nothing is moved aside.
    """
    try:
        if not path.exists():
            return None
        with closing(connect(path, migrations, name)) as connection:
            return snapshot(connection, read)
    except StoreError as error:
        raise _unreadable(path, name, error) from error
    except (OSError, sqlite3.Error) as error:
        try:
            return read_only(path, read)
        except sqlite3.Error:
            raise _unreadable(path, name, error) from error


def _unreadable(path: Path, name: str, error: Exception) -> StoreError:
    return StoreError(f"{name}: cannot read {path}: {error}", error)
