"""The output of a batch as a journal: what stands in it is done, whatever happens to the program.

A line is written in one piece behind all others, so a kill at any moment can at most tear the last one, which
the next run mends. Whatever rewrites the file makes a new one beside it and puts it in its place in one step.
"""

import contextlib
import json
import os
import stat
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from attrs import frozen

from turnout.messages import JSON, JSONObject
from turnout_parallel.batch_line import OPENAI_ID
from turnout_parallel.disk import NEW, OutputError, OwnFile
from turnout_parallel.entries import Entries, Entry

BEGINNINGS = (b'{"id": "', b'{"id": -', *(b'{"id": %d' % digit for digit in range(10)))
"""How a line of ours may begin; what begins otherwise was not torn by us, and stays."""


@frozen
class Written:
    """A line of the output: where it stands, of which entry it is, and whether it tells an error."""

    offset: int
    length: int
    failed: bool


class Journal:
    """The output file, open for one process alone. Use it as a context manager.

    ``done`` has what is in the file, by the key of the entry. Raises ``OutputError`` for a file that is not
    the output of these *entries*, or that another process is writing.
    """

    def __init__(self, path: Path, entries: Entries, *, again: bool = False) -> None:
        path = path.resolve()
        self._size = 0
        self._dirty = False
        self.done: dict[str, Written] = {}
        self.mended = False
        self._file = OwnFile(path)
        try:
            self._resume(entries, again=again)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, which gives the lock back."""
        self._file.close()

    def append(self, entry: Entry, line: JSONObject) -> None:
        """Write the line that answers *entry*. Raises ``OSError``, and then none of it is there."""
        raw = encoded(line)
        try:
            self._file.write(raw)
        except OSError:
            with contextlib.suppress(OSError):  # the next run would mend it too
                self._file.cut(self._size)
            raise
        self.done[entry.key] = Written(self._size, len(raw), bool(line.get("error")))
        self._size += len(raw)
        self._dirty = True

    def sync(self) -> None:
        """See that what was written outlasts a power cut."""
        if self._dirty:
            self._dirty = False
            self._file.sync()

    def sort(self, entries: Sequence[Entry]) -> None:
        """Put the lines in the order of *entries*, in one step."""
        order = [self.done[entry.key] for entry in entries if entry.key in self.done]
        if any(one.offset > other.offset for one, other in pairwise(order)):
            self._rewrite({entry.key: self.done[entry.key] for entry in entries if entry.key in self.done})

    # --- going on with an earlier run -----------------------------------------------------------------

    def _resume(self, entries: Entries, *, again: bool) -> None:
        status = self._file.status()
        if not stat.S_ISREG(status.st_mode):
            message = f"{self._file.path} is no regular file"
            raise OutputError(message, advice="Standard output is -o -")
        self._size = end = status.st_size
        ended = True
        for offset, raw in self._file.lines():
            found = _key(raw)
            if found is None:
                end = self._torn(offset, raw)
                break
            ended = raw.endswith(b"\n")
            self._note(found, entries, Written(offset, len(raw) + (not ended), found[2]))
        self._mend(end, ended=ended)
        if again and any(one.failed for one in self.done.values()):
            self._rewrite({key: one for key, one in self.done.items() if not one.failed})

    def _mend(self, end: int, *, ended: bool) -> None:
        """Cut the file where its last whole line ends, and end that line where only its end is missing."""
        self.mended = end < self._size or not ended
        self._file.cut(end)
        if not ended:
            self._file.write(b"\n")
        self._size = end + (not ended)

    def _torn(self, offset: int, raw: bytes) -> int:
        """Return where to cut the file, whose rest from *offset* on is no line; raises if it is not ours."""
        ours = any(raw.startswith(start[: len(raw)]) for start in BEGINNINGS) or not raw.strip(b"\0")
        if ours and not raw.endswith(b"\n") and not _is_json(raw):
            return offset
        what = f"what stands at byte {offset} is no line of one"
        message = f"{self._file.path} is not the output of a batch: {what}"
        raise OutputError(message, advice="Take another file with -o.")

    def _note(self, found: tuple[str, str, bool], known: Entries, line: Written) -> None:
        key, digest, _ = found
        entry = known.find(key)
        if entry is None or entry.digest != digest:
            what = "is not in the input" if entry is None else "asks something else in the input"
            message = f"{self._file.path} holds the answers to another input: {key} {what}"
            raise OutputError(message, advice="Take another file with -o, or the input of then.")
        if key in self.done:
            message = f"{self._file.path} holds two answers for {key}"
            raise OutputError(message, advice="Take another file with -o, or remove one of them.")
        self.done[key] = line

    def _rewrite(self, lines: Mapping[str, Written]) -> None:
        """Keep only *lines*, in their order."""
        old = self._file
        beside = old.path.with_name(f".{old.path.name}.new")
        new = OwnFile(beside, NEW | os.O_TRUNC)
        done: dict[str, Written] = {}
        size = 0
        try:
            for key, one in lines.items():
                new.write(old.read(one.offset, one.length))
                done[key] = Written(size, one.length, one.failed)
                size += one.length
            new.take_place_of(old)
        except BaseException:
            new.close()
            beside.unlink(missing_ok=True)
            raise
        self._file, self._size, self.done, self._dirty = new, size, done, False


def encoded(line: JSONObject) -> bytes:
    """Return a line of the output; half a character, which a model may write, is escaped."""
    try:
        return json.dumps(line, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(line).encode() + b"\n"


def _key(raw: bytes) -> tuple[str, str, bool] | None:
    """Return the key, the digest and whether it failed; None for what is no line of ours."""
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or "error" not in line:
        return None
    name, digest = _named(line)
    if not isinstance(name, str | int) or not isinstance(digest, str):
        return None
    return json.dumps(name), digest, line["error"] is not None


def _is_json(raw: bytes) -> bool:
    """Return whether it is whole, and so was not torn."""
    try:
        json.loads(raw)
    except (ValueError, RecursionError):
        return False
    return True


def _named(line: JSONObject) -> tuple[JSON, JSON]:
    if "custom_id" in line:
        return line["custom_id"], str(line.get("id")).removeprefix(OPENAI_ID)
    return line.get("id"), line.get("request")
