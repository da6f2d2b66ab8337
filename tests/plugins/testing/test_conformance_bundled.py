"""The strategies that come with turnout keep the rules of the author's kit."""

from collections.abc import Sequence

from attrs import evolve

import turnout_explicit
import turnout_fallback
import turnout_performance
from turnout import Candidate, ModelNotFoundError, ModelRequest, NoSuitableModelError
from turnout_testing import StrategyConformance


class TestExplicit(StrategyConformance):
    """It answers only requests that name a model."""

    strategy = turnout_explicit
    declines = (NoSuitableModelError, ModelNotFoundError)

    def needs(self, request: ModelRequest, candidates: Sequence[Candidate]) -> ModelRequest:
        return evolve(request, explicit_model=candidates[-1].id)


class TestPerformance(StrategyConformance):
    """It answers every first attempt."""

    strategy = turnout_performance


class TestFallback(StrategyConformance):
    """It answers everything."""

    strategy = turnout_fallback
