"""Thompson sampling with its probabilities: how likely each arm is the best one.

To draw from each posterior and take the largest is to take each arm as often as it is the best. Here these
chances are computed first and the arm is drawn by them. So the propensity is exact, and not an estimate from
repeated draws, which could be 0 for what was chosen.
"""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from random import Random

from attrs import frozen

CELLS = 128
"""Into how many parts 0 to 1 is divided; the chances are those of this division."""
_MIDDLES = [(cell + 0.5) / CELLS for cell in range(CELLS)]
_LOGS = [(math.log(x), math.log1p(-x)) for x in _MIDDLES]


@frozen
class Arm:
    """A posterior Beta(alpha, beta), both at least 1, of a reward that ``cost`` is taken from."""

    alpha: float
    beta: float
    cost: float = 0.0

    @property
    def cells_of_cost(self) -> int:
        """The cost in whole cells."""
        return round(self.cost * CELLS)

    @property
    def value(self) -> float:
        """The expected reward less the cost."""
        return self.alpha / (self.alpha + self.beta) - self.cost


def chances(arms: Sequence[Arm]) -> list[float]:
    """Return for each of *arms* the probability that it is the best; they add up to 1."""
    counts = Counter(arms)
    kinds = sorted(counts, key=lambda arm: (arm.alpha, arm.beta, arm.cost))
    most = max(arm.cells_of_cost for arm in kinds)
    masses = [_masses(arm, most) for arm in kinds]
    wins = _wins(masses, [counts[arm] for arm in kinds])
    total = math.fsum(win * counts[arm] for win, arm in zip(wins, kinds, strict=True))
    found = {arm: win / total for win, arm in zip(wins, kinds, strict=True)}
    return [found[arm] for arm in arms]


def draw(shares: Sequence[float], rng: Random) -> int:
    """Return one of the positions, each as often as its share says."""
    drawn = rng.random()
    reached = accumulate(shares)
    last = max(at for at, share in enumerate(shares) if share > 0.0)
    return next((at for at, sum_ in enumerate(reached) if drawn < sum_), last)


def _masses(arm: Arm, most: int) -> list[float]:
    """Return the probability of each cell, moved down by the cost; the lowest cell is at *most* below 0."""
    powers = arm.alpha - 1.0, arm.beta - 1.0
    logs = [powers[0] * log + powers[1] * log_rest for log, log_rest in _LOGS]
    top = max(logs)
    dense = [math.exp(log - top) for log in logs]
    total = math.fsum(dense)
    lower = most - arm.cells_of_cost
    return [0.0] * lower + [one / total for one in dense] + [0.0] * arm.cells_of_cost


def _below(masses: Sequence[float]) -> list[float]:
    """Return the probability to lie below each cell's middle; half of the cell's own is."""
    return [reached - mass / 2.0 for reached, mass in zip(accumulate(masses), masses, strict=True)]


def _wins(masses: Sequence[Sequence[float]], counts: Sequence[int]) -> list[float]:
    """Return for each kind the probability that one of it is above all others, of its own kind too."""
    below = [_below(mass) for mass in masses]
    powers = [[value**count for value in one] for one, count in zip(below, counts, strict=True)]
    before = list(accumulate(powers, _times, initial=[1.0] * len(masses[0])))
    after = [1.0] * len(masses[0])
    wins = [0.0] * len(masses)
    for kind in range(len(masses) - 1, -1, -1):
        equals = [value ** (counts[kind] - 1) for value in below[kind]]
        others = zip(masses[kind], equals, before[kind], after, strict=True)
        wins[kind] = math.fsum(mass * own * lower * upper for mass, own, lower, upper in others)
        after = _times(after, powers[kind])
    return wins


def _times(one: list[float], other: list[float]) -> list[float]:
    return [a * b for a, b in zip(one, other, strict=True)]
