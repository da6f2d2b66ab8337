"""What several plugins know of a model adds up."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.deciding import decided, plugged
from tests.core.inline import a_deployment, a_fleet

from turnout import (
    Assessment,
    Candidate,
    Config,
    Deployment,
    Fleet,
    ModelCapability,
    ModelRequest,
    ModelSelection,
    Quality,
    Skill,
    TaskType,
    hookimpl,
)
from turnout.selection import decide
from turnout.skills import combined

qualities = st.builds(Quality, st.floats(0, 1), st.floats(0.01, 1e6))
CODE = TaskType.CODE_GENERATION


@given(st.lists(qualities, min_size=1, max_size=5))
def test_combined_evidence_lies_between_its_parts(found: list[Quality]) -> None:
    """The score is a mean, and the weight is the sum."""
    joined = combined(found)
    assert joined is not None
    assert min(q.score for q in found) - 1e-9 <= joined.score <= max(q.score for q in found) + 1e-9
    assert joined.weight == pytest.approx(sum(q.weight for q in found))


def test_many_trials_outweigh_a_prior() -> None:
    """A prior of 2 and 18 failed probes leave little of the prior."""
    assert combined([Quality(0.9, 2), Quality(0.0, 18)]) == Quality(0.9 * 2 / 20, 20)
    assert combined([]) is None


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_a_score_is_a_share(score: float) -> None:
    """What does not lie between 0 and 1 is refused, and so is a weight of nothing."""
    with pytest.raises(ValueError, match="'score' must be between 0 and 1"):
        Quality(score)
    with pytest.raises(ValueError, match="'weight' must be above 0"):
        Quality(0.5, 0.0)


class Knows:
    """Says of each model that it has been told about what it has been told."""

    def __init__(self, known: Mapping[str, Assessment]) -> None:
        self.known = known
        self.asked: list[tuple[str, ...]] = []

    @hookimpl
    def assess_models(self, models: Mapping[str, Sequence[Deployment]]) -> Mapping[str, Assessment]:
        self.asked.append(tuple(models))
        return self.known


class Seer:
    """A strategy that takes the best coder, where anybody knows one."""

    @hookimpl
    def select_model(self, candidates: Sequence[Candidate]) -> ModelSelection | None:
        scores = {c.id: q.score for c in candidates if (q := c.quality(CODE)) is not None}
        return ModelSelection(max(scores, key=lambda model: scores[model])) if scores else None


def fleet() -> Fleet:
    return a_fleet(a_deployment("a"), a_deployment("b"), a_deployment("b", "two"))


def chosen(*sources: object) -> ModelSelection | None:
    plugins = plugged(seer=Seer(), **{f"k{number}": source for number, source in enumerate(sources)})
    return decide(plugins, ModelRequest("hi"), fleet(), Config()).selection


def knowing(skill: Skill, **scores: tuple[float, float]) -> Knows:
    return Knows({model: {skill: Quality(*score)} for model, score in scores.items()})


def test_a_strategy_sees_what_all_plugins_know() -> None:
    """The weights decide: ten trials outweigh one."""
    prior = knowing(CODE, a=(0.9, 1), b=(0.5, 1))
    probes = knowing(CODE, a=(0.1, 10), b=(0.6, 10))
    for sources, model in (((prior,), "a"), ((prior, probes), "b"), ((probes, prior), "b")):
        selection = chosen(*sources)
        assert selection is not None
        assert selection.model == model
    assert prior.asked[-1] == ("a", "b")


def test_what_nobody_knows_is_none() -> None:
    """Another skill, another model: unknown, and not bad."""
    assert chosen(knowing(ModelCapability.VISION, a=(1, 1)), knowing(CODE, absent=(1, 1))) is None
    assert chosen() is None


class Broken:
    @hookimpl
    def assess_models(self) -> Mapping[str, Assessment]:
        raise OSError("no")


class Talkative:
    @hookimpl
    def assess_models(self) -> object:
        return "a is good"


def test_a_plugin_that_fails_says_nothing_of_any_model(log: list[str]) -> None:
    """The others count, and the log has its name."""
    selection = chosen(Broken(), Talkative(), knowing(CODE, b=(1, 1)))
    assert selection is not None
    assert selection.model == "b"
    assert any("'k0' failed in assess_models: OSError: no" in line for line in log)
    assert any("'k1' failed in assess_models" in line and "not a mapping" in line for line in log)


class Gambler:
    @hookimpl
    def select_model(self, candidates: Sequence[Candidate]) -> ModelSelection:
        return ModelSelection(candidates[0].id, propensity=0.25)


def test_a_propensity_stays_with_the_selection() -> None:
    """It is 1 where nothing was left to chance, and never 0."""
    selection = decided([Gambler()], ModelRequest("hi"), fleet()).chosen()
    assert selection.propensity == 0.25
    assert ModelSelection("a").propensity == 1.0
    for wrong in (0.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match="'propensity' must be"):
            ModelSelection("a", propensity=wrong)
