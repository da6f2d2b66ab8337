"""The strategy: how it chooses, and that it learns, in worlds of which the truth is known."""

import math
from collections.abc import Iterable, Mapping
from random import Random

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from turnout_bandit import Bandit, BanditSettings
from turnout_bandit.beliefs import Beliefs
from turnout_bandit.choice import option_of

from turnout import (
    Assessment,
    Attempt,
    Candidate,
    Deployment,
    Estimate,
    ExecutionMetrics,
    Host,
    LLMError,
    Message,
    ModelCapability,
    ModelInfo,
    ModelRequest,
    ModelSelection,
    Operation,
    Quality,
    Signals,
    TaskType,
)

HOST = Host("desk", "http://desk.local:1234", "lmstudio")
QUICK = Estimate(0.0, 0.0)
PLANNING = ModelRequest("hi", task_type=TaskType.PLANNING)

estimates = st.builds(
    Estimate,
    st.sampled_from([0.0, 0.002, math.nan]),
    st.sampled_from([0.0, 0.05, math.inf]),
    load_seconds=st.sampled_from([0.0, 20.0, math.nan, math.inf, -1.0]),
    queue_seconds=st.sampled_from([0.0, 5.0, math.nan]),
)
qualities = st.none() | st.builds(Quality, st.floats(0, 1), st.floats(0.1, 100))
worlds = st.dictionaries(st.sampled_from("abcd"), st.tuples(qualities, estimates), max_size=4)
counts = st.dictionaries(st.sampled_from("abcd"), st.tuples(st.integers(0, 9), st.integers(0, 9)))


def candidate(model: str, quality: Quality | None = None, estimate: Estimate = QUICK) -> Candidate:
    """Make a candidate that is known so well, and predicted to be as fast as that."""
    info = ModelInfo(model)
    deployment = Deployment(info, HOST)
    known: Assessment = {} if quality is None else {ModelCapability.GENERAL: quality}
    return Candidate(info, (deployment,), {deployment: estimate}, ({model: known},))


def candidates(world: Mapping[str, tuple[Quality | None, Estimate]]) -> list[Candidate]:
    """Make a candidate for each model of *world*."""
    return [candidate(model, *known) for model, known in world.items()]


PAIR = [candidate("a"), candidate("b")]


def ended(request: ModelRequest, model: str, *, well: bool, at: float = 0.0) -> ExecutionMetrics:
    """Return how a request ended."""
    return ExecutionMetrics(
        model, "desk", 1.0, success=well, task_type=request.task_type, finish_reason="stop",
        error=None if well else "ModelCrashedError", request_id=request.id, timestamp=at,
    )  # fmt: skip


def taught(seen: Mapping[str, tuple[int, int]], settings: BanditSettings | None = None) -> Bandit:
    """Make a plugin that has seen so many answers and failures of each model."""
    plugin = Bandit(settings or BanditSettings())
    for model, (well, ill) in seen.items():
        for number in range(well + ill):
            plugin.record_execution(ended(PLANNING, model, well=number < well))
    return plugin


def chosen(plugin: Bandit, request: ModelRequest, found: Iterable[Candidate]) -> ModelSelection:
    """Ask the strategy, which has somebody to choose."""
    selection = plugin.select_model(request, list(found))
    assert selection is not None
    return selection


@given(worlds, counts, st.text(max_size=8))
def test_it_is_determined_by_the_request_and_by_what_it_learned(
    world: Mapping[str, tuple[Quality | None, Estimate]], seen: Mapping[str, tuple[int, int]], seed: str
) -> None:
    """The same request in the same world gets the same model, whatever the order of the candidates."""
    request = evolve(PLANNING, id=seed, signals=Signals(prompt_tokens=100, output_tokens=100))
    there = taught(seen).select_model(request, candidates(world))
    back = taught(seen).select_model(request, candidates(world)[::-1])
    assert there == back
    if there is None:
        assert not world
        return
    assert sorted([there.model, *there.ranking]) == sorted(world)
    assert 0.0 < there.propensity <= 1.0


def test_the_propensity_is_how_often_it_is_chosen() -> None:
    """Over many requests each model comes as often as its selections say."""
    plugin = taught({"a": (6, 3), "b": (4, 3)})
    picks = [chosen(plugin, evolve(PLANNING, id=str(n)), PAIR) for n in range(4000)]
    for model in "ab":
        told = {pick.propensity for pick in picks if pick.model == model}
        assert len(told) == 1
        assert sum(pick.model == model for pick in picks) / 4000 == pytest.approx(told.pop(), abs=0.03)


CALL = Message("tool", "seen", tool_call_id="1")


@pytest.mark.parametrize(
    "request_",
    [
        evolve(PLANNING, messages=(Message("user", "hi"), Message("assistant", "hello"))),
        evolve(PLANNING, messages=(CALL,), task=""),
        evolve(PLANNING, previous_response_id="resp_1"),
        evolve(PLANNING, attempts=(Attempt("c", "desk", LLMError("no")),)),
    ],
)
def test_nothing_is_tried_out_where_somebody_depends_on_it(request_: ModelRequest) -> None:
    """In a conversation that runs, in a tool loop and after a failure, the best that is known is chosen."""
    plugin = taught({"a": (3, 2), "b": (2, 3)})
    picks = [chosen(plugin, evolve(request_, id=str(n)), PAIR) for n in range(50)]
    assert {(pick.model, pick.propensity) for pick in picks} == {("a", 1.0)}
    assert picks[0].reason.endswith("and now is no time to try another")


def test_embeddings_are_not_its_business() -> None:
    """Neither chosen nor learned from."""
    plugin = Bandit(BanditSettings())
    request = ModelRequest(operation=Operation.EMBEDDINGS, inputs=("a",))
    assert plugin.select_model(request, PAIR) is None
    plugin.record_selection(request)
    plugin.record_execution(ended(request, "a", well=True))
    assert plugin.report_stats()["tasks"] == {}


def test_a_load_must_be_worth_it() -> None:
    """A little better is not enough where it takes a minute to load, and much better is."""
    loaded, cold = candidate("loaded"), candidate("cold", estimate=evolve(QUICK, load_seconds=60.0))
    running = evolve(PLANNING, messages=(Message("assistant", "hello"),))
    little = taught({"loaded": (30, 10), "cold": (40, 0)})
    assert chosen(little, running, [loaded, cold]).model == "loaded"
    assert chosen(little, running, [loaded, candidate("cold")]).model == "cold"
    much = taught({"loaded": (5, 35), "cold": (40, 0)})
    assert chosen(much, running, [loaded, cold]).model == "cold"


def test_a_queue_costs_less_than_a_load() -> None:
    """Both are waits, and a load takes other models away too."""
    running = evolve(PLANNING, messages=(Message("assistant", "hello"),))
    waits = candidate("waits", estimate=evolve(QUICK, queue_seconds=20.0))
    loads = candidate("loads", estimate=evolve(QUICK, load_seconds=20.0))
    assert chosen(Bandit(BanditSettings()), running, [loads, waits]).ranking == ("loads",)


@pytest.mark.parametrize(("weight", "mass"), [(3.0, 3.0), (50.0, 10.0)])
def test_a_known_quality_is_a_prior(weight: float, mass: float) -> None:
    """It counts for as many trials as are behind it, up to the cap, at the worth of an unrated answer."""
    settings = BanditSettings()
    slow = Estimate(0.0, 0.3)
    known = candidate("m", Quality(0.9, weight), slow)
    request = evolve(PLANNING, signals=Signals(output_tokens=100))
    option = option_of(settings, Beliefs(settings), request, known)
    assert option.arm.alpha + option.arm.beta == pytest.approx(2.0 + mass)
    assert option.arm.alpha == pytest.approx(1.0 + mass * (0.9 * 0.8 - 0.1))


def test_what_a_model_thinks_costs_its_time() -> None:
    """A model that writes four times as much is as slow as one that writes four times as slowly."""
    settings = BanditSettings()
    request = evolve(PLANNING, signals=Signals(output_tokens=100))
    thinks, drags = (
        option_of(settings, Beliefs(settings), request, candidate("m", Quality(0.9, 5.0), estimate))
        for estimate in (Estimate(0.0, 0.05, output_factor=4.0), Estimate(0.0, 0.2))
    )
    assert thinks.arm == drags.arm


def test_each_kind_of_work_is_learned_for_itself() -> None:
    """Who plans well may code badly."""
    plugin = taught({"a": (30, 0), "b": (0, 30)})
    picks = {chosen(plugin, evolve(PLANNING, id=str(n)), PAIR).model for n in range(20)}
    coding = ModelRequest("hi", task_type=TaskType.CODE_GENERATION)
    others = {chosen(plugin, evolve(coding, id=str(n)), PAIR).model for n in range(20)}
    assert (picks, others) == ({"a"}, {"a", "b"})


def test_the_reason_says_what_is_known() -> None:
    """What it earns, from how many answers, and with what chance it is the best."""
    plugin = taught({"a": (30, 0)})
    selection = chosen(plugin, PLANNING, [candidate("a")])
    assert selection.reason == (
        "earns about 0.77 of 1 at planning (26 answers), and is the best with a chance of 100%"
    )
    assert "(no answer yet)" in chosen(plugin, ModelRequest("hi"), [candidate("b")]).reason


# --- simulation ---------------------------------------------------------------------------------------

TRUTH = {"a": 0.85, "b": 0.5}
SWAPPED = {"a": 0.5, "b": 0.85}


def live(plugin: Bandit, truth: Mapping[str, float], requests: range, rng: Random) -> list[str]:
    """Let the plugin choose and learn, in a world in which each model succeeds with its chance."""
    picks = []
    for number in requests:
        request = evolve(PLANNING, id=f"{rng.random()}")
        model = chosen(plugin, request, PAIR).model
        plugin.record_execution(ended(request, model, well=rng.random() < truth[model], at=float(number)))
        picks.append(model)
    return picks


def test_it_converges_to_the_better_model() -> None:
    """After 200 requests at least nine in ten go to the model that succeeds more often, over five runs."""
    right = 0
    for seed in range(5):
        plugin, rng = Bandit(BanditSettings()), Random(seed)
        live(plugin, TRUTH, range(200), rng)
        right += live(plugin, TRUTH, range(200, 500), rng).count("a")
    assert right / 1500 >= 0.9


def switched_after(discount: float, seed: int) -> int:
    """Return after how many requests the new best has had 40 of the last 50, when the world has changed."""
    plugin, rng = Bandit(BanditSettings(discount=discount)), Random(seed)
    live(plugin, TRUTH, range(600), rng)
    picks = live(plugin, SWAPPED, range(600, 1200), rng)
    return next((n for n in range(50, 601) if picks[n - 50 : n].count("b") >= 40), 600)


def test_it_follows_a_world_that_changes() -> None:
    """Within 200 requests it has switched, in every run, and without a discount it takes twice as long."""
    discounted = [switched_after(0.99, seed) for seed in range(5)]
    lasting = [switched_after(1.0, seed) for seed in range(5)]
    assert max(discounted) <= 200
    assert sum(lasting) >= 2 * sum(discounted)
