"""``turnout plan``: what is where, and what would be loaded next and why."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen
from click.testing import CliRunner, Result

from turnout.messages import JSONObject
from turnout_cli.main import build
from turnout_testing import EmulatedModel, Emulator, serve

OWL, HAWK, WORDS = "acme/owl-8b", "acme/hawk-8b", "acme/text-embedding-words"


@frozen
class Desk:
    """The command line over one emulated host."""

    emulator: Emulator
    url: str
    home: Path

    def run(self, *args: str) -> Result:
        options = ("--set", f"hosts.desk.url={self.url}", "--set", "hosts.desk.backend=lmstudio")
        quiet = ("-p", "no:embedded", "--set", 'metrics.path=":memory:"')
        home = {"HOME": str(self.home), "XDG_DATA_HOME": str(self.home), "COLUMNS": "120"}
        return CliRunner(env=home).invoke(build(), (*options, *quiet, *args), prog_name="turnout")

    def json(self, *args: str) -> dict[str, list[JSONObject]]:
        found: dict[str, list[JSONObject]] = json.loads(self.run(*args, "--json").stdout)
        return found


@pytest.fixture(name="desk")
def _desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.chdir(tmp_path)
    models = [EmulatedModel(key, load_seconds=5.0, size_bytes=8_000_000_000) for key in (OWL, HAWK)]
    words = EmulatedModel(WORDS, kind="embedding", size_bytes=300_000_000)
    emulator = Emulator((*models, words), loaded=OWL)
    with serve(emulator) as url:
        yield Desk(emulator, url, tmp_path)


def test_it_shows_what_is_loaded_and_that_nothing_waits(desk: Desk) -> None:
    """A process of its own has no queue, and says so."""
    done = desk.run("plan")
    assert done.exit_code == 0, done.output
    assert OWL in done.stdout
    assert HAWK not in done.stdout
    assert "nothing would be loaded" in done.output


def test_it_says_what_a_model_would_cost_and_loads_nothing(desk: Desk) -> None:
    """Where it would go, what would go for it, and the seconds."""
    shown = desk.run("plan", "hawk-8b").stdout
    assert f"now: load {HAWK} on desk (1 waits for it; load " in shown
    assert f"; takes the place of {OWL})" in shown
    assert HAWK not in {load.model for load in desk.emulator.loads}


def test_as_json_it_is_the_same(desk: Desk) -> None:
    """For programs."""
    found = desk.json("plan", HAWK)
    (standing,) = found["deployments"]
    (move,) = found["next"]
    assert (standing["model"], standing["state"], standing["running"]) == (OWL, "loaded", 0)
    assert (move["model"], move["evicts"], move["ready"]) == (HAWK, [OWL], True)


def test_within_the_memory_nothing_goes(desk: Desk) -> None:
    """Where the pool may load several models, the plan says that there is room."""
    (move,) = desk.json("--set", 'pool.memory.desk="24GB"', "plan", HAWK)["next"]
    assert move["evicts"] == []


def test_a_model_for_embeddings_is_planned_too(desk: Desk) -> None:
    """It is loaded like any other."""
    assert f"load {WORDS} on desk" in desk.run("plan", WORDS).stdout


def test_a_model_that_is_not_there_is_an_error_with_near_names(desk: Desk) -> None:
    """As everywhere else."""
    done = desk.run("plan", "acme/howk-8b")
    assert done.exit_code != 0
    assert HAWK in done.output
