"""How fast a batch goes, and when it will be done: by what ended lately."""

from collections import deque

from turnout.types import Reply
from turnout_parallel.running import Result
from turnout_parallel.words import plural, rate, seconds

RECENT = 64
"""Answers by which the pace is told."""
REFRESH_SECONDS = 0.25
FEW = 8
"""Of fewer answers in a row nothing is foretold: the first ones come together, after one answer's time."""


class Pace:
    """Counts the results of *todo* lines, after those done *before*. Times are the loop's seconds."""

    def __init__(self, todo: int, before: int) -> None:
        self.todo = todo
        self.before = before
        self.began = 0.0
        self.answered = self.failed = self.prompt_tokens = self.completion_tokens = 0
        self._recent: deque[tuple[float, int]] = deque(maxlen=RECENT)
        self._shown = -REFRESH_SECONDS

    def begin(self, now: float) -> None:
        """Let the time run."""
        self.began = now
        self._recent.append((now, 0))

    @property
    def ended(self) -> int:
        """How many have ended in this run."""
        return self.answered + self.failed

    def note(self, result: Result, now: float) -> None:
        """Count a result."""
        tokens = 0
        if isinstance(result, Reply):
            self.answered += 1
            tokens = result.usage.completion_tokens
            self.prompt_tokens += result.usage.prompt_tokens
            self.completion_tokens += tokens
        else:
            self.failed += 1
        self._recent.append((now, tokens))

    def due(self, now: float) -> bool:
        """Return whether it is time to show something, which is a few times a second."""
        if now - self._shown < REFRESH_SECONDS:
            return False
        self._shown = now
        return True

    @property
    def fraction(self) -> float:
        """How much of all is done, from 0 to 1."""
        return (self.before + self.ended) / max(self.before + self.todo, 1)

    def left(self) -> float | None:
        """Return the seconds to the end at the pace of late; None before a few have ended."""
        span, count = self._span()
        return (self.todo - self.ended) * span / count if count >= FEW and span > 0 else None

    def tokens_per_second(self) -> float | None:
        """Return the tokens written in a second of late, by all together."""
        span, count = self._span()
        return sum(tokens for _, tokens in list(self._recent)[1:]) / span if count and span > 0 else None

    def _span(self) -> tuple[float, int]:
        recent = self._recent
        return (recent[-1][0] - recent[0][0], len(recent) - 1) if recent else (0.0, 0)

    def words(self) -> str:
        """Say how far it is."""
        parts = [f"batch: {self.before + self.ended} of {self.before + self.todo}"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        speed, left = self.tokens_per_second(), self.left()
        if speed:
            parts.append(rate(speed))
        if left is not None and left >= 1:
            parts.append(f"about {seconds(left)} left")
        return ", ".join(parts)

    def summary(self, now: float) -> str:
        """Say what was done."""
        took = max(now - self.began, 1e-9)
        parts = [plural(self.answered, "answer")]
        if self.failed:
            parts.append(plural(self.failed, "error"))
        parts.append(seconds(took))
        if self.completion_tokens:
            parts.append(f"{self.prompt_tokens} + {plural(self.completion_tokens, 'token')}")
            parts.append(rate(self.completion_tokens / took))
        return ", ".join(parts)
