"""``turnout plugin new``: a package that works as it is, and nothing lost."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from turnout import __version__
from turnout_cli.commands.plugin import FILES, Names, contents, requirement

from .conftest import Desk

SHORTEST = Path(__file__).parents[3] / "contrib_strategies" / "shortest"


def written(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_it_writes_a_package(desk: Desk) -> None:
    """A folder of that name holds the package, and the next three commands are said."""
    done = desk.run("plugin", "new", "Night-Owl")
    assert (done.exit_code, done.stdout) == (0, "turnout-night-owl\n")
    assert done.stderr == 'Next:\n  cd turnout-night-owl\n  pip install -e ".[test]"\n  pytest\n'
    made = written(Path("turnout-night-owl"))
    assert made == contents(Names("night_owl"))
    assert "src/turnout_night_owl/py.typed" in made
    assert not [text for text in made.values() if "{{" in text]
    project = tomllib.loads(made["pyproject.toml"])["project"]
    assert project["name"] == "turnout-night-owl"
    assert project["entry-points"]["turnout"] == {"night_owl": "turnout_night_owl"}
    assert __version__ in Requirement(project["dependencies"][0]).specifier


def test_its_tests_pass(desk: Desk, tmp_path: Path) -> None:
    """It registers and keeps its own rule under another name than the repository's copy has."""
    desk.run("plugin", "new", "night-owl")
    env = {**os.environ, "PYTHONPATH": str(Path("turnout-night-owl/src").resolve())}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}"]
    chosen = ("-k", "shortest_wait or registers", "turnout-night-owl")
    done = subprocess.run(
        [*command, *chosen], env=env, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_it_says_as_json_what_it_wrote(desk: Desk) -> None:
    """With --json the names, the files and the next commands are data."""
    shown = desk.json("plugin", "new", "owl", "--path", "a b")
    assert shown["name"] == "owl"
    assert shown["path"] == str(Path("a b").resolve())
    assert shown["files"] == [path.format(module="turnout_owl", name="owl") for path in FILES]
    assert shown["next"] == ["cd 'a b'", 'pip install -e ".[test]"', "pytest"]


def test_it_loses_nothing(desk: Desk) -> None:
    """What is in a folder stays as it is, and an empty folder will do."""
    Path("turnout-owl").mkdir()
    Path("turnout-owl/mine.txt").write_text("mine", encoding="utf-8")
    refused = desk.run("plugin", "new", "owl")
    assert refused.exit_code == 1
    assert "turnout-owl is there already, and not empty" in refused.stderr
    assert written(Path("turnout-owl")) == {"mine.txt": "mine"}
    assert desk.json("plugin", "new", "owl")["error"] is not None
    Path("empty").mkdir()
    assert desk.run("plugin", "new", "owl", "--path", "empty").exit_code == 0


def test_where_nothing_can_be_written(desk: Desk) -> None:
    """A place that cannot be written to ends with 1 and its reason."""
    Path("file").write_text("mine", encoding="utf-8")
    refused = desk.run("plugin", "new", "owl", "--path", "file")
    assert refused.exit_code == 1
    assert "file cannot be written: " in refused.stderr
    assert Path("file").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("performance", "'performance' is a plugin of turnout"),
        ("Turnout-Pool", "'pool' is a plugin of turnout"),
        ("testing", "'testing' is a plugin of turnout"),
        ("router", "'router' is a table of the configuration"),
        ("my plugin", "no name for a package"),
        ("../mine", "no name for a package"),
        ("9lives", "no name for a package"),
        ("mine-", "no name for a package"),
        ("größe", "no name for a package"),
        ("", "no name for a package"),
    ],
)
def test_a_name_that_will_not_do(desk: Desk, name: str, complaint: str) -> None:
    """A name that is taken, or is none for a package, ends with 2 and writes nothing."""
    refused = desk.run("plugin", "new", name)
    assert refused.exit_code == 2
    assert complaint in " ".join(refused.stderr.split())
    assert not [*Path().iterdir()]


@pytest.mark.parametrize("text", ["night-owl", "night_owl", "Night.Owl", "turnout-night-owl"])
def test_one_name_in_its_forms(desk: Desk, text: str) -> None:
    """However it is written, a name is one name in settings and one on an index."""
    desk.run("plugin", "new", text)
    assert [path.name for path in Path().iterdir()] == ["turnout-night-owl"]


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ("0.1.0", "turnout>=0.1,<0.2"),
        ("0.12.3.dev4+g1", "turnout>=0.12,<0.13"),
        ("2.3.1", "turnout>=2.3,<3"),
        ("0", "turnout"),
    ],
)
def test_it_asks_for_the_turnout_that_it_was_made_with(version: str, wanted: str) -> None:
    """The bounds are those of semantic versions, where a 0.x may break with each x."""
    assert requirement(version) == wanted


def test_the_example_in_the_repository_is_what_it_writes() -> None:
    """``contrib_strategies/shortest`` is a package as the command writes it."""
    for path, text in contents(Names("shortest")).items():
        assert (SHORTEST / path).read_text(encoding="utf-8") == text
