"""Committing what is pending: whole, in order, again and again until it can be written."""

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

from loguru import logger

from turnout.store.pending import FaultyError, Job, make, newest, write

MOST_PENDING = 10_000
"""Rows that are kept for a store that cannot be written for a while."""


class Committing:
    """The transactions of one open store, and what became of the last of them. The writer's alone.

    ``error`` says why something was not committed; other threads may read it.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        name: str,
        prune: Callable[[sqlite3.Connection], None] | None,
        meanwhile: str,
    ) -> None:
        self.connection = connection
        self.path = path
        self.name = name
        self.error: str | None = None
        self._prune = prune
        self._meanwhile = meanwhile
        self._pending: list[Job] = []
        self._is_blocked = False
        self._left_out = 0

    def commit(self, jobs: Iterable[Job]) -> None:
        """Commit what was kept and *jobs*, but for what fails by its own fault."""
        self._pending.extend(jobs)
        left_out = self._left_out
        while self._pending:
            try:
                self._transact()
            except FaultyError as faulty:
                self._leave_out(faulty)
            except Exception as error:  # noqa: BLE001  prune is a plugin's
                self._keep(error)
                return
            else:
                self._pending.clear()
                self._is_blocked = False
                if left_out == self._left_out:
                    self.error = None

    def settle(self) -> bool:
        """Return whether all that came since the last call is committed."""
        left_out, self._left_out = self._left_out, 0
        return not self._pending and not left_out

    def _transact(self) -> None:
        make(self._pending)
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            write(self._pending, self.connection)
            if self._prune is not None:
                self._prune(self.connection)

    def _leave_out(self, faulty: FaultyError) -> None:
        self._pending.remove(faulty.job)
        self._left_out += 1
        error = f"{type(faulty.__cause__).__name__}: {faulty.__cause__}"
        if error != self.error:
            logger.warning("{}: left out what {} cannot hold: {}", self.name, self.path, error)
        self.error = error

    def _keep(self, error: Exception) -> None:
        self._pending = newest(self._pending, MOST_PENDING)
        if not self._is_blocked:
            logger.warning(
                "{}: cannot write {}: {}. {} in memory until it can be written again.",
                self.name,
                self.path,
                error,
                self._meanwhile,
            )
        self._is_blocked = True
        self.error = str(error)
