"""Placement: what can start at once, else what is done first, and chance among equals."""

from collections import Counter

import pytest
from attrs import evolve

from turnout.errors import Fault, LLMConnectionError, ModelNotFoundError
from turnout.fleet import Deployment, Estimate, Fleet, Host, Instance, ModelInfo
from turnout.types import Attempt, Explanation, Ineligible, ModelRequest, ModelSelection, Signals
from turnout_pool.placement import (
    UNKNOWN_LOAD_SECONDS,
    Option,
    best,
    eligible,
    load_seconds,
    work_of,
)


def deployment(host: str, model: str = "m", size_bytes: int | None = None) -> Deployment:
    info = ModelInfo(model, size_bytes=size_bytes)
    return Deployment(info, Host(host, f"http://{host}:1234", "lmstudio"), (Instance(model),))


DESK, ATTIC, OTHER = deployment("desk"), deployment("attic"), deployment("desk", "other")
FLEET = Fleet((DESK, ATTIC, OTHER))
ASKED = ModelRequest("hello")
CHOSEN = ModelSelection("m")


def option(at: Deployment, seconds: float, share: float = 0.0, **facts: bool) -> Option:
    """Return an option whose speed is well known."""
    return Option(at, **{"ready": True, "full": False, **facts}, seconds=seconds, share=share, measured=100)


def taken(*options: Option) -> Counter[str]:
    """Return how many of 200 requests go where."""
    requests = (ModelRequest("hello", id=str(n)) for n in range(200))
    return Counter(best(options, request).host.name for request in requests)


def test_only_the_selected_models_deployments_may_take_it() -> None:
    """Deployments of other models are not looked at."""
    assert eligible(ASKED, CHOSEN, FLEET) == [DESK, ATTIC]


def test_what_selection_left_out_stays_out() -> None:
    """An ineligible deployment is never leased; the same host's other models do not matter."""
    left_out = Explanation(
        ineligible=(Ineligible("m", "desk", "vetoed"), Ineligible("other", "attic", "vetoed"))
    )
    assert eligible(ASKED, ModelSelection("m", explanation=left_out), FLEET) == [ATTIC]


def test_what_has_failed_is_left_out_while_there_is_another() -> None:
    """A second attempt goes elsewhere, and to the same place only where there is no other."""
    once = ModelRequest("hello", attempts=(Attempt("m", "desk", LLMConnectionError("gone")),))
    twice = ModelRequest(
        "hello", attempts=(*once.attempts, Attempt("m", "attic", LLMConnectionError("gone")))
    )
    assert eligible(once, CHOSEN, FLEET) == [ATTIC]
    assert eligible(twice, CHOSEN, FLEET) == [DESK, ATTIC]


def test_no_deployment_at_all_is_an_error_that_lets_others_be_chosen() -> None:
    """The model has gone since it was selected: that is not the request's fault."""
    with pytest.raises(ModelNotFoundError) as caught:
        eligible(ASKED, ModelSelection("gone"), FLEET)
    assert caught.value.fault is Fault.DEPLOYMENT


def test_what_can_start_comes_before_what_is_done_sooner() -> None:
    """A free slot beats a promise."""
    assert best([option(DESK, 9.0), option(ATTIC, 1.0, ready=False)], ASKED) is DESK


def test_among_waits_the_shortest_is_taken() -> None:
    """Where nothing is free, the soonest end counts."""
    waits = [option(DESK, 9.0, ready=False), option(ATTIC, 8.0, ready=False)]
    assert best(waits, ASKED) is ATTIC


def test_a_full_queue_is_the_last_choice() -> None:
    """What would refuse the request is taken only when everything would."""
    assert best([option(DESK, 1.0, ready=False, full=True), option(ATTIC, 99.0, ready=False)], ASKED) is ATTIC


def test_the_idler_of_two_like_machines_is_taken() -> None:
    """Requests beside each other slow each other down."""
    assert best([option(DESK, 5.0, share=0.5), option(ATTIC, 5.0)], ASKED) is ATTIC


def test_chance_decides_among_equals_and_the_same_for_the_same_request() -> None:
    """Equal deployments share the work; a replay of one request goes where it went."""
    equals = [option(DESK, 5.0), option(ATTIC, 5.0)]
    assert min(taken(*equals)[name] for name in ("desk", "attic")) > 50
    assert len({best(equals, ModelRequest("hello", id="7")).host.name for _ in range(5)}) == 1


@pytest.mark.parametrize(("other", "shared"), [(5.2, True), (5.6, False), (8.0, False)])
def test_the_fastest_by_a_hair_does_not_get_everything(other: float, shared: bool) -> None:
    """Like machines never measure quite the same; what is clearly slower gets nothing."""
    count = taken(option(DESK, 5.0), option(ATTIC, other))["attic"]
    assert 60 < count < 140 if shared else count == 0


@pytest.mark.parametrize(("measured", "shared"), [(0, True), (1, True), (30, False)])
def test_the_less_is_measured_the_more_counts_as_equal(measured: int, shared: bool) -> None:
    """One slow answer is no reason never to ask a host again; thirty are."""
    unsure = evolve(option(ATTIC, 6.0), measured=measured)
    assert (taken(option(DESK, 5.0), unsure)["attic"] > 0) is shared
    assert (taken(evolve(option(DESK, 5.0), measured=measured), option(ATTIC, 6.0))["attic"] > 0) is shared


def test_what_runs_on_a_host_is_not_in_doubt() -> None:
    """Of two that nobody has measured the idle one is taken, and among equals the idler."""
    busy, idle = option(DESK, 5.0, share=0.25), option(ATTIC, 5.0)
    assert taken(evolve(busy, measured=0), evolve(idle, measured=0)) == {"attic": 200}
    assert taken(evolve(busy, share=1 / 64), idle) == {"attic": 200}


def test_a_conversation_stays_at_home_among_equals() -> None:
    """A hair does not move it, and a clearly faster host does."""
    assert taken(option(DESK, 5.0), option(ATTIC, 5.2, home=True)) == {"attic": 200}
    assert taken(option(DESK, 5.0), option(ATTIC, 6.0, home=True)) == {"desk": 200}


def test_waits_that_differ_by_a_hair_differ() -> None:
    """Whoever waits makes the other wait the shorter one: there the least is right."""
    assert taken(option(DESK, 5.0, ready=False), option(ATTIC, 5.01, ready=False)) == {"desk": 200}


def test_a_load_takes_what_is_expected_else_what_its_size_tells() -> None:
    """A learned time counts more than a guess, and a guess by size more than a constant."""
    known = deployment("desk", size_bytes=4_000_000_000)
    assert load_seconds(known, Estimate(load_seconds=3.0)) == 3.0
    assert load_seconds(known, Estimate()) == 5.0
    assert load_seconds(DESK, Estimate()) == UNKNOWN_LOAD_SECONDS


def test_generation_takes_longer_for_more_tokens() -> None:
    """The prompt is read at one speed and the answer is written at another."""
    request = ModelRequest("hello", max_tokens=10, signals=Signals(prompt_tokens=100))
    rates = Estimate(prefill_seconds_per_token=0.01, decode_seconds_per_token=0.1)
    work = work_of(request, rates)
    assert work.seconds == pytest.approx(2.0)
    assert work.tokens == 110


def test_a_model_that_thinks_needs_more_of_a_context() -> None:
    """What is expected of an ordinary model is multiplied by what this one writes for it; a bound stays."""
    thinks = Estimate(output_factor=4.0)
    assert work_of(ModelRequest("hello", signals=Signals(output_tokens=50)), thinks).output == 200
    assert work_of(ModelRequest("hello", max_tokens=50), thinks).output == 50
