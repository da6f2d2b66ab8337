"""Where the answers of a batch go: into a file that can be gone on with, or to standard output."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

from attrs import frozen

from turnout.messages import JSONObject
from turnout_parallel.entries import Entries, Entry
from turnout_parallel.faces import App
from turnout_parallel.journal import Journal, Written, encoded


@frozen
class Wanted:
    """What the command line asks for; *output* None is standard output. Seconds."""

    source: str
    output: Path | None
    order: bool = False
    model: str | None = None
    again: bool = False
    skip_bad: bool = False
    max_in_flight: int | None = None
    timeout: float | None = None


class Sink(Protocol):
    """Where answers go."""

    done: dict[str, Written]

    def append(self, entry: Entry, line: JSONObject) -> None:
        """Write the line that answers *entry*."""

    def sync(self) -> None:
        """See that what was written stays."""

    def sort(self, entries: Sequence[Entry]) -> None:
        """Put the lines in the order of *entries*."""


class Stream:
    """Standard output: nothing to go on from, and nothing to sort."""

    def __init__(self, app: App) -> None:
        self.done: dict[str, Written] = {}
        self._out = app.out

    def append(self, entry: Entry, line: JSONObject) -> None:
        """Write a line."""
        raw = encoded(line)
        self._out.line(raw.decode().rstrip("\n"))
        self.done[entry.key] = Written(0, len(raw), bool(line.get("error")))

    def sync(self) -> None:
        """Do nothing: whoever reads it has it."""

    def sort(self, entries: Sequence[Entry]) -> None:
        """Do nothing: the lines came in order."""


def open_sink(app: App, wanted: Wanted, entries: Entries) -> AbstractContextManager[Sink]:
    """Open what *wanted* names; raises ``OutputError``."""
    if wanted.output is None:
        return nullcontext(Stream(app))
    return Journal(wanted.output, entries, again=wanted.again)
