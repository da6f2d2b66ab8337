"""Quality against seconds, with real candidates."""

import math
from collections.abc import Iterable, Mapping

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from turnout_utility import Utility, UtilitySettings, seconds_per_tenth
from turnout_utility.worth import shrunk

from turnout import (
    Candidate,
    Deployment,
    Estimate,
    Host,
    ModelCapability,
    ModelInfo,
    ModelRequest,
    ModelSelection,
    Operation,
    Quality,
    Signals,
    Skill,
    TaskType,
)

HOST = Host("desk", "http://desk.local:1234", "lmstudio")
REQUEST = ModelRequest("hi", signals=Signals(prompt_tokens=1000, output_tokens=100))
GENERAL = ModelCapability.GENERAL
CODE = TaskType.CODE_GENERATION

seconds = st.sampled_from([0.0, 0.5, 3.0, 60.0, -1.0, math.inf, math.nan])
qualities = st.none() | st.builds(Quality, st.floats(0, 1), st.floats(0.5, 100))
worlds = st.dictionaries(st.sampled_from("abcd"), st.tuples(qualities, seconds), max_size=4)
balances = st.floats(0, 1)


def candidate(
    model: str, known: Mapping[Skill, Quality] | Mapping[Skill, Quality | None], seconds: float = 1.0
) -> Candidate:
    """Make a candidate that is known so well, and predicted to need so many seconds."""
    info = ModelInfo(model)
    deployment = Deployment(info, HOST)
    estimate = Estimate(0.0, 0.0, queue_seconds=seconds)
    assessment = {skill: quality for skill, quality in known.items() if quality is not None}
    return Candidate(info, (deployment,), {deployment: estimate}, ({model: assessment},))


def candidates(world: Mapping[str, tuple[Quality | None, float]]) -> list[Candidate]:
    """Make a candidate for each model of *world*."""
    return [candidate(model, {GENERAL: known}, needs) for model, (known, needs) in world.items()]


def choose(
    found: Iterable[Candidate], balance: float = 0.5, request: ModelRequest = REQUEST
) -> ModelSelection | None:
    """Ask the strategy at *balance*."""
    return Utility(UtilitySettings(balance)).select_model(request, list(found))


def chosen(found: Iterable[Candidate], balance: float = 0.5, request: ModelRequest = REQUEST) -> str | None:
    """Return the chosen model."""
    selection = choose(found, balance, request)
    return None if selection is None else selection.model


SMALL_AND_LARGE = {"small": (Quality(0.6, 50), 2.0), "large": (Quality(0.8, 50), 12.0)}


@pytest.mark.parametrize(
    ("balance", "model"), [(0.0, "small"), (0.2, "small"), (0.5, "large"), (1.0, "large")]
)
def test_the_slider_goes_from_fast_to_good(balance: float, model: str) -> None:
    """Two tenths of quality are worth ten seconds only where a tenth is worth more than five."""
    assert chosen(candidates(SMALL_AND_LARGE), balance) == model


@pytest.mark.parametrize(
    ("balance", "tenth"), [(0.0, 0.5), (0.25, 2.81), (0.5, 15.8), (0.75, 88.9), (1.0, 500.0)]
)
def test_a_tenth_of_quality_is_worth_the_documented_seconds(balance: float, tenth: float) -> None:
    """The scale runs from half a second to 500, evenly in its logarithm."""
    assert seconds_per_tenth(balance) == pytest.approx(tenth, rel=5e-3)


@given(worlds, balances, balances)
def test_more_balance_never_costs_quality(
    world: Mapping[str, tuple[Quality | None, float]], one: float, other: float
) -> None:
    """Moving the slider towards good never gives a worse model, nor towards fast a slower one."""
    low, high = sorted((one, other))
    faster, better = chosen(candidates(world), low), chosen(candidates(world), high)
    if faster is None or better is None:
        return
    drawn = shrunk({model: known for model, (known, _) in world.items()}, 4.0)
    assert drawn[better] >= drawn[faster] - 1e-9
    waits = {m: max(s, 0.0) if s < math.inf else math.inf for m, (_, s) in world.items()}
    assert waits[faster] <= waits[better]


@given(worlds, balances)
def test_the_order_of_the_candidates_does_not_matter(
    world: Mapping[str, tuple[Quality | None, float]], balance: float
) -> None:
    """Equals are told apart by name, and the whole ranking is there."""
    there, back = choose(candidates(world), balance), choose(reversed(candidates(world)), balance)
    assert there == back
    if there is not None:
        assert sorted([there.model, *there.ranking]) == sorted(world)


@given(worlds, balances)
def test_it_abstains_exactly_where_no_quality_is_known(
    world: Mapping[str, tuple[Quality | None, float]], balance: float
) -> None:
    """Speed alone is the business of others, and nonsense seconds are no error."""
    selection = choose(candidates(world), balance)
    assert (selection is None) == all(known is None for known, _ in world.values())
    if selection is not None and selection.estimated_duration is not None:
        assert math.isfinite(selection.estimated_duration)


@given(st.dictionaries(st.sampled_from("abcd"), qualities, min_size=1), st.floats(0, 1e6))
def test_a_score_is_drawn_towards_the_mean_and_never_beyond(
    known: Mapping[str, Quality | None], prior: float
) -> None:
    """What is unknown gets the mean, and every score stays between its own and the mean."""
    drawn = shrunk(known, prior)
    scores = [quality.score for quality in known.values() if quality is not None]
    if not scores:
        assert drawn == {}
        return
    assert drawn.keys() == known.keys()
    assert all(min(scores) - 1e-9 <= value <= max(scores) + 1e-9 for value in drawn.values())


def test_unknown_is_not_bad() -> None:
    """A fast model of which nobody knows anything is taken before one that is known to be bad."""
    world = {"bad": (Quality(0.2, 50), 1.0), "good": (Quality(0.9, 50), 60.0), "new": (None, 1.0)}
    assert chosen(candidates(world), 0.5) == "new"


@pytest.mark.parametrize(("trials", "model"), [(1, "proven"), (50, "newcomer")])
def test_one_lucky_trial_does_not_outweigh_fifty(trials: int, model: str) -> None:
    """The fewer trials are behind a score, the further it is drawn to what is ordinary here."""
    ordinary = {"ordinary": (Quality(0.5, 50), 1.0), "proven": (Quality(0.85, 50), 1.0)}
    assert chosen(candidates({**ordinary, "newcomer": (Quality(1.0, trials), 1.0)})) == model


def test_the_kind_of_work_counts_where_it_is_known_of_anybody() -> None:
    """What is known of the task comes before what is known in general."""
    coder = candidate("coder", {CODE: Quality(0.9, 20), GENERAL: Quality(0.5, 20)})
    talker = candidate("talker", {CODE: Quality(0.3, 20), GENERAL: Quality(0.9, 20)})
    coding = evolve(REQUEST, signals=Signals(task_type=CODE))
    assert chosen([coder, talker], request=coding) == "coder"
    assert chosen([coder, talker]) == "talker"
    assert chosen([coder, talker], request=evolve(REQUEST, task_type=TaskType.PLANNING)) == "talker"


def test_what_the_caller_says_of_the_task_comes_first() -> None:
    """A task type that was named outranks one that was inferred."""
    known: dict[Skill, Quality] = {CODE: Quality(0.9, 20), TaskType.PLANNING: Quality(0.1, 20)}
    other: dict[Skill, Quality] = {CODE: Quality(0.1, 20), TaskType.PLANNING: Quality(0.9, 20)}
    request = evolve(REQUEST, task_type=CODE, signals=Signals(task_type=TaskType.PLANNING))
    assert chosen([candidate("a", known), candidate("b", other)], request=request) == "a"


def test_prefer_fast_moves_the_slider_for_one_request() -> None:
    """Whatever the balance, a request in a hurry is judged at 0."""
    assert chosen(candidates(SMALL_AND_LARGE), 1.0, evolve(REQUEST, prefer_fast=True)) == "small"


def test_embeddings_are_not_its_business() -> None:
    """Vectors of different models cannot be exchanged for each other."""
    request = evolve(REQUEST, operation=Operation.EMBEDDINGS)
    assert chosen(candidates(SMALL_AND_LARGE), request=request) is None


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        (
            SMALL_AND_LARGE,
            "quality 0.79 (measured 0.80 in 50 trials) in about 12.0 s is the best value at balance 0.5 "
            "(0.1 is worth 15.8 s); small has 0.61 (measured 0.60 in 50 trials) in about 2.0 s",
        ),
        (
            {"a": (Quality(0.5, 4), 1.0), "b": (None, math.nan)},
            "quality 0.50 (measured 0.50 in 4 trials) in about 1.0 s is the best value at balance 0.5 "
            "(0.1 is worth 15.8 s); b has 0.50 (unknown, the others' mean) in unknown time",
        ),
        (
            {"a": (Quality(1.0, 4), 1.0)},
            "the only one: quality 1.00 (measured 1.00 in 4 trials) in about 1.0 s",
        ),
    ],
)
def test_the_reason_says_the_numbers(world: Mapping[str, tuple[Quality | None, float]], reason: str) -> None:
    """Quality, seconds, the price between them and the next best, in one sentence."""
    selection = choose(candidates(world))
    assert selection is not None
    assert selection.reason == reason


@pytest.mark.parametrize("balance", [-0.1, 1.1, math.nan])
def test_the_slider_has_two_ends(balance: float) -> None:
    """What lies beyond them is refused by name."""
    with pytest.raises(ValueError, match="'balance' must be"):
        UtilitySettings(balance)
