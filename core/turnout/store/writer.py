"""The store as a plugin uses it: one thread writes, nobody waits, and what is flushed survives a kill."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

from attrs import frozen

from turnout.store.committing import Committing
from turnout.store.connection import snapshot
from turnout.store.pending import Call, Job, Row, Rows
from turnout.store.schema import StoreError

T = TypeVar("T")


@frozen
class _Mark:
    """Has ``then`` called by the writer when all that came before was tried."""

    then: Callable[[], None]
    last: bool = False


class Store:
    """One open store; made by :func:`turnout.store.open_store`. Its methods may be called from any thread.

    What is pending is committed together, in the order in which it came. A store that cannot be written
    (full disk, lock held for long) is reported once, and ``error`` says why; its rows are kept for the
    next attempt, which the next call makes, the oldest dropped beyond ``MOST_PENDING``. Work that fails by
    its own fault (a constraint, no such table, an exception) is reported and left out, and holds up nothing.
    """

    def __init__(self, committing: Committing) -> None:
        self._committing = committing
        self._jobs: SimpleQueue[Job | _Mark] = SimpleQueue()
        self._guard = threading.Lock()
        self._closed: Future[bool] | None = None
        self._thread = threading.Thread(target=self._work, name=f"turnout-{committing.name}", daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        """The file."""
        return self._committing.path

    @property
    def error(self) -> str | None:
        """Why something could not be committed the last time; None when all was."""
        return self._committing.error

    def append(self, statement: str, rows: Iterable[Row]) -> None:
        """Have *statement* executed soon for each of *rows*, as ``executemany`` does; never blocks.

        *rows* is iterated once, by the writer.
        """
        self._put(Rows(statement, rows))

    def submit(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Have *work* called soon by the writer, within a transaction that it must not end; never blocks.

        It is called again where the transaction fails, so it does nothing but execute statements.
        """
        self._put(Call(work))

    async def read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Return what *read* returns, called by the writer after all that was submitted before.

        It sees one moment of the database, and what it writes is undone. Raises what *read* raises, and
        ``StoreError`` when the store is closed.
        """
        answer: Future[T] = Future()
        if not self._put(_Mark(lambda: self._answer(answer, read))):
            message = f"{self._committing.name}: {self.path} is closed"
            raise StoreError(message)
        return await asyncio.wrap_future(answer)

    def flush(self) -> bool:
        """Wait until all that came since the last flush is committed; False if something is not. Blocks."""
        done: Future[bool] = Future()
        return done.result() if self._put(self._flushed(done)) else self.close()

    def close(self) -> bool:
        """Flush, and close the database for good: what comes later is ignored. Blocks."""
        with self._guard:
            if self._closed is None:
                self._closed = Future()
                self._jobs.put(self._flushed(self._closed, last=True))
        self._thread.join()
        return self._closed.result()

    def _put(self, job: Job | _Mark) -> bool:
        """Hand *job* to the writer; False if there is none any more."""
        with self._guard:
            if self._closed is None:
                self._jobs.put(job)
            return self._closed is None

    def _flushed(self, done: Future[bool], *, last: bool = False) -> _Mark:
        return _Mark(lambda: done.set_result(self._committing.settle()), last)

    def _work(self) -> None:
        last = False
        while not last:
            waiting = self._waiting()
            self._committing.commit(job for job in waiting if not isinstance(job, _Mark))
            for mark in [job for job in waiting if isinstance(job, _Mark)]:
                mark.then()
                last |= mark.last
        self._committing.connection.close()

    def _waiting(self) -> list[Job | _Mark]:
        jobs = [self._jobs.get()]
        try:
            while True:
                jobs.append(self._jobs.get_nowait())
        except Empty:
            return jobs

    def _answer(self, answer: Future[T], read: Callable[[sqlite3.Connection], T]) -> None:
        if not answer.set_running_or_notify_cancel():
            return
        try:
            answer.set_result(snapshot(self._committing.connection, read))
        except Exception as error:  # noqa: BLE001  whoever reads is told
            answer.set_exception(error)
