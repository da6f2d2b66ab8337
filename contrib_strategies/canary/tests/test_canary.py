"""Experiments through a router, to emulated hosts, with their outcomes in a file."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import click
import pytest
from attrs import define, evolve, field
from click.testing import CliRunner
from turnout_canary import Canary, CanarySettings, Experiment
from turnout_canary.commands import lines
from turnout_canary.outcomes import MIGRATIONS, NAME, Conversation, read
from turnout_canary.plugin import UNDER_WAY
from turnout_canary.report import Finding, Report

from turnout import (
    Config,
    Deployment,
    Done,
    Event,
    ExecutionMetrics,
    JSONObject,
    LLMError,
    ModelRequest,
    ModelSelection,
    Router,
    SelectionSettings,
    Text,
    Tool,
    ToolCallDelta,
    hookimpl,
)
from turnout.config import PluginsSettings
from turnout.plugins import Plugins
from turnout.store import read_store
from turnout_testing import Crash, EmulatedModel, Emulator, HangBetweenChunks

pytestmark = pytest.mark.anyio

Routers = Callable[..., AbstractAsyncContextManager[Router]]
SMALL = EmulatedModel("acme/small", reply="Short.")
LARGE = EmulatedModel("acme/large", reply="A long answer.")
AB = Experiment("larger", SMALL.key, (LARGE.key,), weight=1.0)
SHADOW = evolve(AB, shadow=True)
CHAIN = Config(
    selection=SelectionSettings(order=("explicit", "canary", "performance", "fallback")),
    plugins=PluginsSettings(disabled=("resilience",)),  # which would go to the other model after a crash
)


@define
class World:
    """Two hosts with a model each, and a file for what comes of them."""

    routers: Routers
    path: Path
    desk: Emulator = field(factory=lambda: Emulator(models=(SMALL,), loaded=(SMALL.key,)))
    attic: Emulator = field(factory=lambda: Emulator(models=(LARGE,), loaded=(LARGE.key,)))

    def open(
        self, *experiments: Experiment, plugins: Mapping[str, object] | None = None
    ) -> AbstractAsyncContextManager[Router]:
        """Open a router that runs *experiments*, beside *plugins*."""
        hosts = {"desk": self.desk, "attic": self.attic}
        all_ = {"canary": self.plugin(*experiments), **(plugins or {})}
        return self.routers(hosts, config=CHAIN, plugins=all_)

    def plugin(self, *experiments: Experiment) -> Canary:
        """Make the plugin alone."""
        return Canary(CanarySettings(experiments, path=self.path))

    def kept(self, model: EmulatedModel) -> list[Conversation]:
        """Return what is in the file of one arm."""
        found = read_store(self.path, MIGRATIONS, read, name=NAME) or {}
        return list(found.get((AB.name, model.key), ()))


@define(eq=False)
class Watching:
    """Hears who asks, by the request's id."""

    clients: dict[str, str] = field(factory=dict)

    @hookimpl
    def record_selection(self, request: ModelRequest) -> None:
        """Note who asks."""
        self.clients[request.id] = request.client


@pytest.fixture(name="world")
def _world(turnout_router: Routers, tmp_path: Path) -> World:
    """Give a world of its own to each test."""
    return World(turnout_router, tmp_path / "canary.db")


async def test_outcomes_are_kept_by_conversation(world: World) -> None:
    """Two requests of one conversation are one observation, and its rating belongs to it."""
    async with world.open(AB) as router:
        for number in (1, 2):
            reply = await router.ask(ModelRequest("hi", conversation_id="7", id=str(number)))
            assert reply.model == LARGE.key
        reply.rate(0.5)
        await router.ask(ModelRequest("hi", conversation_id="8"))
        assert router.stats()["canary"] == {"under_way": 0, "path": str(world.path), "error": None}
    seven, eight = world.kept(LARGE)
    assert (seven.unit, seven.success, seven.valid, seven.rating) == ("7", 1.0, 1.0, 0.5)
    assert (eight.unit, eight.rating) == ("8", None)
    assert eight.seconds is not None
    assert eight.seconds > 0
    assert world.kept(SMALL) == []


async def test_a_failure_is_the_arms_own(world: World) -> None:
    """Where another model answers in its place, the arm has failed, and the other gains nothing by it."""
    world.attic.inject(Crash(model=LARGE.key))
    async with world.open(AB) as router:
        reply = await router.ask(ModelRequest("hi", id="1"))
        assert reply.model == SMALL.key
        reply.rate(1.0)
    (failed,) = world.kept(LARGE)
    assert (failed.success, failed.valid, failed.rating, failed.seconds) == (0.0, 0.0, None, None)
    assert world.kept(SMALL) == []


async def test_a_second_try_of_the_same_model_counts(world: World) -> None:
    """One request is one outcome, however many attempts it took, and their times add up."""
    world.attic.inject(Crash(model=LARGE.key, times=1))
    async with world.open(AB) as router:
        assert (await router.ask("hi")).model == LARGE.key
    (kept,) = world.kept(LARGE)
    assert (kept.success, kept.valid) == (1.0, 1.0)


@pytest.mark.parametrize(("max_tokens", "valid"), [(None, 0.0), (2, 1.0)])
async def test_half_an_answer_is_valid_only_where_it_was_asked_for(
    world: World, max_tokens: int | None, valid: float
) -> None:
    """An answer that was cut is no valid one, unless the caller cut it."""
    plugin = world.plugin(AB)
    async with world.open(AB) as router:
        opening = plugin.startup(router)
        assert opening is not None
        await opening
        request = ModelRequest("hi", max_tokens=max_tokens)
        decision = await router.explain(request)
        plugin.record_selection(request, decision.chosen(), decision.candidates)
        cut = ExecutionMetrics(
            LARGE.key, "attic", 1.0, success=True, finish_reason="length", request_id=request.id
        )
        plugin.record_execution(cut)
        await plugin.shutdown()
    assert [one.valid for one in world.kept(LARGE)] == [valid]


LOOK = Tool("look", parameters={"type": "object", "properties": {"at": {"type": "integer"}}})


@pytest.mark.parametrize(
    ("request_", "says", "valid"),
    [
        (ModelRequest("hi", schema={"type": "object"}), [Text(text='{"a": 1}')], 1.0),
        (ModelRequest("hi", schema={"type": "object"}), [Text(text="Sure!")], 0.0),
        (ModelRequest("hi", tools=(LOOK,)), [Text(text="Sure!")], 1.0),
        (ModelRequest("hi", tools=(LOOK,)), [ToolCallDelta(index=0, name="look", arguments="{}")], 1.0),
        (ModelRequest("hi", tools=(LOOK,)), [ToolCallDelta(index=0, name="look", arguments="[")], 0.0),
        (ModelRequest("hi", tools=(LOOK,)), [ToolCallDelta(index=0, name="look", arguments="[]")], 0.0),
        (ModelRequest("hi", tools=(LOOK,)), [ToolCallDelta(index=0, name="jump")], 0.0),
    ],
)
async def test_an_answer_without_its_shape_is_not_valid(
    world: World, request_: ModelRequest, says: list[Event], valid: float
) -> None:
    """It is a success of the arm that nobody can use, unless it parses and calls what was offered."""
    async with world.open(AB, plugins={"scripted": Scripted([*says, Done()])}) as router:
        await router.ask(request_)
    (kept,) = world.kept(LARGE)
    assert (kept.success, kept.valid) == (1.0, valid)


class Scripted:
    """A backend for the large model that says what it is told."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events

    @hookimpl(tryfirst=True)
    def execute_request(self, deployment: Deployment) -> Callable[[], AsyncIterator[Event]] | None:
        """Say it."""
        return self.say if deployment.model == LARGE.key else None

    async def say(self) -> AsyncGenerator[Event, None]:
        """Yield what it is told."""
        for event in self.events:
            yield event


async def test_who_gives_up_is_not_counted(world: World) -> None:
    """A request that the caller cancels is no outcome."""
    world.attic.inject(HangBetweenChunks(model=LARGE.key, after_chunks=1))
    async with world.open(AB) as router:
        with pytest.raises(LLMError):
            await router.ask(ModelRequest("hi", timeout=1.0))
        task = asyncio.create_task(router.ask(ModelRequest("hi", id="2")))
        await asyncio.sleep(2.0)
        task.cancel()
        await asyncio.wait({task})
        assert router.stats()["canary"]["under_way"] == 1  # type: ignore[index,call-overload]
    (late,) = world.kept(LARGE)
    assert late.success == 0.0


async def test_a_pin_is_no_assignment(world: World) -> None:
    """What somebody asked for by name is not counted, though it is an arm's model."""
    async with world.open(AB) as router:
        await router.ask("hi", model=LARGE.key)
    assert world.kept(LARGE) == []


async def test_what_never_ends_is_forgotten(world: World) -> None:
    """Requests of which no end is heard take up bounded room."""
    plugin = world.plugin(AB)
    async with world.open(AB) as router:
        decision = await router.explain("hi")
        for number in range(UNDER_WAY + 5):
            request = ModelRequest("hi", id=str(number))
            plugin.record_selection(request, decision.chosen(), decision.candidates)
    assert plugin.report_stats()["under_way"] == UNDER_WAY


async def test_what_was_forgotten_is_not_judged(world: World) -> None:
    """An answer that ends when its request is no longer known is passed on as it is."""
    plugin = world.plugin(AB)
    hooks = Plugins()
    hooks.add("scripted", Scripted([Text(text="Sure!"), Done()]))
    hooks.add("canary", plugin)
    async with world.open(AB) as router:
        decision = await router.explain(ModelRequest("hi", schema={"type": "object"}))
        plugin.record_selection(decision.request, decision.chosen(), decision.candidates)
        deployment = (await router.fleet()).models[LARGE.key][0]
        run = hooks.execute_request(decision.request, deployment)
        for number in range(UNDER_WAY):
            request = evolve(decision.request, id=str(number))
            plugin.record_selection(request, decision.chosen(), decision.candidates)
        assert [event async for event in run()] == [Text(text="Sure!"), Done()]


async def test_without_experiments_it_keeps_out_of_the_way(world: World) -> None:
    """Nothing is chosen, and no file is made."""
    async with world.open() as router:
        reply = await router.ask("hi")
        reply.rate(1.0)
        assert reply.selection is not None
        assert reply.selection.strategy_used == "performance"
    assert not world.path.exists()


async def test_an_unusable_file_costs_one_warning(world: World, tmp_path: Path) -> None:
    """The experiment goes on, and nothing is kept."""
    world.path = tmp_path / "file" / "canary.db"
    world.path.parent.write_text("no folder")
    async with world.open(AB) as router:
        assert (await router.ask("hi")).model == LARGE.key
        assert router.stats()["canary"]["path"] is None  # type: ignore[index,call-overload]


# --- shadow -------------------------------------------------------------------------------------------


async def settled() -> None:
    """Wait until nothing is generated any more, in virtual time."""
    await asyncio.sleep(60.0)


async def test_the_caller_gets_the_control_and_the_copy_comes_after(world: World) -> None:
    """The answer is the control's at its own speed, and both outcomes are kept as a pair."""
    async with world.open(SHADOW) as router:
        reply = await router.ask(ModelRequest("hi", id="1", conversation_id="7"))
        assert reply.model == SMALL.key
        assert not world.attic.generations
        await settled()
    (copy,) = world.attic.generations
    assert copy.submitted_at >= world.desk.generations[0].ended_at
    assert [one.unit for one in world.kept(SMALL)] == ["7"]
    assert [(one.unit, one.success) for one in world.kept(LARGE)] == [("7", 1.0)]


async def test_a_copy_is_known_by_its_client(world: World) -> None:
    """Other plugins can tell copies from requests whose answers somebody is shown."""
    watching = Watching()
    async with world.open(SHADOW, plugins={"watching": watching}) as router:
        await router.ask(ModelRequest("hi", id="1", client="cli"))
        await settled()
    assert watching.clients == {"1": "cli", "1-copy": "shadow"}


async def test_nothing_is_loaded_for_a_copy(world: World) -> None:
    """A treatment that is not resident gets none."""
    world.attic = Emulator(models=(LARGE,))
    async with world.open(SHADOW) as router:
        await router.ask("hi")
        await settled()
    assert not world.attic.loads
    assert not world.attic.generations


async def test_copies_go_only_where_the_request_may(world: World) -> None:
    """A request that may go to some hosts alone is copied to no other."""
    world.desk = Emulator(models=(SMALL, LARGE), loaded=(SMALL.key,))
    async with world.open(SHADOW) as router:
        await router.ask(ModelRequest("hi", hosts=frozenset({"desk"})))
        await settled()
    assert not world.attic.generations


async def test_one_copy_at_a_time_and_none_on_a_busy_host(world: World) -> None:
    """While a copy runs no other begins, nor while its host works for somebody."""
    async with world.open(SHADOW) as router:
        await asyncio.gather(router.ask("one"), router.ask("two"))
        await settled()
        assert len(world.attic.generations) == 1
        slow = asyncio.create_task(router.ask("tell " * 2000, model=LARGE.key))
        await asyncio.sleep(0.5)
        await router.ask("three")
        await slow
        await settled()
    assert len(world.attic.generations) == 2


async def test_a_copy_makes_way(world: World) -> None:
    """As soon as somebody is about to wait for its host, the copy is broken off, and does not count."""
    world.attic.inject(HangBetweenChunks(model=LARGE.key, after_chunks=1, times=1))
    async with world.open(SHADOW) as router:
        await router.ask("hi")
        await asyncio.sleep(5.0)
        reply = await router.ask("now", model=LARGE.key)
        assert reply.text == LARGE.reply
    assert [one.outcome for one in world.attic.generations] == ["cancelled", "finished"]
    assert world.kept(LARGE) == []


async def test_a_copy_ends_with_the_router(world: World) -> None:
    """Closing waits for no copy, and leaves none behind."""
    world.attic.inject(HangBetweenChunks(model=LARGE.key, after_chunks=1))
    async with world.open(SHADOW) as router:
        await router.ask("hi")
        await asyncio.sleep(5.0)
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 1.0
    await asyncio.sleep(5.0)
    assert [one.outcome for one in world.attic.generations] == ["cancelled"]


async def test_a_copy_that_fails_is_an_outcome(world: World) -> None:
    """The treatment's failure counts, and the caller never hears of it."""
    world.attic.inject(Crash(model=LARGE.key))
    async with world.open(SHADOW) as router:
        assert (await router.ask("hi")).model == SMALL.key
        await settled()
    assert [one.success for one in world.kept(LARGE)] == [0.0]


# --- the report ---------------------------------------------------------------------------------------


@define
class Written:
    """Collects what a verb writes, in place of a terminal."""

    lines: list[str] = field(factory=list)
    notes: list[str] = field(factory=list)
    documents: list[JSONObject] = field(factory=list)

    @property
    def out(self) -> "Written":
        """Stand for the command line too."""
        return self

    def line(self, text: str) -> None:
        """Collect a line."""
        self.lines.append(text)

    def note(self, text: str) -> None:
        """Collect a note."""
        self.notes.append(text)

    def json(self, value: JSONObject) -> None:
        """Collect a document."""
        self.documents.append(json.loads(json.dumps(value)))


def run(plugin: Canary, *arguments: str) -> Written:
    """Run ``canary`` with *arguments*, as the command line does."""
    cli, written = click.Group(), Written()
    plugin.register_commands(cli)
    done = CliRunner().invoke(cli, ["canary", *arguments], obj=written, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return written


async def filled(world: World, experiment: Experiment, conversations: int = 120) -> Canary:
    """Keep outcomes of some conversations, of which the control fails half and the treatment none."""
    plugin = world.plugin(experiment)
    async with world.open(experiment) as router:
        opening = plugin.startup(router)
        assert opening is not None
        await opening
        decision = await router.explain("hi")
        for number in range(conversations):
            request = ModelRequest("hi", id=str(number))
            selection = plugin.select_model(request, decision.candidates)
            assert selection is not None
            plugin.record_selection(request, selection, decision.candidates)
            plugin.record_execution(ended(request, selection, number))
        await plugin.shutdown()
    return plugin


def ended(request: ModelRequest, selection: ModelSelection, number: int) -> ExecutionMetrics:
    """Return how one request ended."""
    control = selection.model == SMALL.key
    return ExecutionMetrics(
        selection.model,
        "desk",
        (2.0 if control else 4.0) + 0.1 * (number % 5),
        success=not control or bool(number % 2),
        finish_reason="stop",
        request_id=request.id,
    )


async def test_the_report_says_what_is_real(world: World) -> None:
    """What is beyond chance is called better or worse, with the interval that says so."""
    plugin = await filled(world, evolve(AB, weight=0.5))
    written = run(plugin, "report").lines
    assert written[0] == "larger (50% to the treatments)"
    assert written[1].startswith(f"  control   {SMALL.key}: ")
    assert any(f"{LARGE.key}, valid: better, +0." in line for line in written)
    assert any(f"{LARGE.key}, seconds: worse, ×" in line for line in written)


async def test_the_report_is_there_as_json(world: World) -> None:
    """Arms and findings come with all their numbers."""
    plugin = await filled(world, evolve(AB, weight=0.5))
    (document,) = run(plugin, "report", "--json").documents
    experiment = document["experiments"][0]  # type: ignore[index]
    assert isinstance(experiment, dict)
    assert [arm["model"] for arm in experiment["arms"]] == [SMALL.key, LARGE.key]  # type: ignore[index,union-attr,call-overload]
    verdicts = {f["measure"]: f["verdict"] for f in experiment["findings"]}  # type: ignore[index,union-attr,call-overload]
    assert verdicts == {"success": "better", "valid": "better", "seconds": "worse"}


async def test_the_report_counts_what_is_missing(world: World) -> None:
    """After a few conversations it says how many more it takes, and that some differences are too small."""
    plugin = await filled(world, evolve(AB, weight=0.5), 30)
    valid = next(line for line in run(plugin, "report").lines if ", valid: not yet, +0." in line)
    assert "more conversations until a difference that matters would show" in valid
    finding = Finding(LARGE.key, "valid", "not yet", 0.04, -0.03, 0.11, 0.07, 0)
    words = list(lines(Report(AB, (), (finding,))))[-1]
    assert words.endswith("+0.04 (between -0.03 and +0.11): what there may be is smaller than what matters")


async def test_the_report_says_what_is_missing(world: World) -> None:
    """Before anything is known it says not yet, and without experiments how to have one."""
    assert run(world.plugin(SHADOW), "report").lines[-1].endswith("not yet, too few conversations to compare")
    assert run(world.plugin(), "report").notes == ["no experiment is configured: [[canary.experiments]]"]
