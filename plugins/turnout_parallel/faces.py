"""What the command line offers a plugin's verb."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from turnout.config import Config
from turnout.messages import JSONObject
from turnout.router import Router

T = TypeVar("T")
PARTIAL, FAILURE = 7, 1
"""Exit codes of the command line: some of several parts failed, and all did."""


class Display(Protocol):
    """Shows what is going on."""

    def show(self, text: str, *, fraction: float | None = None) -> None:
        """Show *text*, and how much of it is done."""


class Output(Protocol):
    """Where a verb writes."""

    as_json: bool

    def line(self, text: str = "") -> None:
        """Write one line of data."""

    def note(self, text: str) -> None:
        """Say something in passing."""

    def say(self, text: str) -> None:
        """Say something that was asked for."""

    def warn(self, text: str) -> None:
        """Say something that should not be missed."""

    def json(self, value: JSONObject) -> None:
        """Write one JSON document."""

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> None:
        """Write a table."""

    def waiting(self) -> AbstractContextManager[Display]:
        """Return a display for what is going on."""


class App(Protocol):
    """The command line's state."""

    @property
    def config(self) -> Config:
        """The settings."""

    @property
    def out(self) -> Output:
        """Where to write."""

    def run(self, work: Callable[[Router], Awaitable[T]]) -> T:
        """Open the router, do *work*, and close it."""
