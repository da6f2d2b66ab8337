"""The plugin in a router: it learns from emulated hosts, and remembers in a file."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import click
import pytest
from attrs import define, field
from click.testing import CliRunner
from turnout_bandit import Bandit, BanditSettings
from turnout_bandit.plugin import UNDER_WAY

from turnout import (
    Config,
    ExecutionMetrics,
    JSONObject,
    ModelRequest,
    Router,
    SelectionSettings,
    TaskType,
)
from turnout_testing import Crash, EmulatedModel, Emulator

pytestmark = pytest.mark.anyio

Routers = Callable[..., AbstractAsyncContextManager[Router]]
OWL = EmulatedModel("acme/owl", reply="Hoot.")
HAWK = EmulatedModel("acme/hawk", reply="Screech.")
CHAIN = Config(selection=SelectionSettings(order=("explicit", "bandit", "fallback")))
PLANNING = "planning"


def desk() -> Emulator:
    """Make a host with both models loaded."""
    return Emulator(models=(OWL, HAWK), loaded=(OWL.key, HAWK.key))


@define
class Nest:
    """A router over one host, with the plugin and its file."""

    routers: Routers
    path: Path

    def plugin(self) -> Bandit:
        """Make the plugin anew, as a start does."""
        return Bandit(BanditSettings(path=self.path))

    def open(
        self, plugin: Bandit | None = None, host: Emulator | None = None
    ) -> AbstractAsyncContextManager[Router]:
        """Open a router."""
        plugins = {"bandit": plugin or self.plugin()}
        return self.routers({"desk": host or desk()}, config=CHAIN, plugins=plugins)


@pytest.fixture(name="nest")
def _nest(turnout_router: Routers, tmp_path: Path) -> Nest:
    """Give a nest of its own to each test."""
    return Nest(turnout_router, tmp_path / "bandit.db")


def mean(plugin: Bandit, model: EmulatedModel) -> float | None:
    """Return what is believed of a model's planning."""
    return plugin.beliefs.evidence(PLANNING, model.key).mean


async def test_it_learns_from_what_others_chose_too(nest: Nest) -> None:
    """An answer that somebody asked for by name teaches as much as any other."""
    plugin = nest.plugin()
    async with nest.open(plugin) as router:
        await router.ask("Hello", model=OWL.key, task_type=TaskType.PLANNING)
        known = mean(plugin, OWL)
    assert known is not None
    assert 0.75 < known <= 0.8


@pytest.mark.parametrize("client", ["calibration", "shadow"])
async def test_nothing_is_learned_from_what_nobody_was_shown(nest: Nest, client: str) -> None:
    """Probes and copies teach nothing: that an answer came does not say that it was right."""
    plugin = nest.plugin()
    async with nest.open(plugin) as router:
        request = ModelRequest(
            "Hello", explicit_model=OWL.key, task_type=TaskType.PLANNING, client=client
        )
        await router.ask(request)
        assert mean(plugin, OWL) is None
    again = nest.plugin()
    async with nest.open(again):
        assert mean(again, OWL) is None


async def test_a_crash_is_a_failure_of_its_model(nest: Nest) -> None:
    """Each attempt counts for the model that made it."""
    host, plugin = desk(), nest.plugin()
    host.inject(Crash(model=OWL.key))
    async with nest.open(plugin, host) as router:
        request = ModelRequest(
            "Hello", explicit_model=OWL.key, allow_fallback=True, task_type=TaskType.PLANNING
        )
        assert (await router.ask(request)).model == HAWK.key
    assert mean(plugin, OWL) == 0.0
    assert (mean(plugin, HAWK) or 0.0) > 0.7


async def test_it_remembers_across_starts(nest: Nest) -> None:
    """What was learned and rated is there again, as it was."""
    first = nest.plugin()
    async with nest.open(first) as router:
        await router.ask("Hello", model=HAWK.key, task_type=TaskType.PLANNING)
        reply = await router.ask("Hello", model=OWL.key, task_type=TaskType.PLANNING)
        reply.rate(1.0)
        stats = router.stats()["bandit"]
        assert isinstance(stats, dict)
        assert (stats["path"], stats["error"]) == (str(nest.path), None)
    second = nest.plugin()
    async with nest.open(second):
        assert mean(second, OWL) == pytest.approx(mean(first, OWL), abs=1e-3)
        assert mean(second, HAWK) == pytest.approx(mean(first, HAWK), abs=1e-3)
    assert (mean(first, OWL) or 0.0) > 0.95


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from turnout import ExecutionMetrics, TaskType
from turnout_bandit import Bandit, BanditSettings

async def main():
    plugin = Bandit(BanditSettings(path=Path(sys.argv[1])))
    await plugin.startup()
    for number in range(20):
        plugin.record_execution(ExecutionMetrics(
            "acme/owl", "desk", 1.0, success=True, task_type=TaskType.PLANNING, request_id=str(number)))
    await asyncio.to_thread(plugin._store.flush)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def killed(path: Path) -> int:
    """Run a process that learns and kills itself; return how it ended."""
    command = [sys.executable, "-c", KILLED, str(path)]
    return subprocess.run(command, env=os.environ, check=False, timeout=60).returncode  # noqa: S603  ours


async def test_a_kill_loses_nothing_that_was_written(nest: Nest) -> None:
    """Killed without any warning, the next start knows what the last one had learned."""
    assert killed(nest.path) == -signal.SIGKILL
    plugin = nest.plugin()
    async with nest.open(plugin):
        assert plugin.beliefs.evidence(PLANNING, OWL.key).answers == pytest.approx(18.2, abs=0.1)


async def test_an_unusable_file_costs_one_warning(nest: Nest) -> None:
    """It learns for as long as it runs, and says that it keeps nothing."""
    nest.path.mkdir()
    plugin = nest.plugin()
    async with nest.open(plugin) as router:
        reply = await router.ask("Hello", model=OWL.key, task_type=TaskType.PLANNING)
        reply.rate(0.5)
        stats = router.stats()["bandit"]
    assert isinstance(stats, dict)
    assert stats["path"] is None
    assert "bandit: cannot use" in str(stats["error"])
    assert mean(plugin, OWL) == pytest.approx(0.5, abs=0.02)


async def test_what_never_ends_is_forgotten() -> None:
    """Requests of which no end is heard take up bounded room: the oldest count as if never seen."""
    plugin = Bandit(BanditSettings())
    for number in range(UNDER_WAY + 1):
        plugin.record_selection(ModelRequest("hi", max_tokens=1, id=str(number)))
    for number in (0, 1):
        plugin.record_execution(
            ExecutionMetrics(
                f"m{number}", "desk", 1.0, success=True, finish_reason="length", request_id=str(number)
            )
        )
    assert plugin.beliefs.evidence("other", "m0").mean == 0.0
    assert (plugin.beliefs.evidence("other", "m1").mean or 0.0) > 0.7


# --- the verb -----------------------------------------------------------------------------------------


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


def run(plugin: Bandit, *arguments: str) -> Written:
    """Run ``bandit`` with *arguments*, as the command line does."""
    cli, written = click.Group(), Written()
    plugin.register_commands(cli)
    done = CliRunner().invoke(cli, ["bandit", *arguments], obj=written, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return written


async def test_show_ranks_what_was_learned(nest: Nest) -> None:
    """For each kind of work the models come with what they earn, the best first, as text and as JSON."""
    assert run(nest.plugin(), "show").notes == ["nothing has been learned yet"]
    async with nest.open() as router:
        await router.ask("Hello", model=HAWK.key, task_type=TaskType.PLANNING)
        reply = await router.ask("Hello", model=OWL.key, task_type=TaskType.PLANNING)
        reply.rate(1.0)
    assert run(nest.plugin(), "show").lines == [
        "planning",
        f"  1.00  {OWL.key}, 1.0 answers",
        f"  0.80  {HAWK.key}, 1.0 answers",
    ]
    (document,) = run(nest.plugin(), "show", "--json").documents
    (task,) = document.values()
    assert isinstance(task, dict)
    assert [arm["model"] for arm in task[PLANNING]] == [OWL.key, HAWK.key]  # type: ignore[index,union-attr,call-overload]
