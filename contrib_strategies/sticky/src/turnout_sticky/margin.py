"""Whether a conversation stays: a switch must be worth what it costs."""

import math
from collections.abc import Sequence

from attrs import field, frozen, validators

from turnout import Candidate, ModelRequest


@frozen
class StickySettings:
    """The table ``[sticky]``.

    A conversation leaves its model only where another is predicted to be done sooner by more than ``margin``
    (a share: 0.5 is half as long again) and by more than ``margin_seconds``. It is forgotten ``ttl`` seconds
    after its last answer, and earlier where more than ``conversations`` turns are remembered.
    """

    margin: float = field(default=0.5, validator=validators.ge(0.0))
    margin_seconds: float = field(default=10.0, validator=validators.ge(0.0))
    ttl: float = field(default=3600.0, validator=validators.gt(0.0))
    conversations: int = field(default=4096, validator=validators.ge(1))


@frozen
class Comparison:
    """The home of a conversation against the fastest other candidate, in predicted seconds.

    Infinite where no prediction makes sense; ``fastest`` is None where there is no other.
    """

    home: float
    fastest: float | None
    ranking: tuple[str, ...]

    def worth_a_switch(self, settings: StickySettings) -> bool:
        """Whether the other is better by more than both margins: the rule of SGLang's cache-aware router."""
        if self.fastest is None or not self.fastest < self.home:
            return False
        beyond_share = self.home > self.fastest * (1.0 + settings.margin)
        return beyond_share and self.home > self.fastest + settings.margin_seconds


def compare(model: str, request: ModelRequest, candidates: Sequence[Candidate]) -> Comparison:
    """Compare *model*, which is one of *candidates*, with the others."""
    prompt, output = request.signals.prompt_tokens or 0, request.signals.output_tokens or 0
    seconds = {c.id: _sensible(c.completion_seconds(prompt, output)) for c in candidates}
    home = seconds.pop(model)
    ranked = sorted(seconds, key=lambda other: (seconds[other], other))
    return Comparison(home, seconds[ranked[0]] if ranked else None, tuple(ranked))


def _sensible(seconds: float) -> float:
    return max(seconds, 0.0) if seconds < math.inf else math.inf  # NaN is infinite too
