"""The plugin in a router: what it notes, what it never keeps, and what it survives."""

import asyncio
import sqlite3
import threading
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from attrs import evolve
from tests.core.inline import Inline, a_deployment, a_router

from turnout import (
    Config,
    ContextOverflowError,
    Feedback,
    ImagePart,
    LLMResponseError,
    Message,
    ModelRequest,
    ModelSelection,
    Router,
    TextPart,
    hookimpl,
)
from turnout.errors import ConfigError
from turnout.structure import structure
from turnout_cli.output import Output
from turnout_decisions import Decisions, DecisionsSettings
from turnout_decisions.journal import Log, Page, Wanted
from turnout_decisions.plugin import WRITE_EVERY_SECONDS
from turnout_decisions.replay import Replay, over_log

from .logging_world import OUTCOME, SECRET, made

pytestmark = pytest.mark.anyio

QUIET = Config()


def everything(log: Log) -> Page:
    return log.newest(Wanted())


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def damage(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 4096)


@asynccontextmanager
async def opened(
    decisions: Decisions, backend: Inline | None = None, **plugins: object
) -> AsyncIterator[Router]:
    backend = backend or Inline(a_deployment("a"), a_deployment("b"))
    async with a_router(backend=backend, plugins={"decisions": decisions, **plugins}, config=QUIET) as router:
        yield router


async def test_a_decision_is_noted_with_what_became_of_it(settings: DecisionsSettings) -> None:
    """After an answer the log has the decision, its candidates, how it ended, and its rating."""
    decisions = Decisions(settings)
    async with opened(decisions) as router:
        reply = await router.ask(ModelRequest("hello", client="me"))
        reply.rate(0.75, "fine")
        (entry,) = (await decisions.read(everything)).entries
    assert entry.decision.id == reply.request_id
    assert entry.decision.facts.client == "me"
    assert [one.id for one in entry.decision.candidates] == ["a", "b"]
    assert entry.decision.selection.strategy_used == "performance"
    assert [one.outcome for one in entry.decision.selection.explanation.verdicts] == ["abstained", "selected"]
    assert [one.success for one in entry.outcomes] == [True]
    assert [(one.score, one.comment) for one in entry.ratings] == [(0.75, "fine")]


async def test_the_log_outlives_the_router(settings: DecisionsSettings) -> None:
    """What was noted up to the end is in the file, and the next process finds it without a router."""
    async with opened(Decisions(settings)) as router:
        await router.ask("hello")
    page = Decisions(settings).read_now(everything)
    assert [len(one.outcomes) for one in page.entries] == [1]


async def test_choosing_again_is_a_second_decision(settings: DecisionsSettings) -> None:
    """After a failure the next decision knows what failed, and each has its own outcome."""
    backend = Inline(a_deployment("a"), a_deployment("b"))
    backend.tell([ContextOverflowError(SECRET, 9000, 8192, host="one", model="a")], model="a")
    decisions = Decisions(settings)
    async with opened(decisions, backend) as router:
        backend.deployments.append(a_deployment("c", loaded=32_000))
        backend.deployments[1] = a_deployment("b", loaded=32_000)
        await router.ask("hello")
        first, second = (await decisions.read(everything)).entries
    assert first.decision.id == second.decision.id
    assert (first.decision.facts.attempt, second.decision.facts.attempt) == (1, 2)
    assert [one.error for one in first.outcomes] == ["ContextOverflowError"]
    (failure,) = second.decision.facts.attempts
    assert (failure.error, failure.facts["context_length"], failure.message) == (
        "ContextOverflowError", 8192, "",
    )  # fmt: skip
    assert [one.success for one in second.outcomes] == [True]


class Babbling:
    """A strategy that fails and says what it stumbled over, and one that answers nonsense."""

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers

    @hookimpl
    def select_model(self, request: ModelRequest) -> object:
        if self.answers:
            return request
        raise ValueError(request.task)


def secret_request() -> ModelRequest:
    image = ImagePart(f"data:image/png;base64,{SECRET}")
    messages = (Message("user", (TextPart(SECRET), image)),)
    return ModelRequest(SECRET, messages, system=SECRET, schema={"title": SECRET}, extra={"user": SECRET})


def written(path: Path) -> Iterator[str]:
    """Yield everything in the file, unpacked."""
    with closing(sqlite3.connect(path)) as connection:
        for (body,) in connection.execute("SELECT body FROM events UNION ALL SELECT body FROM parts"):
            yield zlib.decompress(body).decode() if isinstance(body, bytes) else body
        for table in ("events", "parts"):
            yield repr(connection.execute(f"SELECT * FROM {table}").fetchall())


async def test_no_word_of_a_prompt_is_kept(path: Path, settings: DecisionsSettings) -> None:
    """Unless content is asked for, no word of request, error or answer is anywhere in the file."""
    backend = Inline(a_deployment("a"), a_deployment("b"))
    backend.tell([LLMResponseError(f"cannot read {SECRET}")], model="a")
    decisions = Decisions(settings)
    strangers = {"raising": Babbling(answers=False), "nonsense": Babbling(answers=True)}
    async with opened(decisions, backend, **strangers) as router:
        await router.ask(secret_request())
        page = await decisions.read(everything)
    verdicts = page.entries[0].decision.selection.explanation.verdicts
    assert {one.strategy: one.detail for one in verdicts if one.outcome == "skipped"} == {
        "raising": "failed: ValueError",
        "nonsense": "answered with no selection of a candidate",
    }
    assert len(page.entries) == 2
    assert SECRET not in "".join(written(path))


async def test_content_is_kept_where_it_is_asked_for(settings: DecisionsSettings) -> None:
    """With content the words are kept, for strategies that read them; images are not."""
    decisions = Decisions(evolve(settings, content=True))
    async with opened(decisions) as router:
        await router.ask(secret_request())
        (entry,) = (await decisions.read(everything)).entries
    request = entry.decision.request()
    assert (request.task, request.system, request.messages[0].text) == (SECRET, SECRET, SECRET)
    assert SECRET not in repr(request.messages[0].images)


async def test_in_memory(tmp_path: Path, settings: DecisionsSettings) -> None:
    """With ``:memory:`` decisions can be looked up in the process that made them, and no file is written."""
    decisions = Decisions(evolve(settings, path=Path(":memory:")))
    async with opened(decisions) as router:
        (await router.ask("hello")).rate(1)
        (entry,) = (await decisions.read(everything)).entries
    assert (len(entry.outcomes), len(entry.ratings)) == (1, 1)
    assert decisions.read_now(everything).entries
    assert files(tmp_path) == []
    assert decisions.report_stats() == {"path": None, "error": None}


@pytest.mark.parametrize("where", ["decisions.db", ":memory:"])
async def test_switched_off(tmp_path: Path, where: str) -> None:
    """Switched off it keeps nothing anywhere, and the router goes on."""
    chosen = Path(where) if where == ":memory:" else tmp_path / where
    decisions = Decisions(DecisionsSettings(enabled=False, path=chosen))
    async with opened(decisions) as router:
        (await router.ask("hello")).rate(1)
    assert decisions.read_now(everything).entries == ()
    assert files(tmp_path) == []


async def test_a_store_that_cannot_be_opened(tmp_path: Path, warnings: list[str]) -> None:
    """Where no file can be, there is one warning, and decisions are held in memory."""
    (tmp_path / "file").write_text("in the way")
    decisions = Decisions(DecisionsSettings(path=tmp_path / "file" / "decisions.db"))
    async with opened(decisions) as router:
        await router.ask("hello")
        assert len((await decisions.read(everything)).entries) == 1
    assert len(warnings) == 1
    assert "decisions: cannot use" in warnings[0]
    assert "held in memory only" in warnings[0]
    assert decisions.report_stats()["error"] == warnings[0]


async def test_a_damaged_file(path: Path, settings: DecisionsSettings, warnings: list[str]) -> None:
    """A damaged file is moved aside with a warning, and a new log begins."""
    damage(path)
    decisions = Decisions(settings)
    async with opened(decisions) as router:
        await router.ask("hello")
    assert len(decisions.read_now(everything).entries) == 1
    assert sum(".damaged-" in name for name in files(path.parent)) == 1
    assert "damaged" in warnings[0]


async def test_what_cannot_be_written_costs_itself(settings: DecisionsSettings, warnings: list[str]) -> None:
    """A decision that cannot be written down is left out with a warning, and the others are kept."""
    decisions = Decisions(settings)
    async with opened(decisions) as router:
        broken = made()
        decisions.record_selection(broken.request, ModelSelection("a"), [object()])  # type: ignore[list-item]
        await router.ask("hello")
        page = await decisions.read(everything)
    assert len(page.entries) == 1
    assert ["cannot be written down" in warning for warning in warnings] == [True]


async def test_executions_of_nobody(settings: DecisionsSettings) -> None:
    """An execution that belongs to no request is no part of the log."""
    decisions = Decisions(settings)
    async with opened(decisions) as router:
        router.record_metrics(evolve(OUTCOME, request_id=""))
        rows = await decisions.read(lambda log: log.request(""))
    assert (rows.entries, rows.unreadable) == ((), 0)


async def test_a_rating_may_come_from_any_thread(settings: DecisionsSettings) -> None:
    """A program that runs the router elsewhere can rate from its own thread."""
    decisions = Decisions(settings)
    async with opened(decisions) as router:
        reply = await router.ask("hello")
        thread = threading.Thread(target=reply.rate, args=(0.5,))
        thread.start()
        await asyncio.to_thread(thread.join)
        (entry,) = (await decisions.read(everything)).entries
    assert [one.score for one in entry.ratings] == [0.5]


async def test_ids_that_sqlite_cannot_hold(settings: DecisionsSettings) -> None:
    """A request id with half a character is kept as near as it can be."""
    decisions = Decisions(settings)
    async with opened(decisions) as router:
        await router.ask(ModelRequest("hello", id="x\ud800"))
        router.record_feedback(Feedback("x\ud800", 1.0))
        ids = await decisions.read(lambda log: log.ids())
    assert list(ids) == ["x?"]


async def test_what_is_pending_is_written_soon(path: Path, settings: DecisionsSettings) -> None:
    """A kill costs only what happened just now: the rest is handed over without anybody asking."""
    decisions, handed_over = Decisions(settings), asyncio.Event()
    async with opened(decisions) as router:
        await router.ask("hello")
        asyncio.get_running_loop().call_later(WRITE_EVERY_SECONDS, handed_over.set)
        await handed_over.wait()
        decisions.record_feedback(Feedback("nobody", 1.0))
        rows = await asyncio.to_thread(committed, path)
        assert decisions.report_stats() == {"path": str(path), "error": None}
    assert rows[:2] == ["decision", "outcome"]


def committed(path: Path) -> list[str]:
    """Return the kinds of all rows, once there are some."""
    kinds: list[str] = []
    with closing(sqlite3.connect(path)) as connection:
        while not kinds:
            kinds = [kind for (kind,) in connection.execute("SELECT kind FROM events ORDER BY id")]
    return kinds


@pytest.mark.parametrize("wrong", [{"retention_days": 0}, {"retention_rows": 0}, {"contents": True}])
def test_wrong_settings(wrong: dict[str, object]) -> None:
    """A setting that means nothing is refused."""
    with pytest.raises(ConfigError):
        structure(DecisionsSettings, wrong, "decisions", str)  # type: ignore[arg-type]


async def test_by_default_in_the_users_data_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a path the log lies in the user's data directory, and only where something was logged."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    decisions = Decisions(DecisionsSettings())
    assert decisions.read_now(everything).entries == ()
    async with opened(decisions) as router:
        await router.ask("hello")
    assert (tmp_path / "turnout" / "decisions.db").exists()


class Dice:
    """Takes b with a chance of its own, drawn by ``request.rng``, else a."""

    def __init__(self, chance: float) -> None:
        self.chance = chance

    @hookimpl
    def select_model(self, request: ModelRequest) -> ModelSelection:
        model = "b" if request.rng.random() < self.chance else "a"
        return ModelSelection(model, "luck", propensity=self.chance if model == "b" else 1 - self.chance)


async def test_a_log_made_by_chance_judges_other_strategies(settings: DecisionsSettings) -> None:
    """What chance tried is known: the same strategy has earned what was earned, and others are estimated."""
    decisions, worth = Decisions(settings), {"a": 0.2, "b": 0.9}
    async with opened(decisions, dice=Dice(0.3)) as router:
        for number in range(200):
            reply = await router.ask(ModelRequest("hi", id=str(number)))
            reply.rate(worth[reply.model])
        page = await decisions.read(everything)
        router.register_strategy("bolder", Dice(0.8))
        replay = Replay(("dice", "bolder", "performance"), Wanted(), 30.0)
        same, bolder, performance = await over_log(router, replay, page.entries, Output(quiet=True))
    assert same.changed == 0
    assert bolder.changed > 50
    assert same.estimate is not None
    assert bolder.estimate is not None
    assert performance.estimate is not None
    assert same.estimate.ips == same.estimate.logged
    assert bolder.estimate.ips is not None
    assert bolder.estimate.ips.value == pytest.approx(0.8 * 0.9 + 0.2 * 0.2, abs=0.12)
    assert bolder.estimate.dr.value == pytest.approx(0.8 * 0.9 + 0.2 * 0.2, abs=0.02)
    assert performance.estimate.dr.value == pytest.approx(0.2, abs=0.02)
