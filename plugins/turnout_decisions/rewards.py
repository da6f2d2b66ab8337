"""What a decision was worth, and what another one might have been worth."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from attrs import frozen

from turnout_decisions.journal import Entry

PATIENCE_SECONDS = 30.0
SHRINKAGE = 5.0
"""Decisions that a prior weighs."""
FOLDS = 5

Known: TypeAlias = tuple[str, str, float]
"""A task type (empty: unknown), a model, and the reward."""


def reward(entry: Entry, patience: float = PATIENCE_SECONDS) -> float | None:
    """Return what a decision was worth, 0 to 1; None where that is not known.

    The newest rating, where there is one. Else success × (1 − s / (s + *patience*)), with s the seconds from
    the decision to the end of the answer, waiting and failed tries included: an answer at once is worth 1,
    one after *patience* seconds half as much, none 0. An attempt that the caller gave up says nothing.
    """
    if entry.ratings:
        return entry.ratings[-1].score
    if not entry.outcomes or entry.outcomes[-1].error == "CancelledError":
        return None
    if not entry.outcomes[-1].success:
        return 0.0
    seconds = sum(one.queue_seconds + one.duration_seconds for one in entry.outcomes)
    return patience / (patience + max(seconds, 0.0))


def task_of(entry: Entry) -> str:
    """Return the name of the kind of work; empty where it is unknown."""
    return str(entry.decision.task_type or "")


@frozen(eq=False)
class _Tally:
    total: float = 0.0
    count: int = 0

    def shrunk(self, prior: float) -> float:
        """Return the mean, drawn towards *prior*."""
        return (self.total + SHRINKAGE * prior) / (self.count + SHRINKAGE)


class RewardModel:
    """Predicts a reward from the task type and the model: a mean, drawn towards more general means.

    The mean of the model at the task is drawn towards the mean of the model, and that towards the mean of
    all, each of which weighs :data:`SHRINKAGE` decisions.
    """

    def __init__(self, known: Iterable[Known]) -> None:
        all_, by_model = [], defaultdict[str, list[float]](list)
        by_pair = defaultdict[tuple[str, str], list[float]](list)
        for task, model, value in known:
            all_.append(value)
            by_model[model].append(value)
            by_pair[task, model].append(value)
        self._mean = sum(all_) / len(all_) if all_ else 0.0
        self._models = {model: _tally(values) for model, values in by_model.items()}
        self._pairs = {pair: _tally(values) for pair, values in by_pair.items()}

    def predict(self, task: str, model: str) -> float:
        """Return the reward to expect."""
        prior = self._models.get(model, _NOTHING).shrunk(self._mean)
        return self._pairs.get((task, model), _NOTHING).shrunk(prior)


_NOTHING = _Tally()


def _tally(values: Sequence[float]) -> _Tally:
    return _Tally(sum(values), len(values))


def cross_fitted(known: Sequence[Known]) -> list[RewardModel]:
    """Return for each decision a model that has not seen it: fitted to the other four fifths of the log.

    A model that knew a decision's own reward would flatter it.
    """
    models = [
        RewardModel(one for number, one in enumerate(known) if number % FOLDS != fold)
        for fold in range(FOLDS)
    ]
    return [models[number % FOLDS] for number in range(len(known))]
