"""The model that is predicted to finish first answers first."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.inline import a_deployment

import turnout_performance
from turnout import Attempt, Candidate, Estimate, LLMError, ModelRequest, ModelSelection, Signals

REQUEST = ModelRequest("hi", signals=Signals(prompt_tokens=1000, output_tokens=100))
estimates = st.builds(
    Estimate,
    st.sampled_from([0.0, 0.001, 0.01]),
    st.sampled_from([0.0, 0.02, 0.2]),
    load_seconds=st.sampled_from([0.0, 20.0]),
    queue_seconds=st.sampled_from([0.0, 5.0]),
)
worlds = st.dictionaries(st.sampled_from("abcd"), st.lists(estimates, min_size=1, max_size=2), max_size=4)


def candidates(world: Mapping[str, list[Estimate]], *, loaded: bool = True) -> list[Candidate]:
    """Return a candidate for each model, with a deployment for each estimate."""
    found = []
    for model, expected in world.items():
        here = [
            a_deployment(model, f"h{number}", loaded=8192 if loaded else None)
            for number in range(len(expected))
        ]
        found.append(Candidate(here[0].info, tuple(here), dict(zip(here, expected, strict=True))))
    return found


def choose(world: Mapping[str, list[Estimate]], request: ModelRequest = REQUEST) -> ModelSelection | None:
    return turnout_performance.select_model(request, candidates(world))


@given(worlds)
def test_nobody_is_predicted_to_finish_before_the_chosen(world: Mapping[str, list[Estimate]]) -> None:
    """Queue, load, prompt and answer count together, on the best of a model's deployments."""
    chosen = choose(world)
    seconds = {
        model: min(e.completion_seconds(1000, 100) for e in expected) for model, expected in world.items()
    }
    if chosen is None:
        assert not world
        return
    assert chosen.estimated_duration == pytest.approx(min(seconds.values()))
    order = [chosen.model, *chosen.ranking]
    assert order == sorted(seconds, key=lambda model: (seconds[model], model))


@given(worlds)
def test_the_order_of_the_candidates_does_not_matter(world: Mapping[str, list[Estimate]]) -> None:
    """Equals are told apart by name."""
    assert choose(world) == choose(dict(reversed(list(world.items()))))


def test_after_a_failure_it_abstains() -> None:
    """Speed is then not the question."""
    failed = ModelRequest("hi", attempts=(Attempt("a", "one", LLMError("no")),))
    assert choose({"a": [Estimate()]}, failed) is None


@pytest.mark.parametrize("unknown", [float("inf"), float("nan")])
def test_a_time_that_cannot_be_predicted_is_not_chosen_by(unknown: float) -> None:
    """Such a deployment is the last; where there are only such, the next strategy decides."""
    never = Estimate(queue_seconds=unknown)
    assert choose({"a": [never]}) is None
    chosen = choose({"a": [never], "b": [Estimate(queue_seconds=900)], "c": [never, Estimate()]})
    assert chosen is not None
    assert [chosen.model, *chosen.ranking] == ["c", "b", "a"]


def test_a_speed_of_zero_is_no_error() -> None:
    """What takes no time at all is simply first."""
    chosen = choose({"a": [Estimate()], "b": [Estimate(0.0, 0.0)]})
    assert chosen is not None
    assert (chosen.model, chosen.estimated_duration) == ("b", 0.0)


def test_without_signals_sizes_are_zero() -> None:
    """What waits least is then chosen."""
    waits = {"a": [Estimate(queue_seconds=2)], "b": [Estimate(queue_seconds=1)]}
    chosen = choose(waits, ModelRequest("hi"))
    assert chosen is not None
    assert (chosen.model, chosen.estimated_duration) == ("b", 1.0)


def test_a_busy_model_loses_to_an_idle_one_that_must_load() -> None:
    """Being loaded is not being free."""
    chosen = choose({"busy": [Estimate(queue_seconds=60)], "idle": [Estimate(load_seconds=20)]})
    assert chosen is not None
    assert chosen.model == "idle"


@pytest.mark.parametrize(
    ("loaded", "measured", "reason"),
    [
        (True, 0, "fastest: about 7.0 s on h1, loaded (from its size, nothing measured yet)"),
        (True, 9, "fastest: about 7.0 s on h1, loaded (from 9 runs)"),
        (False, 9, "fastest: about 7.0 s on h1, to be loaded in about 2 s (from 9 runs)"),
    ],
)
def test_the_reason_tells_what_it_was_judged_by(loaded: bool, measured: int, reason: str) -> None:
    """Where, in which state, and how well that is known."""
    best = Estimate(load_seconds=0 if loaded else 2, queue_seconds=0 if loaded else -2, measured=measured)
    world = {"m": [Estimate(queue_seconds=50), best], "slow": [Estimate(queue_seconds=50)]}
    chosen = turnout_performance.select_model(REQUEST, candidates(world, loaded=loaded))
    assert chosen is not None
    assert chosen.reason == reason


def test_the_only_candidate_is_not_called_the_fastest() -> None:
    """Nobody has been compared."""
    chosen = choose({"m": [Estimate()]})
    assert chosen is not None
    assert chosen.reason.startswith("the only one: about 7.0 s on h0, loaded")
