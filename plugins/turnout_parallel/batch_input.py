"""The input of a batch: every line checked before anything is sent, and read again when its turn comes."""

import asyncio
import codecs
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import BinaryIO

from attrs import evolve

from turnout.errors import LLMError, LLMValidationError
from turnout.types import ModelRequest
from turnout_parallel.batch_line import Line, OpenAILine, digest, name_in, read_line
from turnout_parallel.entries import Entries, Entry
from turnout_parallel.fields import LineError
from turnout_parallel.source import BREATH, Need

MOST_BYTES = 64 * 2**20
"""A longer line is refused: it is no prompt."""
MOST_SHOWN = 10
SEEN = 256
"""Lines between two signs of how far the check is."""
CLIENT, PRIORITY = "batch", -1
"""Who waits for an answer now goes first."""


class BatchInput:
    """The lines of a file, all checked; blank ones do not count.

    A file whose first line starts with ``{`` holds JSON, any other one plain prompts. *see* is told now and
    then how many lines have been checked, and which share of the file that is.
    """

    def __init__(self, file: BinaryIO, see: Callable[[int, float], None] = lambda *_: None) -> None:
        self._file = file
        self.plain = _is_plain(file)
        self.entries = Entries()
        size = max(file.seek(0, os.SEEK_END), 1)
        for number, offset, raw in _raw_lines(file):
            entry = self._checked(number, offset, raw)
            if entry is not None:
                self.entries.append(entry)
            if number % SEEN == 0:
                see(number, offset / size)
        self.problems = self.entries.problems
        """The lines that cannot be sent."""

    def line(self, entry: Entry) -> Line:
        """Read the line of *entry* again; raises ``LLMValidationError`` when it is not the same any more."""
        self._file.seek(entry.offset)
        text = self._file.read(entry.length).decode("utf-8-sig", "replace")
        if digest(text) != entry.digest:
            message = f"line {entry.number} of the input has changed since it was checked"
            raise LLMValidationError(message, advice="Run it again.")
        return read_line(text, plain=self.plain)

    def _checked(self, number: int, offset: int, raw: bytes) -> Entry | None:
        text = raw.decode("utf-8-sig", "replace")
        if not text.strip():
            return None
        made = Entry(number, offset, len(raw), f"line-{number}", digest(text))
        try:
            _refuse_long(raw)
            line = read_line(_decoded(raw), plain=self.plain)
            name = made.name if line.id is None else line.id
            self._claim(name)
        except LineError as error:
            return self._refused(made, text, str(error))
        request = line.request
        model, operation = request.explicit_model, request.operation
        openai = isinstance(line, OpenAILine)
        return evolve(made, name=name, model=model, operation=operation, openai=openai)

    def _claim(self, name: str | int) -> None:
        first = self.entries.find(json.dumps(name))
        if first is not None:
            message = f"has the id {name!r}, which line {first.number} has already"
            raise LineError(message)

    def _refused(self, entry: Entry, text: str, problem: str) -> Entry:
        """Return an entry for a line that is none: under its own name, if it has one that is still free."""
        own = None if self.plain or entry.length > MOST_BYTES else name_in(text)
        name: str | int = entry.name if own is None or self.entries.find(json.dumps(own)) else own
        while self.entries.find(json.dumps(name)) is not None:
            name = f"{name}_"
        return evolve(entry, name=name, problem=problem, openai='"custom_id"' in text or '"body"' in text)


def _is_plain(file: BinaryIO) -> bool:
    for number, _, raw in _raw_lines(file):
        text = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
        if text.strip():
            return not text.lstrip().startswith(b"{")
    return True


def _raw_lines(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Yield number, offset and bytes of each line; of one that is too long, only as much as shows it."""
    file.seek(0)
    number = offset = 0
    while raw := file.readline(MOST_BYTES + 1):
        number += 1
        yield number, offset, raw
        offset += len(raw)
        while not raw.endswith(b"\n") and (raw := file.readline(MOST_BYTES + 1)):
            offset += len(raw)


def _refuse_long(raw: bytes) -> None:
    if len(raw) > MOST_BYTES:
        message = f"is longer than {MOST_BYTES // 2**20} MiB"
        raise LineError(message)


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 (byte {error.start})"
        raise LineError(message) from error


def refuse(problems: Sequence[Entry], lines: int) -> LLMError:
    """Return the error that lists what is wrong with some of so many *lines*."""
    shown = [f"  line {entry.number} {entry.problem}" for entry in problems[:MOST_SHOWN]]
    if len(problems) > MOST_SHOWN:
        shown.append(f"  and {len(problems) - MOST_SHOWN} more")
    count = f"{len(problems)} of {lines} lines are" if lines > 1 else "the only line is"
    message = "\n".join([f"{count} no request:", *shown, "Nothing was sent."])
    return LLMValidationError(message, advice="Mend these lines, or go on without them: --skip-bad.")


class Todo:
    """The requests that are to be sent, read from the file one by one; *model* takes the place of theirs.

    *places* are those of the lines among the entries.
    """

    eager = True

    def __init__(
        self, lines: BatchInput, places: Sequence[int], model: str | None, timeout: float | None
    ) -> None:
        self.total: int | None = len(places)
        self._lines = lines
        self._places = places
        self._model = model
        self._timeout = timeout

    async def needs(self) -> AsyncIterator[Need]:
        """Yield what each needs, which is known from the check."""
        for number in range(len(self._places)):
            if number % BREATH == BREATH - 1:
                await asyncio.sleep(0)
            yield Need(self._model or self.entry(number).model)

    def entry(self, number: int) -> Entry:
        """Return the line that a request is."""
        return self._lines.entries[self._places[number]]

    def request(self, number: int) -> ModelRequest:
        """Read a request from the file."""
        request = self._lines.line(self.entry(number)).request
        return evolve(
            request,
            explicit_model=self._model or request.explicit_model,
            timeout=request.timeout or self._timeout,
            client=CLIENT,
            priority=PRIORITY,
        )

    def drop(self, number: int) -> None:
        """Forget nothing: nothing is held."""
