"""Two models: how much of the stronger one's lead a router keeps, and for how many calls, as RouteLLM says.

A router gives each prompt a number: the higher, the more it is worth sending to the strong model. Thresholds
are the eleven quantiles 0, 10, ..., 100 % of these numbers on the rows that are reported on; at each, the
prompts at or above it go to the strong model, at the last one those above it, hence none. That gives eleven
points (share of strong calls, mean score).

- PGR, the performance gap recovered: (score − weak) / (strong − weak).
- APGR: the area under PGR over the share of strong calls, by the trapezoidal rule. Chance has 0.5.
- CPT(x): the least share of strong calls, in percent, at which PGR reaches x percent, on straight lines
  between the points. The same as their ``numpy.interp`` wherever the curve rises; where it falls between
  two points theirs is undefined, and the least is what their paper says.

Ong et al., "RouteLLM: Learning to route LLMs with preference data", 2024 (arXiv 2406.18665), and
``routellm/evals`` of lm-sys/RouteLLM (Apache-2.0). They refuse equal quantiles; here they count as one point.
"""

from typing import Self

import numpy as np
from attrs import frozen

from turnout_learned.arrays import Floats

POINTS = 11


@frozen(eq=False)
class Curve:
    """Shares of strong calls (0 to 1), rising, and the gap recovered at each."""

    shares: Floats
    recovered: Floats

    @classmethod
    def of(cls, ranks: Floats, weak: Floats, strong: Floats) -> Self:
        """Make the curve of a router that gave *ranks*, from both models' scores on the same rows."""
        thresholds = np.quantile(ranks, np.linspace(0.0, 1.0, POINTS))
        chosen = ranks >= thresholds[:, None]
        chosen[-1] = ranks > thresholds[-1]
        shares = chosen.mean(1)
        scores = np.where(chosen, strong, weak).mean(1)
        recovered = (scores - weak.mean()) / (strong.mean() - weak.mean())
        return cls(shares[::-1], recovered[::-1])

    @property
    def apgr(self) -> float:
        """Return the average gap recovered."""
        widths = np.diff(self.shares)
        area = float((widths * (self.recovered[1:] + self.recovered[:-1])).sum()) / 2
        return area / float(self.shares[-1] - self.shares[0])

    def cpt(self, percent: float) -> float:
        """Return the percentage of strong calls that first recovers *percent* (above 0) of the gap."""
        goal = percent / 100
        after = int(np.argmax(self.recovered >= goal))
        low, high = self.recovered[after - 1 : after + 1]
        part = (goal - low) / (high - low)
        return 100.0 * float(self.shares[after - 1] + part * (self.shares[after] - self.shares[after - 1]))
