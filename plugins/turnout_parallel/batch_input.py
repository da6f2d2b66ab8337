"""The input of a batch: every line checked before anything is sent, and read again when its turn comes."""

import asyncio
import codecs
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import BinaryIO

from attrs import evolve, frozen

from turnout.errors import LLMError, LLMValidationError
from turnout.messages import JSONObject
from turnout.types import ModelRequest, Operation
from turnout_parallel.batch_line import Line, OpenAILine, digest, openai_failure, read_line, simple_failure
from turnout_parallel.fields import LineError
from turnout_parallel.source import BREATH, Need

MOST_BYTES = 64 * 2**20
"""A longer line is refused: it is no prompt."""
MOST_SHOWN = 10
CLIENT, PRIORITY = "batch", -1
"""Who waits for an answer now goes first."""


@frozen
class Entry:
    """One line of the input; ``problem`` says why it is none that could be sent.

    ``number`` counts from 1. ``offset`` and ``length`` are bytes. ``name`` and ``digest`` tell it from all
    others, today and in the next run.
    """

    number: int
    offset: int
    length: int
    name: str | int
    digest: str
    model: str | None = None
    operation: Operation = Operation.CHAT
    problem: str = ""
    openai: bool = False

    @property
    def key(self) -> str:
        """The name as JSON: 7 and "7" are two names."""
        return json.dumps(self.name)

    def refusal(self) -> JSONObject:
        """Return the line of the output that says what is wrong."""
        make = openai_failure if self.openai else simple_failure
        message = f"line {self.number}: {self.problem}"
        return make(self.name, self.digest, "InvalidLine", message)


class BatchInput:
    """The lines of a file, all checked; blank ones do not count.

    A file whose first line starts with ``{`` holds JSON, any other one plain prompts.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.plain = _is_plain(file)
        self.entries: list[Entry] = []
        self._names: dict[str, int] = {}
        for number, offset, raw in _raw_lines(file):
            entry = self._checked(number, offset, raw)
            if entry is not None:
                self.entries.append(entry)

    @property
    def problems(self) -> list[Entry]:
        """The lines that cannot be sent."""
        return [entry for entry in self.entries if entry.problem]

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
            self._claim(name, number)
        except LineError as error:
            return self._refused(made, text, str(error))
        request = line.request
        model, operation = request.explicit_model, request.operation
        openai = isinstance(line, OpenAILine)
        return evolve(made, name=name, model=model, operation=operation, openai=openai)

    def _claim(self, name: str | int, number: int) -> None:
        first = self._names.setdefault(json.dumps(name), number)
        if first != number:
            message = f"has the id {name!r}, which line {first} has already"
            raise LineError(message)

    def _refused(self, entry: Entry, text: str, problem: str) -> Entry:
        """Return an entry for a line that is none, under a name that nobody else has."""
        name = entry.name
        while self._names.setdefault(json.dumps(name), entry.number) != entry.number:
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
    """The requests that are to be sent, read from the file one by one; *model* takes the place of theirs."""

    eager = True

    def __init__(
        self, lines: BatchInput, entries: Sequence[Entry], model: str | None, timeout: float | None
    ) -> None:
        self.total: int | None = len(entries)
        self._lines = lines
        self._entries = entries
        self._model = model
        self._timeout = timeout

    async def needs(self) -> AsyncIterator[Need]:
        """Yield what each needs, which is known from the check."""
        for number, entry in enumerate(self._entries):
            if number % BREATH == BREATH - 1:
                await asyncio.sleep(0)
            yield Need(self._model or entry.model)

    def request(self, number: int) -> ModelRequest:
        """Read a request from the file."""
        entry = self._entries[number]
        request = self._lines.line(entry).request
        return evolve(
            request,
            explicit_model=self._model or request.explicit_model,
            timeout=request.timeout or self._timeout,
            client=CLIENT,
            priority=PRIORITY,
        )

    def drop(self, number: int) -> None:
        """Forget nothing: nothing is held."""
