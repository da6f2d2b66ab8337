"""The kind of work decides which model answers."""

from collections.abc import Mapping

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from tests.core.inline import a_deployment

from turnout import (
    Assessment,
    Attempt,
    Candidate,
    Estimate,
    JSONObject,
    LLMError,
    ModelCapability,
    ModelRequest,
    ModelSelection,
    Quality,
    Signals,
    TaskType,
    Tool,
)
from turnout.config import Config
from turnout.errors import ConfigError
from turnout.settings import plugin_settings
from turnout_task_based import TaskBased, TaskBasedSettings

CODE = TaskType.CODE_GENERATION
KNOWN: Mapping[str, Assessment] = {
    "acme/coder": {CODE: Quality(0.9, 99), TaskType.PLANNING: Quality(0.4, 99)},
    "acme/thinker": {CODE: Quality(0.5, 99), TaskType.PLANNING: Quality(0.8, 99)},
    "acme/tiny": {task: Quality(0.3, 99) for task in TaskType},
}
ORDINARY = TaskBasedSettings()
SECONDS = {"acme/coder": 30.0, "acme/thinker": 20.0, "acme/tiny": 1.0}


def candidates(known: Mapping[str, Assessment] = KNOWN) -> list[Candidate]:
    """Return a candidate for each model that takes a time, assessed as it is known."""
    found = []
    for model, seconds in SECONDS.items():
        deployment = a_deployment(model)
        estimates = {deployment: Estimate(queue_seconds=seconds)}
        found.append(Candidate(deployment.info, (deployment,), estimates, (known,)))
    return found


def request(task: TaskType | None, confidence: float = 0.9, **facts: object) -> ModelRequest:
    return ModelRequest("x", **{"signals": Signals(task, confidence), **facts})  # type: ignore[arg-type]


def choose(
    asked: ModelRequest,
    settings: TaskBasedSettings = ORDINARY,
    known: Mapping[str, Assessment] = KNOWN,
) -> ModelSelection | None:
    return TaskBased(settings).select_model(asked, candidates(known))


@pytest.mark.parametrize(
    ("task", "model"),
    [
        (CODE, "acme/coder"),
        (TaskType.PLANNING, "acme/thinker"),
        (TaskType.SIMPLE_QUERY, "acme/tiny"),
        (TaskType.COMPLEX_REASONING, "acme/tiny"),
    ],
)
def test_who_does_such_work_best_for_the_time_answers(task: TaskType, model: str) -> None:
    """A good coder is worth half a minute for code, and nobody is for a quick question."""
    chosen = choose(request(task))
    assert chosen is not None
    assert chosen.model == model
    assert set(chosen.ranking) == set(SECONDS) - {model}
    assert chosen.estimated_duration == SECONDS[model]
    assert chosen.reason.startswith(f"{task} (90% sure): quality ")


def test_what_is_not_sure_decides_nothing() -> None:
    """Below the confidence that is set it abstains; a type that the caller names is sure."""
    assert choose(request(CODE, 0.44)) is None
    assert choose(request(CODE, 0.44), TaskBasedSettings(confidence=0.3)) is not None
    assert choose(request(None)) is None


@pytest.mark.parametrize(
    "asked",
    [
        request(CODE, attempts=(Attempt("acme/coder", "one", LLMError("no")),)),
        request(CODE, prefer_fast=True),
    ],
    ids=["after a failure", "in a hurry"],
)
def test_it_leaves_the_word_to_others(asked: ModelRequest) -> None:
    """After a failure, and where speed is wanted, the kind of work is not the question."""
    assert choose(asked) is None


def test_nobody_known_is_nobody_chosen() -> None:
    """Without any quality, and with a single candidate, there is nothing to choose by."""
    assert choose(request(CODE), known={}) is None
    assert TaskBased(TaskBasedSettings()).select_model(request(CODE), candidates()[:1]) is None


def test_preferences_come_before_quality() -> None:
    """The first that can answer is taken, by any name that is clear; the others follow."""
    wanted = TaskBasedSettings(preferences={CODE: ("absent/model", "Tiny", "acme/thinker")})
    chosen = choose(request(CODE, prefer_fast=True), wanted)
    assert chosen is not None
    assert (chosen.model, chosen.ranking) == ("acme/tiny", ("acme/thinker",))
    assert chosen.reason == "code_generation (90% sure): the first of your preferences"
    other = choose(request(TaskType.PLANNING), wanted)
    assert other is not None
    assert other.model == "acme/thinker"


def test_patience_may_be_set_for_a_kind_of_work() -> None:
    """With little of it, the fast one answers even for code."""
    chosen = choose(request(CODE), TaskBasedSettings(patience={CODE: 5.0}))
    assert chosen is not None
    assert chosen.model == "acme/tiny"


def test_what_the_request_needs_counts_too() -> None:
    """A coder that cannot call tools is no coder for a request with tools."""
    able = {
        model: {**known, ModelCapability.TOOLS: Quality(0.1 if model == "acme/coder" else 0.9, 99)}
        for model, known in KNOWN.items()
    }
    chosen = choose(request(CODE, tools=[Tool("look")]), known=able)
    assert chosen is not None
    assert chosen.model == "acme/thinker"


@given(st.sampled_from(TaskType), st.floats(0, 1), st.permutations(list(KNOWN)))
def test_the_order_of_the_candidates_does_not_matter(
    task: TaskType, confidence: float, order: list[str]
) -> None:
    """The same request among the same models gives the same answer."""
    plugin, asked = TaskBased(TaskBasedSettings()), request(task, confidence)
    shuffled = sorted(candidates(), key=lambda candidate: order.index(candidate.id))
    assert plugin.select_model(asked, shuffled) == plugin.select_model(asked, candidates())


def test_settings_are_read_from_a_table() -> None:
    """Task types are keys; one that does not exist, and a patience of nothing, are refused by name."""
    table: JSONObject = {"confidence": 0.7, "preferences": {"planning": ["a"]}, "patience": {"planning": 9.0}}
    settings = plugin_settings(Config(tables={"task_based": table}), "task_based", TaskBasedSettings)
    assert settings.preferences == {TaskType.PLANNING: ("a",)}
    refused: tuple[tuple[JSONObject, str], ...] = (
        ({"preferences": {"cooking": ["a"]}}, "must be one of code_generation"),
        ({"patience": {"planning": 0.0}}, "must be above 0 for planning"),
        ({"confidence": 1.5}, "must be between 0 and 1"),
    )
    for wrong, words in refused:
        with pytest.raises(ConfigError, match=words):
            plugin_settings(Config(tables={"task_based": wrong}), "task_based", TaskBasedSettings)


def test_a_model_that_is_asked_for_by_name_needs_no_classification() -> None:
    """There is nothing to choose, unless another may answer."""
    plugin = TaskBased(TaskBasedSettings())
    named = ModelRequest("Write a function to sort a list", explicit_model="qwen")
    assert plugin.classify_request(named) is None
    assert plugin.classify_request(evolve(named, allow_fallback=True)) is not None
    assert plugin.classify_request(evolve(named, explicit_model=None)) is not None
