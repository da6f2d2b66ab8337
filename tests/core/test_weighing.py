"""Quality is weighed against time."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.inline import a_deployment

from turnout import (
    Assessment,
    Candidate,
    Estimate,
    ImagePart,
    Message,
    ModelCapability,
    ModelRequest,
    Quality,
    Signals,
    Skill,
    TaskType,
    Tool,
)
from turnout.weighing import best_of, needed_skills, patience_with, weigh

CODE, TOOLS = TaskType.CODE_GENERATION, ModelCapability.TOOLS
SKILLS: dict[str, Skill] = {str(skill): skill for skill in (*TaskType, *ModelCapability)}
REQUEST = ModelRequest("hi", signals=Signals(prompt_tokens=0, output_tokens=0))


def a_candidate(model: str, seconds: float, **known: Quality) -> Candidate:
    """Return a candidate that takes so many seconds, with qualities by the name of the skill."""
    deployment = a_deployment(model)
    skills: dict[Skill, Quality] = {SKILLS[name]: quality for name, quality in known.items()}
    estimates = {deployment: Estimate(queue_seconds=seconds)}
    return Candidate(deployment.info, (deployment,), estimates, ({model: skills},))


def order(*candidates: Candidate, patience: float = 100.0, skills: tuple[Skill, ...] = (CODE,)) -> list[str]:
    return [one.candidate.id for one in weigh(REQUEST, candidates, skills, patience)]


def test_patience_decides_between_good_and_fast() -> None:
    """0.4 of quality are worth 40 seconds at a patience of 100, and 4 at one of 10."""
    good = a_candidate("good", 30, code_generation=Quality(0.9, 1e6))
    fast = a_candidate("fast", 1, code_generation=Quality(0.5, 1e6))
    assert order(good, fast, patience=100) == ["good", "fast"]
    assert order(good, fast, patience=10) == ["fast", "good"]


def test_the_unknown_is_like_the_others() -> None:
    """Only a little worse: a good one that is known goes first, and a bad one last."""
    good, bad = (a_candidate(n, 1, code_generation=Quality(q, 9)) for n, q in (("good", 0.9), ("bad", 0.1)))
    stranger = a_candidate("stranger", 1)
    assert order(bad, stranger, good) == ["good", "stranger", "bad"]
    assert order(stranger, a_candidate("other", 2)) == []


def test_little_evidence_counts_little() -> None:
    """One lucky probe does not make an expert that is worth two seconds more."""
    for trials, first in ((0.1, "proven"), (50, "lucky")):
        lucky = a_candidate("lucky", 3, code_generation=Quality(1.0, trials))
        proven = a_candidate("proven", 1, code_generation=Quality(0.9, 50))
        assert order(lucky, proven)[0] == first


def test_the_weakest_skill_counts() -> None:
    """Who codes well and cannot call tools is of no use where both are needed."""
    coder = a_candidate("coder", 1, code_generation=Quality(0.9, 99), tools=Quality(0.1, 99))
    both = a_candidate("both", 1, code_generation=Quality(0.7, 99), tools=Quality(0.7, 99))
    assert order(coder, both) == ["coder", "both"]
    assert order(coder, both, skills=(CODE, TOOLS)) == ["both", "coder"]


known = st.none() | st.builds(Quality, st.floats(0, 1), st.floats(0.1, 50))
worlds = st.dictionaries(st.sampled_from("abcd"), st.tuples(known, st.floats(0, 500)), min_size=1)


@given(worlds, st.floats(1, 1000))
def test_nobody_is_worth_more_than_the_first(
    world: Mapping[str, tuple[Quality | None, float]], patience: float
) -> None:
    """Scores stay between 0 and 1, and the order is that of score less seconds over patience."""
    candidates = [
        a_candidate(model, seconds, **({} if quality is None else {"code_generation": quality}))
        for model, (quality, seconds) in world.items()
    ]
    found = weigh(REQUEST, candidates, (CODE,), patience)
    assert bool(found) == any(quality is not None for quality, _ in world.values())
    assert all(0 <= one.score <= 1 and one.worth == one.score - one.seconds / patience for one in found)
    assert found == sorted(found, key=lambda one: (-one.worth, one.candidate.id))
    assert {one.candidate.id for one in found if one.known} <= {m for m, (q, _) in world.items() if q}


@pytest.mark.parametrize(
    ("request_", "needs"),
    [
        (ModelRequest("hi"), ()),
        (ModelRequest("hi", schema={}), (ModelCapability.STRUCTURED_OUTPUT,)),
        (ModelRequest("hi", tools=[Tool("look")]), (TOOLS,)),
        (ModelRequest("hi", reasoning_effort="high"), (ModelCapability.REASONING,)),
        (ModelRequest("hi", reasoning_effort="none"), ()),
        (ModelRequest("hi", signals=Signals(prompt_tokens=20_000)), (ModelCapability.LONG_CONTEXT,)),
        (ModelRequest("hi", signals=Signals(needs=frozenset({TOOLS}))), (TOOLS,)),
        (
            ModelRequest(messages=[Message("user", (ImagePart("data:image/png;base64,AA"),))]),
            (ModelCapability.VISION,),
        ),
    ],
)
def test_needs_are_read_from_the_request(request_: ModelRequest, needs: tuple[Skill, ...]) -> None:
    """Images, tools, a schema, an effort and a long prompt each need something."""
    assert needed_skills(request_) == needs


def test_a_selection_says_the_numbers() -> None:
    """Quality, time and how many it was held against, in one sentence; unknown times are left out."""
    good = a_candidate("good", 30, code_generation=Quality(0.9, 1e9))
    slow = a_candidate("slow", float("inf"), code_generation=Quality(0.9, 1e9))
    both = best_of(weigh(REQUEST, [good, slow], (CODE,), 100), "code")
    assert (both.model, both.ranking, both.estimated_duration) == ("good", ("slow",), 30)
    assert both.reason == "code: quality 0.90 in about 30 s, the best trade of 2"
    alone = best_of(weigh(REQUEST, [slow], (CODE,), 100), "code")
    assert (alone.reason, alone.estimated_duration) == ("code: quality 0.90", None)


def test_who_often_fails_is_worth_less() -> None:
    """A coder whose answers mostly fail loses to a plainer model that is there, and the reason says so."""
    coder, plain = a_deployment("coder"), a_deployment("plain")
    known: dict[str, Assessment] = {"coder": {CODE: Quality(0.9, 99)}, "plain": {CODE: Quality(0.6, 99)}}
    for rate, first in ((1.0, "coder"), (0.4, "plain")):
        estimates = {coder: Estimate(success_rate=rate), plain: Estimate()}
        candidates = [Candidate(d.info, (d,), estimates, (known,)) for d in (coder, plain)]
        found = weigh(REQUEST, candidates, (CODE,), 100)
        assert found[0].candidate.id == first
    assert best_of(found[1:], "code").reason == "code: quality 0.90 in under 1 s, succeeds in 40%"


def test_needs_ask_for_patience() -> None:
    """A need raises the patience to its own, and never lowers it."""
    assert patience_with((), 60.0) == 60.0
    assert patience_with((CODE,), 60.0) == 60.0
    assert patience_with((TOOLS, ModelCapability.REASONING), 60.0) == 600.0
    assert patience_with((TOOLS,), 1000.0) == 1000.0
