"""How a verb looks things up in the log."""

from typing import Protocol, TypeVar

from turnout_decisions.journal import Query

T = TypeVar("T")


class Reader(Protocol):
    """Looks things up in the log."""

    def __call__(self, query: Query[T]) -> T:
        """Return what *query* finds."""
