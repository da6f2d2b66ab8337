"""What a strategy would have earned, judged from the log of another, and how far that can be trusted."""

from collections.abc import Sequence

from attrs import frozen

from turnout_decisions import estimators
from turnout_decisions.estimators import Interval
from turnout_decisions.journal import Entry
from turnout_decisions.policies import Pick
from turnout_decisions.rewards import PATIENCE_SECONDS, Known, cross_fitted, reward, task_of

MOST_UNSUPPORTED = 0.05
"""Rewards lie between 0 and 1, so IPS is wrong by at most this share; beyond it, no estimate is given."""
LEAST_EFFECTIVE = 30.0


@frozen
class Estimated:
    """A mean reward per decision with its 95 % interval (None where one decision is all)."""

    value: float
    interval: Interval | None


@frozen
class OffPolicy:
    """The reward of a strategy over the ``decisions`` whose reward is known, 0 to 1 each.

    ``logged`` is what was really earned. ``ips`` and ``snips`` are None where the log cannot say.
    ``unsupported`` is the share of the picks to which the log gave no chance: there, ``dr`` is the reward
    model's word. ``gain`` is ``dr`` less ``logged``, compared decision by decision.
    """

    decisions: int
    logged: Estimated
    ips: Estimated | None
    snips: Estimated | None
    dr: Estimated
    gain: Estimated
    effective: float
    unsupported: float
    explored: float

    @property
    def model_alone(self) -> bool:
        """Whether nothing was left to chance, so that other picks are known from the reward model alone."""
        return self.explored == 0.0 and self.unsupported > 0.0

    @property
    def little_overlap(self) -> bool:
        """Whether the weights rest on very few decisions."""
        return self.effective < min(LEAST_EFFECTIVE, self.decisions / 2)


@frozen
class _Columns:
    """The log as the estimators want it; see :mod:`turnout_decisions.estimators`."""

    rewards: list[float]
    logging: list[float]
    target: list[float]
    modelled: list[float]
    expected: list[float]


def evaluate(
    entries: Sequence[Entry], picks: Sequence[Pick], *, patience: float = PATIENCE_SECONDS, seed: int = 0
) -> OffPolicy | None:
    """Estimate what *picks*, one for each of *entries*, would have earned; None where no reward is known.

    Where a strategy chose nothing, the logged choice stands.
    """
    valued = [(value, *pair) for pair in zip(entries, picks, strict=True)
              if (value := reward(pair[0], patience)) is not None]  # fmt: skip
    if not valued:
        return None
    return _estimated(_columns(valued), seed)


def _columns(valued: Sequence[tuple[float, Entry, Pick]]) -> _Columns:
    known: list[Known] = [(task_of(one), one.decision.selection.model, value) for value, one, _ in valued]
    columns = _Columns([], [], [], [], [])
    for (value, entry, picked), model, (task, taken, _) in zip(
        valued, cross_fitted(known), known, strict=True
    ):
        # Where a strategy chose nothing, it does what was done, by the same chance.
        stands = not picked.chances
        mu = entry.decision.selection.propensity
        columns.rewards.append(value)
        columns.logging.append(mu)
        columns.target.append(mu if stands else picked.chances.get(taken, 0.0))
        predicted = model.predict(task, taken)
        columns.modelled.append(predicted)
        expected = sum(chance * model.predict(task, name) for name, chance in picked.chances.items())
        columns.expected.append(predicted if stands else expected)
    return columns


def _estimated(columns: _Columns, seed: int) -> OffPolicy:
    rewards = columns.rewards
    weights = estimators.importance_weights(columns.target, columns.logging)
    weighted = estimators.ips_terms(rewards, weights)
    robust = estimators.doubly_robust_terms(rewards, weights, columns.modelled, columns.expected)
    unsupported = estimators.unsupported(columns.target, columns.logging)
    known = unsupported <= MOST_UNSUPPORTED
    gains = [one - other for one, other in zip(robust, rewards, strict=True)]
    return OffPolicy(
        decisions=len(rewards),
        logged=_mean(rewards, seed),
        ips=_mean(weighted, seed) if known else None,
        snips=_ratio(weighted, weights, seed) if known else None,
        dr=_mean(robust, seed),
        gain=_mean(gains, seed),
        effective=estimators.effective_sample_size(weights),
        unsupported=unsupported,
        explored=estimators.mean([float(mu < 1.0) for mu in columns.logging]),
    )


def _mean(terms: Sequence[float], seed: int) -> Estimated:
    return Estimated(estimators.mean(terms), estimators.bootstrap(terms, seed=seed))


def _ratio(terms: Sequence[float], weights: Sequence[float], seed: int) -> Estimated | None:
    value = estimators.ratio(terms, weights)
    return None if value is None else Estimated(value, estimators.bootstrap(terms, weights, seed=seed))
