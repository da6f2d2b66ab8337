"""The package that the tutorial builds is one: a wheel that works in an environment of its own."""

import importlib.util
import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sysconfig import get_path

import pytest
from attrs import frozen
from tests.docs.blocks import ROOT, blocks

from turnout import JSONObject
from turnout_cli.commands.plugin import Names, contents
from turnout_testing import EmulatedModel, Emulator, serve

PAGE = ROOT / "docs" / "tutorial" / "first-strategy.md"
OWN = ("turnout_shortest/", "tests/", "pyproject.toml")
BEGIN = "from turnout_cli.main import main; main()"


@frozen
class Environment:
    """A fresh virtual environment with the package in it, beside the turnout that is under test."""

    python: Path
    home: Path

    def turnout(self, *arguments: str) -> JSONObject:
        """Run the command line with ``--json`` as a user without settings, and return what it prints."""
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
        done = subprocess.run(
            [self.python, "-c", BEGIN, *arguments, "--json"],
            cwd=self.home,
            env={**kept, "HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))


def follow_the_page(directory: Path) -> None:
    """Write the files that the page shows, and those that its first commands make."""
    for block in blocks(PAGE):
        if any(part in block.title for part in OWN):
            file = directory / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
        elif block.language == "console" and block.text.startswith("$ touch"):
            commands = block.text.replace("$ ", "")
            subprocess.run(["bash", "-ec", commands], cwd=directory, check=True, timeout=30)


def wheel(project: Path, into: Path) -> Path:
    """Build the wheel as ``pip wheel`` does, without the index where the build backend is installed."""
    isolated = [] if importlib.util.find_spec("hatchling") is None else ["--no-build-isolation"]
    pip("wheel", "--no-deps", *isolated, "--wheel-dir", str(into), str(project))
    [built] = into.iterdir()
    return built


def pip(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def desk() -> Iterator[tuple[str, ...]]:
    """Serve two models, of which one is loaded; gives the options that name the host."""
    warm, cold = EmulatedModel("acme/owl-30b"), EmulatedModel("acme/owl-4b")
    with serve(Emulator((warm, cold), loaded=(warm.key,), speed=1000)) as url:
        yield (
            "--set", f"hosts.desk.url={url}", "--set", "hosts.desk.backend=lmstudio", "-p", "no:embedded"
        )  # fmt: skip


@pytest.fixture(name="installed", scope="module")
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    base = tmp_path_factory.mktemp("tutorial")
    (base / "project").mkdir()
    follow_the_page(base / "project")
    env = base / "env"
    venv.create(env, with_pip=False)
    pip("--python", str(env), "install", "--no-deps", str(wheel(base / "project", base / "wheels")))
    scripts, site = (Path(get_path(kind, "venv", {"base": str(env)})) for kind in ("scripts", "purelib"))
    # What turnout itself needs is shared with the tests, so that nothing else is to be installed.
    shared = f"import site; site.addsitedir({get_path('purelib')!r})\n"
    (site / "shared.pth").write_text(shared, encoding="utf-8")
    (base / "home").mkdir()
    return Environment(scripts / "python", base / "home")


def test_the_page_builds_what_the_command_line_writes(tmp_path: Path) -> None:
    """Whoever follows the page has what ``turnout plugin new shortest`` writes, but for its longer README."""
    follow_the_page(tmp_path)
    made = {
        path.relative_to(tmp_path).as_posix(): path.read_text(encoding="utf-8")
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    written = contents(Names("shortest"))
    assert {**written, **made} == {**written, "README.md": made["README.md"]}
    assert set(written) - set(made) == {".gitignore"}


def test_the_wheel_is_found(installed: Environment) -> None:
    """``turnout plugins`` lists the strategy, with its distribution and its hook, and finds no fault."""
    listed = installed.turnout("plugins")["plugins"]
    assert isinstance(listed, list)
    [shortest] = [one for one in listed if isinstance(one, dict) and one["name"] == "shortest"]
    assert (shortest["distribution"], shortest["version"]) == ("turnout-shortest", "0.1.0")
    assert (shortest["status"], shortest["hooks"]) == ("ok", ["select_model"])


def test_the_wheel_chooses(installed: Environment) -> None:
    """``turnout route`` goes by the strategy, and the model that need not be loaded is chosen."""
    with desk() as options:
        chosen = installed.turnout(*options, "route", "Plan a trip to Lyon")
    assert (chosen["model"], chosen["strategy"]) == ("acme/owl-30b", "shortest")
    assert str(chosen["reason"]).startswith("the shortest wait: about ")
