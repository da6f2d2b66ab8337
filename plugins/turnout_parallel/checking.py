"""What is shown while the input is checked, which takes half a minute for a million lines."""

from collections.abc import Callable
from time import monotonic

from turnout_parallel.faces import Display
from turnout_parallel.pace import REFRESH_SECONDS


class Checking:
    """Shows how far the check is; of one that is over at once there is nothing to show.

    *clock* tells the seconds: the check is over before there is a loop.
    """

    def __init__(self, display: Display, clock: Callable[[], float] = monotonic) -> None:
        self._display = display
        self._clock = clock
        self._shown = clock()

    def see(self, lines: int, share: float) -> None:
        """Show that so many lines are checked, which is such a *share* of the input, from 0 to 1."""
        now = self._clock()
        if now - self._shown >= REFRESH_SECONDS:
            self._shown = now
            self._display.show(f"checking: {lines:,} lines", fraction=share)
