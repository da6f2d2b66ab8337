"""How sure a score is, and whether a difference between two models is real."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations, product
from random import Random

from attrs import frozen

Z = 1.959964
"""Of the standard normal distribution, for 95 %."""
SURE = 0.05
_EXACT = 12
_MANY = 300
_DRAWS = 2_000
_FLIPS = 5_000


@frozen
class Interval:
    """A value with the bounds between which it lies with 95 %."""

    value: float
    low: float
    high: float


def wilson(scores: Sequence[float], weights: Sequence[float]) -> Interval:
    """Return the weighted mean of *scores* with Wilson's score interval.

    Of scores between 0 and 1 it is a little too wide, as they vary less than right and wrong do. Weights
    count by Kish's effective number. Wilson, JASA 22 (1927), 209-212; Kish, Survey Sampling (1965), 11.7.
    """
    total = sum(weights)
    if not total:
        return Interval(0.0, 0.0, 1.0)
    mean = sum(score * weight for score, weight in zip(scores, weights, strict=True)) / total
    number = total * total / sum(weight * weight for weight in weights)
    spread = Z * math.sqrt(mean * (1 - mean) / number + Z * Z / (4 * number * number))
    middle, scale = mean + Z * Z / (2 * number), 1 + Z * Z / number
    return Interval(mean, max((middle - spread) / scale, 0.0), min((middle + spread) / scale, 1.0))


@frozen
class Comparison:
    """``better`` and ``worse`` over the same ``tasks``: the difference of their scores, and ``p``.

    ``p`` is the probability of such a difference by chance, corrected for all comparisons made.
    """

    better: str
    worse: str
    tasks: int
    difference: Interval
    p: float

    @property
    def real(self) -> bool:
        """Whether chance alone hardly explains it."""
        return self.p < SURE

    def __str__(self) -> str:
        low, high = f"{self.difference.low:+.2f}", f"{self.difference.high:+.2f}"
        between = f"95 % from {low} to {high}, p = {self.p:.2g}, {self.tasks} prompts"
        numbers = f"{self.difference.value:+.2f}, {between}"
        if self.real:
            return f"{self.better} is better than {self.worse} ({numbers})"
        return f"no difference shown between {self.better} and {self.worse} ({numbers})"


def compared(
    scores: Mapping[str, Mapping[str, float]], weights: Mapping[str, float]
) -> list[Comparison]:
    """Compare every two of *scores* (by model, then by task) over the tasks that both have.

    *weights* are those of the tasks. Sign-flip test for pairs; Holm's correction over all of them
    (Scandinavian Journal of Statistics 6 (1979), 65-70).
    """
    found = [_pair(one, other, scores, weights) for one, other in combinations(scores, 2)]
    known = sorted((pair for pair in found if pair is not None), key=lambda pair: pair.p)
    corrected: list[Comparison] = []
    least = 0.0
    for number, pair in enumerate(known):
        least = max(least, min(pair.p * (len(known) - number), 1.0))
        corrected.append(Comparison(pair.better, pair.worse, pair.tasks, pair.difference, least))
    return corrected


def _pair(
    one: str, other: str, scores: Mapping[str, Mapping[str, float]], weights: Mapping[str, float]
) -> Comparison | None:
    common = [task for task in scores[one] if task in scores[other]]
    if not common:
        return None
    mean = sum(weights[task] for task in common) / len(common)
    parts = [weights[task] / mean * (scores[one][task] - scores[other][task]) for task in common]
    if sum(parts) < 0:
        return Comparison(other, one, len(common), _interval([-part for part in parts]), p_value(parts))
    return Comparison(one, other, len(common), _interval(parts), p_value(parts))


def _interval(parts: Sequence[float]) -> Interval:
    """Return the mean with a percentile bootstrap; of many parts the normal approximation serves as well."""
    mean = sum(parts) / len(parts)
    if len(parts) > _MANY:
        half = Z * math.sqrt(sum((part - mean) ** 2 for part in parts)) / len(parts)
        return Interval(mean, mean - half, mean + half)
    chance = Random(0)
    means = sorted(sum(chance.choices(parts, k=len(parts))) / len(parts) for _ in range(_DRAWS))
    return Interval(mean, means[int(_DRAWS * 0.025)], means[int(_DRAWS * 0.975)])


def p_value(parts: Sequence[float]) -> float:
    """Return how often signs by chance give a sum as far from 0: exact for few, drawn for more.

    Fisher's randomisation test for pairs (The Design of Experiments, 1935, section 21).
    """
    sizes = [abs(part) for part in parts if part]
    reached = abs(sum(parts)) - 1e-9
    if not sizes:
        return 1.0
    if len(sizes) > _MANY:
        return math.erfc(reached / math.sqrt(2 * sum(size * size for size in sizes)))
    if len(sizes) <= _EXACT:
        sums = [sum(map(float.__mul__, signs, sizes)) for signs in product((1.0, -1.0), repeat=len(sizes))]
        return sum(abs(one) >= reached for one in sums) / len(sums)
    chance = Random(0)
    far = sum(abs(_flipped(sizes, chance)) >= reached for _ in range(_FLIPS))
    return (far + 1) / (_FLIPS + 1)


def _flipped(sizes: Sequence[float], chance: Random) -> float:
    bits = chance.getrandbits(len(sizes))
    return sum(size if bits >> number & 1 else -size for number, size in enumerate(sizes))
