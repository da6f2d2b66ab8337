"""The journal where the system is unlike this one: no file that is open can be renamed or replaced."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from turnout import LLMError
from turnout_parallel import disk
from turnout_parallel.disk import OutputError, OwnFile
from turnout_parallel.journal import Journal

from .test_parallel_journal import LINES, answer, batch, write_all

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="sees what is open in /proc")
Replace = Callable[[Path | str, Path | str], None]
_REPLACE: Replace = os.replace


def refuse_open(*paths: Path | str) -> None:
    """Raise what Windows raises where one of *paths* is open in this process."""
    targets = [found for path in paths if (found := Path(path)).exists()]
    for descriptor in Path("/proc/self/fd").iterdir():
        if any(descriptor.exists() and descriptor.samefile(path) for path in targets):
            message = "The process cannot access the file because it is being used by another process"
            raise PermissionError(13, message)


@pytest.fixture(autouse=True)
def _windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files behave as they do there, and take away what there is not."""

    def replace(source: Path | str, target: Path | str) -> None:
        refuse_open(source, target)
        _REPLACE(source, target)

    monkeypatch.delattr(os, "fchmod")
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(disk, "REPLACES_OPEN_FILES", False)


@pytest.fixture(name="out")
def _out(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def test_an_open_file_cannot_be_replaced_here(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What these tests rest on: the way of other systems fails, and leaves the file as it was."""
    monkeypatch.setattr(disk, "REPLACES_OPEN_FILES", True)
    lines = batch()
    whole = write_all(out, lines, lines.entries[::-1])
    with Journal(out, lines.entries) as journal, pytest.raises(PermissionError):
        journal.sort(lines.entries)
    assert out.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [out]


def test_the_order_is_made_all_the_same(out: Path, tmp_path: Path) -> None:
    """Both files are closed before the one takes the other's place, and the journal goes on in it."""
    lines = batch()
    right = write_all(tmp_path / "right.jsonl", lines)
    write_all(out, lines, lines.entries[:0:-1])
    with Journal(out, lines.entries) as journal:
        journal.sort(lines.entries)
        journal.append(lines.entries[0], answer(lines, lines.entries[0]))
        journal.sort(lines.entries)
        journal.sync()
        with pytest.raises(OutputError, match="another process"):
            Journal(out, lines.entries)
    assert out.read_bytes() == right
    assert not list(tmp_path.glob(".*"))


def test_errors_are_forgotten_all_the_same(out: Path) -> None:
    """What is kept is a file of its own, and what is asked again is written behind it."""
    lines = batch()
    with Journal(out, lines.entries) as journal:
        for number, entry in enumerate(lines.entries):
            journal.append(entry, answer(lines, entry, LLMError("lost") if number % 2 else None))
    with Journal(out, lines.entries, again=True) as journal:
        for entry in lines.entries:
            if entry.key not in journal.done:
                journal.append(entry, answer(lines, entry))
    with Journal(out, lines.entries) as journal:
        assert len(journal.done) == len(LINES)
        assert not any(one.failed for one in journal.done.values())


def test_whoever_gets_in_between_ends_the_rewriting(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While both are closed another process may open the file: then it has it, and nothing is lost."""
    lines = batch()
    write_all(out, lines, lines.entries[::-1])
    whole, theirs, replace = out.read_bytes(), list[OwnFile](), os.replace

    def get_in(source: Path | str, target: Path | str) -> None:
        replace(source, target)
        theirs.append(OwnFile(out))

    monkeypatch.setattr(os, "replace", get_in)
    with Journal(out, lines.entries) as journal:
        with pytest.raises(OutputError, match="another process"):
            journal.sort(lines.entries)
        journal.sync()
    theirs[0].close()
    assert sorted(out.read_bytes().splitlines()) == sorted(whole.splitlines())


def test_a_file_that_cannot_be_replaced_stays_as_it_is(out: Path, tmp_path: Path) -> None:
    """Somebody reads it, and nothing but the order is lost; no second file is left."""
    lines = batch()
    whole = write_all(out, lines, lines.entries[::-1])
    with Journal(out, lines.entries) as journal, out.open("rb"):
        with pytest.raises(PermissionError):
            journal.sort(lines.entries)
        journal.sync()
    assert out.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [out]
