"""A circuit breaker: a pure state machine that is told the time.

::

            failures in a row, or one that says enough
    CLOSED ────────────────────────────────────────────▶ OPEN ◀──┐
       ▲                                                  │      │ the probe fails:
       │ it answers: slow start                  cool-down│      │ twice the cool-down
       └────────────────────────── HALF_OPEN ◀────────────┘ ─────┘
                                one probe at a time

After M. Nygard, "Release It!" (2007), with a cool-down that doubles and a slow start.
"""

import enum
from math import inf

from attrs import define, field, frozen

LAPSE_SECONDS = 30.0
"""A probe that was admitted and of which nothing was heard for this long went elsewhere."""
FULL_STRENGTH = 8
"""Answers in a row after which a recovery is over."""


class State(enum.Enum):
    """Whether requests pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@frozen
class Policy:
    """When to open, and for how long: ``cooldown`` seconds at first, doubled each time up to ``longest``."""

    failures: int = 3
    cooldown: float = 5.0
    longest: float = 300.0


@define(eq=False)
class Breaker:
    """The breaker of one host, or of one model on it. Times are seconds of one clock that never goes back.

    ``reason`` says in words why it opened, ``began`` when. What began before it opened is old news,
    and changes nothing afterwards.
    """

    policy: Policy = Policy()
    reason: str = ""
    began: float = -inf
    until: float = -inf
    _failures: int = field(default=0, init=False)
    _trips: int = field(default=0, init=False)
    _answers: int = field(default=FULL_STRENGTH, init=False)
    _is_open: bool = field(default=False, init=False)
    _probe: str | None = field(default=None, init=False)
    _probed_at: float = field(default=-inf, init=False)

    def state(self, now: float) -> State:
        """Return the state at *now*."""
        if not self._is_open:
            return State.CLOSED
        return State.OPEN if now < self.until else State.HALF_OPEN

    def admits(self, who: str, now: float) -> bool:
        """Whether the request *who* may pass: any when closed, none when open, one at a time in between."""
        state = self.state(now)
        if state is not State.HALF_OPEN:
            return state is State.CLOSED
        return self._probe in (None, who) or now - self._probed_at >= LAPSE_SECONDS

    def admit(self, who: str, now: float) -> None:
        """Make *who* the probe, if it is half-open and admits it."""
        if self.state(now) is State.HALF_OPEN and self.admits(who, now):
            self._probe, self._probed_at = who, now

    def failed(self, began: float, now: float, reason: str, *, at_once: bool = False) -> None:
        """Learn that something that *began* then has failed; *at_once* opens whatever was before."""
        if began <= self.began:
            return
        self._failures += 1
        self._answers = min(self._answers, FULL_STRENGTH - 1)
        # Whoever has tripped and not recovered yet has no further failures to give.
        if self._trips or at_once or self._failures >= self.policy.failures:
            self._open(now, reason)

    def succeeded(self, began: float) -> None:
        """Learn that something that *began* then went well: it closes, and old failures are forgotten."""
        if began <= self.began:
            return
        if self._is_open:
            self._is_open = False
            self._probe = None
            self._answers = 0
        self._failures = 0
        self._answers += 1
        if self.recovered:
            self._trips = 0

    def gave_up(self, who: str) -> None:
        """Learn that the probe *who* ended without a verdict."""
        if self._probe == who:
            self._probe = None

    @property
    def recovered(self) -> bool:
        """Whether nothing is left of any failure."""
        return not (self._is_open or self._failures) and self._answers >= FULL_STRENGTH

    def allowance(self) -> int | None:
        """Return how many requests it takes at once: one as a probe, then one more for each answer.

        None: as many as there are slots.
        """
        if self._is_open:
            return 1
        return 1 + self._answers if self._answers < FULL_STRENGTH and self._trips else None

    def _open(self, now: float, reason: str) -> None:
        self._is_open = True
        self._probe = None
        self._failures = 0
        self._trips += 1
        self.reason, self.began = reason, now
        # The exponent is bounded so that the power stays a number.
        self.until = now + min(self.policy.cooldown * 2.0 ** min(self._trips - 1, 60), self.policy.longest)
