"""The output as a journal: whatever a crash leaves behind, the next run goes on from it."""

import io
import json
import os
import resource
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout import JSONObject, LLMError, Reply
from turnout_parallel.batch_input import BatchInput
from turnout_parallel.disk import OutputError
from turnout_parallel.entries import Entry
from turnout_parallel.journal import Journal, encoded

LINES = [
    '{"prompt": "one", "id": "a"}',
    '{"prompt": "two", "id": 2}',
    '{"custom_id": "c", "method": "POST", "url": "/v1/embeddings", "body": {"input": "three"}}',
    '{"prompt": "four"}',
]


def batch(*lines: str) -> BatchInput:
    return BatchInput(io.BytesIO("\n".join(lines or LINES).encode()))


def answer(lines: BatchInput, entry: Entry, result: Reply | LLMError | None = None) -> JSONObject:
    reply = Reply("Yes. \ud83d\ude00 Ä", "m", "h", embeddings=((0.5,),))
    return lines.line(entry).answer(entry.name, entry.digest, result or reply)


def write_all(path: Path, lines: BatchInput, entries: list[Entry] | None = None) -> bytes:
    with Journal(path, lines.entries) as journal:
        for entry in lines.entries if entries is None else entries:
            journal.append(entry, answer(lines, entry))
    return path.read_bytes()


@pytest.fixture(name="out")
def _out(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def test_what_is_written_is_done(out: Path) -> None:
    """A second run finds every line, by its own name, whatever its form."""
    lines = batch()
    write_all(out, lines)
    with Journal(out, lines.entries) as journal:
        assert list(journal.done) == ['"a"', "2", '"c"', '"line-4"']
        assert not journal.mended
        assert not any(one.failed for one in journal.done.values())


def test_a_file_cut_at_any_byte_is_gone_on_with(out: Path) -> None:
    """Wherever a kill has cut the file: whole lines stay, the torn one goes, and the rest is written once."""
    lines = batch()
    whole = write_all(out, lines)
    for cut in range(len(whole) + 1):
        out.write_bytes(whole[:cut])
        with Journal(out, lines.entries) as journal:
            before = list(journal.done)
            for entry in lines.entries:
                if entry.key not in journal.done:
                    journal.append(entry, answer(lines, entry))
        assert out.read_bytes() == whole
        # A line of which only the end is missing counts.
        assert len(before) == sum(byte == ord("\n") and place <= cut for place, byte in enumerate(whole))


def test_zeros_that_a_power_cut_leaves(out: Path) -> None:
    """A tail of zero bytes is cut off too."""
    lines = batch()
    whole = write_all(out, lines)
    for tail in (b"\0" * 100, b'{"id": "x\0\0\0'):
        out.write_bytes(whole + tail)
        with Journal(out, lines.entries) as journal:
            assert journal.mended
        assert out.read_bytes() == whole


@pytest.mark.parametrize(
    "precious",
    [
        b"Dear diary,",
        b"Dear diary,\nit rains.\n",
        b'{"prompt": "one"}\n',
        b'{"id": "a", "text": "x"}\n',
        b'{"id": "a", "text": "x"}',
        b'{"id": "a", "text"\n',
        b"[1]\n",
        b'{"id": "line-1", "te\n{"id": "line-2"}\n',
        b"\xff\xfe",
    ],
)
def test_a_file_of_another_kind_is_left_alone(out: Path, precious: bytes) -> None:
    """What is no output of a batch is refused, and not a byte of it changes."""
    out.write_bytes(precious)
    with pytest.raises(OutputError, match=r"no line of one|another input"):
        Journal(out, batch().entries)
    assert out.read_bytes() == precious


def test_answers_to_another_input_are_refused(out: Path) -> None:
    """A line that the input has no more, or that asks something else now, is said by name."""
    write_all(out, batch())
    with pytest.raises(OutputError, match='"a" asks something else'):
        Journal(out, batch(LINES[0].replace("one", "ONE"), *LINES[1:]).entries)
    with pytest.raises(OutputError, match="2 is not in the input"):
        Journal(out, batch(LINES[0], *LINES[2:]).entries)


def test_two_answers_for_one_line_are_refused(out: Path) -> None:
    """Somebody has put files together; nothing is guessed."""
    whole = write_all(out, batch())
    out.write_bytes(whole + whole)
    with pytest.raises(OutputError, match="two answers"):
        Journal(out, batch().entries)


def test_one_process_at_a_time(out: Path) -> None:
    """Who opens it second is told, also after the file was rewritten under the first."""
    lines = batch()
    write_all(out, lines, lines.entries[::-1])
    with Journal(out, lines.entries) as journal:
        with pytest.raises(OutputError, match="another process"):
            Journal(out, lines.entries)
        journal.sort(lines.entries)
        with pytest.raises(OutputError, match="another process"):
            Journal(out, lines.entries)
    Journal(out, lines.entries).close()


def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    """A folder that is not there is one clear error."""
    with pytest.raises(OutputError, match="cannot be written"):
        Journal(tmp_path / "no" / "out.jsonl", batch().entries)


@given(st.permutations(range(len(LINES))))
@settings(max_examples=24)
def test_the_order_is_that_of_the_input(tmp_path_factory: pytest.TempPathFactory, order: list[int]) -> None:
    """In whatever order lines came, sorting puts them in that of the input, and nothing else changes."""
    lines = batch()
    folder = tmp_path_factory.mktemp("order")
    sorted_file = write_all(folder / "sorted.jsonl", lines)
    out = folder / "out.jsonl"
    write_all(out, lines, [lines.entries[n] for n in order])
    out.chmod(0o640)
    with Journal(out, lines.entries) as journal:
        journal.sort(lines.entries)
        journal.sync()
        assert [journal.done[entry.key].offset for entry in lines.entries] == sorted(
            one.offset for one in journal.done.values()
        )
    assert out.read_bytes() == sorted_file
    assert out.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_a_crash_while_the_order_was_made(out: Path) -> None:
    """What a crash leaves beside the file is written over, and nothing of it is taken for an answer."""
    lines = batch()
    whole = write_all(out, lines, lines.entries[::-1])
    out.with_name(f".{out.name}.new").write_bytes(whole[:99])
    with Journal(out, lines.entries) as journal:
        assert len(journal.done) == len(LINES)
        journal.sort(lines.entries)
    assert sorted(out.read_bytes().splitlines()) == sorted(whole.splitlines())


def test_errors_are_asked_again(out: Path) -> None:
    """Asked to, the journal forgets the lines that tell of an error, and keeps the others as they are."""
    lines = batch()
    with Journal(out, lines.entries) as journal:
        for number, entry in enumerate(lines.entries):
            journal.append(entry, answer(lines, entry, LLMError("lost") if number % 2 else None))
    with Journal(out, lines.entries) as journal:
        assert sum(one.failed for one in journal.done.values()) == 2
    with Journal(out, lines.entries, again=True) as journal:
        assert list(journal.done) == ['"a"', '"c"']
        for entry in lines.entries:
            if entry.key not in journal.done:
                journal.append(entry, answer(lines, entry))
    assert len(out.read_bytes().splitlines()) == 4


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """Rewriting replaces what the link points to."""
    lines = batch()
    real, link = tmp_path / "real.jsonl", tmp_path / "link.jsonl"
    write_all(real, lines, lines.entries[::-1])
    link.symlink_to(real)
    with Journal(link, lines.entries) as journal:
        journal.sort(lines.entries)
    assert link.is_symlink()
    assert json.loads(real.read_bytes().splitlines()[0])["id"] == "a"


def test_a_full_disk_leaves_no_half_line(out: Path) -> None:
    """What could not be written whole is taken back, so that the next line does not join it."""
    lines = batch()
    whole = write_all(out, lines)
    out.unlink()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal(out, lines.entries) as journal:
        journal.append(lines.entries[0], answer(lines, lines.entries[0]))
        first = out.read_bytes()
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(first) + 9, limits[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                journal.append(lines.entries[1], answer(lines, lines.entries[1]))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert out.read_bytes() == first
        for entry in lines.entries[1:]:
            journal.append(entry, answer(lines, entry))
    assert out.read_bytes() == whole


def test_a_full_disk_leaves_the_order_as_it_was(out: Path) -> None:
    """Where there is no room for a second file, the first stays whole and nothing lies beside it."""
    lines = batch()
    whole = write_all(out, lines, lines.entries[::-1])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal(out, lines.entries) as journal:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) - 9, limits[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                journal.sort(lines.entries)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert out.read_bytes() == whole
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_only_a_regular_file_is_a_journal() -> None:
    """What cannot be read back, or replaced, is refused."""
    with pytest.raises(OutputError, match="no regular file"):
        Journal(Path(os.devnull), batch().entries)


def test_half_a_character_is_escaped() -> None:
    """A model may write a lone surrogate, and the line is UTF-8 and JSON all the same."""
    raw = encoded({"text": "\ud83d", "more": "Ä"})
    assert json.loads(raw.decode()) == {"text": "\ud83d", "more": "Ä"}


# --- the input ----------------------------------------------------------------------------------------


def test_blank_lines_and_marks_do_not_count() -> None:
    """A byte order mark, Windows' line ends and blank lines are skipped; numbers are those of the file."""
    text = "\ufeff\r\n" + '{"prompt": "one"}\r\n\r\n  \n{"prompt": "two"}'
    entries = BatchInput(io.BytesIO(text.encode())).entries
    assert [(entry.number, entry.name, entry.problem) for entry in entries] == [
        (2, "line-2", ""),
        (5, "line-5", ""),
    ]


def test_an_input_that_changes_under_way() -> None:
    """A line that is not the one that was checked is not sent, whatever it is now."""
    file = io.BytesIO(b'{"prompt": "one"}\n')
    lines = BatchInput(file)
    file.getbuffer()[:] = b'{"prompt": "two"}\n'
    with pytest.raises(LLMError, match="line 1 of the input has changed"):
        lines.line(lines.entries[0])


def test_plain_text_is_told_by_its_first_line() -> None:
    """Only a file that begins with an object is JSON."""
    lines = BatchInput(io.BytesIO(b"first\n{not json\n"))
    assert lines.plain
    assert [lines.line(entry).request.task for entry in lines.entries] == ["first", "{not json"]
    assert len(BatchInput(io.BytesIO(b"")).entries) == 0


def test_names_are_claimed_once() -> None:
    """A second use of an id is refused with both lines; 7 and "7" differ; a made-up name gives way."""
    lines = batch(
        '{"prompt": "a", "id": 7}', '{"prompt": "b", "id": "7"}', '{"prompt": "c", "id": 7}',
        '{"prompt": "d", "id": "line-5"}', '{"prompt": "e"}', "{",
    )  # fmt: skip
    assert [entry.problem for entry in lines.entries[:5]] == [
        "", "", "has the id 7, which line 1 has already", "", "has the id 'line-5', which line 4 has already",
    ]  # fmt: skip
    assert len({entry.key for entry in lines.entries}) == 6


def test_a_line_that_is_no_request_keeps_its_own_name() -> None:
    """Whoever joins the answers by their ids finds what is wrong with each; what has no name gets one."""
    chat = '{"custom_id": "c", "url": "/v1/chat/completions", "body": {"model": "m"}}'
    lines = batch(
        chat, '{"prompt": 7, "id": 3}', chat,
        '{"custom_id": 5, "body": {}}', '{"prompt": "x", "id": true}', '{"prompt": "\\ud800", "id": "s"}',
        '{"prompt": "x", "id": "\\ud800"}', '{"id": "torn", ',
    )  # fmt: skip
    names = ["c", 3, "line-3", "line-4", "line-5", "line-6", "line-7", "line-8"]
    assert [entry.name for entry in lines.entries] == names
    assert all(entry.problem for entry in lines.entries)
    assert lines.entries[0].refusal()["custom_id"] == "c"
    assert lines.entries[7].problem.endswith("double quotes at character 16")


def test_bytes_that_are_no_text_and_lines_without_end() -> None:
    """They are refused one by one, and the lines behind them are read."""
    raw = b'{"prompt": "a"}\n{"prompt": "\xff"}\n' + b"x" * (65 * 2**20) + b'\n{"prompt": "b"}\n'
    entries = BatchInput(io.BytesIO(raw)).entries
    assert [entry.problem for entry in entries] == ["", "is not UTF-8 (byte 12)", "is longer than 64 MiB", ""]


@given(st.binary(max_size=300))
def test_any_bytes_are_an_input(raw: bytes) -> None:
    """Every line that is not blank is a request or has a problem, and all names differ."""
    lines = BatchInput(io.BytesIO(raw))
    assert len({entry.key for entry in lines.entries}) == len(lines.entries)
    for entry in lines.entries:
        assert entry.problem or lines.line(entry).request.text
        json.dumps(entry.refusal())
