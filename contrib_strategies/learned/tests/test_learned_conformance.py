"""The rules that every strategy keeps, with a fitted file that knows every other model."""

from collections.abc import Sequence
from random import Random

import numpy as np
from attrs import evolve
from turnout_learned import Learned, LearnedSettings
from turnout_learned.fitting import fit
from turnout_learned.tables import ScoreTable

from turnout import Candidate, ModelRequest
from turnout_testing import StrategyConformance
from turnout_testing.worlds import MODELS

from .conftest import prompt_of

KNOWN = MODELS[::2]


def scored() -> ScoreTable:
    """Score the known models: even ones are good at verse, odd ones at sums."""
    chance = Random(0)
    kinds = [chance.choice(("verse", "sums")) for _ in range(100)]
    worth = [[float((kind == "verse") == (n % 2 == 0)) for n in range(len(KNOWN))] for kind in kinds]
    prompts = tuple(prompt_of(kind, chance) for kind in kinds)
    return ScoreTable(prompts, tuple(KNOWN), np.array(worth), tuple(kinds), ("",) * 100)


FITTED = fit(scored())


class TestConformance(StrategyConformance):
    """It reads the prompt once, which takes longer than to sort fifty candidates."""

    max_cost = 100.0

    def make(self) -> object:
        """Return a plugin with that file."""
        plugin = Learned(LearnedSettings(min_gain=0.0))
        plugin.use(FITTED)
        return plugin

    def needs(self, request: ModelRequest, candidates: Sequence[Candidate]) -> ModelRequest:
        """Ask for words."""
        del candidates
        return evolve(request, task="write a sonnet on the autumn moon", inputs=(), prefer_fast=False)
