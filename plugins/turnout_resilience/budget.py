"""A token bucket: what may be spent is a share of what is earned, and a little more."""

from attrs import define, field

FLOOR = 8.0
"""Tokens that are there at first, and come back by themselves.

One crash ends all that runs there, on all slots at once, and each of those may be tried again.
"""
REFILL_SECONDS = 10.0
"""How long one token of the floor takes to come back."""
MOST = 10.0


@define
class Budget:
    """``share`` of a token is earned by each request; the floor refills with time. Times in seconds.

    A share of 0 means that nothing may be spent at all.
    """

    share: float
    tokens: float = field(default=FLOOR)
    _refilled: float = field(default=0.0)

    def earn(self) -> None:
        """Count one request."""
        self.tokens = min(self.tokens + self.share, max(MOST, self.tokens))

    def can_spend(self, now: float) -> bool:
        """Whether there is a whole token at *now*."""
        self._refill(now)
        return self.share > 0 and self.tokens >= 1.0

    def spend(self, now: float) -> bool:
        """Take a token, if there is one."""
        if not self.can_spend(now):
            return False
        self.tokens -= 1.0
        return True

    def _refill(self, now: float) -> None:
        if self.tokens < FLOOR:
            self.tokens = min(self.tokens + max(now - self._refilled, 0.0) / REFILL_SECONDS, FLOOR)
        self._refilled = now
