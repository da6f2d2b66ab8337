"""Generators for Hypothesis of what a strategy is asked: requests, candidates, and what is known of them.

The conformance suite draws from them, and so may the tests of any plugin. ::

    @given(worlds.worlds)
    def test_the_smallest_wins(world: World) -> None: ...
"""

import math
from collections.abc import Mapping, Sequence

from attrs import evolve
from hypothesis import strategies as st

from turnout import (
    Assessment,
    Attempt,
    ContextOverflowError,
    Deployment,
    Estimate,
    Fault,
    Host,
    ImagePart,
    Instance,
    LLMError,
    Message,
    ModelCapability,
    ModelInfo,
    ModelKind,
    ModelRequest,
    Operation,
    Quality,
    Signals,
    TaskType,
    Tool,
)
from turnout_testing.example import Assessments, Estimates, World, candidates_of

HOSTS = (
    Host("desk", "http://desk.local:1234", "lmstudio", era="0.4"),
    Host("attic", "http://attic.local:1234", "lmstudio"),
    Host("spare", "http://spare.local:8080", "openai", last_resort=True),
)
MODELS = (
    "acme/owl-8b",
    "qwen/qwen3-coder-30b",
    "google/gemma-3-26b-a4b",
    "gpt-oss-20b",
    "other/owl-8b",
    "Owl-8B@q4_k_m",
    "hibou-léger",
)
ODD = (0.0, math.inf, math.nan, 1e300, 5e-324)
"""Numbers that a measurement should never give, and that a division trips over."""

_abilities = [*(frozenset({one}) for one in ModelCapability), frozenset(ModelCapability)]
_maybe = st.sampled_from([None, True, False])
_tasks = st.sampled_from([None, *TaskType])
_ids = st.integers(0, 2**20).map("r{}".format)
_prompts = st.sampled_from(["hi", "Sort a list in Python", "diff --git a/f b/f", "x" * 40_000, "日本語", " "])
_messages = st.sampled_from(
    [
        (),
        (Message("user", "Plan a trip to Lyon"), Message("assistant", "When?"), Message("user", "In May")),
        (Message("user", (ImagePart("data:image/png;base64,AA"),)),),
    ]
)
_errors = st.one_of(
    st.builds(LLMError, st.just("no"), fault=st.sampled_from(Fault)),
    st.builds(ContextOverflowError, st.just("too long"), st.just(5000), st.sampled_from([None, 4096])),
)


hosts = st.sampled_from([HOSTS[:1], HOSTS[:2], HOSTS[1:], HOSTS, HOSTS[::-1]])
"""Where a model is."""

infos = st.just(ModelInfo("")) | st.builds(
    ModelInfo,
    st.just(""),
    capabilities=st.sampled_from([frozenset(), *_abilities]),
    context_length=st.sampled_from([None, 512, 32_768, 262_144]),
    vision=_maybe,
    tools=_maybe,
    reasoning=st.sampled_from([None, (), ("low", "high")]),
    parameters=st.sampled_from([None, 0, 8_000_000_000, 26_000_000_000]),
    active_parameters=st.sampled_from([None, 4_000_000_000]),
    quantization=st.sampled_from([None, "Q4_K_M", "F16", "?"]),
    size_bytes=st.sampled_from([None, 0, 5_000_000_000]),
    avg_tokens_per_sec=st.sampled_from([None, 0.0, 40.0]),
)
"""What is known of a model beside its name: anything from nothing to everything."""

instances = st.sampled_from(
    [(), (Instance("i"),), (Instance("i", 4096, 4),), (Instance("i", 32_768, 1), Instance("i:2", 512, 4))]
)
"""What is loaded."""

estimates = st.builds(
    Estimate,
    st.sampled_from([0.002, 0.0, 0.01]),
    st.sampled_from([0.05, 0.0, 0.2]),
    load_seconds=st.sampled_from([0.0, 20.0]),
    queue_seconds=st.sampled_from([0.0, 5.0]),
    success_rate=st.sampled_from([1.0, 0.5, 0.0]),
    measured=st.sampled_from([0, 1, 100]),
)
"""Predictions such as real measurements give; ties are frequent."""

odd_estimates = st.builds(
    Estimate, *[st.sampled_from(ODD)] * 4, success_rate=st.sampled_from([1.0, 0.0])
)
"""Predictions in which any duration may be zero, beyond all bounds, or no number at all."""

assessments = st.dictionaries(
    st.sampled_from([*TaskType, *ModelCapability]),
    st.builds(Quality, st.sampled_from([0.5, 0.0, 1.0]), st.sampled_from([1.0, 20.0, 0.1])),
    max_size=3,
)
"""What one source knows of one model."""

signals = st.just(Signals()) | st.builds(
    Signals,
    task_type=_tasks,
    confidence=st.sampled_from([0.9, 0.0, 0.3]),
    prompt_tokens=st.sampled_from([None, 0, 10, 50_000]),
    output_tokens=st.sampled_from([None, 1, 500]),
    needs=st.sampled_from([frozenset(), frozenset({ModelCapability.VISION, ModelCapability.TOOLS})]),
    language=st.sampled_from([None, "de"]),
)
"""The facts about a request: none, or such as the core and the classifiers find."""

attempts = st.just(()) | st.lists(
    st.builds(Attempt, st.sampled_from(MODELS), st.sampled_from([host.name for host in HOSTS]), _errors),
    max_size=2,
).map(tuple)
"""What was tried for a request before, mostly nothing."""

requests = st.builds(
    ModelRequest,
    _prompts,
    _messages,
    task_type=_tasks,
    required_capabilities=st.sampled_from([frozenset(), *_abilities]),
    prefer_fast=st.booleans(),
    max_tokens=st.sampled_from([None, 10, 8000]),
    explicit_model=st.sampled_from([None, None, *MODELS, "owl-8b", "absent"]),
    allow_fallback=st.booleans(),
    tools=st.sampled_from([(), (Tool("look"),)]),
    schema=st.sampled_from([None, {"type": "object"}]),
    conversation_id=st.sampled_from(["", "c1"]),
    signals=signals,
    attempts=attempts,
    id=_ids,
)
"""Chats of any kind: prompts and conversations, pins, images, tools, needs, what was tried before."""

embeddings = st.builds(
    ModelRequest, operation=st.just(Operation.EMBEDDINGS), inputs=st.just(("one", "two")), id=_ids
)
"""Requests for vectors."""

_some_models = st.lists(st.sampled_from(MODELS), min_size=1, max_size=4, unique=True)
_sources = st.integers(0, 2)


@st.composite
def _worlds(
    draw: st.DrawFn, models: st.SearchStrategy[list[str]], estimate: st.SearchStrategy[Estimate]
) -> World:
    chat = draw(st.sampled_from([True, True, True, False]))
    kind = ModelKind.LLM if chat else ModelKind.EMBEDDING
    groups = [_group(draw, model, kind) for model in draw(models)]
    predicted: Estimates = {}
    if draw(st.booleans()):
        predicted = {deployment: draw(estimate) for group in groups for deployment in group}
    known: Assessments = [_source(draw, groups) for _ in range(draw(_sources))]
    return World(draw(requests if chat else embeddings), candidates_of(groups, predicted, known))


def _group(draw: st.DrawFn, model: str, kind: ModelKind) -> tuple[Deployment, ...]:
    info = evolve(draw(infos), id=model, kind=kind)
    return tuple(Deployment(info, host, draw(instances)) for host in draw(hosts))


def _source(draw: st.DrawFn, groups: Sequence[tuple[Deployment, ...]]) -> Mapping[str, Assessment]:
    found = {group[0].model: draw(assessments) for group in groups}
    return {model: one for model, one in found.items() if one}


worlds = _worlds(_some_models, estimates)
"""A request with one to four candidates of its kind, and with what is predicted and known of each."""

odd_worlds = _worlds(_some_models, st.one_of(estimates, odd_estimates))
"""The same where measurements may have gone wrong."""

empty_worlds = _worlds(st.just([]), estimates)
"""A request that nobody may answer."""

