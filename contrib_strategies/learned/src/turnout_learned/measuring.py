"""How good a fitted choice is on rows that it has not seen, beside plain policies, with paired intervals."""

from collections.abc import Iterator, Mapping

import numpy as np
from attrs import frozen

from turnout_learned.arrays import Floats, Ints
from turnout_learned.fitted import Fitted
from turnout_learned.policies import policies
from turnout_learned.routellm import Curve
from turnout_learned.tables import ScoreTable

RESAMPLES = 2000
CURVES = 500
"""Resamples for APGR, each of which needs a curve of its own."""
LEVEL = 0.95
LEARNED = "learned"
NO_CURVE = ("best single",)


@frozen
class Interval:
    """A difference, and where it lies with 95 % confidence."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, resampled: Floats) -> "Interval":
        """Take the percentiles of *resampled*."""
        low, high = np.quantile(resampled, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
        return cls(value, float(low), float(high))


@frozen
class TwoModels:
    """What RouteLLM reports: see :mod:`turnout_learned.routellm`."""

    apgr: float
    cpt50: float
    cpt80: float


@frozen
class Result:
    """One policy on the rows reported on.

    ``score`` is the mean score of its picks. ``lead`` is that of ``learned`` over it, and ``apgr_lead``
    the same for APGR; None for ``learned`` itself and where there is no curve.
    """

    policy: str
    score: float
    lead: Interval | None
    two: TwoModels | None
    apgr_lead: Interval | None


@frozen
class Measurement:
    """All policies, ``learned`` last; ``weak`` and ``strong`` are set where there are two models."""

    fitted_on: int
    rows: int
    models: tuple[str, ...]
    weak: str | None
    strong: str | None
    results: tuple[Result, ...]


def measure(train: ScoreTable, test: ScoreTable, fitted: Fitted, seed: int = 0) -> Measurement:
    """Compare *fitted*, made from *train*, with the plain policies on *test*; *seed* resamples the rows."""
    expected = {name: policy(train, test, seed) for name, policy in policies(train).items()}
    expected[LEARNED] = fitted.expect_all(test.prompts)
    order = np.argsort(np.nanmean(train.scores, axis=0), kind="stable")
    pair = (int(order[0]), int(order[1])) if len(order) == 2 else None
    weak, strong = (train.models[pair[0]], train.models[pair[1]]) if pair else (None, None)
    results = tuple(_results(expected, test, pair, seed))
    return Measurement(len(train), len(test), train.models, weak, strong, results)


def _results(
    expected: Mapping[str, Floats], test: ScoreTable, pair: tuple[int, int] | None, seed: int
) -> Iterator[Result]:
    worth = {name: _worth(name, found, test.scores) for name, found in expected.items()}
    curves = _curves(expected, test, pair)
    for name in expected:
        other = name != LEARNED
        both = curves is not None and name not in NO_CURVE
        yield Result(
            name,
            float(np.nanmean(worth[name])),
            lead(worth[LEARNED], worth[name], seed) if other else None,
            curves.report(name) if both and curves else None,
            curves.lead(name, seed) if both and curves and other else None,
        )


def _worth(name: str, expected: Floats, scores: Floats) -> Floats:
    """Return what each row's pick was worth; that of chance is the mean over the models."""
    if name == "random":
        mean: Floats = np.nanmean(scores, axis=1)
        return mean
    picked: Floats = scores[np.arange(len(scores)), expected.argmax(1)]
    return picked


def lead(mine: Floats, other: Floats, seed: int) -> Interval:
    """Return how much more *mine* is worth per row than *other*, by a paired bootstrap over the rows."""
    difference = mine - other
    difference = difference[np.isfinite(difference)]
    size, chance = len(difference), np.random.default_rng(seed)
    even = np.full(size, 1.0 / size)
    means = [chance.multinomial(size, even, 100) @ difference / size for _ in range(RESAMPLES // 100)]
    return Interval.of(float(difference.mean()), np.concatenate(means))


@frozen(eq=False)
class _Curves:
    ranks: Mapping[str, Floats]
    weak: Floats
    strong: Floats

    def curve(self, name: str, rows: Ints | slice = slice(None)) -> Curve:
        return Curve.of(self.ranks[name][rows], self.weak[rows], self.strong[rows])

    def report(self, name: str) -> TwoModels:
        curve = self.curve(name)
        return TwoModels(curve.apgr, curve.cpt(50), curve.cpt(80))

    def lead(self, name: str, seed: int) -> Interval:
        """Resample the rows; a resample in which the strong model is not stronger has no gap to recover."""
        size, chance, found = len(self.weak), np.random.default_rng(seed), []
        for _ in range(CURVES):
            rows = chance.integers(0, size, size)
            if self.strong[rows].mean() > self.weak[rows].mean():
                found.append(self.curve(LEARNED, rows).apgr - self.curve(name, rows).apgr)
        return Interval.of(self.curve(LEARNED).apgr - self.curve(name).apgr, np.array(found or [np.nan]))


def _curves(
    expected: Mapping[str, Floats], test: ScoreTable, pair: tuple[int, int] | None
) -> _Curves | None:
    """Rank the rows that both models answered; none where the strong model is not stronger there."""
    if pair is None:
        return None
    weak, strong = test.scores[:, pair[0]], test.scores[:, pair[1]]
    both = np.isfinite(weak) & np.isfinite(strong)
    if not strong[both].mean() > weak[both].mean():
        return None
    ranks = {name: (found[:, pair[1]] - found[:, pair[0]])[both] for name, found in expected.items()}
    return _Curves(ranks, weak[both], strong[both])
