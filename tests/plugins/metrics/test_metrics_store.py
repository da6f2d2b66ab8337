"""Every execution is read as it was written, as many as are to be kept."""

import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.clock import now
from turnout.skills import TaskType
from turnout.store import Store
from turnout.types import ExecutionMetrics
from turnout_metrics.schema import INSERT, MIGRATIONS, DeploymentHistory, cells
from turnout_metrics.store import Opened, Retention, open_store

EVERYTHING = Retention(rows=10**6, days=10**5)
NOW = now().timestamp()

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
counts = st.integers(0, 10**9)
seconds = st.floats(0.0, 1e6)
executions = st.builds(
    ExecutionMetrics,
    texts,
    texts,
    seconds,
    st.booleans(),
    st.none() | st.sampled_from(TaskType),
    counts,
    st.none() | seconds,
    counts,
    st.none() | seconds,
    st.none() | seconds,
    seconds,
    st.booleans(),
    st.none() | texts,
    st.none() | texts,
    texts,
    texts,
    st.floats(0.0, 4e9),
    counts,
)


def execution(n: int, *, age_days: float = 0.0, host: str = "h") -> ExecutionMetrics:
    return ExecutionMetrics(
        "m", host, 1.0, success=True, request_id=str(n), timestamp=NOW - age_days * 86_400
    )


def use(path: Path, retention: Retention = EVERYTHING, newest: int = 10) -> tuple[Store, Opened]:
    opened = open_store(path, retention, newest)
    assert opened.store is not None, opened.warning
    return opened.store, opened


def write(path: Path, rows: Sequence[ExecutionMetrics], retention: Retention = EVERYTHING) -> None:
    store, _ = use(path, retention)
    store.append(INSERT, map(cells, rows))
    assert store.close()


def history(path: Path, newest: int = 10**6) -> tuple[DeploymentHistory, ...]:
    store, opened = use(path, newest=newest)
    store.close()
    assert opened.history is not None
    return opened.history


def ids(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [row[0] for row in connection.execute("SELECT request_id FROM executions ORDER BY id")]


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "metrics.db"


# --- what is written is read ------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.lists(executions, min_size=1, max_size=8))
def test_what_is_written_is_read(rows: list[ExecutionMetrics]) -> None:
    """Every execution comes back as it was, in order, under its host and model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metrics.db"
        write(path, rows)
        found = history(path)
    assert sum(len(one.newest) for one in found) == len(rows)
    for one in found:
        mine = [row for row in rows if (row.host, row.model_id) == (one.host, one.model)]
        assert list(one.newest) == mine
        assert one.tally.requests == len(mine)
        assert one.tally.successes == sum(row.success for row in mine)
        assert one.tally.prompt_tokens == sum(row.prompt_tokens for row in mine)
        assert one.tally.since == min(row.timestamp for row in mine)


def test_only_the_newest_of_each_deployment_are_read_back_and_all_are_counted(path: Path) -> None:
    """A busy model does not push a rare one out of the history."""
    write(path, [execution(0, host="rare"), *(execution(n) for n in range(100))])
    found = {one.host: one for one in history(path, newest=7)}
    assert [row.request_id for row in found["h"].newest] == [str(n) for n in range(93, 100)]
    assert found["h"].tally.requests == 100
    assert len(found["rare"].newest) == 1


# --- retention --------------------------------------------------------------------------------------


@pytest.mark.parametrize("batches", [[30], [10] * 3, [1] * 30])
def test_only_so_many_rows_are_kept(path: Path, batches: list[int]) -> None:
    """After every commit there are at most ``retention_rows``, the newest."""
    store, _ = use(path, Retention(rows=12, days=10))
    written = iter(range(30))
    for size in batches:
        store.append(INSERT, [cells(execution(next(written))) for _ in range(size)])
        assert store.flush()
        assert len(ids(path)) <= 12
    store.close()
    assert ids(path) == [str(n) for n in range(18, 30)]


def test_nothing_is_kept_longer_than_it_may(path: Path) -> None:
    """Rows older than ``retention_days`` go with the next commit."""
    write(path, [execution(1, age_days=40), execution(2, age_days=5), execution(3)])
    write(path, [execution(4)], Retention(rows=100, days=30))
    assert ids(path) == ["2", "3", "4"]


# --- what a person reads ----------------------------------------------------------------------------


def test_a_store_that_cannot_be_used_says_that_learning_goes_on(path: Path) -> None:
    """The warning names the plugin, the file and the reason, and what happens instead."""
    write(path, [execution(1)])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    opened = open_store(path, EVERYTHING, 10)
    assert (opened.store, opened.history) == (None, None)
    assert opened.warning == (
        f"metrics: cannot use {path}: it has schema {len(MIGRATIONS) + 1}, of a newer turnout; "
        f"this one knows {len(MIGRATIONS)}. Update turnout. Speeds are learned in memory only."
    )


def test_a_store_that_is_locked_is_reported_once_and_written_later(path: Path, warnings: list[str]) -> None:
    """A lock held too long is reported once; the executions are written when it is gone."""
    store, _ = use(path)
    store.submit(lambda connection: connection.execute("PRAGMA busy_timeout = 1"))
    assert store.flush()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for n in range(3):
            store.append(INSERT, [cells(execution(n))])
            assert not store.flush()
        other.execute("COMMIT")
    assert store.close()
    assert ids(path) == ["0", "1", "2"]
    assert warnings == [
        f"metrics: cannot write {path}: database is locked. "
        "Speeds are learned in memory until it can be written again."
    ]
