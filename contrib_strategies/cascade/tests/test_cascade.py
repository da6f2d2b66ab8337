"""Requests through a router, to emulated hosts."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

import pytest
from attrs import evolve
from turnout_cascade import AnswerRejectedError, Cascade, CascadeSettings
from turnout_cascade.plugin import UNDER_WAY
from turnout_cascade.self_check import question

from turnout import (
    JSON,
    Config,
    Deployment,
    Done,
    Event,
    ExecutionMetrics,
    Host,
    LLMError,
    ModelInfo,
    ModelRequest,
    Progress,
    Router,
    RouterSettings,
    SelectionSettings,
    StreamInterruptedError,
    Text,
    Tool,
    hookimpl,
)
from turnout_testing import Crash, EmulatedModel, Emulator, ModelReply, Prompt, ToolCall

pytestmark = pytest.mark.anyio

Routers = Callable[..., AbstractAsyncContextManager[Router]]
Open = Callable[..., AbstractAsyncContextManager[Router]]
SMALL = EmulatedModel(
    "acme/small-4b", params_string="4B", size_bytes=2 * 10**9, reply="Short.", decode_rate=90
)
LARGE = EmulatedModel(
    "acme/large-32b", params_string="32B", size_bytes=20 * 10**9, reply="Long.", decode_rate=9
)
CHAIN = Config(selection=SelectionSettings(order=("explicit", "cascade", "performance", "fallback")))
CHECKED = CascadeSettings(self_check=True)
REFUSAL = "I'm sorry, but I can't help with that."


def desk(small: EmulatedModel = SMALL, large: EmulatedModel = LARGE) -> Emulator:
    """Make a host with both models loaded."""
    return Emulator(models=(small, large), loaded=(small.key, large.key))


class Watcher:
    """Collects what the learning plugins are told."""

    def __init__(self) -> None:
        self.seen: list[ExecutionMetrics] = []

    @hookimpl
    def record_execution(self, metrics: ExecutionMetrics) -> None:
        """Collect one execution."""
        self.seen.append(metrics)


@pytest.fixture(name="watcher")
def _watcher() -> Watcher:
    """Give a watcher that has seen nothing."""
    return Watcher()


@pytest.fixture(name="opened")
def _opened(turnout_router: Routers, watcher: Watcher) -> Open:
    """Give a maker of routers with the plugin and the watcher."""

    def make(
        host: Emulator,
        settings: CascadeSettings | None = None,
        config: Config = CHAIN,
        scripted: object = None,
    ) -> AbstractAsyncContextManager[Router]:
        plugins: dict[str, object] = {"cascade": Cascade(settings or CascadeSettings()), "watcher": watcher}
        if scripted is not None:
            plugins["scripted"] = scripted
        return turnout_router({"desk": host}, config=config, plugins=plugins)

    return make


def counts(router: Router) -> Mapping[str, JSON]:
    """Return what the plugin has counted."""
    counted = router.stats().get("cascade", {})
    assert isinstance(counted, dict)
    return counted


async def test_a_small_answer_that_holds_is_the_answer(opened: Open) -> None:
    """The large model is not asked."""
    host = desk()
    async with opened(host) as router:
        reply = await router.ask("What is the capital of France?")
        assert counts(router) == {SMALL.key: {"passed": 1}}
    assert (reply.text, reply.model) == ("Short.", SMALL.key)
    assert len(host.generations) == 1


async def test_an_answer_that_does_not_hold_is_never_seen(opened: Open, watcher: Watcher) -> None:
    """The next rung answers instead, and the attempt says why."""
    host = desk(evolve(SMALL, reply=REFUSAL))
    async with opened(host) as router:
        stream = router.open_stream("What is the capital of France?")
        text = "".join([event.text async for event in stream if isinstance(event, Text)])
        reply = stream.reply
        assert counts(router) == {SMALL.key: {"refusal": 1}}
    assert text == reply.text == "Long."
    refused, answered = reply.attempts
    assert isinstance(refused.error, AnswerRejectedError)
    assert "it refuses" in str(refused.error)
    assert (refused.error.answer, refused.error.above) == (REFUSAL, (LARGE.key,))
    assert (answered.model, answered.error) == (LARGE.key, None)
    assert reply.selection is not None
    assert reply.selection.reason.startswith("the last rung of the cascade")
    assert [one.error for one in watcher.seen] == ["AnswerRejectedError", None]


async def test_the_last_rung_is_not_checked(opened: Open) -> None:
    """There is nobody to do better, so its answer is passed on whatever it is."""
    async with opened(desk(evolve(SMALL, reply=REFUSAL), evolve(LARGE, reply=REFUSAL))) as router:
        assert (await router.ask("Hello")).text == REFUSAL


async def test_a_tool_call_is_held_against_its_tool(opened: Open) -> None:
    """Arguments that do not fit are the small model's failure, and no tool is run on a guess."""
    tool = Tool("look", parameters={"type": "object", "properties": {"at": {"type": "integer"}}})
    wrong = evolve(SMALL, tool_calls=(ToolCall(name="look", arguments='{"at": "there"}'),))
    right = evolve(LARGE, tool_calls=(ToolCall(name="look", arguments='{"at": 1}'),))
    async with opened(desk(wrong, right)) as router:
        reply = await router.ask("Look", tools=(tool,))
    assert [call.arguments for call in reply.tool_calls] == ['{"at": 1}']


async def test_others_selections_are_left_alone(opened: Open) -> None:
    """What a pin or another strategy chose is not held and not checked."""
    async with opened(desk(evolve(SMALL, reply=REFUSAL))) as router:
        reply = await router.ask("Hello", model=SMALL.key)
        assert counts(router) == {}
    assert reply.text == REFUSAL


async def test_the_last_attempt_is_not_wasted(opened: Open) -> None:
    """Where no attempt would be left for another, the answer is passed on."""
    config = evolve(CHAIN, router=RouterSettings(max_attempts=1))
    async with opened(desk(evolve(SMALL, reply=REFUSAL)), config=config) as router:
        assert (await router.ask("Hello")).text == REFUSAL


async def test_a_doubtful_answer_is_better_than_none(opened: Open) -> None:
    """Where the next rung is not predicted to be done before the deadline, the answer is passed on."""
    slow = evolve(LARGE, decode_rate=1.0, reply=" ".join(map(str, range(50))))
    async with opened(desk(evolve(SMALL, reply=REFUSAL), slow)) as router:
        await router.ask("Hello", model=slow.key)
        assert (await router.ask("Hello", timeout=20.0)).text == REFUSAL
        assert counts(router) == {SMALL.key: {"unheld": 1}}
        assert (await router.ask("Hello", timeout=2000.0)).model == slow.key


async def test_a_loop_is_broken_off(opened: Open, watcher: Watcher) -> None:
    """A stream that goes round in circles is stopped long before its end."""
    host = desk(evolve(SMALL, reply="over and over and " * 3000))
    async with opened(host) as router:
        stream = router.open_stream("Hello", timeout=5000.0)
        assert "".join([event.text async for event in stream if isinstance(event, Text)]) == "Long."
        assert counts(router) == {SMALL.key: {"repetition": 1}}
    assert watcher.seen[0].duration_seconds < 15
    assert [one.outcome for one in host.generations] == ["cancelled", "finished"]


async def test_a_crash_under_a_held_answer_is_not_seen(opened: Open) -> None:
    """Even after its first words a rung may fail, and the next answers."""
    host = desk(evolve(SMALL, reply="one two three four five six"))
    host.inject(Crash(model=SMALL.key, after_chunks=3))
    async with opened(host) as router:
        stream = router.open_stream("Hello")
        text = "".join([event.text async for event in stream if isinstance(event, Text)])
    assert text == "Long."


async def streamed(router: Router) -> list[Event]:
    """Return the events of one request, without the frames that mean nothing."""
    return [event async for event in router.stream("Hello") if isinstance(event, Text | Progress)]


class Scripted:
    """A backend for the small model that does what it is told, each time anew."""

    def __init__(self, *runs: Sequence[Event | LLMError]) -> None:
        self.runs = list(runs)

    @hookimpl(tryfirst=True)
    def execute_request(self, deployment: Deployment) -> Callable[[], AsyncIterator[Event]] | None:
        """Play the next run."""
        return self.play if deployment.model == SMALL.key else None

    async def play(self) -> AsyncGenerator[Event, None]:
        """Yield what the script says, and raise what it says."""
        for step in self.runs.pop(0):
            if isinstance(step, LLMError):
                raise step
            yield step


async def test_half_an_answer_is_not_passed_on(opened: Open) -> None:
    """A stream that ends without an end has failed before anything of it is seen."""
    async with opened(desk(), scripted=Scripted([Text(text="Sho")])) as router:
        stream = router.open_stream("Hello")
        text = "".join([event.text async for event in stream if isinstance(event, Text)])
    assert text == "Long."
    (failed, _) = stream.reply.attempts
    assert isinstance(failed.error, StreamInterruptedError)
    assert failed.error.partial == "Sho"


async def test_progress_is_passed_on_while_the_answer_is_held(opened: Open) -> None:
    """The caller sees that something is going on, and then the answer, or that of the next rung."""
    reading = Progress(stage="prefill", fraction=0.5)
    script = Scripted([reading, Text(text="Sho"), reading, Text(text="rt."), Done()], [reading, Done()])
    async with opened(desk(), scripted=script) as router:
        assert await streamed(router) == [reading, reading, Text(text="Sho"), Text(text="rt.")]
        first, *rest = await streamed(router)
    assert first == reading
    assert "".join([event.text for event in rest if isinstance(event, Text)]) == "Long."


async def test_a_check_that_fails_is_no_verdict(opened: Open) -> None:
    """Where the question itself cannot be answered, the answer is passed on."""
    script = Scripted([Text(text="Short."), Done()], [LLMError("no")])
    async with opened(desk(), CHECKED, scripted=script) as router:
        assert await streamed(router) == [Text(text="Short.")]
    assert not script.runs


async def test_speeds_are_those_of_the_model(opened: Open, watcher: Watcher) -> None:
    """What the learning plugins are told is the speed of the generation, not that of the release."""
    host = desk(evolve(SMALL, reply=" ".join(map(str, range(90)))))
    async with opened(host) as router:
        async for _ in router.stream("Hello"):
            pass
        async for _ in router.stream("Hello", model=SMALL.key):
            pass
    held, plain = watcher.seen
    assert held.tokens_per_second == pytest.approx(plain.tokens_per_second, rel=0.1)
    assert held.time_to_first_token == pytest.approx(plain.time_to_first_token, rel=0.2)


# --- the self-check -----------------------------------------------------------------------------------


def doubting(says: str, answer: str = "Short.") -> EmulatedModel:
    """Make the small model, which says *says* when it is asked about its answer."""

    def reply(prompt: Prompt) -> ModelReply:
        asked = "Look critically" in prompt.last_text
        return ModelReply(text=says if asked else answer)

    return evolve(SMALL, reply=reply)


@pytest.mark.parametrize(
    ("says", "model"),
    [("Yes.", SMALL.key), ("No, it is not.", LARGE.key), ("Who knows", SMALL.key), ("no", LARGE.key)],
)
async def test_a_model_may_doubt_itself(opened: Open, says: str, model: str) -> None:
    """A no escalates; a yes, or neither, is no evidence against the answer."""
    host = desk(doubting(says))
    async with opened(host, CHECKED) as router:
        assert (await router.ask("Hello")).model == model
    assert {one.model for one in host.generations[:2]} == {SMALL.key}


def test_what_a_model_asks_itself_is_known_by_its_client() -> None:
    """Other plugins can tell the question from a request whose answer somebody is shown."""
    deployment = Deployment(ModelInfo(SMALL.key), Host("desk", "http://desk.local:1234", "lmstudio"))
    asked = question(ModelRequest("Hello", client="cli"), "Short.", deployment, 256)
    assert asked.client == "shadow"


async def test_the_verdict_is_not_waited_for_to_its_end(opened: Open) -> None:
    """As soon as the word is said, the rest of the sentence is stopped."""
    host = desk(doubting("Yes, " + "and so on " * 200))
    async with opened(host, CascadeSettings(self_check=True, self_check_tokens=1000)) as router:
        assert (await router.ask("Hello")).model == SMALL.key
        await asyncio.sleep(1.0)
    assert [one.outcome for one in host.generations] == ["finished", "cancelled"]


async def test_what_never_ends_is_forgotten(opened: Open) -> None:
    """Requests of which no end is heard take up bounded room, and the oldest are not checked any more."""
    plugin = Cascade(CascadeSettings())
    async with opened(desk()) as router:
        decision = await router.explain("Hello")
        for number in range(UNDER_WAY + 1):
            request = evolve(decision.request, id=str(number))
            plugin.record_selection(request, decision.chosen(), decision.candidates)
        assert len(plugin.under_way) == UNDER_WAY
        assert "0" not in plugin.under_way
