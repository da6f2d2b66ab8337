"""Files of scored prompts: what is read, what is refused, and how strategies score on them."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.core.inline import STRATEGIES

from turnout import Config, Deployment, ModelRequest, Quality, SelectionSettings, Signals, TaskType, hookimpl
from turnout.plugins import Plugins
from turnout_decisions.datafile import DataFile, DataFileError, Scored, read_data
from turnout_decisions.datareplay import bounds, candidates_for, deployments_of, pairs, prepared, scored
from turnout_decisions.policies import Pick

pytestmark = pytest.mark.anyio
HEAD = "id,prompt,score:a,score:b,cost:a\n"
ROWS = (
    Scored("1", "one", {"a": 1.0, "b": 0.0}),
    Scored("2", "two", {"a": 0.0, "b": 1.0}),
    Scored("3", "three", {"a": 1.0, "b": 0.5}),
)
A, B = Pick("selected", "a", {"a": 1.0}), Pick("selected", "b", {"b": 1.0})


def file(path: Path, text: str) -> DataFile:
    path.write_text(text, encoding="utf-8")
    return read_data(path)


def test_rows_are_read(tmp_path: Path) -> None:
    """Prompts and scores are read by the names of the columns, whatever else there is."""
    data = file(tmp_path / "x.csv", HEAD + '7,"say ""hi"",\nplease",0.25,1,3\n,"",-0.5,0,\n')
    assert data.models == ("a", "b")
    assert data.rows[0] == Scored("7", 'say "hi",\nplease', {"a": 0.25, "b": 1.0})
    assert data.rows[1] == Scored("3", "", {"a": -0.5, "b": 0.0})


def test_zipped_files_and_long_prompts(tmp_path: Path) -> None:
    """A gzipped file is read as well, with prompts longer than the csv module takes by itself."""
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(f"\ufeff{HEAD}1,{'long ' * 50_000},1,0,\n".encode()))
    assert len(read_data(path).rows[0].prompt) == 250_000


def test_rows_that_cannot_be_compared_are_left_out(tmp_path: Path) -> None:
    """Rows without every score, and rows marked as contaminated, are left out and counted."""
    head = "prompt,score:a,score:b,contaminated\n"
    data = file(tmp_path / "x.csv", head + "one,1,,0\ntwo,1,0,1\nthree,1\nfour,0,1,\n")
    assert [row.prompt for row in data.rows] == ["four"]
    assert (data.incomplete, data.contaminated) == (2, 1)


BAD = {
    "empty": "",
    "no prompt": "id,score:a\n1,1\n",
    "no scores": "id,prompt\n1,hi\n",
    "no rows": HEAD,
    "a word": HEAD + "1,hi,good,0,\n",
    "not a number": HEAD + "1,hi,nan,0,\n",
    "a model twice": "id,prompt,score:a,score:a\n1,hi,1,0\n",
    "two prompts": "prompt,prompt,score:a\nhi,ho,1\n",
    "an open quote": HEAD + '1,"hi,1,0,\n',
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_bad_files(tmp_path: Path, text: str) -> None:
    """A file that does not hold scored prompts is an error that names it."""
    with pytest.raises(DataFileError, match=r"x\.csv"):
        file(tmp_path / "x.csv", text)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", b"\xff\xfe\x00"),
        ("x.csv.gz", b"no archive"),
        ("x.csv.gz", gzip.compress(b"prompt" * 99)[:20]),
    ],
)
def test_bad_bytes(tmp_path: Path, name: str, content: bytes) -> None:
    """Neither text nor an archive: an error that names the file."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataFileError, match=name):
        read_data(path)


def test_no_file(tmp_path: Path) -> None:
    """A file that is not there is the same kind of error."""
    with pytest.raises(DataFileError):
        read_data(tmp_path / "x.csv")


# --- scores -------------------------------------------------------------------------------------------


def test_bounds() -> None:
    """What a file allows is exact: chance, the best single model, and the best of each row."""
    found = bounds(ROWS)
    assert found.best == "a"
    assert found.best_score == pytest.approx(2 / 3)
    assert found.random == pytest.approx((2 / 3 + 0.5) / 2)
    assert found.oracle == pytest.approx(1.0)


def test_scores() -> None:
    """A strategy scores what its picks score, and a row where it chose nothing as chance would."""
    played = scored("mine", ROWS, [A, B, Pick("declined")])
    assert played.score.value == pytest.approx((1 + 1 + 0.75) / 3)
    assert played.difference.value == pytest.approx((0 + 1 - 0.25) / 3)
    assert played.picked == {"a": 1, "b": 1}
    assert played.outcomes == {"selected": 2, "declined": 1}


def test_the_best_single_model_against_itself() -> None:
    """Compared row by row with itself, the difference and its interval are nothing at all."""
    difference = scored("single", ROWS, [A, A, A]).difference
    assert difference.value == 0.0
    assert difference.interval is not None
    assert (difference.interval.low, difference.interval.high) == (0.0, 0.0)


def test_strategies_against_each_other() -> None:
    """Every strategy is compared with the first one, row by row."""
    (found,) = pairs(ROWS, {"one": [A, A, A], "two": [B, B, B]})
    assert (found.strategy, found.other) == ("two", "one")
    assert found.difference.value == pytest.approx(-0.5 / 3)
    assert pairs(ROWS, {"one": [A, A, A]}) == ()


# --- requests -----------------------------------------------------------------------------------------


class Classifying:
    """Says what kind of work it is and what the models are good at, as plugins do."""

    @hookimpl
    def classify_request(self, request: ModelRequest) -> object:
        return self._later(request)

    async def _later(self, request: ModelRequest) -> Signals:
        return Signals(TaskType.PLANNING, 0.5) if "plan" in request.text else Signals()

    @hookimpl
    def assess_models(self, models: dict[str, tuple[Deployment, ...]]) -> object:
        return {model: {TaskType.PLANNING: Quality(0.5)} for model in models}


async def test_rows_are_requests(turnout_plugins: Callable[..., Plugins]) -> None:
    """A row is asked with the signals and the knowledge of the installed plugins, and never as a pin."""
    plugins = turnout_plugins(mine=Classifying(), **STRATEGIES)
    config = Config(selection=SelectionSettings(default_model="a"))
    data = DataFile("x.csv", ("a", "b"), (Scored("1", "a plan", {"a": 1.0, "b": 0.0}),))
    request = await prepared(plugins, config, data.name, data.rows[0])
    assert (request.id, request.task, request.explicit_model) == ("x.csv:1", "a plan", None)
    assert request.signals.task_type is TaskType.PLANNING
    found = candidates_for(plugins, request, deployments_of(data))
    assert [(one.id, one.resident) for one in found] == [("a", True), ("b", True)]
    assert found[1].quality(TaskType.PLANNING) == Quality(0.5)
