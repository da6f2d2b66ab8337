"""What the verb uses of the command line, whose plugin this one does not import."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from turnout import Config
from turnout.messages import JSONObject


class Display(Protocol):
    """Shows what is going on."""

    def show(self, text: str, *, fraction: float | None = None) -> None:
        """Show *text*, and how much of it is done."""


class Output(Protocol):
    """What the command line offers a plugin's verb to write with."""

    def line(self, text: str = "") -> None:
        """Write one line of data."""

    def note(self, text: str) -> None:
        """Say something in passing."""

    def error(self, text: str) -> None:
        """Say what went wrong."""

    def json(self, value: JSONObject) -> None:
        """Write one JSON document."""

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> None:
        """Write a table."""

    def waiting(self) -> AbstractContextManager[Display]:
        """Return a display for what is going on."""


class App(Protocol):
    """The command line's state."""

    @property
    def out(self) -> Output:
        """Where to write."""

    @property
    def config(self) -> Config:
        """The user's settings."""
