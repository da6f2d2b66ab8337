"""What results and ratings add up to, and that it costs nothing to ask again."""

import math

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from turnout.fleet import Deployment, Host, ModelInfo
from turnout.skills import ModelCapability, Skill, TaskType
from turnout_calibration.evidence import FRESH_SECONDS, Evidence, Fading
from turnout_calibration.results import Rating, Result

NOW, DAY = 1_800_000_000.0, 86_400.0
CODE, PLAN = TaskType.CODE_GENERATION, TaskType.PLANNING
skills: st.SearchStrategy[dict[Skill, float]] = st.dictionaries(
    st.sampled_from([CODE, PLAN, ModelCapability.TOOLS]), st.floats(0.1, 5.0), min_size=1
)
results = st.builds(
    Result,
    host=st.sampled_from(["desk", "attic"]),
    model=st.just("owl"),
    quantization=st.sampled_from(["Q4", "Q8"]),
    task=st.just("any"),
    fingerprint=st.sampled_from(["a", "b", "c"]),
    skills=skills,
    source=st.sampled_from(["probe", "prompt"]),
    outcome=st.sampled_from(["scored", "failed", "unjudged"]),
    score=st.floats(0.0, 1.0),
    at=st.floats(NOW - 1e9, NOW + 1e6),
)


def result(score: float, task: str = "a", **changes: object) -> Result:
    made = Result(
        host="desk", model="owl", quantization="Q4", task=task, fingerprint=task, score=score,
        skills={CODE: 1.0}, at=NOW,
    )  # fmt: skip
    return evolve(made, **changes)  # type: ignore[arg-type, misc, unused-ignore]


def deployment(model: str = "owl", host: str = "desk", quantization: str = "Q4") -> Deployment:
    return Deployment(ModelInfo(model, quantization=quantization), Host(host, f"http://{host}", "lmstudio"))


def evidence(*found: Result, half_life: float = 90 * DAY, own: float = 1.0) -> Evidence:
    made = Evidence(Fading(half_life, own))
    for one in found:
        made.add(one)
    return made


def quality(of: Evidence, *deployments: Deployment, skill: Skill = CODE) -> tuple[float, float] | None:
    found = of.assess({"owl": deployments or (deployment(),)}, NOW).get("owl", {}).get(skill)
    return None if found is None else (round(found.score, 9), round(found.weight, 9))


@given(st.lists(results, max_size=8), st.lists(st.floats(0.0, 1.0), max_size=3))
def test_every_quality_is_valid(found: list[Result], stars: list[float]) -> None:
    """Whatever is stored, whatever its date, each score is a share and each weight is positive and finite."""
    known = evidence(*found, own=3.0)
    for star in stars:
        known.rate(Rating(NOW, "owl", PLAN, star))
    group = [deployment(), deployment(host="attic", quantization="Q8")]
    for assessment in known.assess({"owl": group, "hawk": [deployment("hawk")]}, NOW).values():
        for one in assessment.values():
            assert 0.0 <= one.score <= 1.0
            assert 0.0 < one.weight < math.inf


def test_scores_are_weighted_by_what_a_task_tells() -> None:
    """A task counts for a skill as much as it tells of it, and the weights add up to trials."""
    found = [result(1.0, "a"), result(0.0, "b", skills={CODE: 0.5, PLAN: 1.0})]
    known = evidence(*found)
    assert quality(known) == (round(1 / 1.5, 9), 1.5)
    assert quality(known, skill=PLAN) == (0.0, 1.0)
    assert quality(known, skill=ModelCapability.TOOLS) is None


def test_the_newest_result_of_a_task_counts() -> None:
    """The same task asked again takes the place of what it gave before."""
    assert quality(evidence(result(0.0, at=NOW - DAY), result(1.0))) == (1.0, 1.0)


def test_what_failed_or_waits_for_its_judge_says_nothing() -> None:
    """A failure lowers no score and removes none; an answer without its judgement has no score yet."""
    assert quality(evidence(result(1.0), result(0.0, outcome="failed"))) == (1.0, 1.0)
    assert quality(evidence(result(1.0), result(0.0, "b", outcome="unjudged"))) == (1.0, 1.0)
    assert quality(evidence(result(0.0, outcome="failed"))) is None


@given(st.floats(0.0, 10.0))
def test_old_results_fade(half_lives: float) -> None:
    """After each half-life a result counts half as much, and its score stays what it was."""
    known = evidence(result(0.75, at=NOW - half_lives * DAY), half_life=DAY)
    found = known.assess({"owl": [deployment()]}, NOW)["owl"][CODE]
    assert found.weight == pytest.approx(0.5**half_lives)
    assert found.score == pytest.approx(0.75)


def test_ones_own_prompts_count_more() -> None:
    """One result of the person's own prompts counts as many probes as the setting says."""
    found = [result(1.0, "mine", source="prompt"), result(0.0, "ours")]
    assert quality(evidence(*found, own=3.0)) == (0.75, 4.0)


def test_three_hosts_are_not_three_trials() -> None:
    """The same task of the same model on several hosts counts once, with the mean of its scores."""
    found = [result(1.0), result(0.0, host="attic")]
    assert quality(evidence(*found), deployment(), deployment(host="attic")) == (0.5, 1.0)


def test_only_the_deployments_in_question_count() -> None:
    """What a model did elsewhere is left out; if nothing else is known, the same quantisation tells."""
    known = evidence(result(1.0), result(0.0, host="attic"))
    assert quality(known, deployment()) == (1.0, 1.0)
    assert quality(known, deployment(host="attic")) == (0.0, 1.0)
    assert quality(known, deployment(host="cellar")) == (0.5, 1.0)
    assert quality(known, deployment(host="cellar", quantization="Q8")) is None


def test_a_rating_is_one_trial_of_its_task_type() -> None:
    """Ratings add to what probes found, each with weight 1, and fade like them."""
    known = evidence(result(1.0), half_life=DAY)
    known.rate(Rating(NOW, "owl", CODE, 0.0))
    known.rate(Rating(NOW - DAY, "owl", CODE, 0.0))
    assert quality(known) == (0.4, 2.5)


def test_the_same_question_gets_the_same_mapping() -> None:
    """While nothing is new, the same fleet and another look at it get the very same object."""
    known = evidence(result(1.0))
    models = {"owl": [deployment()], "hawk": [deployment("hawk")]}
    first = known.assess(models, NOW)
    assert known.assess(models, NOW + 1) is first
    assert known.assess(dict(models), NOW + 1) is first
    assert known.assess({"owl": [deployment()]}, NOW + 1) is first
    assert known.assess({"owl": [deployment(host="attic")]}, NOW + 1) is not first
    assert known.assess(models, NOW + 1) is first
    assert "hawk" not in first


@pytest.mark.parametrize("news", ["result", "rating", "time"])
def test_what_is_new_shows_at_once(news: str) -> None:
    """A result, a rating and the passing of hours each make a new mapping."""
    known, models = evidence(result(1.0)), {"owl": [deployment()]}
    first = known.assess(models, NOW)
    if news == "result":
        known.add(result(0.0, "b"))
    elif news == "rating":
        known.rate(Rating(NOW, "owl", CODE, 0.0))
    second = known.assess(models, NOW + (FRESH_SECONDS if news == "time" else 0))
    assert second is not first
    assert second["owl"][CODE] != first["owl"][CODE]


def test_many_different_questions_are_not_kept_for_ever() -> None:
    """After hundreds of different fleets the answer to the first is still right."""
    known = evidence(result(1.0))
    for number in range(300):
        known.assess({"owl": [deployment(host=f"host-{number}")]}, NOW)
    assert quality(known) == (1.0, 1.0)


def test_a_place_alone_can_be_looked_at() -> None:
    """A report knows each host and quantisation by itself, without ratings."""
    known = evidence(result(1.0), result(0.0, "b"), result(0.0, host="attic", quantization="Q8"))
    known.rate(Rating(NOW, "owl", CODE, 0.0))
    assert list(known.places()) == [("attic", "owl", "Q8"), ("desk", "owl", "Q4")]
    found = known.of_place(("desk", "owl", "Q4"), NOW)[CODE]
    assert (found.score, found.weight) == (0.5, 2.0)
