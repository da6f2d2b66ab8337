"""Conversations through a router, to emulated hosts."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

import pytest
from attrs import evolve
from turnout_sticky import Sticky, StickySettings
from turnout_sticky.plugin import UNDER_WAY

from turnout import (
    Config,
    Decision,
    ExecutionMetrics,
    Message,
    ModelRequest,
    Operation,
    Reply,
    Router,
    SelectionSettings,
    Tool,
    ToolCall,
)
from turnout.plugins import Plugins
from turnout.structure import structure
from turnout_testing import Crash, EmulatedModel, Emulator

pytestmark = pytest.mark.anyio

Routers = Callable[..., AbstractAsyncContextManager[Router]]
TALE = " ".join(["tale"] * 60)
QUICK = EmulatedModel("acme/quick", reply=TALE, decode_rate=60.0, prefill_rate=4000.0)
SLOW = EmulatedModel("acme/slow", reply=TALE, decode_rate=30.0, prefill_rate=1000.0)
ORDER = Config(selection=SelectionSettings(order=("explicit", "sticky", "performance", "fallback")))


def hosts() -> dict[str, Emulator]:
    """Make two hosts, each with one model that is loaded."""
    return {
        "desk": Emulator(models=(QUICK,), loaded=(QUICK.key,), era="0.4.25"),
        "attic": Emulator(models=(SLOW,), loaded=(SLOW.key,), era="0.4.25"),
    }


def settings(values: Mapping[str, float] | None = None) -> StickySettings:
    """Read settings as the router does."""
    return structure(StickySettings, dict(values or {}), "sticky", str)


@pytest.fixture(name="router")
def _router(turnout_router: Routers) -> Callable[..., AbstractAsyncContextManager[Router]]:
    """Give a maker of routers with the plugin."""

    def make(
        values: Mapping[str, float] | None = None, emulators: Mapping[str, Emulator] | None = None
    ) -> AbstractAsyncContextManager[Router]:
        plugin = Sticky(settings(values))
        return turnout_router(emulators or hosts(), config=ORDER, plugins={"sticky": plugin})

    return make


async def learn(router: Router) -> None:
    """Let the router measure both models."""
    for model in (QUICK, SLOW):
        await router.ask("How fast are you?", model=model.key)


def told(request: ModelRequest, reply: Reply, more: str) -> ModelRequest:
    """Return the next turn: what was asked, the answer, and what is asked now."""
    asked = (*request.messages, Message("user", request.task), Message("assistant", reply.text))
    return ModelRequest(more, messages=asked)


def words(decision: Decision) -> str:
    """Return what the plugin said in a decision."""
    return next(v.detail for v in decision.explanation.verdicts if v.strategy == "sticky")


async def test_a_new_conversation_is_the_chains(router: Routers) -> None:
    """Where a conversation begins, the next strategy chooses."""
    async with router() as opened:
        selection = await opened.route("Hello")
    assert selection.strategy_used == "performance"


async def test_a_conversation_stays_where_it_was_answered(router: Routers) -> None:
    """Although another would be faster, the next turn and the one after it go to the same model."""
    async with router() as opened:
        first = ModelRequest("Hello")
        reply = await opened.ask(first, model=SLOW.key)
        second = told(first, reply, "And then?")
        again = await opened.ask(second)
        third = await opened.ask(told(second, again, "And after that?"))
        stats = opened.stats()["sticky"]
    assert (again.model, third.model) == (SLOW.key, SLOW.key)
    assert again.selection is not None
    assert again.selection.strategy_used == "sticky"
    assert again.selection.reason.startswith("this conversation is here: about ")
    assert stats == {"remembered": 3, "kept_by_servers": 0}


async def test_it_leaves_where_that_is_worth_it(router: Routers) -> None:
    """Beyond both margins it declines with the reason, and the chain chooses."""
    async with router({"margin": 0.01, "margin_seconds": 0.0}) as opened:
        await learn(opened)
        first = ModelRequest("Hello")
        reply = await opened.ask(first, model=SLOW.key)
        decision = await opened.explain(told(first, reply, "And then?"))
    assert decision.chosen().model == QUICK.key
    assert f"this conversation leaves {SLOW.key} (about" in words(decision)


@pytest.mark.parametrize("values", [{"margin": 0.01}, {"margin_seconds": 0.0, "margin": 50.0}])
async def test_one_margin_is_enough_to_stay(router: Routers, values: Mapping[str, float]) -> None:
    """It must be slower by the share and by the seconds."""
    async with router(values) as opened:
        await learn(opened)
        first = ModelRequest("Hello")
        reply = await opened.ask(first, model=SLOW.key)
        assert (await opened.route(told(first, reply, "And then?"))).model == SLOW.key


async def test_a_tool_loop_never_switches(router: Routers) -> None:
    """While a tool's result is what is sent, no margin moves the conversation."""
    tools = (Tool("look"),)
    async with router({"margin": 0.0, "margin_seconds": 0.0}) as opened:
        await learn(opened)
        first = ModelRequest("Look", tools=tools)
        await opened.ask(first, model=SLOW.key)
        messages = (
            Message("user", "Look"),
            Message("assistant", tool_calls=(ToolCall("1", "look"),)),
            Message("tool", "a bird", tool_call_id="1"),
        )
        looping = await opened.explain(ModelRequest(messages=messages, tools=tools))
        after = await opened.route(ModelRequest("Thanks", messages=messages, tools=tools))
    assert looping.chosen().model == SLOW.key
    assert words(looping).startswith("its tools are at work: ")
    assert after.model == QUICK.key


async def test_a_conversation_id_needs_no_messages(router: Routers) -> None:
    """Clients that name their conversations may send what they like."""
    async with router() as opened:
        await learn(opened)
        await opened.ask(ModelRequest("Hello", conversation_id="7"), model=SLOW.key)
        assert (await opened.route(ModelRequest("More", conversation_id="7"))).model == SLOW.key
        assert (await opened.route(ModelRequest("More", conversation_id="8"))).model == QUICK.key


async def test_a_failure_moves_it_to_who_answered(router: Routers) -> None:
    """When its model fails, the one that answers instead is its home from then on."""
    emulators = hosts()
    async with router(emulators=emulators) as opened:
        first = ModelRequest("Hello", conversation_id="7")
        await opened.ask(first, model=SLOW.key)
        emulators["attic"].inject(Crash(model=SLOW.key))
        reply = await opened.ask(evolve(first, id="second"))
        assert reply.model == QUICK.key
        decision = await opened.explain(evolve(first, id="third"))
    assert decision.chosen().strategy_used == "sticky"
    assert decision.chosen().model == QUICK.key


async def test_a_model_that_may_not_answer_is_named(router: Routers) -> None:
    """Where the home is no candidate, it declines and says so."""
    async with router() as opened:
        await opened.ask(ModelRequest("Hello", conversation_id="7"), model=SLOW.key)
        elsewhere = ModelRequest("More", conversation_id="7", hosts=frozenset({"desk"}))
        decision = await opened.explain(elsewhere)
    assert decision.chosen().model == QUICK.key
    assert f"this conversation's model {SLOW.key} cannot take the request" in words(decision)


async def test_the_only_model_is_not_compared(router: Routers) -> None:
    """Where there is no other, nothing is said of seconds."""
    async with router(emulators={"attic": hosts()["attic"]}) as opened:
        first = ModelRequest("Hello", conversation_id="7")
        await opened.ask(first)
        decision = await opened.explain(first)
    assert words(decision) == "this conversation is here, and there is no other"


async def test_it_is_forgotten_after_its_time(router: Routers) -> None:
    """A conversation that rests for longer than `ttl` begins anew."""
    async with router({"ttl": 60.0}) as opened:
        await learn(opened)
        first = ModelRequest("Hello", conversation_id="7")
        await opened.ask(first, model=SLOW.key)
        await asyncio.sleep(59.0)
        assert (await opened.route(first)).model == SLOW.key
        await asyncio.sleep(2.0)
        assert (await opened.route(first)).model == QUICK.key


async def test_the_held_prefix_counts_for_its_host_alone(router: Routers) -> None:
    """The prompt that the host holds already costs nothing there, and its full price elsewhere."""
    long = "word " * 4000
    twins = {
        "desk": Emulator(models=(QUICK,), loaded=(QUICK.key,)),
        "attic": Emulator(models=(QUICK,), loaded=(QUICK.key,)),
    }
    async with router(emulators=twins) as opened:
        first = ModelRequest(long, conversation_id="7", hosts=frozenset({"attic"}))
        await opened.ask(first)
        (candidate,) = (await opened.explain(ModelRequest(long, conversation_id="7"))).candidates
        rates = {d.host.name: candidate.estimate(d).prefill_seconds_per_token for d in candidate.deployments}
        assert rates["attic"] < rates["desk"] / 10
        replies = [await opened.ask(ModelRequest(long, conversation_id="7")) for _ in range(8)]
    assert {reply.host for reply in replies} == {"attic"}


@pytest.mark.parametrize("pinned", [None, QUICK.key])
async def test_what_a_server_keeps_never_moves(router: Routers, pinned: str | None) -> None:
    """With `previous_response_id` only the host that gave that response may answer, by no margin."""
    everywhere = {
        "desk": Emulator(models=(QUICK, SLOW), loaded=(QUICK.key,), era="0.4.25"),
        "attic": Emulator(models=(QUICK, SLOW), loaded=(SLOW.key,), era="0.4.25"),
    }
    async with router({"margin": 0.0, "margin_seconds": 0.0}, everywhere) as opened:
        await learn(opened)
        first = ModelRequest("Hello", store=True, hosts=frozenset({"attic"}))
        reply = await opened.ask(first, model=SLOW.key)
        assert reply.response_id is not None
        more = ModelRequest("More", previous_response_id=reply.response_id, explicit_model=pinned)
        again = await opened.ask(more)
        decision = await opened.explain(more)
    assert (again.model, again.host) == (pinned or SLOW.key, "attic")
    assert any(
        entry.host == "desk" and "this conversation is kept on attic" in entry.reason
        for entry in decision.explanation.ineligible
    )
    if pinned is None:
        assert words(decision).startswith("attic keeps this conversation: ")


async def test_an_unknown_response_is_the_chains(router: Routers) -> None:
    """Nothing is known of a response that was given before the start."""
    async with router() as opened:
        decision = await opened.explain(ModelRequest("More", previous_response_id="resp_1"))
    assert decision.chosen().strategy_used == "performance"


async def test_embeddings_are_not_remembered() -> None:
    """Vectors are no conversation."""
    plugin = Sticky(settings())
    request = ModelRequest(operation=Operation.EMBEDDINGS, inputs=("a",), conversation_id="7")
    plugin.record_selection(request)
    assert plugin.select_model(request, []) is None
    assert plugin.report_stats() == {"remembered": 0, "kept_by_servers": 0}


async def test_where_nobody_predicts_nothing_is_made_up() -> None:
    """Without anybody's estimates there is no prefix to leave out of them."""
    plugins = Plugins()
    plugins.add("sticky", Sticky(settings()))
    assert plugins.estimate(ModelRequest("Hello"), []) == {}


async def test_what_never_ends_is_forgotten() -> None:
    """Requests of which no end is ever heard take up bounded room, and the oldest go first."""
    plugin = Sticky(settings())
    for number in range(UNDER_WAY + 1):
        plugin.record_selection(ModelRequest("Hello", conversation_id=str(number), id=str(number)))
    for number in (0, 1):
        plugin.record_execution(ExecutionMetrics("m", "desk", 1.0, success=True, request_id=str(number)))
    assert plugin.report_stats()["remembered"] == 1
