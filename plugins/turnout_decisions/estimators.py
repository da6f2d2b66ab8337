"""Off-policy estimates: what a policy would have earned, from a log that another policy made.

Each decision i of the log has a reward r, the probability μ with which the logging policy took the logged
action, and the probability π with which the policy in question takes that same action. Its importance weight
is w = π / μ. With q a model of rewards, q(a) is what it predicts for the logged action, and v what it
predicts for the policy in question: v = Σ π(b) q(b) over all actions b.

- IPS:  mean of w r. Unbiased where μ > 0 wherever π > 0 (Horvitz and Thompson 1952).
- SNIPS: Σ w r / Σ w. A little biased, far less variance, and never outside the rewards' range (Swaminathan
  and Joachims 2015).
- DR: mean of v + w (r − q(a)). Unbiased where either the probabilities or the model are right (Dudík,
  Langford and Li 2011, https://arxiv.org/abs/1103.4601).

Plain functions of plain sequences, all as long as the log.
"""

from collections.abc import Callable, Sequence
from itertools import repeat
from operator import mul
from random import Random

from attrs import frozen

REPLICATES = 1_000
LEAST_REPLICATES = 200
MOST_DRAWS = 2_000_000
"""Resampled decisions in all: a longer log needs fewer replicates, and more would take minutes."""


def importance_weights(target: Sequence[float], logging: Sequence[float]) -> list[float]:
    """Return π / μ for each decision; raises ``ZeroDivisionError`` for a μ of 0: nothing has that chance."""
    return [pi / mu for pi, mu in zip(target, logging, strict=True)]


def mean(values: Sequence[float]) -> float:
    """Return the mean; raises ``ZeroDivisionError`` for no values."""
    return sum(values) / len(values)


def ips_terms(rewards: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return w r for each decision; their mean is the IPS estimate, their sum over Σ w the SNIPS one."""
    return list(map(mul, weights, rewards))


def doubly_robust_terms(
    rewards: Sequence[float],
    weights: Sequence[float],
    modelled: Sequence[float],
    expected: Sequence[float],
) -> list[float]:
    """Return v + w (r − q(a)) for each decision, with q(a) *modelled* and v *expected*."""
    rows = zip(rewards, weights, modelled, expected, strict=True)
    return [v + w * (r - q) for r, w, q, v in rows]


def ratio(numerators: Sequence[float], denominators: Sequence[float] | None = None) -> float | None:
    """Return Σ n / Σ d, or the mean of n without *denominators*; None where that is nothing."""
    below = float(len(numerators)) if denominators is None else sum(denominators)
    return sum(numerators) / below if below > 0.0 else None


def effective_sample_size(weights: Sequence[float]) -> float:
    """Return (Σ w)² / Σ w²: as many decisions of equal weight would say as much (Kong 1992)."""
    squares = sum(map(mul, weights, weights))
    return sum(weights) ** 2 / squares if squares > 0.0 else 0.0


def unsupported(target: Sequence[float], logging: Sequence[float]) -> float:
    """Return the share of the policy's actions of which the log can know nothing, 0 to 1.

    Where μ is 1 all other actions had no chance, and the policy takes one of them with probability 1 − π.
    """
    return mean([1.0 - pi if mu >= 1.0 else 0.0 for pi, mu in zip(target, logging, strict=True)])


@frozen
class Interval:
    """The bounds between which a value lies, with the confidence that was asked for."""

    low: float
    high: float


def bootstrap(
    numerators: Sequence[float],
    denominators: Sequence[float] | None = None,
    *,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval | None:
    """Return the percentile interval of :func:`ratio` when the decisions are drawn anew, with replacement.

    (Efron 1979.) The same *seed* gives the same interval. None for fewer than two decisions.
    """
    count = len(numerators)
    if count < 2:
        return None
    rng, positions = Random(seed), range(count)
    above, below = numerators.__getitem__, None if denominators is None else denominators.__getitem__
    values = []
    for _ in repeat(None, max(LEAST_REPLICATES, min(REPLICATES, MOST_DRAWS // count))):
        picked = rng.choices(positions, k=count)
        divisor = float(count) if below is None else sum(map(below, picked))
        if divisor > 0.0:
            values.append(sum(map(above, picked)) / divisor)
    return _percentiles(sorted(values), confidence) if values else None


def _percentiles(ordered: Sequence[float], confidence: float) -> Interval:
    rest = (1.0 - confidence) / 2.0
    at = _at(ordered)
    return Interval(at(rest), at(1.0 - rest))


def _at(ordered: Sequence[float]) -> Callable[[float], float]:
    """Return the quantile function, linear between the values."""

    def quantile(share: float) -> float:
        position = share * (len(ordered) - 1)
        index = int(position)
        following = min(index + 1, len(ordered) - 1)
        return ordered[index] + (position - index) * (ordered[following] - ordered[index])

    return quantile
