"""Opening touches no file that is not the plugin's own, and loses none that is."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from tests.core.store.stores import MIGRATIONS, append, on_disk, open_notes, texts, use, write

from turnout import LLMError
from turnout.store import StoreError, connection, data_path, open_store, read_store
from turnout.store.files import HEAD, move_aside
from turnout.store.schema import migrate


def damaged_files(path: Path) -> list[Path]:
    return [file for file in path.parent.iterdir() if ".damaged-" in file.name]


def a_non_database(path: Path) -> bytes:
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 1000)
    return path.read_bytes()


def test_what_one_session_appended_is_the_next_ones_history(path: Path) -> None:
    """A file that is not there is made, with its directories, and its rows are read at the next opening."""
    first = open_notes(path)
    assert (first.history, first.warning) == ([], None)
    assert first.store is not None
    first.store.close()
    write(path, ["a", "b"])
    opened = open_notes(path)
    assert opened.history == ["a", "b"]
    assert opened.store is not None
    assert opened.store.close()


def test_a_text_that_is_no_unicode_is_read_as_near_as_it_can_be(path: Path) -> None:
    """Bytes that another program put into a text column are no error."""
    write(path, ["a"])
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(r"UPDATE notes SET text = CAST(x'ff62' AS TEXT)")
    assert read_store(path, MIGRATIONS, texts, name="notes") == ["\ufffdb"]


def test_an_error_of_the_readers_own_is_passed_on_and_leaves_nothing_open(path: Path) -> None:
    """A plugin's bug is no property of its file, which can be opened and written afterwards."""
    write(path, ["a"])
    with pytest.raises(ZeroDivisionError):
        open_store(path, MIGRATIONS, lambda _: 1 // 0, name="notes")
    write(path, ["b"])
    assert on_disk(path) == ["a", "b"]


# --- damage -----------------------------------------------------------------------------------------


def test_a_database_that_cannot_be_read_is_moved_aside(path: Path) -> None:
    """One warning that names both files; the old bytes are kept and a new store begins."""
    before = HEAD + a_non_database(path)
    path.write_bytes(before)
    opened = open_notes(path)
    assert opened.store is not None
    append(opened.store, ["a"])
    assert opened.store.close()
    (aside,) = damaged_files(path)
    assert aside.read_bytes() == before
    assert opened.warning == f"notes: {path} is damaged. It was moved to {aside}, and a new one begins."
    assert on_disk(path) == ["a"]
    assert read_store(path, MIGRATIONS, texts, name="notes") == ["a"]


def test_a_file_that_is_none_of_ours_stays_as_it_is(path: Path) -> None:
    """A path that somebody mistyped costs a warning, and no byte of the file that it led to."""
    before = a_non_database(path)
    opened = open_notes(path)
    assert opened.store is None
    assert "it is no database. Set another `[notes] path`" in str(opened.warning)
    assert path.read_bytes() == before
    assert damaged_files(path) == []


def test_garbage_in_the_place_of_ours_is_moved_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the data directory nobody else keeps files."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    path = data_path("notes.db")
    before = a_non_database(path)
    opened = open_notes(path)
    assert opened.store is not None
    assert opened.store.close()
    (aside,) = damaged_files(path)
    assert aside.read_bytes() == before


@pytest.mark.parametrize("page", [1, 2, 3, 5, 20, 40, -2, -1])
def test_a_database_with_a_damaged_page_is_moved_aside(path: Path, page: int) -> None:
    """Damage in table or index is found at the start, wherever it is, and costs no byte."""
    write(path, [f"note {n:060}" for n in range(3000)])
    spoiled = bytearray(path.read_bytes())
    at = page * 4096 % len(spoiled)
    spoiled[at : at + 4096] = b"\xff" * 4096
    path.write_bytes(spoiled)
    opened = open_notes(path)
    assert opened.store is not None
    opened.store.close()
    (aside,) = damaged_files(path)
    assert aside.read_bytes() == spoiled
    assert opened.history == []
    assert on_disk(path) == []


def test_a_file_that_another_process_has_replaced_is_left_alone(path: Path) -> None:
    """Only the very file that was found damaged is moved."""
    write(path, ["a"])
    move_aside(path, (0, 0))
    assert on_disk(path) == ["a"]
    assert damaged_files(path) == []


# --- files that are not ours to touch ---------------------------------------------------------------


def unusable(path: Path) -> str:
    """Return the warning for a file that must neither be used nor changed, by a command either."""
    before = path.read_bytes()
    opened = open_notes(path)
    assert opened.store is None
    assert opened.warning is not None
    assert opened.warning.startswith(f"notes: cannot use {path}: ")
    assert opened.warning.endswith(". Notes are kept in memory only.")
    with pytest.raises(StoreError, match="notes: cannot read"):
        read_store(path, MIGRATIONS, texts, name="notes")
    assert path.read_bytes() == before
    assert damaged_files(path) == []
    return opened.warning


def test_a_newer_schema_is_left_alone(path: Path) -> None:
    """A file of a newer version is neither read nor changed, and the warning says to update."""
    write(path, ["a"])
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    assert "Update turnout." in unusable(path)


def test_another_programs_database_is_left_alone(path: Path) -> None:
    """A path that points to something else is not filled with our tables."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
    assert "another program's or another plugin's database. Set another `[notes] path`." in unusable(path)


def test_another_plugins_store_is_left_alone(path: Path) -> None:
    """Two plugins that are given one path do not migrate each other's tables."""
    made = open_store(path, [["CREATE TABLE theirs (x)"]], lambda _: None, name="theirs")
    assert made.store is not None
    made.store.close()
    assert "another plugin's database" in unusable(path)


def test_a_store_without_an_owner_is_taken(path: Path) -> None:
    """Files of turnout 0.1.0 say no owner, and are read and written as before."""
    write(path, ["a"])
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA application_id = 0")
    write(path, ["b"])
    assert on_disk(path) == ["a", "b"]


def test_a_path_that_cannot_be_a_file_is_a_warning(tmp_path: Path) -> None:
    """A directory in the file's place, or a file in the directory's, leaves what is new to memory."""
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "notes.db"):
        opened = open_notes(path)
        assert (opened.store, opened.history) == (None, None)
        assert opened.warning is not None
        assert "in memory only" in opened.warning


def test_a_damaged_file_that_cannot_be_moved_is_a_warning(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where moving fails, as on Windows while another process has the file open, nothing is lost."""
    path.write_bytes(HEAD + a_non_database(path))

    def refuse(*_: object) -> None:
        message = "in use"
        raise PermissionError(message)

    monkeypatch.setattr(Path, "rename", refuse)
    assert "in use" in unusable(path)


def test_a_store_that_is_being_read_is_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where write-ahead logging cannot be turned on just now, rows are written without it."""
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.001)
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        migrate(other, MIGRATIONS, "notes")
        other.execute("BEGIN")
        texts(other)
        store = use(path)
        other.execute("COMMIT")
        assert other.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    append(store, ["a"])
    assert store.close()
    assert on_disk(path) == ["a"]


# --- commands ---------------------------------------------------------------------------------------


def test_a_command_reads_while_another_writes(path: Path) -> None:
    """What is committed is read, and the writer is not disturbed by it."""
    store = use(path)
    append(store, ["a"])
    assert store.flush()
    assert read_store(path, MIGRATIONS, texts, name="notes") == ["a"]
    append(store, ["b"])
    assert store.close()
    assert on_disk(path) == ["a", "b"]


def test_a_command_reads_where_another_holds_the_write_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that cannot be migrated just now is read as it is, from the log too."""
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.001)
    write(path, ["a"])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("INSERT INTO notes (text) VALUES ('b')")
        other.execute("BEGIN IMMEDIATE")
        newer = (*MIGRATIONS, ("ALTER TABLE notes ADD COLUMN more",))
        assert read_store(path, newer, texts, name="notes") == ["a", "b"]
        other.execute("ROLLBACK")


def test_a_command_makes_no_store(path: Path) -> None:
    """Where there is no file there is nothing to read, and there is none afterwards."""
    assert read_store(path, MIGRATIONS, texts, name="notes") is None
    assert not path.parent.exists()


def test_what_a_command_cannot_read_is_an_error_of_turnout(path: Path) -> None:
    """The command line shows it as it shows every other, and the damaged file stays where it is."""
    a_non_database(path)
    with pytest.raises(LLMError, match=r"notes: cannot read .* not a database"):
        read_store(path, MIGRATIONS, texts, name="notes")
    assert damaged_files(path) == []


# --- places -----------------------------------------------------------------------------------------


def test_stores_lie_in_the_users_data_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a setting a store is where the platform keeps a user's data; asking makes nothing."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    path = data_path("notes.db")
    assert path.name == "notes.db"
    assert "turnout" in path.parts[-2:-1]
    assert list(tmp_path.iterdir()) == []


def test_who_needs_no_store_imports_no_database() -> None:
    """``import turnout`` brings neither this package nor SQLite."""
    code = """import sys
before = set(sys.modules)  # what measures coverage may have imported it
import turnout
print({"sqlite3", "turnout.store"} & (set(sys.modules) - before))"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
