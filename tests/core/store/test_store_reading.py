"""Who reads takes his turn behind the writes; a store that is closed says so."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest
from tests.core.store.stores import INSERT, append, impatient, locked, on_disk, texts, use

from turnout.store import StoreError


@pytest.mark.anyio
async def test_who_reads_sees_all_that_was_submitted_before(path: Path) -> None:
    """Reading takes its turn behind the writes, and the loop goes on meanwhile."""
    store = use(path)
    for n in range(100):
        append(store, [f"{n}"])
    assert await store.read(texts) == [f"{n}" for n in range(100)]
    await asyncio.to_thread(store.close)


@pytest.mark.anyio
async def test_what_a_reader_writes_is_undone(path: Path) -> None:
    """A reader leaves no transaction open behind it."""
    store = use(path)
    await store.read(lambda connection: connection.execute(INSERT, ("a",)).rowcount)
    append(store, ["b"])
    assert await store.read(texts) == ["b"]
    await asyncio.to_thread(store.close)


@pytest.mark.anyio
async def test_an_error_of_a_reader_is_the_readers(path: Path) -> None:
    """It is raised where the answer is awaited, and the writer goes on."""
    store = use(path)
    with pytest.raises(ZeroDivisionError):
        await store.read(lambda _: 1 // 0)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await store.read(lambda connection: connection.execute("SELECT * FROM theirs"))
    append(store, ["a"])
    assert await store.read(texts) == ["a"]
    await asyncio.to_thread(store.close)


@pytest.mark.anyio
async def test_a_reader_that_does_not_wait_any_more_is_not_called(path: Path) -> None:
    """Cancelling takes back what the writer has not begun."""
    store, free, called = use(path), threading.Event(), []
    store.submit(lambda _: free.wait())
    reading = asyncio.create_task(store.read(lambda _: called.append(1)))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()
    free.set()
    assert await asyncio.to_thread(store.close)
    assert called == []


# --- closing ----------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_closed_store_takes_nothing_and_says_so_to_readers(path: Path) -> None:
    """Closing twice is no error, nobody waits for a writer that is gone, and no row comes after."""
    store = use(path)
    append(store, ["a"])
    assert store.close()
    append(store, ["b"])
    store.submit(lambda connection: connection.execute("DELETE FROM notes"))
    assert store.flush()
    assert store.close()
    with pytest.raises(StoreError, match=r"notes: .*notes\.db is closed"):
        await store.read(texts)
    assert on_disk(path) == ["a"]


def test_closing_tells_what_could_not_be_written(path: Path, warnings: list[str]) -> None:
    """A store that is closed while it cannot be written says that its rows are lost."""
    store = use(path)
    impatient(store)
    with locked(path):
        append(store, ["a"])
        assert not store.close()
    assert on_disk(path) == []
    assert store.error == "database is locked"
