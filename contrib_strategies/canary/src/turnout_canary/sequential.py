"""Intervals that hold however often they are looked at.

A fixed-sample interval, Wald's or Newcombe's, is wrong for a report that people read every day: who looks
often enough sees it exclude zero by chance. The intervals here are asymptotic confidence sequences, which
contain the true difference at all times together with probability 1 - alpha::

    estimate ± sqrt(V) * sqrt(2 (n r + 1) / (n r) * log(sqrt(n r + 1) / alpha))

with V the variance of the estimate, n the number of observations, and r a constant that is chosen so that
the interval is narrowest at the horizon: (-2 log alpha + log(-2 log alpha + 1)) / horizon.

Source: I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy, A. Ramdas, "Time-uniform central limit theory
and asymptotic confidence sequences", Annals of Statistics 52(6), 2024 (arXiv:2103.06476). It is the mixture
sequential probability ratio test of H. Robbins, Annals of Mathematical Statistics 41(5), 1970, that
R. Johari and others brought to A/B tests ("Always valid inference", Operations Research 70(3), 2022).
"Asymptotic" means that it takes some observations until it holds: nothing is claimed before :data:`FEWEST`
in each arm.
"""

import math
from collections.abc import Sequence

from attrs import frozen

FEWEST = 20


@frozen
class Looks:
    """How the intervals are made: *alpha* over all looks, narrowest at *horizon* observations."""

    alpha: float
    horizon: int

    def factor(self, n: float) -> float:
        """Return by how many standard errors the interval reaches out, at *n* observations."""
        twice = -2.0 * math.log(self.alpha)
        mixed = n * (twice + math.log(twice + 1.0)) / self.horizon
        return math.sqrt(2.0 * (mixed + 1.0) / mixed * math.log(math.sqrt(mixed + 1.0) / self.alpha))


@frozen
class Difference:
    """Treatment less control: the ``estimate``, its ``variance``, and the observations behind it.

    ``n`` counts those of both arms, or the pairs; ``fewest`` those of the smaller arm.
    """

    estimate: float
    variance: float
    n: int
    fewest: int

    def half_width(self, looks: Looks) -> float:
        """Return how far the interval reaches out to either side, now."""
        return math.sqrt(self.variance) * looks.factor(self.n)

    def more_needed(self, looks: Looks, effect: float) -> int:
        """Return how many more observations make the interval as narrow as *effect* to either side."""
        once = self.variance * self.n
        enough = self.n
        while math.sqrt(once / enough) * looks.factor(enough) > effect:
            enough *= 2
        low = max(enough // 2, self.n)
        while low < enough:
            middle = (low + enough) // 2
            if math.sqrt(once / middle) * looks.factor(middle) > effect:
                low = middle + 1
            else:
                enough = middle
        rare = math.ceil(self.n * FEWEST / self.fewest)
        return max(enough, rare) - self.n


def between(
    treatment: Sequence[float], control: Sequence[float], span: tuple[float, ...] = ()
) -> Difference | None:
    """Compare two groups; None where one of them is too small to have a variance.

    *span* holds the least and the largest possible value, where there are such.
    """
    if min(len(treatment), len(control)) < 2:
        return None
    variance = sum(_variance([*group, *span]) / len(group) for group in (treatment, control))
    estimate = _mean(treatment) - _mean(control)
    return Difference(
        estimate, variance, len(treatment) + len(control), min(len(treatment), len(control))
    )


def paired(differences: Sequence[float], span: tuple[float, ...] = ()) -> Difference | None:
    """Judge differences within pairs; None where there are too few to have a variance."""
    n = len(differences)
    if n < 2:
        return None
    return Difference(_mean(differences), _variance([*differences, *span]) / n, n, n)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _variance(values: Sequence[float]) -> float:
    """Return the sample variance.

    With the ends of the span among the values it is never 0: twenty successes of twenty do not prove that
    there are no failures (the "plus four" rule: Agresti and Caffo, The American Statistician 54(4), 2000).
    """
    mean = _mean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
