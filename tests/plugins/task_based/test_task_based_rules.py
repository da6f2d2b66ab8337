"""The strategy keeps the rules of strategies."""

from collections.abc import Sequence

from attrs import evolve

import turnout_task_based
from turnout import Candidate, ModelRequest, TaskType
from turnout_testing import StrategyConformance


class TestRules(StrategyConformance):
    """`task_based` for requests whose kind of work is sure."""

    strategy = turnout_task_based.TaskBased

    def needs(self, request: ModelRequest, candidates: Sequence[Candidate]) -> ModelRequest:
        """Return *request* as one that is surely a plan."""
        del candidates
        signals = evolve(request.signals, task_type=TaskType.PLANNING, confidence=0.9)
        return evolve(request, signals=signals, attempts=(), prefer_fast=False)
