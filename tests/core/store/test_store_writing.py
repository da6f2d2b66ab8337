"""The writer commits in order, keeps what it cannot write yet, and leaves out what nobody could."""

import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.store.stores import INSERT, Notes, append, impatient, locked, on_disk, use

from turnout.store import Row, Store
from turnout.store.committing import MOST_PENDING

# --- order ------------------------------------------------------------------------------------------

steps = st.lists(st.tuples(st.sampled_from(["append", "submit", "clear", "flush"]), st.integers(0, 3)))


def follow(store: Store, kind: str, notes: Notes) -> Notes | None:
    """Have *store* do one step; return what is left of the notes before it, None for all."""
    if kind == "append":
        append(store, notes)
    elif kind == "submit":
        store.submit(lambda connection: connection.executemany(INSERT, [(text,) for text in notes]))
    elif kind == "clear":
        store.submit(lambda connection: connection.execute("DELETE FROM notes"))
        return []
    else:
        assert store.flush()
    return None


@settings(max_examples=40, deadline=None)
@given(steps)
def test_work_is_done_in_the_order_in_which_it_was_submitted(steps: list[tuple[str, int]]) -> None:
    """Appended rows and submitted statements leave what they would leave one by one."""
    expected: Notes = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "notes.db"
        store = use(path)
        for at, (kind, count) in enumerate(steps):
            notes = [f"{at} {n}" for n in range(count)]
            left = follow(store, kind, notes)
            if kind in {"append", "submit"}:
                expected += notes
            expected = expected if left is None else left
        assert store.close()
        assert on_disk(path) == expected


def test_many_threads_may_append(path: Path) -> None:
    """No row is lost, and those of one thread are in its order."""
    store = use(path)

    def work(name: str) -> None:
        for n in range(50):
            append(store, [f"{name} {n}"])

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.close()
    for name in "abcd":
        assert [text for text in on_disk(path) if text[0] == name] == [f"{name} {n}" for n in range(50)]


def test_rows_are_made_by_the_writer(path: Path) -> None:
    """Whoever appends does not wait for the making of rows, nor for the write before."""
    free, makers = threading.Event(), []

    def rows() -> Iterator[Row]:
        free.wait()
        makers.append(threading.current_thread().name)
        yield ("a",)

    store = use(path)
    store.append(INSERT, rows())
    assert makers == []
    free.set()
    assert store.close()
    assert makers == ["turnout-notes"]
    assert on_disk(path) == ["a"]


def test_pruning_follows_each_write_in_its_transaction(path: Path) -> None:
    """Whatever is committed obeys the plugin's own rule."""

    def prune(connection: sqlite3.Connection) -> None:
        assert connection.in_transaction
        connection.execute("DELETE FROM notes WHERE id <= (SELECT max(id) FROM notes) - 3")

    store = use(path, prune)
    for n in range(10):
        append(store, [f"{n}"])
        assert store.flush()
        assert len(on_disk(path)) <= 3
    store.close()
    assert on_disk(path) == ["7", "8", "9"]


# --- what cannot be written yet ---------------------------------------------------------------------


def test_a_store_that_another_locks_keeps_what_it_could_not_write(path: Path, warnings: list[str]) -> None:
    """A lock held too long is reported once; rows and statements are written when it is gone."""
    store = use(path)
    impatient(store)
    with locked(path):
        for text in "abc":
            append(store, [text])
            assert not store.flush()
        store.submit(lambda connection: connection.execute("DELETE FROM notes WHERE text = 'b'"))
        assert not store.flush()
        assert store.error == "database is locked"
    assert store.flush()
    assert store.error is None
    store.close()
    assert on_disk(path) == ["a", "c"]
    assert warnings == [
        f"notes: cannot write {path}: database is locked. "
        "Notes are kept in memory until it can be written again."
    ]


@pytest.mark.anyio
async def test_a_file_that_may_not_grow_is_written_when_it_may(path: Path, warnings: list[str]) -> None:
    """What fails in the middle of a transaction for want of room is no fault of the row."""

    def limit(pages: int) -> Callable[[sqlite3.Connection], object]:
        return lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()

    store = use(path)
    await store.read(limit(1))
    append(store, [f"{n:0100}" for n in range(1000)])
    append(store, ["last"])
    assert not store.flush()
    assert store.error == "database or disk is full"
    await store.read(limit(10**6))
    assert store.close()
    assert on_disk(path) == [*(f"{n:0100}" for n in range(1000)), "last"]
    assert len(warnings) == 1


def test_each_trouble_is_reported_anew(path: Path, warnings: list[str]) -> None:
    """A store that could be written again and cannot once more says so once more."""
    store = use(path)
    impatient(store)
    for text in "ab":
        with locked(path):
            append(store, [text])
            assert not store.flush()
        assert store.flush()
    store.close()
    assert len(warnings) == 2


def test_what_waits_for_a_store_is_bounded(path: Path) -> None:
    """Of more rows than may wait the newest are kept, however they were divided, and statements stay."""
    store = use(path)
    impatient(store)
    with locked(path):
        append(store, ["lost"])
        append(store, [f"{n}" for n in range(MOST_PENDING)])
        append(store, [])
        store.submit(lambda connection: connection.execute(INSERT, ("submitted",)))
        append(store, ["last"])
        assert not store.flush()
    assert store.close()
    assert on_disk(path) == [*(f"{n}" for n in range(2, MOST_PENDING)), "submitted", "last"]


def test_a_prune_that_fails_loses_no_row(path: Path, warnings: list[str]) -> None:
    """Nothing is committed that the plugin's rule was not applied to, and nothing is dropped for it."""
    wrong = [True]

    def prune(_: sqlite3.Connection) -> None:
        if wrong:
            message = "no rule"
            raise ValueError(message)

    store = use(path, prune)
    append(store, ["a"])
    assert not store.flush()
    assert store.error == "no rule"
    assert on_disk(path) == []
    wrong.clear()
    assert store.close()
    assert on_disk(path) == ["a"]
    assert len(warnings) == 1


# --- what can never be written ----------------------------------------------------------------------


def raising(store: Store) -> None:
    store.submit(lambda _: 1 // 0)


def unmade(store: Store) -> None:
    append(store, (str(1 // n) for n in (1, 0)))


FAULTS: dict[str, tuple[Callable[[Store], None], str]] = {
    "a constraint": (lambda store: append(store, ["new", "a"]), "IntegrityError: UNIQUE"),
    "no such table": (lambda store: store.append("INSERT INTO no VALUES (?)", [("x",)]), "no such table"),
    "a type": (lambda store: store.append(INSERT, [(cast("str", object()),)]), "ProgrammingError"),
    "a large number": (lambda store: store.append(INSERT, [(2**70,)]), "OverflowError"),
    "half a surrogate pair": (lambda store: append(store, ["\ud800"]), "UnicodeEncodeError"),
    "an exception": (raising, "ZeroDivisionError"),
    "an exception in the making": (unmade, "ZeroDivisionError"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_itself_is_left_out_and_holds_up_nothing(
    path: Path, fault: str, warnings: list[str]
) -> None:
    """It is reported and lost as a whole; what came before and after is committed."""
    submit, words = FAULTS[fault]
    store = use(path)
    append(store, ["a"])
    submit(store)
    append(store, ["b"])
    assert not store.flush()
    assert on_disk(path) == ["a", "b"]
    append(store, ["c"])
    assert store.flush()
    assert store.error is None
    store.close()
    assert on_disk(path) == ["a", "b", "c"]
    (warning,) = warnings
    assert warning.startswith(f"notes: left out what {path} cannot hold: ")
    assert words in warning


def test_the_same_fault_again_and_again_is_reported_once(path: Path, warnings: list[str]) -> None:
    """A plugin that is wrong at every request does not fill the log, and the error stays to be seen."""
    store = use(path)
    for _ in range(5):
        raising(store)
        assert not store.flush()
    assert store.error is not None
    assert "ZeroDivisionError" in store.error
    store.close()
    assert len(warnings) == 1
