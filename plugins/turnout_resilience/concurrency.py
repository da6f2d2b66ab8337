"""How many requests a deployment takes at once after it has crashed under several (bt#2255).

Additive increase, multiplicative decrease (Chiu & Jain 1989): a crash with n in flight leaves n / 2; after
that each success adds 1 / limit, so that a whole round of successes adds one.
"""

from attrs import define

from turnout_resilience.traffic import Key


@define
class Limit:
    """How many at once; ``since`` the last crash, in seconds."""

    value: float
    since: float


class Concurrency:
    """The limits of those deployments that have one."""

    def __init__(self) -> None:
        self._limits: dict[Key, Limit] = {}

    def crashed(self, key: Key, in_flight: int, began: float, now: float) -> None:
        """Learn of a crash below an execution that *began* then, with *in_flight* in all.

        One alone says nothing of concurrency, and of those that crash together only the first counts.
        """
        known = self._limits.get(key)
        if in_flight < 2 or (known is not None and began < known.since):
            return
        self._limits[key] = Limit(max(in_flight // 2, 1), now)

    def succeeded(self, key: Key, began: float) -> bool:
        """Learn of a success on it, and return whether one more may run there now."""
        known = self._limits.get(key)
        if known is None or began < known.since:
            return False
        before = int(known.value)
        known.value += 1.0 / known.value
        return int(known.value) > before

    def allowed(self, key: Key, slots: int) -> int:
        """Return how many of its *slots* may be used; a limit that none of them needs is forgotten."""
        known = self._limits.get(key)
        if known is None:
            return slots
        if known.value >= slots:
            del self._limits[key]
            return slots
        return int(known.value)

    def report(self) -> dict[Key, int]:
        """Return the limits."""
        return {key: int(limit.value) for key, limit in self._limits.items()}
