"""Plain policies to compare with: each sees the training rows, and says what it expects on others."""

from collections.abc import Callable, Mapping

import numpy as np

from turnout_learned.arrays import Floats, Ints
from turnout_learned.fitting import filled
from turnout_learned.tables import ScoreTable

SHRINK = 10.0
"""Rows that a group's mean must have to weigh as much as the mean of all."""
LENGTHS = 8
"""Groups of prompts by length, each with as many training rows."""

Policy = Callable[[ScoreTable, ScoreTable, int], Floats]
"""From training rows, other rows and a seed: the expected score of each model on each of the other rows.

It reads no scores of the other rows, but for the oracle.
"""


def chance(train: ScoreTable, test: ScoreTable, seed: int) -> Floats:
    """Prefer any model on any row."""
    return np.random.default_rng(seed).random((len(test), len(train.models)))


def best_single(train: ScoreTable, test: ScoreTable, seed: int) -> Floats:
    """Expect of each model what it does on average."""
    del seed
    return np.tile(np.nanmean(train.scores, axis=0), (len(test), 1))


def prompt_length(train: ScoreTable, test: ScoreTable, seed: int) -> Floats:
    """Expect of each model what it does on prompts of about that length."""
    del seed
    sizes, others = (np.array([len(p) for p in table.prompts]) for table in (train, test))
    edges = np.quantile(sizes, np.linspace(0, 1, LENGTHS + 1)[1:-1])
    return _grouped(train, np.searchsorted(edges, sizes), np.searchsorted(edges, others))


def task_table(train: ScoreTable, test: ScoreTable, seed: int) -> Floats:
    """Expect of each model what it does on the row's kind of work, of which the policy is told."""
    del seed
    kinds = {task: number for number, task in enumerate(dict.fromkeys((*train.tasks, *test.tasks)))}
    mine, others = (np.array([kinds[task] for task in table.tasks]) for table in (train, test))
    return _grouped(train, mine, others)


def oracle(train: ScoreTable, test: ScoreTable, seed: int) -> Floats:
    """Know the scores."""
    del train, seed
    return np.nan_to_num(test.scores, nan=-np.inf)


def _grouped(train: ScoreTable, mine: Ints, others: Ints) -> Floats:
    scores = filled(train.scores)
    groups = int(max(mine.max(), others.max())) + 1
    members = np.zeros((groups, len(train)))
    members[mine, np.arange(len(train))] = 1.0
    sums = members @ scores + SHRINK * scores.mean(0)
    found: Floats = (sums / (members.sum(1, keepdims=True) + SHRINK))[others]
    return found


def policies(train: ScoreTable) -> Mapping[str, Policy]:
    """Return those that make sense with *train*, by name."""
    found: dict[str, Policy] = {"random": chance, "best single": best_single, "prompt length": prompt_length}
    if train.labelled:
        found["per-task table"] = task_table
    return {**found, "oracle": oracle}
