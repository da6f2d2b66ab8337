"""Who gets which arm, and what an experiment may be."""

from collections import Counter

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from turnout_canary import Canary, CanarySettings, Experiment
from turnout_canary.assignment import assign

from turnout import (
    Attempt,
    Candidate,
    ConfigError,
    Deployment,
    Host,
    JSONObject,
    LLMError,
    ModelInfo,
    ModelRequest,
    ModelSelection,
    Operation,
    Signals,
    TaskType,
)
from turnout.structure import structure

HOST = Host("desk", "http://desk.local:1234", "lmstudio")
AB = Experiment("larger", "small", ("large",), weight=0.3)
SHADOW = evolve(AB, shadow=True)
names = st.text(max_size=20)
weights = st.floats(0, 1)


def candidates(*models: str) -> list[Candidate]:
    """Make a candidate for each name."""
    return [Candidate(ModelInfo(m), (Deployment(ModelInfo(m), HOST),)) for m in models]


def choose(
    experiment: Experiment, request: ModelRequest, models: tuple[str, ...] = ("small", "large")
) -> ModelSelection | None:
    """Ask the strategy with one experiment."""
    return Canary(CanarySettings((experiment,))).select_model(request, candidates(*models))


@given(names.filter(bool), names, names, weights)
def test_one_conversation_stays_in_one_arm(conversation: str, one: str, other: str, weight: float) -> None:
    """Whatever is said in it and whatever its requests are called, a conversation has one arm."""
    experiment = evolve(AB, weight=weight)
    requests = [ModelRequest(text, id=text, conversation_id=conversation) for text in (one, other)]
    first, second = (choose(experiment, request) for request in requests)
    assert first is not None
    assert first == second
    assert first == choose(experiment, requests[0], ("large", "small"))


@given(weights, st.integers(1, 3), names)
def test_the_propensity_is_the_chance_of_the_arm(weight: float, treatments: int, unit: str) -> None:
    """The treatments share the weight evenly, and the control has the rest."""
    experiment = Experiment("e", "c", tuple(f"t{n}" for n in range(treatments)), weight=weight)
    selection = choose(experiment, ModelRequest("hi", id=unit), tuple(experiment.models))
    assert selection is not None
    expected = 1 - weight if selection.model == "c" else weight / treatments
    assert selection.propensity == pytest.approx(expected)
    assert {selection.model, *selection.ranking} == experiment.models


def test_the_arms_get_their_shares() -> None:
    """Over many conversations each arm has what it was promised, within four standard errors."""
    experiment = Experiment("e", "c", ("t0", "t1"), weight=0.4)
    seen = Counter(
        found.model
        for n in range(5000)
        if (found := assign([experiment], ModelRequest(id=f"r{n}"), experiment.models))
    )
    assert seen["c"] / 5000 == pytest.approx(0.6, abs=0.028)
    assert seen["t0"] / 5000 == pytest.approx(0.2, abs=0.023)


def test_experiments_are_independent_of_each_other() -> None:
    """Who gets the treatment of one does not get that of another any more often."""
    other = evolve(AB, name="other")
    both = sum(
        all(assign([e], ModelRequest(id=str(n)), e.models).model == "large" for e in (AB, other))  # type: ignore[union-attr]
        for n in range(5000)
    )
    assert both / 5000 == pytest.approx(0.09, abs=0.017)


@pytest.mark.parametrize(
    ("request_", "models"),
    [
        (ModelRequest("hi"), ("small", "other")),
        (ModelRequest("hi"), ()),
        (ModelRequest("hi", operation=Operation.EMBEDDINGS), ("small", "large")),
        (ModelRequest("hi", attempts=(Attempt("large", "desk", LLMError("no")),)), ("small", "large")),
        (ModelRequest("hi", previous_response_id="resp_1"), ("small", "large")),
    ],
)
def test_it_abstains_where_arms_could_not_be_compared(
    request_: ModelRequest, models: tuple[str, ...]
) -> None:
    """Without all arms, after a failure, and in a nameless conversation that a server keeps."""
    assert choose(AB, request_, models) is None


def test_an_experiment_is_about_its_kinds_of_work() -> None:
    """The first experiment that is about the request takes it."""
    coding = evolve(AB, name="coding", task_types=frozenset({TaskType.CODE_GENERATION}), weight=1.0)
    request = ModelRequest("hi", signals=Signals(task_type=TaskType.CODE_GENERATION))
    found = [assign([coding, AB], r, AB.models) for r in (request, ModelRequest("hi"))]
    assert [one.experiment.name for one in found if one] == ["coding", "larger"]


def test_a_shadow_changes_nothing_for_the_caller() -> None:
    """The control always answers, and only the share of the treatments is copied."""
    requests = [ModelRequest("hi", id=str(n)) for n in range(200)]
    found = [assign([SHADOW], request, SHADOW.models) for request in requests]
    assert {(one.model, one.propensity) for one in found if one} == {("small", 1.0)}
    assert 30 < sum(one.copy_to == "large" for one in found if one) < 90
    stateful = assign([evolve(SHADOW, weight=1.0)], ModelRequest("hi", store=True), SHADOW.models)
    assert stateful is not None
    assert stateful.copy_to is None


@pytest.mark.parametrize(
    ("experiment", "reason"),
    [
        (evolve(AB, weight=1.0), "experiment 'larger': a treatment, which 1 of the conversations get"),
        (evolve(AB, weight=0.0), "experiment 'larger': the control, which 1 of the conversations get"),
        (
            evolve(SHADOW, weight=1.0),
            "experiment 'larger': the control, and large answers a copy when it is idle",
        ),
        (evolve(SHADOW, weight=0.0), "experiment 'larger': the control"),
    ],
)
def test_the_reason_names_experiment_and_arm(experiment: Experiment, reason: str) -> None:
    """It says in which experiment the request is, and on which side."""
    selection = choose(experiment, ModelRequest("hi"))
    assert selection is not None
    assert selection.reason == reason


ENTRY: JSONObject = {"name": "larger", "control": "small", "treatments": ["large"]}


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([{**ENTRY, "treatments": []}], "treatments"),
        ([{**ENTRY, "treatments": ["small"]}], "must be models other than the control"),
        ([{**ENTRY, "treatments": ["large", "large"]}], "each named once"),
        ([{**ENTRY, "weight": 1.5}], "weight"),
        ([{**ENTRY, "task_types": ["poetry"]}], "must be one of code_generation"),
        ([ENTRY, ENTRY], "must have different names"),
    ],
)
def test_what_is_no_experiment_is_refused(entries: list[JSONObject], words: str) -> None:
    """A setting that makes no sense is an error that names it."""
    with pytest.raises(ConfigError, match=words):
        structure(CanarySettings, {"experiments": [*entries]}, "canary", str)


def test_settings_are_read_as_they_are_written() -> None:
    """An entry with everything in it becomes that experiment."""
    entry: JSONObject = {**ENTRY, "weight": 0.3, "task_types": ["planning"], "shadow": True}
    made = structure(CanarySettings, {"experiments": [entry]}, "canary", str)
    assert made.experiments == (evolve(SHADOW, task_types=frozenset({TaskType.PLANNING})),)
