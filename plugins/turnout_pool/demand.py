"""How often a model is asked for: a rate that forgets, at the cost of a comparison per request."""

from attrs import define

WINDOW_SECONDS = 60.0


@define
class Demand:
    """Requests in the present window of time and in the one before."""

    began: float
    now: int = 0
    before: int = 0

    def add(self, at: float) -> None:
        """Count a request."""
        if at - self.began >= WINDOW_SECONDS:
            self._turn(at)
        self.now += 1

    def rate(self, at: float) -> float:
        """Return requests per second over about the last window."""
        if at - self.began >= WINDOW_SECONDS:
            self._turn(at)
        part = (at - self.began) / WINDOW_SECONDS
        return (self.before * (1.0 - part) + self.now) / WINDOW_SECONDS

    def _turn(self, at: float) -> None:
        recent = at - self.began < 2 * WINDOW_SECONDS
        self.before, self.now = (self.now if recent else 0), 0
        self.began = self.began + WINDOW_SECONDS if recent else at
