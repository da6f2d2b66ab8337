"""What a request needs is done by a model that is known to do it."""

from collections.abc import Mapping, Sequence

import pytest
from attrs import evolve
from tests.core.inline import a_host

from turnout import (
    Attempt,
    Candidate,
    Deployment,
    Estimate,
    ImagePart,
    Instance,
    LLMError,
    Message,
    ModelInfo,
    ModelKind,
    ModelRequest,
    ModelSelection,
    Signals,
    TaskType,
    Tool,
)
from turnout_capability import Capability, CapabilitySettings

GEMMA = ModelInfo("google/gemma-3-12b", parameters=12_200_000_000)
CODER = ModelInfo("qwen/qwen3-coder-30b", tools=True)
THINKER = ModelInfo("deepseek-r1-distill-qwen-14b")
TINY = ModelInfo("smollm2-135m-instruct")
STRANGER = ModelInfo("acme/nobody-knows-me")
ORDINARY = CapabilitySettings()
SIZED = Signals(prompt_tokens=50, output_tokens=100)


def fleet(*infos: ModelInfo) -> dict[str, tuple[Deployment, ...]]:
    """Return a deployment of each model, by its key."""
    return {info.id: (Deployment(info, a_host(), (Instance(info.id),)),) for info in infos}


def candidates(
    plugin: Capability, request: ModelRequest, *infos: ModelInfo, seconds: Mapping[str, float] | None = None
) -> list[Candidate]:
    """Return candidates that are assessed by the plugin, each ready in a second unless told otherwise."""
    models = fleet(*infos)
    known = plugin.assess_models(request, models)
    waits = seconds or {}
    estimates = {
        deployment: Estimate(0.0, 0.0, queue_seconds=waits.get(model, 1.0))
        for model, (deployment,) in models.items()
    }
    sources = () if known is None else (known,)
    return [Candidate(group[0].info, group, estimates, sources) for group in models.values()]


def choose(
    request: ModelRequest,
    *infos: ModelInfo,
    settings: CapabilitySettings = ORDINARY,
    seconds: Mapping[str, float] | None = None,
) -> ModelSelection | None:
    plugin = Capability(settings)
    return plugin.select_model(request, candidates(plugin, request, *infos, seconds=seconds))


def asked(**facts: object) -> ModelRequest:
    return ModelRequest("x", **{"signals": SIZED, **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (asked(), "needs nothing special"),
        (asked(tools=[Tool("look")]), "needs tools"),
        (asked(schema={"type": "object"}), "needs structured_output"),
        (asked(reasoning_effort="high"), "needs reasoning"),
    ],
)
def test_a_small_model_is_chosen_for_nothing_that_a_good_one_is_ready_for(
    request_: ModelRequest, words: str
) -> None:
    """At equal times the known better one answers, and the reason names the need."""
    chosen = choose(request_, TINY, GEMMA)
    assert chosen is not None
    assert chosen.model == GEMMA.id
    assert chosen.reason.startswith(words)


def test_reasoning_is_for_one_that_was_trained_to_reason() -> None:
    """An effort that is asked for goes to the thinker, though a general model is as large."""
    chosen = choose(asked(reasoning_effort="high"), GEMMA, THINKER)
    assert chosen is not None
    assert chosen.model == THINKER.id


def test_images_are_for_one_that_sees() -> None:
    """What nobody documented may still see, but the one that is known to goes first."""
    picture = Message("user", (ImagePart("data:image/png;base64,AA"),))
    chosen = choose(ModelRequest(messages=[picture], signals=SIZED), STRANGER, GEMMA, CODER)
    assert chosen is not None
    assert chosen.model == GEMMA.id


def test_a_better_model_is_not_waited_for_longer_than_it_is_worth() -> None:
    """Patience bounds the wait: a quick answer from the lesser model wins after that."""
    late = {GEMMA.id: 70.0}
    for patience, model in ((30.0, TINY.id), (500.0, GEMMA.id)):
        chosen = choose(asked(), TINY, GEMMA, settings=CapabilitySettings(patience), seconds=late)
        assert chosen is not None
        assert chosen.model == model


def test_a_model_that_does_not_know_the_language_is_worth_less() -> None:
    """Gemma 3 is documented for Finnish; the coder's family is not known to be, and keeps its score."""
    plugin = Capability(CapabilitySettings())
    models = fleet(GEMMA, THINKER, ModelInfo("meta/llama-3.1-8b"))
    english, finnish = (asked(signals=evolve(SIZED, language=code)) for code in ("en", "fi"))
    known, foreign = plugin.assess_models(english, models), plugin.assess_models(finnish, models)
    assert known is not None
    assert foreign is not None
    task = TaskType.SIMPLE_QUERY
    assert foreign["meta/llama-3.1-8b"][task].score < known["meta/llama-3.1-8b"][task].score
    undocumented = known[GEMMA.id] == foreign[GEMMA.id]
    assert undocumented or foreign[GEMMA.id][task].score <= known[GEMMA.id][task].score


def test_the_same_mapping_is_given_until_something_is_new() -> None:
    """Nothing is worked out again for a snapshot that says the same; a changed model is."""
    plugin = Capability(CapabilitySettings())
    models = fleet(GEMMA)
    first = plugin.assess_models(asked(), models)
    again = plugin.assess_models(asked(), fleet(evolve(GEMMA)))
    assert first is not None
    assert first is again
    before = first[GEMMA.id]
    quantised = plugin.assess_models(asked(), fleet(evolve(GEMMA, bits_per_weight=2.0)))
    assert quantised is not None
    assert quantised[GEMMA.id][TaskType.PLANNING].score < before[TaskType.PLANNING].score


@pytest.mark.parametrize(
    ("request_", "infos"),
    [
        (asked(), (GEMMA,)),
        (asked(), ()),
        (asked(), (STRANGER, ModelInfo("other/unknown"))),
        (asked(prefer_fast=True), (GEMMA, TINY)),
        (asked(attempts=(Attempt(GEMMA.id, "one", LLMError("no")),)), (TINY, CODER)),
    ],
    ids=["one", "none", "unknown", "in a hurry", "after a failure"],
)
def test_it_abstains(request_: ModelRequest, infos: Sequence[ModelInfo]) -> None:
    """Where there is nothing to choose, nothing is known, speed is wanted, or something failed."""
    assert choose(request_, *infos) is None


def test_a_need_counts_even_in_a_hurry() -> None:
    """Speed is wanted, but not from one that cannot do it."""
    chosen = choose(asked(prefer_fast=True, tools=[Tool("look")]), TINY, CODER)
    assert chosen is not None
    assert chosen.model == CODER.id


def test_without_the_catalogue_only_what_was_measured_counts() -> None:
    """The plugin then says nothing of any model."""
    plain = CapabilitySettings(catalogue=False)
    assert Capability(plain).assess_models(asked(), fleet(GEMMA)) is None
    assert choose(asked(), GEMMA, TINY, settings=plain) is None


@pytest.mark.parametrize("patience", [0.0, -1.0, float("nan")])
def test_patience_is_a_time(patience: float) -> None:
    """Nothing, or less, is refused by name."""
    with pytest.raises(ValueError, match="'patience' must be above 0"):
        CapabilitySettings(patience)


def test_sizes_that_a_host_does_not_say_are_filled_in() -> None:
    """A mixture of experts decodes by the weights per token, which few servers tell; what is told stands."""
    plugin = Capability(CapabilitySettings())
    oss = ModelInfo("openai/gpt-oss-20b", parameters=20_000_000_000, vision=True)
    embedder = ModelInfo("nomic-embed-text-30b-a3b", kind=ModelKind.EMBEDDING)
    [deployment], [other], [third] = fleet(oss, STRANGER, embedder).values()
    filled = plugin.describe_models([deployment, other, third])
    assert filled is not None
    assert set(filled) == {deployment}
    info = filled[deployment]
    assert (info.parameters, info.vision) == (20_000_000_000, True)
    assert info.active_parameters is not None
    assert info.active_parameters < 5_000_000_000
    assert plugin.describe_models([deployment]) == {deployment: info}
    changed = Deployment(evolve(oss, active_parameters=1), deployment.host)
    again = plugin.describe_models([changed])
    assert again is not None
    assert all(found.active_parameters == 1 for found in again.values())
    assert Capability(CapabilitySettings(catalogue=False)).describe_models([deployment]) is None


def test_a_family_that_thinks_is_known_to_think() -> None:
    """Servers that list no levels do not say so, and answers take several times as long; the told stands."""
    plugin = Capability(CapabilitySettings())
    told_off = evolve(THINKER, reasoning=("off", "on"), reasoning_default="off")
    facts = {}
    for info in (THINKER, told_off, GEMMA):
        [[deployment]] = fleet(info).values()
        filled = plugin.describe_models([deployment]) or {}
        facts[info.id, info.reasoning_default] = filled.get(deployment, info).thinks
    assert facts == {(THINKER.id, None): True, (THINKER.id, "off"): False, (GEMMA.id, None): False}


def test_an_effort_never_goes_to_one_that_cannot_reason() -> None:
    """A coder that does not think is no reasoner, however good it is at all else."""
    small = ModelInfo("qwen/qwen3-4b", reasoning=("off", "on"), reasoning_default="on")
    chosen = choose(asked(reasoning_effort="high"), CODER, GEMMA, small)
    assert chosen is not None
    assert chosen.model == small.id
