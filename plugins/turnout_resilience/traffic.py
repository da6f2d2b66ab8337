"""What runs where: executions in flight, counted by deployment."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

Key: TypeAlias = tuple[str, str]
"""(host name, model key)."""


class Traffic:
    """The executions in flight."""

    def __init__(self) -> None:
        self._running: dict[Key, int] = {}

    def on(self, key: Key) -> int:
        """Return how many run on a deployment."""
        return self._running.get(key, 0)

    @contextmanager
    def counted(self, key: Key) -> Iterator[None]:
        """Count one more for as long as the context lasts."""
        self._running[key] = self._running.get(key, 0) + 1
        try:
            yield
        finally:
            self._running[key] -= 1
            if not self._running[key]:
                del self._running[key]
