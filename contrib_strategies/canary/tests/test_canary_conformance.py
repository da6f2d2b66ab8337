"""The rules that every strategy keeps, with an experiment between each two models."""

from collections import Counter
from itertools import pairwise

import pytest
from turnout_canary import Canary, CanarySettings, Experiment

from turnout import Candidate, Deployment, Host, ModelInfo, ModelRequest
from turnout_testing import StrategyConformance
from turnout_testing.worlds import MODELS

EXPERIMENTS = tuple(Experiment(f"{a} or {b}", a, (b,), weight=0.4) for a, b in pairwise(MODELS))


class TestConformance(StrategyConformance):
    """What an arm depends on is the request's conversation, or else its id."""

    uses_chance = True

    def make(self) -> object:
        """Return a plugin with the experiments."""
        return Canary(CanarySettings(EXPERIMENTS))

    def test_it_is_honest_of_its_chance(self) -> None:
        """One conversation has one arm, so the propensity is the share over many conversations."""
        host = Host("desk", "http://desk.local:1234", "lmstudio")
        found = [Candidate(ModelInfo(m), (Deployment(ModelInfo(m), host),)) for m in MODELS[:2]]
        plugin = Canary(CanarySettings(EXPERIMENTS))
        requests = (ModelRequest("hi", conversation_id=f"c{number}") for number in range(2000))
        picks = [p for request in requests if (p := plugin.select_model(request, found)) is not None]
        for model, times in Counter(pick.model for pick in picks).items():
            told = {pick.propensity for pick in picks if pick.model == model}
            assert len(told) == 1
            assert told.pop() == pytest.approx(times / 2000, abs=0.04)
