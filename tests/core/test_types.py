"""Values say what they hold, take what people write, and refuse what makes no sense."""

import datetime as dt
import math

import pytest
from attrs import evolve
from tests.core.inline import a_deployment, a_host

from turnout import (
    Attempt,
    Candidate,
    Deployment,
    Estimate,
    ExecutionMetrics,
    Fleet,
    HostReport,
    ImagePart,
    Ineligible,
    Instance,
    Lease,
    LLMError,
    LoadOptions,
    Message,
    ModelCapability,
    ModelInfo,
    ModelRequest,
    ModelSelection,
    Reply,
    Signals,
    TaskType,
    TextPart,
    ToolCall,
    Usage,
    clock,
)
from turnout.fleet import merged
from turnout.options import as_request
from turnout.types import failed_models

IMAGE = ImagePart("data:image/png;base64," + "A" * 90)

# --- requests ---------------------------------------------------------------------------------------


def test_a_request_with_signals_is_the_same_in_all_else() -> None:
    """Each field keeps its value, whatever it is, and the original its own signals."""
    request = ModelRequest(
        "hi", max_tokens=7, explicit_model="m", stop="END", hosts=["desk"], extra={"a": 1}, priority=3,
        attempts=(Attempt("m", "one"),), required_capabilities=[ModelCapability.TOOLS], streaming=True,
    )  # fmt: skip
    signals = Signals(TaskType.PLANNING, 0.5)
    assert request.with_signals(signals) == evolve(request, signals=signals)
    assert request.signals == Signals()


@pytest.mark.parametrize(("given", "kept"), [(None, None), ("auto", None), (-1, None), (7, 7), ("7", 7)])
def test_max_tokens_may_be_left_to_the_model(given: object, kept: int | None) -> None:
    """``"auto"`` and -1 are the older ways to say so."""
    assert ModelRequest(max_tokens=given).max_tokens == kept  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [0, -2])
def test_max_tokens_is_at_least_one(wrong: int) -> None:
    """No request can be answered in no tokens."""
    with pytest.raises(ValueError, match=f"max_tokens must be at least 1, or None: {wrong}"):
        ModelRequest(max_tokens=wrong)


@pytest.mark.parametrize("wrong", [0, -1.5])
def test_a_timeout_is_above_zero(wrong: float) -> None:
    """What has no time cannot be tried."""
    with pytest.raises(ValueError, match="timeout"):
        ModelRequest(timeout=wrong)


@pytest.mark.parametrize("none", [None, "", "default"])
def test_default_is_no_model(none: str | None) -> None:
    """``"default"`` is the older way to name no particular model."""
    assert ModelRequest(explicit_model=none).explicit_model is None


def test_one_word_is_a_list_of_one() -> None:
    """A single stop word, input or host is not taken for its letters."""
    request = ModelRequest(stop="END", inputs="text", hosts="desk")
    assert (request.stop, request.inputs, request.hosts) == (("END",), ("text",), frozenset({"desk"}))
    assert ModelRequest(hosts=["desk", "box"]).hosts == frozenset({"desk", "box"})
    assert ModelRequest().hosts is None


def test_a_conversation_is_system_messages_and_task() -> None:
    """What is given is sent in this order, and nothing that was not given."""
    said = Message("assistant", "hello")
    request = ModelRequest("and now?", [said], system="Be short.")
    assert request.conversation == (Message("system", "Be short."), said, Message("user", "and now?"))
    assert ModelRequest(messages=[said]).conversation == (said,)


def test_the_text_of_a_request_is_what_the_user_asks() -> None:
    """It is the task, else the last message of the user, else nothing."""
    messages = [Message("user", "one"), Message("user", "two"), Message("assistant", "three")]
    assert ModelRequest("task", messages).text == "task"
    assert ModelRequest(messages=messages).text == "two"
    assert ModelRequest(messages=messages[2:]).text == ""


def test_chance_is_the_same_for_the_same_request() -> None:
    """A decision by chance can be replayed from the request alone."""
    one, same, other = ModelRequest(id="1"), ModelRequest(id="1"), ModelRequest(id="2")
    assert one.rng.random() == one.rng.random() == same.rng.random() != other.rng.random()
    assert ModelRequest().id != ModelRequest().id


def test_a_stateful_request_is_one_the_server_remembers() -> None:
    """It is to be stored, or goes on from another."""
    assert not ModelRequest().stateful
    assert ModelRequest(store=True).stateful
    assert ModelRequest(previous_response_id="r").stateful


def test_options_make_a_request_or_change_one() -> None:
    """A prompt becomes a request, and a request keeps what is not changed."""
    made = as_request("hi", {"model": "m", "max_tokens": 5})
    assert (made.task, made.explicit_model, made.max_tokens) == ("hi", "m", 5)
    assert as_request(made, {}) is made
    changed = as_request(made, {"model": None, "timeout": 2.0})
    assert (changed.explicit_model, changed.timeout, changed.max_tokens, changed.id) == (
        None,
        2.0,
        5,
        made.id,
    )


def test_an_option_that_there_is_not_is_refused() -> None:
    """A misspelt option is not silently without effect."""
    with pytest.raises(TypeError, match="max_tokenz"):
        as_request("hi", {"max_tokenz": 3})  # type: ignore[typeddict-unknown-key]


def test_a_request_shows_little_of_what_it_says() -> None:
    """A long prompt does not fill the log."""
    shown = repr(ModelRequest("x" * 500, [Message("user", "secret")], system="secret"))
    assert "x" * 60 in shown
    assert "x" * 61 not in shown
    assert "secret" not in shown


def test_failed_models_are_those_of_failed_attempts() -> None:
    """The attempt that answered is none of them."""
    attempts = [Attempt("a", "one", LLMError("no")), Attempt("b", "two")]
    assert failed_models(attempts) == {("one", "a")}


# --- messages ---------------------------------------------------------------------------------------


def test_a_message_knows_its_words_and_its_images() -> None:
    """Both come in order, whether the content is one string or parts."""
    parts = Message("user", (TextPart("one"), IMAGE, TextPart("two")))
    assert (parts.text, parts.images) == ("one\ntwo", (IMAGE,))
    assert (Message("user", "one").text, Message("user", "one").images) == ("one", ())


def test_an_image_shows_only_its_beginning() -> None:
    """A picture does not fill the log."""
    assert repr(IMAGE) == f"ImagePart(url={IMAGE.url[:40]!r}…)"
    assert repr(ImagePart("data:,x")) == "ImagePart(url='data:,x')"


@pytest.mark.parametrize(("text", "parsed"), [('{"a": 1}', {"a": 1}), ("", {}), ("{}", {})])
def test_arguments_are_read_as_an_object(text: str, parsed: dict[str, int]) -> None:
    """Missing arguments are none."""
    assert ToolCall("1", "tool", text).parsed() == parsed


@pytest.mark.parametrize("text", ["[1]", "3", "{"])
def test_arguments_that_are_no_object_are_refused(text: str) -> None:
    """No tool runs on a guess."""
    with pytest.raises(ValueError):
        ToolCall("1", "tool", text).parsed()


# --- leases and replies -----------------------------------------------------------------------------


def test_a_lease_is_given_back_once() -> None:
    """Leaving it and releasing it again does no harm."""
    released: list[str] = []
    with Lease(a_deployment(), lambda: released.append("one")) as lease:
        assert released == []
    lease.release()
    assert released == ["one"]


def test_a_lease_is_given_back_when_something_goes_wrong() -> None:
    """No path can forget it."""
    released: list[str] = []
    with pytest.raises(OSError, match="no"), Lease(a_deployment(), lambda: released.append("one")):
        raise OSError("no")
    assert released == ["one"]


def test_a_lease_may_have_nothing_to_give_back() -> None:
    """Where nobody counts slots there is nothing to release."""
    with Lease(a_deployment(), waited=2.0) as lease:
        assert (lease.waited, lease.expected_load_seconds) == (2.0, None)


def test_a_reply_says_whether_it_is_whole() -> None:
    """Half an answer, and none but thoughts, are told apart from an answer."""
    assert Reply("half", "m", "one", finish_reason="length").truncated
    assert not Reply("whole", "m", "one").truncated
    assert Reply("", "m", "one", reasoning="hm").empty
    assert not Reply("", "m", "one", tool_calls=(ToolCall("1", "t"),)).empty
    assert not Reply("", "m", "one", embeddings=((1.0,),)).empty


def test_a_reply_is_its_text() -> None:
    """It prints as what was answered, and parses where that is JSON."""
    assert str(Reply("hello", "m", "one")) == "hello"
    assert Reply('{"a": [1]}', "m", "one").parsed() == {"a": [1]}
    with pytest.raises(ValueError):
        Reply("hello", "m", "one").parsed()


def test_usage_adds_up() -> None:
    """All tokens are those of the prompt and of the answer."""
    assert Usage(3, 4, reasoning_tokens=2).total_tokens == 7


def test_an_execution_is_stamped_with_the_wall_clock() -> None:
    """What is stored can be read years later."""
    assert ExecutionMetrics("m", "one", 1.0, True).timestamp == pytest.approx(clock.now().timestamp(), abs=60)
    assert clock.now().tzinfo is dt.UTC


def test_who_is_ineligible_can_be_read() -> None:
    """An entry of an explanation is a sentence."""
    assert str(Ineligible("m", "one", "cannot see images")) == "m on one: cannot see images"


def test_a_ranking_of_one_is_a_list() -> None:
    """A single name is not taken for its letters."""
    assert ModelSelection("m", ranking="other").ranking == ("other",)


# --- the fleet --------------------------------------------------------------------------------------


def test_a_deployment_has_the_smallest_of_its_contexts() -> None:
    """Whichever instance answers, the prompt fits."""
    info = ModelInfo("m", context_length=32_000)
    two = Deployment(info, a_host(), (Instance("m", 8192), Instance("m:2", 4096), Instance("m:3")))
    assert (two.loaded_context, two.room) == (4096, 4096)
    assert (Deployment(info, a_host()).loaded_context, Deployment(info, a_host()).room) == (None, 32_000)
    assert Deployment(ModelInfo("m"), a_host(), (Instance("m"),)).room == math.inf


def test_a_deployment_has_the_slots_of_its_instances() -> None:
    """One that does not say how many it has gets the host's default; without an instance there is none."""
    loaded = Deployment(
        ModelInfo("m"), a_host(), (Instance("m", parallel=4), Instance("m:2")), default_parallel=2
    )
    assert (loaded.slots, loaded.resident, loaded.key) == (6, True, ("one", "m"))
    assert (Deployment(ModelInfo("m"), a_host()).slots, Deployment(ModelInfo("m"), a_host()).resident) == (
        0,
        False,
    )


def test_a_leased_deployment_has_one_instance() -> None:
    """What it holds is worked out from that one."""
    two = Deployment(ModelInfo("m"), a_host(), (Instance("m", 8192, 4), Instance("m:2", 4096, 1)))
    leased = two.leased(two.instances[0])
    assert (leased.instances, leased.loaded_context, leased.slots) == ((two.instances[0],), 8192, 4)


def test_completion_is_queue_load_prompt_and_answer() -> None:
    """Every part of the wait is counted once."""
    estimate = Estimate(0.01, 0.1, load_seconds=20, queue_seconds=3)
    assert estimate.completion_seconds(100, 50) == 3 + 20 + 1 + 5


def test_a_candidate_is_as_fast_as_its_best_deployment() -> None:
    """What nobody has measured has a prior."""
    slow, fast, unknown = a_deployment(host="slow"), a_deployment(host="fast"), a_deployment(host="unknown")
    estimates = {slow: Estimate(queue_seconds=9), fast: Estimate(queue_seconds=1)}
    candidate = Candidate(slow.info, (slow, fast), estimates)
    assert candidate.completion_seconds(0, 0) == 1
    assert candidate.estimate(unknown) == Estimate()
    assert candidate.id == "m"
    assert candidate.resident
    assert not Candidate(slow.info, (a_deployment(loaded=None),)).resident


def test_a_fleet_groups_its_deployments_by_model() -> None:
    """A model is found by its name, a deployment by host and name."""
    here, there, other = a_deployment(), a_deployment(host="two"), a_deployment("other")
    fleet = Fleet((here, there, other))
    assert dict(fleet.models) == {"m": (here, there), "other": (other,)}
    assert fleet.find("two", "m") is there
    assert fleet.find("two", "other") is None
    assert fleet.find("two", "nothing") is None


def test_a_fleet_knows_which_hosts_are_silent() -> None:
    """A host that answered with nothing has answered."""
    reports = (HostReport(a_host("up")), HostReport(a_host("down"), error=LLMError("no")))
    assert Fleet((), reports).silent == ("down",)


def test_a_model_is_loaded_where_one_of_its_deployments_is() -> None:
    """Over all hosts a model is described once."""
    cold, warm = a_deployment(loaded=None), a_deployment(host="two")
    assert merged([cold, warm]).loaded
    assert not merged([cold]).loaded
    assert LoadOptions() == LoadOptions(None, None)


def test_a_candidate_is_shown_without_what_it_shares() -> None:
    """What thousands of candidates share would be written thousands of times, wherever one is logged."""
    deployments = [a_deployment(f"m{number}") for number in range(500)]
    shared = {deployment: Estimate() for deployment in deployments}
    candidate = Candidate(deployments[0].info, (deployments[0],), shared, ({"m0": {}},))
    assert len(repr(candidate)) < 2000
