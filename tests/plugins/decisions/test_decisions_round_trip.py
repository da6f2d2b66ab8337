"""The invariant of replay: what comes back from the log decides as the original did."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest
from attrs import AttrsInstance, asdict, evolve, fields
from hypothesis import given
from hypothesis import strategies as st
from tests.core import worlds
from tests.core.inline import STRATEGIES

from turnout import (
    Assessment,
    Attempt,
    Candidate,
    Config,
    ContextOverflowError,
    Deployment,
    EmptyReplyError,
    Estimate,
    Explanation,
    Fleet,
    Host,
    ImagePart,
    InsufficientMemoryError,
    LLMRateLimitError,
    Message,
    ModelCapability,
    ModelInfo,
    ModelRequest,
    ModelSelection,
    Operation,
    Quality,
    Reload,
    Signals,
    Skill,
    TaskType,
    TextPart,
    Tool,
    hookimpl,
)
from turnout.eligibility import needs_of
from turnout.errors import LLMError
from turnout.plugins import Plugins
from turnout.selection import decide
from turnout_decisions.codec import Decoder, Encoded, Encoder, Row
from turnout_decisions.facts import facts_of, request_of
from turnout_decisions.journal import LoggedDecision, logged
from turnout_decisions.noted import Made
from turnout_decisions.policies import CHAIN, Policy, policy

SKILLS: tuple[Skill, ...] = (*TaskType, *ModelCapability)
odd_text = st.text(max_size=8) | st.sampled_from(["\ud800", "\x00", "pub/c"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | odd_text,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(odd_text, inner, max_size=2),
    max_leaves=4,
)
infos = st.builds(
    ModelInfo,
    st.sampled_from(worlds.MODELS) | odd_text,
    capabilities=st.frozensets(st.sampled_from(ModelCapability)),
    context_length=worlds.contexts,
    vision=worlds.known_or_not,
    reasoning=st.none() | st.just(("low", "high")),
    parameters=st.none() | st.integers(0, 10**13),
    bits_per_weight=st.none() | st.floats(),
    metadata=st.dictionaries(odd_text, json_values, max_size=2),
)
deployments = st.builds(
    Deployment,
    infos,
    st.sampled_from(worlds.HOSTS),
    worlds.instances.map(tuple),
    st.booleans(),
    st.integers(1, 8),
    st.booleans(),
)
fleets = st.lists(deployments, min_size=1, max_size=6, unique_by=lambda d: d.key).map(
    lambda found: Fleet(tuple(found))
)
counts = st.integers(0, 10**6)
estimates = st.builds(
    Estimate,
    *[st.floats() if field.type is float else counts for field in fields(Estimate)],
)
qualities = st.builds(Quality, st.floats(0, 1), st.floats(0.01, 1e6))
assessments = st.dictionaries(
    st.sampled_from(worlds.MODELS), st.dictionaries(st.sampled_from(SKILLS), qualities, max_size=4)
)


class Knowing:
    """Estimates and assesses as it is told."""

    def __init__(self, estimates: Sequence[Estimate | None], assessment: Mapping[str, Assessment]) -> None:
        self.estimates = estimates
        self.assessment = assessment

    @hookimpl
    def estimate(self, deployments: Sequence[Deployment]) -> Mapping[Deployment, Estimate]:
        pairs = zip(deployments, self.estimates, strict=False)
        return {deployment: found for deployment, found in pairs if found is not None}

    @hookimpl
    def assess_models(self) -> Mapping[str, Assessment]:
        return self.assessment


class Nosy:
    """A strategy that asks its candidates everything, and says all of it."""

    @hookimpl
    def select_model(self, request: ModelRequest, candidates: Sequence[Candidate]) -> ModelSelection:
        seen = "\n".join([*_of_request(request), *(line for one in candidates for line in _of(one))])
        return ModelSelection(request.rng.choice(candidates).id, seen)


def plain(value: AttrsInstance) -> str:
    """Say all of *value*; the members of a set have no order that counts."""
    return repr(asdict(value, value_serializer=lambda _, __, one: _ordered(one)))


def _ordered(value: object) -> object:
    return sorted(value, key=str) if isinstance(value, frozenset) else value


def _of(candidate: Candidate) -> Iterator[str]:
    yield f"{plain(candidate.info)} {candidate.resident} {candidate.completion_seconds(1000, 100)!r}"
    yield repr([(str(skill), candidate.quality(skill)) for skill in SKILLS])
    for one in candidate.deployments:
        yield f"{plain(one)} {one.room} {one.loaded_context} {one.slots} {candidate.estimate(one)!r}"


def _of_request(request: ModelRequest) -> Iterator[str]:
    yield f"{plain(request.signals)} {request.task_type} {request.priority} {request.max_tokens}"
    yield f"{sorted(request.required_capabilities)} {request.explicit_model} {request.allow_fallback}"
    yield f"{plain(needs_of(request))} {request.schema is None} {request.system is None} {request.stateful}"
    yield f"{[m.role for m in request.messages]} {len(request.tools)} {len(request.inputs)}"
    yield f"{[(a.model, a.host, type(a.error), a.error and a.error.fault) for a in request.attempts]}"


def read_back(written: Encoded) -> LoggedDecision:
    parts = {part.digest: part.body for part in (written.fleet, written.qualities) if part is not None}
    fleet = None if written.fleet is None else written.fleet.digest
    known = None if written.qualities is None else written.qualities.digest
    row = Row(written.at, written.kind, 1, written.body, written.estimates, fleet, known)
    event = Decoder(parts.__getitem__).decode(row)
    assert isinstance(event, LoggedDecision)
    return event


def plugins_with(knowing: Knowing) -> Plugins:
    plugins = Plugins()
    for name, plugin in {"knowing": knowing, "nosy": Nosy(), **STRATEGIES}.items():
        plugins.add(name, plugin)
    return plugins


@given(
    worlds.requests,
    fleets,
    st.lists(st.none() | estimates, max_size=6),
    assessments,
    st.booleans(),
    st.sampled_from(["nosy", "performance", "fallback", "explicit", CHAIN]),
)
def test_a_strategy_decides_again_as_it_did(
    request_: ModelRequest,
    fleet: Fleet,
    known: list[Estimate | None],
    assessment: Mapping[str, Assessment],
    content: bool,
    name: str,
) -> None:
    """Among the candidates that come back, each strategy picks the same model, and for the same reason."""
    plugins = plugins_with(Knowing(known, assessment))
    request = evolve(request_, signals=evolve(request_.signals, prompt_tokens=500))
    decision = decide(plugins, request, fleet, Config())
    if decision.selection is None:
        return
    made = Made(1.0, decision.request, decision.selection, decision.candidates)
    back = read_back(Encoder().encode(logged(made, content=content)))
    ask: Policy = policy(plugins, name)
    assert repr(ask(back.request(), back.candidates)) == repr(ask(decision.request, decision.candidates))
    assert back.selection.model == decision.selection.model
    assert back.selection.ranking == decision.selection.ranking
    assert back.selection.explanation.verdicts == decision.explanation.verdicts
    assert back.selection.explanation.ineligible == decision.explanation.ineligible


def test_what_was_to_be_loaded_again_comes_back() -> None:
    """The reloads that a decision counted on are kept with it."""
    reloads = (Reload("a", "one", 9000, 4096),)
    selection = ModelSelection("a", explanation=Explanation(reloads=reloads))
    made = Made(1.0, ModelRequest("x"), selection, ())
    back = read_back(Encoder().encode(logged(made, content=False)))
    assert back.selection.explanation.reloads == reloads


def a_full_request() -> ModelRequest:
    return ModelRequest(
        "secret",
        (Message("user", (TextPart("secret"), ImagePart("data:,secret"))), Message("tool", "secret")),
        TaskType.PLANNING,
        frozenset({ModelCapability.CODING}),
        prefer_fast=True,
        max_tokens=7,
        explicit_model="a",
        allow_fallback=True,
        system="secret",
        tools=(Tool("secret"), Tool("other")),
        tool_choice="required",
        schema={"secret": True},
        reasoning_effort="low",
        previous_response_id="secret",
        store=True,
        streaming=True,
        hosts=frozenset({"one"}),
        timeout=3.0,
        priority=2,
        client="me",
        conversation_id="secret",
        signals=Signals(notes={"words": "secret", "lines": 3}),
    )


def test_nothing_of_a_request_is_forgotten() -> None:
    """Every fact comes back; what is content comes back as an outline of it."""
    request = a_full_request()
    back = request_of(facts_of(request, content=False))
    assert "secret" not in repr((back, back.messages, back.tools, back.schema, back.system))
    assert (back.task_type, back.prefer_fast, back.max_tokens) == (TaskType.PLANNING, True, 7)
    assert (back.explicit_model, back.allow_fallback, back.hosts) == ("a", True, frozenset({"one"}))
    assert (back.tool_choice, back.reasoning_effort, back.timeout) == ("required", "low", 3.0)
    assert (back.priority, back.client, back.streaming, back.store) == (2, "me", True, True)
    assert [message.role for message in back.messages] == ["user", "tool"]
    assert sum(len(message.images) for message in back.messages) == 1
    assert (len(back.tools), back.system, back.text) == (2, "", "")
    assert back.schema is not None
    assert back.required_capabilities == {ModelCapability.CODING}
    assert back.signals.notes == {"lines": 3}
    assert back.rng.random() == request.rng.random()
    assert back.conversation_id
    assert back.previous_response_id
    assert request_of(facts_of(evolve(request, conversation_id="x"), content=False)).conversation_id != (
        back.conversation_id
    )


def test_content_comes_back_where_it_is_kept() -> None:
    """With content the words are there again; images never are."""
    image = ImagePart("data:image/png;base64,SECRET")
    messages = (Message("user", (TextPart("look"), image)), Message("assistant", "seen"))
    request = ModelRequest("and now?", messages, system="be brief", signals=Signals(notes={"words": "look"}))
    back = request_of(facts_of(request, content=True))
    assert (back.task, back.system, back.signals) == ("and now?", "be brief", request.signals)
    assert [message.text for message in back.messages] == ["look", "seen"]
    assert "SECRET" not in repr(back.messages)


def test_embeddings_come_back() -> None:
    """A request for vectors is one again, with as many texts."""
    request = ModelRequest(operation=Operation.EMBEDDINGS, inputs=("one", "two"))
    back = request_of(facts_of(request, content=False))
    assert (back.operation, back.inputs) == (Operation.EMBEDDINGS, ("", ""))


class StrangeError(ContextOverflowError):
    """An error of somebody else's, with a member that JSON does not know."""

    def __init__(self) -> None:
        super().__init__("secret", 9, 8)
        self.where = object()
        self._inner = 3


ERRORS: tuple[tuple[LLMError, str, Mapping[str, object]], ...] = (
    (ContextOverflowError("secret", 5000, 4096), "ContextOverflowError", {"context_length": 4096}),
    (LLMRateLimitError("secret", 2.5), "LLMRateLimitError", {"retry_after": 2.5}),
    (InsufficientMemoryError("secret", 10), "InsufficientMemoryError", {"required": 10}),
    (EmptyReplyError("secret", reasoning="secret"), "EmptyReplyError", {"reasoning": ""}),
    (StrangeError(), "ContextOverflowError", {"context_length": 8, "prompt_tokens": 9}),
)


@pytest.mark.parametrize(("error", "kind", "facts"), ERRORS, ids=lambda value: str(value)[:20])
def test_failures_come_back(error: LLMError, kind: str, facts: Mapping[str, object]) -> None:
    """A failed attempt has an error of its class again, or of the nearest known, with its numbers."""
    request = ModelRequest("hi", attempts=(Attempt("m", "one", error, 1.0, 2.0, 3.0), Attempt("n", "one")))
    kept = facts_of(request, content=False)
    back, other = request_of(kept).attempts
    assert other == Attempt("n", "one")
    assert kept.attempts[0].error == type(error).__name__
    assert type(back.error).__name__ == kind
    assert back.error is not None
    assert {name: getattr(back.error, name) for name in facts} == facts
    assert (back.error.fault, back.model, back.host) == (error.fault, "m", "one")
    assert (back.queue_seconds, back.duration_seconds, back.pause_seconds) == (1.0, 2.0, 3.0)
    assert "secret" not in str(back.error)


def test_errors_that_no_longer_exist() -> None:
    """A failure of a class that nobody knows, or that is no error, is an ``LLMError``."""
    request = ModelRequest("hi", attempts=(Attempt("m", "one", LLMError("no")),))
    kept = facts_of(request, content=True)
    odd = evolve(kept.attempts[0], error="Gone", kind="Fault", facts={"model": "x", "retry_after": 1})
    (back,) = request_of(evolve(kept, attempts=(odd,))).attempts
    assert type(back.error) is LLMError
    assert (back.error.message, back.error.model) == ("no", "m")


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("http://me:secret@desk:1234", "http://desk:1234"),
        ("http://desk:1234/a@b", "http://desk:1234/a@b"),
        ("http://desk:1234", "http://desk:1234"),
    ],
)
def test_no_password_is_kept(url: str, kept: str) -> None:
    """An address is kept without the user and the password in it."""
    deployment = Deployment(ModelInfo("a"), Host("desk", url, "openai"))
    made = Made(1.0, ModelRequest("hi"), ModelSelection("a"), (Candidate(deployment.info, (deployment,)),))
    (candidate,) = read_back(Encoder().encode(logged(made, content=False))).candidates
    assert candidate.deployments[0].host.url == kept


def test_a_deployment_may_know_its_model_otherwise() -> None:
    """Where hosts describe a model differently, each description comes back with its own host."""
    one = Deployment(ModelInfo("a", quantization="q4"), worlds.HOSTS[0])
    two = Deployment(ModelInfo("a", quantization="q8"), worlds.HOSTS[1])
    made = Made(1.0, ModelRequest("hi"), ModelSelection("a"), (Candidate(one.info, (one, two)),))
    (candidate,) = read_back(Encoder().encode(logged(made, content=False))).candidates
    assert [found.info.quantization for found in candidate.deployments] == ["q4", "q8"]


def _made(*assessed: Mapping[str, Assessment], deployment: Deployment) -> LoggedDecision:
    candidate = Candidate(deployment.info, (deployment,), assessments=assessed)
    return logged(Made(1.0, ModelRequest("hi"), ModelSelection("a"), (candidate,)), content=False)


def test_what_did_not_change_is_written_once() -> None:
    """The same deployments and the same assessments share their pieces, and others do not."""
    encoder = Encoder()
    known: Mapping[str, Assessment] = {"a": {TaskType.OTHER: Quality(0.5)}}
    deployment = Deployment(ModelInfo("a"), worlds.HOSTS[0])
    first, second = (encoder.encode(_made(known, deployment=deployment)) for _ in range(2))
    assert first.fleet is second.fleet
    assert first.qualities is second.qualities
    better = encoder.encode(_made({"a": {TaskType.OTHER: Quality(0.6)}}, deployment=deployment))
    assert better.fleet is first.fleet
    assert better.qualities != first.qualities
    loaded = encoder.encode(_made(known, deployment=evolve(deployment, loading=True)))
    assert loaded.fleet != first.fleet


def test_the_encoder_forgets() -> None:
    """An encoder remembers a few fleets only, and what it has forgotten it writes the same way again."""
    encoder = Encoder()
    fleet = [Deployment(ModelInfo("a", size_bytes=number), worlds.HOSTS[0]) for number in range(20)]
    first = [encoder.encode(_made(deployment=one)).fleet for one in fleet]
    again = [encoder.encode(_made(deployment=one)).fleet for one in fleet]
    assert first == again
    assert len({part.digest for part in first if part is not None}) == 20


def test_unknown_skills_are_left_out() -> None:
    """What a newer turnout knows of a model beside the skills of this one does no harm."""
    new: Skill = "juggling"  # type: ignore[assignment]
    known: Assessment = {TaskType.OTHER: Quality(0.5), new: Quality(1.0)}
    deployment = Deployment(ModelInfo("a"), worlds.HOSTS[0])
    decision = read_back(Encoder().encode(_made({"a": known}, deployment=deployment)))
    assert decision.candidates[0].assessments == ({"a": {TaskType.OTHER: Quality(0.5)}},)


STRANGE: tuple[Callable[[], ModelRequest], ...] = (
    lambda: ModelRequest("hi", signals=Signals("planning")),  # type: ignore[arg-type]
    lambda: ModelRequest("hi", client="\ud800"),
    lambda: ModelRequest("hi", messages=(Message("critic", "hm"),)),  # type: ignore[arg-type]
)


@pytest.mark.parametrize("strange", STRANGE)
def test_strange_values_are_written(strange: Callable[[], ModelRequest]) -> None:
    """What a stranger puts into a request is written down and comes back as near as it can."""
    deployment = Deployment(ModelInfo("a", metadata={"when": object()}), worlds.HOSTS[0])  # type: ignore[dict-item]
    made = Made(1.0, strange(), ModelSelection("a"), (Candidate(deployment.info, (deployment,)),))
    back = read_back(Encoder().encode(logged(made, content=False)))
    assert back.task_type in (None, TaskType.PLANNING)
    assert back.request().client == made.request.client
