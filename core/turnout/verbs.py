"""What the command line gives to a plugin's verb: the shape of ``click``'s ``obj``.

A plugin that adds verbs (``register_commands``) annotates the object that ``click.pass_obj`` hands it as
:class:`App`, and needs nothing of the command line's own.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, TypeVar

from turnout.messages import JSONObject

if TYPE_CHECKING:
    from turnout.config import Config
    from turnout.router import Router

T = TypeVar("T")


class Display(Protocol):
    """Shows what is going on."""

    def show(self, text: str, *, fraction: float | None = None, expected: float | None = None) -> None:
        """Show *text*, how much of it is done (0 to 1), and how many seconds it should take."""


class Output(Protocol):
    """Where a verb writes: data to stdout, words to stderr."""

    as_json: bool
    """Whether errors are to be JSON too."""

    def line(self, text: str = "") -> None:
        """Write one line of data."""

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> None:
        """Write a table; a column whose name starts with ``>`` is for numbers."""

    def json(self, value: JSONObject) -> None:
        """Write one JSON document, with the version of its shape."""

    def note(self, text: str) -> None:
        """Say something in passing."""

    def say(self, text: str) -> None:
        """Say something that was asked for."""

    def warn(self, text: str) -> None:
        """Say something that should not be missed."""

    def waiting(self) -> AbstractContextManager[Display]:
        """Return a display for what is going on, which goes away at the end."""


class Session(Protocol):
    """An open router for several pieces of work, of which each can be interrupted by itself."""

    @property
    def router(self) -> "Router":
        """The router, open."""

    def run(self, work: Coroutine[object, object, T]) -> T:
        """Run one piece of work."""


class App(Protocol):
    """The command line's state."""

    @property
    def config(self) -> "Config":
        """The settings from all layers; raises ``ConfigError`` where they are not valid."""

    @property
    def out(self) -> Output:
        """Where to write."""

    def run(self, work: "Callable[[Router], Awaitable[T]]") -> T:
        """Open the router, do *work*, and close it, also on Ctrl-C."""

    def session(self) -> AbstractContextManager[Session]:
        """Open the router for several pieces of work."""
