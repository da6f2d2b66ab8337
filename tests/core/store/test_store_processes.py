"""A store keeps what it acknowledged, whatever happens to the process, the disk or the directory."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.core.store.stores import on_disk, open_notes, write

unix_only = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX users and limits")


def process(role: str, path: Path, name: str = "w") -> subprocess.Popen[str]:
    script = Path(__file__).with_name("store_process.py")
    # A process that may not write could not write its coverage either.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    environment = {**inherited, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, script, role, path, name],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


@pytest.mark.parametrize("acknowledged", [1, 2, 9, 40, 120])
def test_a_kill_loses_nothing_acknowledged_and_leaves_nothing_half_written(
    path: Path, acknowledged: int
) -> None:
    """After kill -9 each acknowledged batch is there, and no batch is there in part; twice over one file."""
    for name in ("first", "second"):
        with process("forever", path, name) as writer:
            assert writer.stdout is not None
            last = [int(writer.stdout.readline()) for _ in range(acknowledged)][-1]
            writer.kill()
        batches = Counter(int(text.split()[1]) for text in on_disk(path) if text.startswith(name))
        assert set(batches.values()) == {5}
        assert set(range(last + 1)) <= set(batches)
    opened = open_notes(path)
    assert opened.warning is None
    assert opened.store is not None
    opened.store.close()


def test_two_processes_share_one_store(path: Path) -> None:
    """Two that create and fill one file at the same time lose no row, and both are told the truth."""
    with process("some", path, "one") as one, process("some", path, "two") as two:
        for writer in (one, two):
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        answers = []
        for writer in (one, two):
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        for writer in (one, two):
            out, err = writer.communicate()
            answers.append((out.strip(), err))
    assert answers == [("150", ""), ("150", "")]
    expected = [f"{name} {batch} {n}" for name in ("one", "two") for batch in range(150) for n in range(5)]
    assert sorted(on_disk(path)) == sorted(expected)


@unix_only
def test_a_full_disk_costs_one_warning_and_no_row(path: Path) -> None:
    """What could not be written is written as soon as there is room again, and what was there stays."""
    before = [f"before {n}" for n in range(50)]
    write(path, before)
    with process("full", path) as writer:
        out, err = writer.communicate()
    error, mended, written = out.splitlines()
    assert error != "None"
    assert (mended, written) == ("None", "[False, False, False, True]")
    assert err.count("cannot write") == 1
    assert f"notes: cannot write {path}: {error}. Notes are kept in memory until it can be written" in err
    assert on_disk(path) == before + [f"w {batch} {n}" for batch in range(3) for n in range(1000)]


@pytest.fixture(name="readable")
def _readable() -> Iterator[Path]:
    """Give a directory that anybody may read and list, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@unix_only
def test_a_store_that_may_only_be_read_is_read(readable: Path) -> None:
    """One warning, yesterday's history, and not a byte changed."""
    path = readable / "notes.db"
    write(path, ["a", "b", "c"])
    before = path.read_bytes()
    path.chmod(0o444)
    readable.chmod(0o555)
    with process("read_only", path) as reader:
        out, err = reader.communicate()
    store, history, warning = out.splitlines()
    assert (store, history, err) == ("None", "['a', 'b', 'c']", "")
    assert warning.startswith(f"notes: cannot use {path}: ")
    assert warning.endswith(". Notes are kept in memory only.")
    assert path.read_bytes() == before
    assert [file.name for file in readable.iterdir()] == ["notes.db"]


@unix_only
def test_a_directory_that_cannot_be_written_is_a_warning(readable: Path) -> None:
    """Without a file to read and without a place for one, there is neither store nor history."""
    readable.chmod(0o555)
    with process("read_only", readable / "notes.db") as reader:
        out, err = reader.communicate()
    store, history, warning = out.splitlines()
    assert (store, history, err) == ("None", "None", "")
    assert "in memory only" in warning
