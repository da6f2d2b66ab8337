"""The plugin: notes every decision and what became of it, and offers the verbs that look at them."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from loguru import logger

from turnout.clock import now
from turnout.fleet import Candidate
from turnout.markers import hookimpl
from turnout.messages import JSON
from turnout.store import Row, Store, data_path, open_store, read_store
from turnout.types import ExecutionMetrics, Feedback, ModelRequest, ModelSelection
from turnout_decisions.noted import Made, Noted
from turnout_decisions.schema import INSERT, MIGRATIONS, Retention
from turnout_decisions.settings import MEMORY, DecisionsSettings

if TYPE_CHECKING:
    import click

    from turnout_decisions.journal import Query
    from turnout_decisions.memory_log import MemoryLog
    from turnout_decisions.writing import Writing

NAME = "decisions"
WRITE_EVERY_SECONDS = 0.2
"""What happens in this time is handed to the writer together; a kill loses at most that."""

T = TypeVar("T")


class Decisions:
    """Every decision with its candidates, its outcome and its ratings, kept in SQLite: without any prompt.

    The hooks hand on what the core gave them; it is written down in the store's own thread.
    """

    def __init__(self, settings: DecisionsSettings) -> None:
        self._settings = settings
        self._path = (settings.path or data_path("decisions.db")).expanduser()
        self._memory = self._memory_log() if settings.path == MEMORY else None
        self._writing: Writing | None = None
        self._store: Store | None = None
        self._warning: str | None = None
        self._pending: list[Noted] = []

    @hookimpl(optionalhook=True)
    def register_commands(self, cli: "click.Group") -> None:
        """Add ``turnout explain``, ``rate`` and ``replay``."""
        from turnout_decisions.commands import add_to

        add_to(cli, self.read_now)

    @hookimpl
    def startup(self) -> Awaitable[None] | None:
        """Open the store in a thread."""
        return self._open() if self._settings.enabled and self._memory is None else None

    async def _open(self) -> None:
        opened = await asyncio.to_thread(
            open_store,
            self._path,
            MIGRATIONS,
            _nothing,
            name=NAME,
            prune=Retention(self._settings.retention_rows, self._settings.retention_days).prune,
            meanwhile="Decisions are held",
        )
        self._store, self._warning = opened.store, opened.warning
        if opened.store is None:
            self._memory = self._memory_log()
        if opened.warning is not None:
            logger.warning("{}", opened.warning)

    def _memory_log(self) -> "MemoryLog":
        from turnout_decisions.memory_log import MemoryLog

        return MemoryLog(content=self._settings.content)

    # --- what happens ---------------------------------------------------------------------------------

    @hookimpl
    def record_selection(
        self, request: ModelRequest, selection: ModelSelection, candidates: Sequence[Candidate]
    ) -> None:
        """Note a decision."""
        self._note(Made(now().timestamp(), request, selection, candidates))

    @hookimpl
    def record_execution(self, metrics: ExecutionMetrics) -> None:
        """Note what became of an attempt, if it was a request's."""
        if metrics.request_id:
            self._note(metrics)

    @hookimpl
    def record_feedback(self, feedback: Feedback) -> None:
        """Note a rating: at once, because it may come from any thread and the loop hands over later."""
        if self._store is not None:
            self._store.append(INSERT, self._rows([feedback]))
        else:
            self._note(feedback)

    @hookimpl
    def report_stats(self) -> Mapping[str, JSON]:
        """Say where decisions are kept, and why they are not."""
        if self._store is None:
            return {"path": None, "error": self._warning}
        return {"path": str(self._path), "error": self._store.error or self._warning}

    @hookimpl
    def shutdown(self) -> Awaitable[None] | None:
        """Write what is left, and close the store."""
        self._hand_over()
        store, self._store = self._store, None
        return None if store is None else _closed(store)

    def _note(self, noted: Noted) -> None:
        if self._store is None:
            if self._memory is not None and self._settings.enabled:
                self._memory.note(noted)
            return
        if not self._pending:
            asyncio.get_running_loop().call_later(WRITE_EVERY_SECONDS, self._hand_over)
        self._pending.append(noted)

    def _hand_over(self) -> None:
        noted, self._pending = self._pending, []
        if self._store is not None and noted:
            self._store.append(INSERT, self._rows(noted))

    def _rows(self, noted: Iterable[Noted]) -> Iterator[Row]:
        """Yield the rows; the writer's thread asks for them, and imports what makes them the first time."""
        if self._writing is None:
            from turnout_decisions.writing import Writing

            self._writing = Writing(content=self._settings.content)
        yield from self._writing.rows(noted)

    # --- looking --------------------------------------------------------------------------------------

    def read_now(self, query: "Query[T]") -> T:
        """Return what *query* finds in the log as it lies on disk, or in memory. Blocks.

        Raises ``StoreError`` where the file cannot be read.
        """
        from turnout_decisions.sqlite_log import SqliteLog

        if self._memory is not None:
            return query(self._memory)

        def read(connection: sqlite3.Connection) -> tuple[T]:
            return (query(SqliteLog(connection)),)

        found = read_store(self._path, MIGRATIONS, read, name=NAME)
        return query(self._memory_log()) if found is None else found[0]

    async def read(self, query: "Query[T]") -> T:
        """Return what *query* finds, all that has happened so far included; for programs with a router."""
        from turnout_decisions.sqlite_log import SqliteLog

        if self._store is None:
            return await asyncio.to_thread(self.read_now, query)
        self._hand_over()
        return await self._store.read(lambda connection: query(SqliteLog(connection)))


def _nothing(_: sqlite3.Connection) -> None:
    """Read no history: nothing is learned from it."""


async def _closed(store: Store) -> None:
    await asyncio.to_thread(store.close)
