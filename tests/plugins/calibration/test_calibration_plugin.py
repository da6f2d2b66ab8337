"""The plugin as the router uses it: through hooks, over a start, a stop and the next start."""

import json
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from attrs import evolve

from turnout import Feedback, ModelCapability, Router, TaskType
from turnout.errors import ConfigError
from turnout.fleet import Deployment, Host, ModelInfo
from turnout.messages import JSON
from turnout.store.connection import connect
from turnout.structure import structure
from turnout_calibration import Calibration, CalibrationSettings
from turnout_calibration.results import INSERT, MIGRATIONS, Result, cells, read
from turnout_testing import Emulator
from turnout_testing.fleet import emulated_router

pytestmark = pytest.mark.anyio

OWL = "acme/owl-8b"
RESULT = Result(
    host="desk", model=OWL, quantization="Q4_K_M", bits=4.0, task="any", fingerprint="any", score=0.75,
    skills={TaskType.PLANNING: 2.0}, why="half \ud800",
)  # fmt: skip


def plugin(path: Path) -> Calibration:
    return Calibration(CalibrationSettings(path=path))


@asynccontextmanager
async def desk(calibration: Calibration) -> AsyncIterator[Router]:
    """Open a router over one emulated host, with the plugin."""
    hosts = {"desk": Emulator(loaded=(OWL,), speed=1000)}
    async with emulated_router(hosts, plugins={"calibration": calibration}) as router:
        yield router


async def session(calibration: Calibration) -> Router:
    """Return a closed router, after *calibration* has been through its whole life."""
    async with desk(calibration) as router:
        await calibration.ledger.record(RESULT)
    return router


async def test_strategies_see_what_was_found_the_next_time_too(tmp_path: Path) -> None:
    """A result of one session is the quality of a candidate in the next one."""
    await session(plugin(tmp_path / "c.db"))
    again = plugin(tmp_path / "c.db")
    async with desk(again) as router:
        decision = await router.explain("Plan my day")
        known = {one.id: one.quality(TaskType.PLANNING) for one in decision.candidates}
        found = known.pop(OWL)
        assert found is not None
        assert found.score == pytest.approx(0.75)
        assert found.weight == pytest.approx(2.0, rel=1e-3)
        assert set(known.values()) == {None}


async def test_a_rating_counts_for_its_task_type_and_is_kept(tmp_path: Path) -> None:
    """Each rating is one trial of its task type, of general use where it has none, now and the next time."""
    calibration = plugin(tmp_path / "c.db")
    async with desk(calibration) as router:
        reply = await router.ask("Hello", model=OWL)
        reply.rate(0.5)
        router.record_feedback(Feedback("1", 1.0, OWL, task_type=TaskType.PLANNING))
        router.record_feedback(Feedback("2", 0.5, OWL))
        router.record_feedback(Feedback("3", 0.5))
    again = plugin(tmp_path / "c.db")
    async with desk(again) as router:
        (candidate,) = [one for one in (await router.explain("Hi")).candidates if one.id == OWL]
        general = candidate.quality(ModelCapability.GENERAL)
        known = [candidate.quality(kind) for kind in TaskType]
        assert general is not None
        assert general.score == 0.5
        assert sum(one.weight for one in known if one) + general.weight == pytest.approx(3.0, rel=1e-3)


async def test_the_last_rating_of_an_answer_counts(tmp_path: Path) -> None:
    """Whoever rates an answer again has changed their mind: it stays one trial, now and the next time."""
    calibration = plugin(tmp_path / "c.db")
    async with desk(calibration) as router:
        reply = await router.ask("Hello", model=OWL)
        for score in (0.0, 0.0, 1.0):
            reply.rate(score)
        first = ratings(calibration)
    again = plugin(tmp_path / "c.db")
    async with desk(again):
        assert first == ratings(again) == [(1.0, 1.0)]


async def test_ratings_of_no_request_are_trials_each(tmp_path: Path) -> None:
    """What names no request replaces nothing; what names one replaces its rating, of whichever model."""
    calibration = plugin(tmp_path / "c.db")
    calibration.record_feedback(Feedback("", 1.0, OWL))
    calibration.record_feedback(Feedback("", 0.0, OWL))
    assert ratings(calibration) == [(0.5, 2.0)]
    calibration.record_feedback(Feedback("1", 1.0, "acme/hawk"))
    calibration.record_feedback(Feedback("1", 0.5, OWL))
    assert ratings(calibration) == [(0.5, 3.0)]
    assert ratings(calibration, "acme/hawk") == []


def ratings(calibration: Calibration, model: str = OWL) -> list[tuple[float, float]]:
    """Return score and trials of each skill of *model*, of which only ratings are known."""
    deployment = Deployment(ModelInfo(model), Host("desk", "http://desk", "lmstudio"))
    known = calibration.assess_models({model: [deployment]}).get(model, {})
    return [(round(one.score, 6), round(one.weight, 3)) for one in known.values()]


def test_a_file_of_before_loses_its_words_and_no_rating(tmp_path: Path) -> None:
    """A store that still quotes answers is brought to one that does not; its ratings all count on."""
    path = tmp_path / "c.db"
    with closing(connect(path, MIGRATIONS[:1], "calibration")) as old, old:
        old.execute(INSERT, cells(evolve(RESULT, why="'xyzzy' is not 'nothing'")))
        for score in (0.0, 1.0):
            old.execute(
                "INSERT INTO ratings (at, model, skill, score) VALUES (1, ?, 'planning', ?)", (OWL, score)
            )
    assert b"xyzzy" in path.read_bytes()
    with closing(connect(path, MIGRATIONS, "calibration")) as new:
        assert [one.score for one in read(new).ratings] == [0.0, 1.0]
    assert b"xyzzy" not in path.read_bytes()


async def test_an_answer_that_waits_no_more_is_forgotten(tmp_path: Path) -> None:
    """Once the task was asked again, the older answer is in no row and nowhere else in the file."""
    path = tmp_path / "c.db"
    calibration = plugin(path)
    await calibration.ledger.open()
    await calibration.ledger.record(evolve(RESULT, key="1", outcome="unjudged", answer="xyzzy"))
    await calibration.ledger.record(evolve(RESULT, key="2", outcome="failed"))
    assert b"xyzzy" in content(path)
    await calibration.ledger.record(evolve(RESULT, key="3"))
    await calibration.ledger.close()
    assert b"xyzzy" not in content(path)


def content(path: Path) -> bytes:
    """Return the bytes of a store, and of what lies beside it."""
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))


async def test_stats_say_what_is_known_of_each_place(tmp_path: Path) -> None:
    """The statistics are JSON: host, model, quantisation, date and scores of each place, and the file."""
    calibration = plugin(tmp_path / "c.db")
    router = await session(calibration)
    stats = router.stats()["calibration"]
    assert json.loads(json.dumps(stats)) == stats
    assert isinstance(stats, dict)
    assert stats["models"] == [
        {
            "host": "desk",
            "model": OWL,
            "quantization": "Q4_K_M",
            "date": stats["models"][0]["date"],  # type: ignore[index, call-overload]
            "tasks": 1,
            "passed": 0,
            "scores": {"planning": {"score": 0.75, "weight": 2.0}},
        }
    ]


async def test_a_file_that_cannot_be_used_costs_nothing_else(tmp_path: Path, log: list[str]) -> None:
    """Another program's database is left alone; results count until the end, and a warning says why."""
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE mine (x)")
    calibration = plugin(path)
    router = await session(calibration)
    stats = router.stats()["calibration"]
    assert isinstance(stats, dict)
    assert len(stats["models"]) == 1  # type: ignore[arg-type]
    assert "Set another `[calibration] path`" in str(stats["store"])
    assert any("in memory only" in line for line in log)


async def test_a_folder_is_no_file(tmp_path: Path, log: list[str]) -> None:
    """A path that is a folder costs a warning, and nothing in the folder."""
    calibration = plugin(tmp_path)
    await session(calibration)
    assert any(f"{tmp_path} is a folder" in line for line in log)
    assert os.listdir(tmp_path) == []  # noqa: PTH208


async def test_nothing_is_kept_where_that_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the path :memory: no file comes to be."""
    monkeypatch.chdir(tmp_path)
    calibration = plugin(Path(":memory:"))
    async with desk(calibration) as router:
        await calibration.ledger.record(RESULT)
        calibration.ledger.renew(RESULT.place, "probe")
        router.record_feedback(Feedback("1", 1.0, OWL))
    assert os.listdir() == []  # noqa: PTH208


async def test_old_rows_are_pruned(tmp_path: Path) -> None:
    """The file keeps so many results as the setting says, the newest."""
    path = tmp_path / "c.db"
    calibration = Calibration(CalibrationSettings(path=path, keep_rows=3))
    await calibration.ledger.open()
    for number in range(6):
        await calibration.ledger.record(
            Result(host="desk", model=OWL, task=str(number), fingerprint=str(number))
        )
    await calibration.ledger.close()
    with closing(sqlite3.connect(path)) as stored:
        assert [task for (task,) in stored.execute("SELECT task FROM results ORDER BY at")] == ["3", "4", "5"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"half_life_days": 0}, {"own_weight": -1.0}, {"own_weight": float("inf")}, {"timeout": float("nan")},
        {"timeout": 1e300}, {"code_memory_mb": 1}, {"code_memory_mb": 2**60}, {"code_seconds": 1e9},
        {"keep_rows": 10**20}, {"thinking_tokens": 2**63}, {"path": "/"}, {"path": ".."},
    ],
)  # fmt: skip
def test_a_setting_out_of_range_is_refused(wrong: dict[str, JSON]) -> None:
    """Zero, negative, endless and huge numbers and a folder for a file are refused, with table and key."""
    with pytest.raises(ConfigError, match=rf"\[calibration\] {next(iter(wrong))}"):
        structure(CalibrationSettings, dict(wrong), "calibration", str)
