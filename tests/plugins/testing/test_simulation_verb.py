"""``turnout simulate``: from files to tables, files and exit codes."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

import turnout_testing
from turnout import Config, Router
from turnout_cli.main import build
from turnout_cli.output import Output
from turnout_testing import commands, kit
from turnout_testing.simulation import verb

FLEET = """
[hosts.desk]
[hosts.attic]
speed = 2
[models.owl]
load_seconds = 2
[models.wren]
load_seconds = 1
"""
TRACE = "arrival,ContextTokens,GeneratedTokens\n" + "".join(f"{n / 2},{90 + n},20\n" for n in range(12))


def router(config: Config) -> Router:
    """Return a router with the plugin, whether it is installed under its name or not."""
    made = Router(config, only_plugins=["cli"])
    made.plugins.add("simulation", commands)
    return made


@pytest.fixture(name="simulate")
def _simulate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Simulate":
    monkeypatch.chdir(tmp_path)
    Path("fleet.toml").write_text(FLEET)
    Path("trace.csv").write_text(TRACE)
    return Simulate()


class Simulate:
    """Runs the verb in the folder of the test."""

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(build(router), ["simulate", *arguments])


def test_the_table_compares_strategies(simulate: Simulate) -> None:
    """Each strategy has its sums, its times and its hosts."""
    both = ("-s", "turnout", "-s", "gated-static")
    result = simulate("fleet.toml", "trace.csv", "--mix", "owl=2,wren=1", *both)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["strategy", "answered", "errors", "makespan", "loads", "swaps", "tokens/s"]
    assert [line.split()[0:3] for line in lines[1:3]] == [["turnout", "12", "0"], ["gated-static", "12", "0"]]
    assert sum(line.startswith("gated-static") for line in lines) == 1 + 3 + 2


def test_json_csv_and_plot(simulate: Simulate) -> None:
    """The same results in three forms for programs and people."""
    options = ("--json", "--csv", "out.csv", "--plot", "out.svg", "--limit", "5", "--scale", "2")
    result = simulate("fleet.toml", "trace.csv", *options)
    assert result.exit_code == 0, result.output
    (told,) = json.loads(result.stdout)["strategies"]
    assert (told["strategy"], told["requests"]) == ("turnout", 5)
    assert len(Path("out.csv").read_text().splitlines()) == 6
    assert ET.fromstring(Path("out.svg").read_text()).tag.endswith("svg")


def test_errors_are_named_under_the_table(simulate: Simulate) -> None:
    """What clients got instead of answers is counted by class."""
    result = simulate("fleet.toml", "trace.csv", "--mix", "owl=1", "--timeout", "0.5")
    assert result.exit_code == 0
    assert "DeadlineExceededError" in result.stderr


def test_a_strategy_that_answers_nothing_is_a_failure(simulate: Simulate) -> None:
    """A script sees by the exit code that no client lived to see an answer."""
    assert simulate("fleet.toml", "trace.csv", "--timeout", "0.01").exit_code == 1


def test_the_pools_settings_hold_in_a_simulation(simulate: Simulate) -> None:
    """What the user has set for queues is simulated; his hosts are not asked."""
    settings = '[pool]\nqueue = 0\n[hosts.real]\nurl = "http://localhost:9"\n'
    Path("turnout.toml").write_text(settings)
    result = simulate("fleet.toml", "trace.csv", "--mix", "owl=1", "--scale", "50")
    assert result.exit_code == 0, result.output
    assert "OverloadedError" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "fleet file and a trace"),
        (("fleet.toml",), 2, "fleet file and a trace"),
        (("fleet.toml", "none.csv"), 3, "none.csv"),
        (("none.toml", "trace.csv"), 3, "none.toml"),
        (("fleet.toml", "trace.csv", "--mix", "hawk=1"), 2, "owl, wren"),
        (("fleet.toml", "trace.csv", "--mix", "owl"), 2, "MODEL=SHARE"),
        (("fleet.toml", "trace.csv", "--mix", "owl=0"), 2, "MODEL=SHARE"),
        (("fleet.toml", "trace.csv", "--mix", "owl=many"), 2, "MODEL=SHARE"),
        (("fleet.toml", "trace.csv", "--scale", "0"), 2, "scale"),
        (("fleet.toml", "trace.csv", "-s", "nobody"), 3, "no strategy 'nobody'"),
        (("fleet.toml", "trace.csv", "--csv", "no/where.csv"), 3, "cannot be written"),
    ],
)
def test_what_is_wrong_is_said(simulate: Simulate, arguments: tuple[str, ...], code: int, words: str) -> None:
    """A mistake ends with its exit code and words, and no traceback."""
    result = simulate(*arguments)
    assert result.exit_code == code, result.output
    assert words in result.stderr


def test_chaos_keeps_its_promises(simulate: Simulate) -> None:
    """Seeds that hold end well, with what was checked."""
    result = simulate("--chaos", "--seed", "4", "--seeds", "2")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("2 of 2 seeds kept all promises")


def test_chaos_in_json(simulate: Simulate) -> None:
    """The same for a program."""
    told = json.loads(simulate("--chaos", "--seed", "1", "--json").stdout)
    assert (told["seeds"], told["failures"]) == (1, [])
    assert told["checks"] > told["requests"]


def test_a_broken_promise_is_shown_with_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever sees a seed fail gets the command to see it again, alone on a line of stdout."""
    verb.show_courses(Output(), [], {7: "a queue is longer than its bound"}, as_json=False)
    told = capsys.readouterr()
    assert "seed 7: a queue is longer than its bound" in told.err
    assert told.out.splitlines()[0] == "turnout simulate --chaos --seed 7"
    verb.show_courses(Output(), [], {7: "a queue is longer than its bound"}, as_json=True)
    (failure,) = json.loads(capsys.readouterr().out)["failures"]
    assert failure["replay"] == "turnout simulate --chaos --seed 7"


def test_the_package_has_the_names_of_its_kit() -> None:
    """What is imported on first use is all that the kit has, and nothing else."""
    assert turnout_testing.__all__ == kit.__all__
    assert all(getattr(turnout_testing, name) is getattr(kit, name) for name in kit.__all__)
    with pytest.raises(AttributeError, match="no attribute 'emulate'"):
        turnout_testing.emulate  # type: ignore[attr-defined]  # noqa: B018


def test_the_verb_costs_the_command_line_nothing_until_it_is_used() -> None:
    """Registering it imports neither the emulator nor what only tests need."""
    code = (
        "import sys, click; from turnout_testing.commands import register_commands as hook; "
        "hook(click.Group()); "
        "heavy = {f'turnout_testing.{n}' for n in ('emulator', 'kit')} | {'httpx', 'pytest', 'h11'}; "
        "print(sorted(heavy & {*sys.modules}))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


@pytest.mark.parametrize("option", ["--scale=nan", "--timeout=nan", "--scale=inf", "--mix=owl=inf"])
def test_what_is_no_finite_number_is_refused(simulate: Simulate, option: str) -> None:
    """It is a mistake in the command, and says so."""
    result = simulate("fleet.toml", "trace.csv", option)
    assert result.exit_code == 2
    assert option.partition("=")[0] in result.output


@pytest.mark.parametrize("option", ["--csv", "--plot"])
@pytest.mark.parametrize("path", ["fleet.toml", "trace.csv"])
def test_what_is_read_is_not_written_over(simulate: Simulate, option: str, path: str) -> None:
    """A wrong name after an option costs nobody his trace."""
    before = Path(path).read_text()
    assert simulate("fleet.toml", "trace.csv", option, path).exit_code == 2
    assert Path(path).read_text() == before
