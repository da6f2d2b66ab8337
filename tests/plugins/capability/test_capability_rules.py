"""The strategy keeps the rules of strategies."""

from collections.abc import Sequence

from attrs import evolve

import turnout_capability
from turnout import Candidate, ModelRequest
from turnout_testing import StrategyConformance


class TestRules(StrategyConformance):
    """`capability`, for requests that have not failed and are in no hurry."""

    strategy = turnout_capability.Capability
    examples = 100

    def needs(self, request: ModelRequest, candidates: Sequence[Candidate]) -> ModelRequest:
        """Return *request* as one whose first choice is still to be made."""
        del candidates
        return evolve(request, attempts=(), prefer_fast=False)
