"""Which models make the ladder, and on which rung a request stands."""

import math
from collections.abc import Mapping, Sequence

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from turnout_cascade import AnswerRejectedError, Cascade, CascadeSettings
from turnout_cascade.ladder import ladder, step_of

from turnout import (
    Attempt,
    Candidate,
    Deployment,
    Estimate,
    Host,
    LLMError,
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
REQUEST = ModelRequest("hi", signals=Signals(prompt_tokens=100, output_tokens=100))
AUTOMATIC = CascadeSettings()

seconds = st.sampled_from([0.0, 1.0, 5.0, 60.0, math.inf, math.nan])
billions = st.none() | st.sampled_from([1, 4, 8, 32])
worlds = st.dictionaries(st.sampled_from("abcde"), st.tuples(billions, seconds), max_size=5)


def candidate(
    model: str, parameters: int | None, needs: float, known: Mapping[Skill, Quality] | None = None
) -> Candidate:
    """Make a candidate with so many billion weights that is predicted to need so many seconds."""
    info = ModelInfo(model, parameters=None if parameters is None else parameters * 10**9)
    deployment = Deployment(info, HOST)
    estimates = {deployment: Estimate(0.0, 0.0, queue_seconds=needs)}
    return Candidate(info, (deployment,), estimates, ({model: dict(known or {})},))


def candidates(world: Mapping[str, tuple[int | None, float]]) -> list[Candidate]:
    """Make a candidate for each model of *world*."""
    return [candidate(model, size, needs) for model, (size, needs) in world.items()]


def rejected(model: str, *above: str) -> Attempt:
    """Make an attempt whose answer did not hold."""
    return Attempt(model, "desk", AnswerRejectedError("no", answer="", above=above, host="desk", model=model))


def crashed(model: str) -> Attempt:
    """Make an attempt that failed for another reason."""
    return Attempt(model, "desk", LLMError("no"))


def choose(
    found: Sequence[Candidate], *attempts: Attempt, settings: CascadeSettings = AUTOMATIC
) -> ModelSelection | None:
    """Ask the strategy."""
    return Cascade(settings).select_model(evolve(REQUEST, attempts=attempts), found)


FAMILY = candidates({"s": (4, 2.0), "m": (8, 4.0), "l": (32, 15.0)})


@pytest.mark.parametrize(
    ("attempts", "model", "above"),
    [
        ((), "s", ("m", "l")),
        ((rejected("s", "m", "l"),), "m", ("l",)),
        ((rejected("s", "m", "l"), rejected("m", "l")), "l", ()),
        ((rejected("s", "m", "l"), crashed("m")), "l", ()),
        ((crashed("s"),), "m", ("l",)),
    ],
)
def test_it_climbs_rung_by_rung(attempts: tuple[Attempt, ...], model: str, above: tuple[str, ...]) -> None:
    """The cheapest that has not failed is next, and what is above it is what comes after."""
    left = [c for c in FAMILY if c.id not in {attempt.model for attempt in attempts}]
    selection = choose(left, *attempts)
    assert selection is not None
    assert (selection.model, selection.ranking) == (model, above)


@given(worlds)
def test_each_rung_is_slower_and_stronger(world: Mapping[str, tuple[int | None, float]]) -> None:
    """There are at most as many as are set, and none that another beats in both."""
    rungs = ladder(AUTOMATIC, REQUEST, candidates(world))
    needs = [min(math.inf, world[r.id][1]) for r in rungs]
    sizes = [world[rung.id][0] or 0 for rung in rungs]
    assert len(rungs) <= 3
    assert needs == sorted(needs)
    assert sizes == sorted(set(sizes))


@given(worlds)
def test_the_order_of_the_candidates_does_not_matter(world: Mapping[str, tuple[int | None, float]]) -> None:
    """Equals are told apart by size and name, and nonsense seconds are no error."""
    assert choose(candidates(world)) == choose(candidates(world)[::-1])


def test_it_ends_in_the_best() -> None:
    """Of many rungs the first and the last stay."""
    many = candidates({name: (n + 1, float(n)) for n, name in enumerate("abcdefg")})
    assert [rung.id for rung in ladder(AUTOMATIC, REQUEST, many)] == ["a", "d", "g"]
    assert [rung.id for rung in ladder(CascadeSettings(rungs=2), REQUEST, many)] == ["a", "g"]


def test_a_large_model_that_is_faster_needs_no_small_one() -> None:
    """Where the strongest is also the fastest, as when it alone is loaded, there is nothing to climb."""
    assert choose(candidates({"small": (4, 20.0), "large": (32, 5.0)})) is None


def test_quality_counts_before_size() -> None:
    """Where all are judged by the task, the better one is the stronger, whatever it weighs."""
    good: dict[Skill, Quality] = {TaskType.PLANNING: Quality(0.9), ModelCapability.GENERAL: Quality(0.1)}
    poor: dict[Skill, Quality] = {TaskType.PLANNING: Quality(0.2), ModelCapability.GENERAL: Quality(0.8)}
    found = [candidate("tiny", 1, 9.0, good), candidate("huge", 70, 3.0, poor)]
    planning = evolve(REQUEST, task_type=TaskType.PLANNING)
    assert [rung.id for rung in ladder(AUTOMATIC, planning, found)] == ["huge", "tiny"]
    assert [rung.id for rung in ladder(AUTOMATIC, REQUEST, found)] == ["huge"]
    found.append(candidate("new", 80, 5.0))
    assert [rung.id for rung in ladder(AUTOMATIC, REQUEST, found)] == ["huge", "new"]


def test_what_nothing_is_known_of_has_no_rung() -> None:
    """Neither quality nor size: it stands nowhere."""
    found = candidates({"s": (4, 2.0), "l": (32, 9.0), "?": (None, 3.0)})
    assert [rung.id for rung in ladder(AUTOMATIC, REQUEST, found)] == ["s", "l"]


SET = CascadeSettings(ladder=("l", "gone", "s", "m"))


@pytest.mark.parametrize(
    ("attempts", "model", "above"),
    [
        ((), "s", ("m",)),
        ((rejected("s", "m"),), "m", ()),
        ((crashed("s"),), "m", ()),
        ((crashed("l"),), "s", ("m",)),
        ((crashed("gone"),), "s", ("m",)),
    ],
)
def test_a_ladder_that_is_set_is_climbed_upwards_only(
    attempts: tuple[Attempt, ...], model: str, above: tuple[str, ...]
) -> None:
    """The cheapest rung above the last failure is next, and none below it ever."""
    left = [c for c in FAMILY if c.id not in {attempt.model for attempt in attempts}]
    selection = choose(left, *attempts, settings=SET)
    assert selection is not None
    assert (selection.model, selection.ranking) == (model, above)


@pytest.mark.parametrize(
    ("models", "attempts", "settings"),
    [
        ("", (), AUTOMATIC),
        ("s", (), AUTOMATIC),
        ("l", (crashed("other"),), AUTOMATIC),
        ("s", (), SET),
        ("s", (rejected("m", "l"),), AUTOMATIC),
        ("s", (crashed("m"),), SET),
    ],
)
def test_it_abstains_where_there_is_nothing_to_climb(
    models: str, attempts: tuple[Attempt, ...], settings: CascadeSettings
) -> None:
    """One rung alone is no ladder, unless it is what is left of one."""
    assert choose([c for c in FAMILY if c.id in models], *attempts, settings=settings) is None


def test_embeddings_have_no_ladder() -> None:
    """There is no answer to check."""
    request = evolve(REQUEST, operation=Operation.EMBEDDINGS)
    assert Cascade(AUTOMATIC).select_model(request, FAMILY) is None


@pytest.mark.parametrize(
    ("attempts", "reason"),
    [
        ((), "small first: about 2.0 s, checked before it is passed on; above it m, l"),
        (
            (rejected("s", "m", "l"),),
            "escalated, now about 4.0 s, checked before it is passed on; above it l",
        ),
        (
            (rejected("m", "l"),),
            "the last rung of the cascade, about 15.0 s: its answer is passed on as it comes",
        ),
    ],
)
def test_the_reason_says_where_it_stands(attempts: tuple[Attempt, ...], reason: str) -> None:
    """Which rung, how long, and what is above it."""
    selection = choose(FAMILY, *attempts)
    assert selection is not None
    assert selection.reason == reason


def test_unknown_seconds_are_not_told() -> None:
    """Where nothing is predicted, the reason says so."""
    step = step_of(AUTOMATIC, REQUEST, candidates({"s": (4, math.nan), "l": (8, math.inf)}))
    assert step is not None
    assert "an unknown time" in step.reason


@pytest.mark.parametrize("models", [("one",), ("one", "one")])
def test_a_ladder_has_two_rungs(models: tuple[str, ...]) -> None:
    """What cannot be climbed is refused by name."""
    with pytest.raises(ValueError, match="'ladder' must be two models"):
        CascadeSettings(ladder=models)
