"""When others have failed or abstained, the model that succeeds most often answers."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.inline import a_deployment

import turnout_fallback
from turnout import (
    Assessment,
    Attempt,
    Candidate,
    ContextOverflowError,
    Estimate,
    Fault,
    LLMError,
    LLMTimeoutError,
    LLMValidationError,
    ModelRequest,
    ModelSelection,
    NoSuitableModelError,
    Quality,
    Signals,
    TaskType,
)

REQUEST = ModelRequest("hi", signals=Signals(prompt_tokens=1000, output_tokens=100))
estimates = st.builds(
    Estimate,
    decode_seconds_per_token=st.sampled_from([0.01, 0.1]),
    success_rate=st.sampled_from([0.0, 0.5, 0.904, 0.899, 1.0]),
)
worlds = st.dictionaries(st.sampled_from("abcd"), estimates, max_size=4)


def choose(world: Mapping[str, Estimate], request: ModelRequest = REQUEST) -> ModelSelection | None:
    deployments = {a_deployment(model): estimate for model, estimate in world.items()}
    return turnout_fallback.select_model(request, [Candidate(d.info, (d,), deployments) for d in deployments])


@given(worlds)
def test_nobody_succeeds_more_often_than_the_chosen(world: Mapping[str, Estimate]) -> None:
    """Of those that succeed as often, in steps of 5 %, the fastest is chosen, and then by name."""
    chosen = choose(world)
    if chosen is None:
        assert not world
        return
    wanted = sorted(
        world, key=lambda m: (-round(20 * world[m].success_rate), world[m].completion_seconds(1000, 100), m)
    )
    assert [chosen.model, *chosen.ranking] == wanted


@given(worlds)
def test_the_order_of_the_candidates_does_not_matter(world: Mapping[str, Estimate]) -> None:
    """Equals are told apart by name."""
    assert choose(world) == choose(dict(reversed(list(world.items()))))


def test_a_model_is_as_good_as_its_best_deployment() -> None:
    """A host that often fails does not speak for the others."""
    bad, good = a_deployment(), a_deployment(host="two")
    candidate = Candidate(
        bad.info, (bad, good), {bad: Estimate(success_rate=0.1), good: Estimate(success_rate=0.9)}
    )
    assert turnout_fallback.success(candidate) == 0.9


@pytest.mark.parametrize(
    ("attempts", "reason"),
    [
        ((), "succeeds most often (90%)"),
        ((Attempt("x", "one"),), "succeeds most often (90%)"),
        (
            (Attempt("x", "one", LLMError("no")), Attempt("y", "two", LLMTimeoutError("late"))),
            "succeeds most often (90%), after x on one: LLMError; y on two: LLMTimeoutError",
        ),
    ],
)
def test_the_reason_tells_what_went_before(attempts: tuple[Attempt, ...], reason: str) -> None:
    """Whoever reads it sees why the first choice did not answer."""
    chosen = choose({"m": Estimate(success_rate=0.9)}, ModelRequest("hi", attempts=attempts))
    assert chosen is not None
    assert chosen.reason == reason


def test_of_those_that_succeed_as_often_the_better_is_chosen() -> None:
    """Quality for the kind of work counts before speed, in steps of a tenth."""
    fast, good = a_deployment("fast"), a_deployment("good")
    known: Mapping[str, Assessment] = {
        "good": {TaskType.PLANNING: Quality(0.9)},
        "fast": {TaskType.PLANNING: Quality(0.4)},
    }
    estimates = {fast: Estimate(queue_seconds=1), good: Estimate(queue_seconds=9)}
    candidates = [Candidate(d.info, (d,), estimates, (known,)) for d in (fast, good)]
    planning = ModelRequest("plan", signals=Signals(TaskType.PLANNING, 0.9))
    chosen = turnout_fallback.select_model(planning, candidates)
    assert chosen is not None
    assert chosen.model == "good"


def test_an_overflow_is_not_repeated_where_there_is_no_more_room() -> None:
    """A larger context may serve, on another host of the same model too; a smaller one never does."""
    overflow = Attempt("m", "one", ContextOverflowError("too long", 9000, 8192))
    small = a_deployment("small", context=4096, loaded=None)
    large = a_deployment("m", "two", context=32_000, loaded=32_000)
    candidates = [Candidate(d.info, (d,)) for d in (small, large)]
    chosen = turnout_fallback.select_model(ModelRequest("x", attempts=(overflow,)), candidates)
    assert chosen is not None
    assert (chosen.model, chosen.ranking) == ("m", ())
    with pytest.raises(NoSuitableModelError, match="would fail for the same reason"):
        turnout_fallback.select_model(ModelRequest("x", attempts=(overflow,)), candidates[:1])


def test_what_a_model_cannot_do_it_cannot_do_elsewhere() -> None:
    """A refusal that is the model's own leaves it out on all hosts; a crash does not."""
    same, other = a_deployment("m", "two"), a_deployment("z")
    candidates = [Candidate(d.info, (d,)) for d in (same, other)]
    for error, expected in (
        (LLMValidationError("no images", fault=Fault.DEPLOYMENT), "z"),
        (LLMValidationError("bad request"), "m"),
        (LLMTimeoutError("late"), "m"),
    ):
        request = ModelRequest("x", attempts=(Attempt("m", "one", error),))
        chosen = turnout_fallback.select_model(request, candidates)
        assert chosen is not None
        assert chosen.model == expected


def test_a_rate_that_is_no_share_is_no_rate() -> None:
    """A last resort does not fail on what another plugin got wrong."""
    chosen = choose({"odd": Estimate(success_rate=float("nan")), "bad": Estimate(success_rate=0.1)})
    assert chosen is not None
    assert (chosen.model, chosen.ranking) == ("bad", ("odd",))
