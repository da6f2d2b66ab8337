"""``turnout learned`` fits, reports on rows that were held out, and shows what is there."""

import csv
import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from turnout_learned import Learned, LearnedSettings
from turnout_learned.fitted import load
from turnout_learned.tables import PREFIX

from turnout import ConfigError
from turnout.verbs import App
from turnout_cli.app import App as CliApp

from .conftest import MODELS, MakeTable


@pytest.fixture(name="scores")
def _scores(tmp_path: Path, table_of: MakeTable) -> Path:
    """Write a table of eighty prompts."""
    table, path = table_of(80), tmp_path / "scores.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["prompt", "task", *(PREFIX + model for model in table.models)])
        for prompt, task, scores in zip(table.prompts, table.tasks, table.scores.tolist(), strict=True):
            writer.writerow([prompt, task, *scores])
    return path


def run(folder: Path, *arguments: str) -> Result:
    """Run the verb with the real command line's state; its file lies in *folder*."""
    cli = click.Group()
    Learned(LearnedSettings(folder / "learned.npz")).register_commands(cli)
    app: App = CliApp()
    return CliRunner().invoke(cli, ["learned", *arguments], obj=app)


def test_fitting_writes_the_file_and_reports(scores: Path, tmp_path: Path) -> None:
    """The file lies where the strategy looks, is fitted on all rows, and the report says how good it was."""
    result = run(tmp_path, "fit", str(scores))
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == str(tmp_path / "learned.npz")
    for policy in ("random", "best single", "per-task table", "oracle", "learned"):
        assert policy in result.stdout
    assert "80 prompts, 3 models" in result.stderr
    assert "16 held-out prompts" in result.stderr
    assert load(tmp_path / "learned.npz").models == MODELS


def test_json_has_the_report(scores: Path, tmp_path: Path) -> None:
    """As JSON, the report has each policy's score and the lead over it with its interval."""
    result = run(tmp_path, "fit", str(scores), "--json", "--seed", "7", "--out", str(tmp_path / "other.npz"))
    found = json.loads(result.stdout)
    assert (found["path"], found["seed"], found["rows"]) == (str(tmp_path / "other.npz"), 7, 80)
    policies = {one["policy"]: one for one in found["held_out"]}
    low, high = policies["best single"]["lead"][1:]
    assert low <= policies["best single"]["lead"][0] <= high
    assert policies["learned"]["lead"] is None
    assert found["files"] == ["scores.csv"]


def test_showing_repeats_the_report(scores: Path, tmp_path: Path) -> None:
    """What fit reported is kept in the file, and shown again."""
    fitted = run(tmp_path, "fit", str(scores), "--json")
    assert json.loads(run(tmp_path, "show", "--json").stdout) == json.loads(fitted.stdout)
    shown = run(tmp_path, "show", str(tmp_path / "learned.npz"))
    assert "per-task table" in shown.stdout


def test_two_models_have_apgr_in_the_report(tmp_path: Path) -> None:
    """Where there are two models, the report has RouteLLM's figure."""
    path = tmp_path / "two.csv"
    words = ("rhyme moon", "add total")
    rows = [f"{words[n % 2]} {n % 7},{n % 3 // 2},{int(n % 5 > 0)}" for n in range(60)]
    path.write_text("\n".join(["prompt,score:a,score:b", *rows]), encoding="utf-8")
    found = json.loads(run(tmp_path, "fit", str(path), "--json").stdout)
    assert [one["apgr"] is None for one in found["held_out"]].count(False) == 4


def test_what_cannot_be_fitted_is_an_error(tmp_path: Path) -> None:
    """The error is one that the command line shows, and nothing is written."""
    (tmp_path / "few.csv").write_text("prompt,score:a,score:b\nx,1,0\ny,0,1\n", encoding="utf-8")
    result = run(tmp_path, "fit", str(tmp_path / "few.csv"))
    assert isinstance(result.exception, ConfigError)
    assert not (tmp_path / "learned.npz").exists()
    assert isinstance(run(tmp_path, "show").exception, ConfigError)
