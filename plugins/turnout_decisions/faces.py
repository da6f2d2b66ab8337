"""What the command line offers a plugin's verbs."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, TypeVar

from turnout.messages import JSONObject
from turnout_decisions.journal import Query

if TYPE_CHECKING:
    from turnout.router import Router

T = TypeVar("T")


class Display(Protocol):
    """Shows what is going on."""

    def show(self, text: str, *, fraction: float | None = None) -> None:
        """Show *text*, and how much of it is done."""


class Output(Protocol):
    """Where a verb writes: data to stdout, words to stderr."""

    as_json: bool
    """Whether errors are to be JSON too."""

    def line(self, text: str = "") -> None:
        """Write one line of data."""

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> None:
        """Write a table; a column whose name starts with ``>`` is for numbers."""

    def json(self, value: JSONObject) -> None:
        """Write one JSON document."""

    def note(self, text: str) -> None:
        """Say something in passing."""

    def say(self, text: str) -> None:
        """Say something that was asked for."""

    def warn(self, text: str) -> None:
        """Say something that should not be missed."""

    def waiting(self) -> AbstractContextManager[Display]:
        """Return a display for what is going on."""


class App(Protocol):
    """The command line's state."""

    @property
    def out(self) -> Output:
        """Where to write."""

    def run(self, work: "Callable[[Router], Awaitable[T]]") -> T:
        """Open the router, do *work*, and close it."""


class Reader(Protocol):
    """Looks things up in the log."""

    def __call__(self, query: Query[T]) -> T:
        """Return what *query* finds."""
