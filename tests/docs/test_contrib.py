"""The contributed distributions work as a stranger's would."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.blocks import ROOT
from tests.docs.project import Project
from tests.docs.world import World

from turnout import Router, run_sync

FOLDERS = sorted(ROOT.glob("contrib_strategies/*"))


@pytest.mark.parametrize("folder", FOLDERS, ids=[folder.name for folder in FOLDERS])
def test_its_own_tests_pass(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The tests that it ships pass, with nothing but its own source on the path."""
    monkeypatch.setenv("PYTHONPATH", str(folder / "src"))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", str(folder)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout


def test_it_is_found_when_it_is_installed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed, `shortest` is asked before `performance`, and chooses."""
    folder = ROOT / "contrib_strategies" / "shortest"
    Project.read((folder / "pyproject.toml").read_text(encoding="utf-8")).install(world.directory)
    monkeypatch.syspath_prepend(folder / "src")
    async def route() -> tuple[str, str]:
        async with Router() as router:
            selection = await router.route("Plan a trip to Lyon.")
            return selection.model, selection.strategy_used

    assert run_sync(route()) == ("qwen/qwen3-coder-30b", "shortest")
