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
from turnout_parallel.batch_input import Entry
from turnout_parallel.batch_line import OPENAI_ID
from turnout_parallel.disk import OutputError, lines_of, opened, read, sync_folder, write

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

    def __init__(self, path: Path, entries: Sequence[Entry], *, again: bool = False) -> None:
        self._path = path.resolve()
        self._size = 0
        self._dirty = False
        self.done: dict[str, Written] = {}
        self.mended = False
        self._descriptor = opened(self._path, os.O_RDWR | os.O_CREAT)
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
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def append(self, entry: Entry, line: JSONObject) -> None:
        """Write the line that answers *entry*. Raises ``OSError``, and then none of it is there."""
        raw = encoded(line)
        try:
            write(self._descriptor, raw)
        except OSError:
            with contextlib.suppress(OSError):  # the next run would mend it too
                os.ftruncate(self._descriptor, self._size)
                os.lseek(self._descriptor, self._size, os.SEEK_SET)
            raise
        self.done[entry.key] = Written(self._size, len(raw), bool(line.get("error")))
        self._size += len(raw)
        self._dirty = True

    def sync(self) -> None:
        """See that what was written outlasts a power cut."""
        if self._dirty:
            self._dirty = False
            os.fsync(self._descriptor)

    def sort(self, entries: Sequence[Entry]) -> None:
        """Put the lines in the order of *entries*, in one step."""
        order = [self.done[entry.key] for entry in entries if entry.key in self.done]
        if any(one.offset > other.offset for one, other in pairwise(order)):
            self._rewrite({entry.key: self.done[entry.key] for entry in entries if entry.key in self.done})

    # --- going on with an earlier run -----------------------------------------------------------------

    def _resume(self, entries: Sequence[Entry], *, again: bool) -> None:
        known = {entry.key: entry for entry in entries}
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            message = f"{self._path} is no regular file"
            raise OutputError(message, advice="Standard output is -o -")
        self._size = end = status.st_size
        ended = True
        for offset, raw in lines_of(self._descriptor):
            found = _key(raw)
            if found is None:
                end = self._torn(offset, raw)
                break
            ended = raw.endswith(b"\n")
            self._note(found, known, Written(offset, len(raw) + (not ended), found[2]))
        self._mend(end, ended=ended)
        if again and any(one.failed for one in self.done.values()):
            self._rewrite({key: one for key, one in self.done.items() if not one.failed})

    def _mend(self, end: int, *, ended: bool) -> None:
        """Cut the file where its last whole line ends, and end that line where only its end is missing."""
        self.mended = end < self._size or not ended
        os.ftruncate(self._descriptor, end)
        os.lseek(self._descriptor, 0, os.SEEK_END)
        if not ended:
            write(self._descriptor, b"\n")
        self._size = end + (not ended)

    def _torn(self, offset: int, raw: bytes) -> int:
        """Return where to cut the file, whose rest from *offset* on is no line; raises if it is not ours."""
        ours = any(raw.startswith(start[: len(raw)]) for start in BEGINNINGS) or not raw.strip(b"\0")
        if ours and not raw.endswith(b"\n") and not _is_json(raw):
            return offset
        message = f"{self._path} is not the output of a batch: what stands at byte {offset} is no line of one"
        raise OutputError(message, advice="Take another file with -o.")

    def _note(self, found: tuple[str, str, bool], known: Mapping[str, Entry], line: Written) -> None:
        key, digest, _ = found
        entry = known.get(key)
        if entry is None or entry.digest != digest:
            what = "is not in the input" if entry is None else "asks something else in the input"
            message = f"{self._path} holds the answers to another input: {key} {what}"
            raise OutputError(message, advice="Take another file with -o, or the input of then.")
        if key in self.done:
            message = f"{self._path} holds two answers for {key}"
            raise OutputError(message, advice="Take another file with -o, or remove one of them.")
        self.done[key] = line

    def _rewrite(self, lines: Mapping[str, Written]) -> None:
        """Keep only *lines*, in their order."""
        beside = self._path.with_name(f".{self._path.name}.new")
        descriptor = opened(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        done: dict[str, Written] = {}
        size = 0
        try:
            for key, one in lines.items():
                write(descriptor, read(self._descriptor, one.offset, one.length))
                done[key] = Written(size, one.length, one.failed)
                size += one.length
            os.fchmod(descriptor, os.fstat(self._descriptor).st_mode & 0o7777)
            os.fsync(descriptor)
            beside.replace(self._path)
        except BaseException:
            os.close(descriptor)
            beside.unlink(missing_ok=True)
            raise
        sync_folder(self._path.parent)
        os.close(self._descriptor)
        self._descriptor, self._size, self.done, self._dirty = descriptor, size, done, False


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
