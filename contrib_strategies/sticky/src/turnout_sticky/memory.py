"""Where conversations are at home: the newest few thousand, each for a while."""

from collections import OrderedDict
from collections.abc import Callable, Iterable

from attrs import frozen


@frozen
class Home:
    """Where a conversation was last answered.

    ``tokens`` are those of its prompt and answer, which the host may still hold; ``at`` is in seconds of the
    loop's clock.
    """

    model: str
    host: str
    tokens: int
    at: float


class Memory:
    """At most *limit* homes, the least recently written forgotten first, and none older than *ttl* seconds.

    *clock* is asked only where something is found.
    """

    def __init__(self, limit: int, ttl: float, clock: Callable[[], float]) -> None:
        self._homes: OrderedDict[bytes, Home] = OrderedDict()
        self._limit = limit
        self._ttl = ttl
        self._clock = clock

    def __len__(self) -> int:
        return len(self._homes)

    def find(self, keys: Iterable[bytes]) -> Home | None:
        """Return the home under the first of *keys* that has one; changes nothing."""
        for key in keys:
            home = self._homes.get(key)
            if home is not None and self._clock() - home.at <= self._ttl:
                return home
        return None

    def keep(self, key: bytes, model: str, host: str, tokens: int = 0) -> None:
        """Remember that the conversation of *key* is at home there from now on."""
        self._homes[key] = Home(model, host, tokens, self._clock())
        self._homes.move_to_end(key)
        while len(self._homes) > self._limit:
            self._homes.popitem(last=False)
