"""What runs where: executions in flight, counted by deployment."""

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

    def begin(self, key: Key) -> None:
        """Count one more."""
        self._running[key] = self._running.get(key, 0) + 1

    def end(self, key: Key) -> None:
        """Count one less; what nothing runs on is forgotten."""
        self._running[key] -= 1
        if not self._running[key]:
            del self._running[key]
