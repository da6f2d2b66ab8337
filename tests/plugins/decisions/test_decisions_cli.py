"""``turnout explain``, ``rate`` and ``replay`` on the command line."""

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from attrs import field, frozen
from click.testing import CliRunner, Result
from loguru import logger

from turnout import (
    Candidate,
    Config,
    Feedback,
    JSONObject,
    ModelRequest,
    ModelSelection,
    NoSuitableModelError,
    Router,
    Signals,
    TaskType,
    Vetoes,
    hookimpl,
)
from turnout.clock import now
from turnout.store import open_store
from turnout_cli.main import build
from turnout_decisions.codec import Encoder
from turnout_decisions.schema import INSERT, MIGRATIONS
from turnout_decisions.writing import cells
from turnout_testing import Emulator, serve
from turnout_testing.faults import html_500

from .logging_world import a_decision

OWL, HAWK = "acme/owl-8b", "acme/hawk-vl-4b"


class Listening:
    """Hears the ratings."""

    def __init__(self) -> None:
        self.heard: list[Feedback] = []

    @hookimpl
    def record_feedback(self, feedback: Feedback) -> None:
        self.heard.append(feedback)


class Always:
    """Takes one model wherever it can."""

    def __init__(self, model: str) -> None:
        self.model = model

    @hookimpl
    def select_model(self, candidates: Sequence[Candidate]) -> ModelSelection | None:
        return next((ModelSelection(one.id) for one in candidates if one.id == self.model), None)


class Sulking:
    """Declines, and fails now and then."""

    @hookimpl
    def select_model(self, request: ModelRequest) -> ModelSelection:
        if request.signals.task_type is None:
            raise OSError
        raise NoSuitableModelError("no")

    @hookimpl
    def classify_request(self, request: ModelRequest) -> Signals:
        return Signals(language="en")


class Sighing:
    """Has something to say of every decision."""

    @hookimpl
    def veto_deployments(self) -> Vetoes:
        return Vetoes(notes="it is late")


@frozen
class Desk:
    """The command line with the plugin, one emulated host, and a home of its own."""

    url: str
    home: Path
    listening: Listening = field(factory=Listening)

    def make_router(self, config: Config) -> Router:
        plugins = {
            "listening": self.listening, "owls": Always(OWL), "hawks": Always(HAWK), "sulking": Sulking(),
            "sighing": Sighing(),
        }  # fmt: skip
        return Router(config, plugins=plugins)

    @property
    def env(self) -> dict[str, str | None]:
        own = ("TURNOUT_", "LM", "XDG_", "DEFAULT_", "NO_COLOR")
        ours = {name: None for name in os.environ if name.startswith(own)}
        folders = {f"XDG_{kind}_HOME": str(self.home / kind.lower()) for kind in ("CONFIG", "DATA", "STATE")}
        return {**ours, **folders, "HOME": str(self.home), "COLUMNS": "120", "TZ": "UTC"}

    def run(self, *args: str, path: str | None = None) -> Result:
        """Run ``turnout`` in this process, with the log at *path*."""
        where = path or str(self.home / "decisions.db")
        settings = (
            f"hosts.desk.url={self.url}", "hosts.desk.backend=lmstudio", 'metrics.path=":memory:"',
            'selection.order=["explicit", "performance", "fallback"]', f"decisions.path={where!r}",
        )  # fmt: skip
        options = [word for setting in settings for word in ("--set", setting)]
        left_out = ("embedded", "resilience", "task_based")
        words = [*options, *(word for name in left_out for word in ("-p", f"no:{name}")), *args]
        return CliRunner(env=self.env).invoke(build(self.make_router), words, prog_name="turnout")

    def ask(self, *words: str) -> str:
        """Ask something, and return the id of the request."""
        done = self.run("ask", "--json", *words)
        assert done.exit_code == 0, done.output
        request_id = json.loads(done.stdout)["request_id"]
        assert isinstance(request_id, str)
        return request_id

    def probe(self, request_id: str) -> str:
        """Log a decision about a copy, of which nobody is shown the answer, and return its id."""
        decision = a_decision(request_id=request_id, at=now().timestamp(), client="shadow")
        path = self.home / "decisions.db"
        store = open_store(path, MIGRATIONS, lambda _: None, name="decisions").store
        assert store is not None
        store.append(INSERT, [cells(Encoder().encode(decision))])
        store.close()
        return request_id

    def json(self, *args: str) -> JSONObject:
        """Run a verb with ``--json`` and return what it prints."""
        value = json.loads(self.run(*args, "--json").stdout)
        assert value["schema_version"] == 1
        return dict(value)


@pytest.fixture(autouse=True)
def _quiet_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    logger.remove()


@pytest.fixture(name="desk")
def _desk(tmp_path: Path) -> Iterator[Desk]:
    with serve(Emulator(loaded=(OWL, HAWK), speed=1000)) as url:
        yield Desk(url, tmp_path)


# --- explain ------------------------------------------------------------------------------------------


def test_explain_shows_the_whole_decision(desk: Desk) -> None:
    """The last decision is shown with its facts, candidates, verdicts, who was left out, and its end."""
    request_id = desk.ask("--task-type", "planning", "Plan a trip")
    shown = desk.run("explain").stdout
    assert shown.startswith(f"Request {request_id}, 20")
    assert "chosen by performance, not by chance" in shown
    rows = [line.split() for line in shown.splitlines()]
    assert ["task", "planning", "(100%", "sure)"] in rows
    assert ["client", "cli"] in rows
    candidates = {row[0]: row for row in rows if row[:1] in ([OWL], [HAWK]) and len(row) > 10}
    assert set(candidates) == {OWL, HAWK}
    assert candidates[OWL][1:5] == ["desk", "yes", "8192", "4"]
    assert ["explicit", "abstained"] in rows
    assert ["text-embedding-acme-v1", "desk", "an", "embedding", "model"] in rows
    assert any(row[1:3] == ["desk", "answered"] for row in rows)
    assert "\nNote: it is late (sighing)\n" in shown


def test_explain_by_id(desk: Desk) -> None:
    """A decision is found by its id and by the beginning of it."""
    first = desk.ask("-m", "owl-8b", "one")
    desk.ask("two")
    for name in (first, first[:8]):
        assert desk.run("explain", name).stdout.startswith(f"Request {first}")
    assert "asked for     acme/owl-8b" in desk.run("explain", first).stdout


def test_explain_as_json(desk: Desk) -> None:
    """--json has all that is known of the decision, and what became of it."""
    desk.ask("--task-type", "planning", "Plan a trip")
    decisions = desk.json("explain")["decisions"]
    assert isinstance(decisions, list)
    (one,) = decisions
    assert isinstance(one, dict)
    assert {name: one[name] for name in ("strategy", "propensity", "attempt")} == {
        "strategy": "performance", "propensity": 1.0, "attempt": 1,
    }  # fmt: skip
    assert one["notes"] == ["it is late (sighing)"]
    assert isinstance(one["request"], dict)
    assert isinstance(one["request"]["signals"], dict)
    assert one["request"]["signals"]["task_type"] == "planning"
    assert one["request"]["content"] is None
    assert isinstance(one["candidates"], list)
    assert [c["model"] for c in one["candidates"] if isinstance(c, dict)] == [HAWK, OWL]
    assert isinstance(one["outcomes"], list)
    assert [o["success"] for o in one["outcomes"] if isinstance(o, dict)] == [True]


def test_explain_list(desk: Desk) -> None:
    """The recent decisions are listed, the newest first, one line each."""
    ids = [desk.ask(word) for word in ("one", "two", "three")]
    desk.run("rate", "good")
    lines = desk.run("explain", "--list").stdout.splitlines()
    assert lines[0].split() == ["WHEN", "ID", "TASK", "MODEL", "STRATEGY", "OUTCOME", "TOOK", "RATED"]
    assert [line.split()[2] for line in lines[1:]] == [one[:8] for one in reversed(ids)]
    assert lines[1].endswith(" 1.00")
    assert len(desk.run("explain", "--list", "--limit", "2").stdout.splitlines()) == 3
    decisions = desk.json("explain", "--list")["decisions"]
    assert isinstance(decisions, list)
    assert [one["request_id"] for one in decisions if isinstance(one, dict)] == ids


def test_what_nobody_was_shown_is_left_out(desk: Desk) -> None:
    """Probes are not the last, are rated only by id, listed only with --all, and not replayed."""
    mine = desk.ask("one")
    probe = desk.probe(f"{mine}-copy")
    assert desk.run("explain").stdout.startswith(f"Request {mine},")
    assert desk.run("rate", "good").stdout.endswith(f"for {mine}\n")
    assert desk.run("rate", probe, "bad").stdout.endswith(f"for {probe}\n")
    listed = desk.run("explain", "--list")
    assert [line.split()[2] for line in listed.stdout.splitlines()[1:]] == [mine[:8]]
    assert "1 decision left out" in listed.stderr
    both = desk.run("explain", "--list", "--all").stdout.splitlines()[1:]
    assert [line.split()[2] for line in both] == [probe, mine]
    assert desk.run("explain", "--all").stdout.startswith(f"Request {probe},")
    assert (desk.json("replay")["decisions"], desk.json("replay")["unseen"]) == (1, 1)
    assert desk.json("replay", "--all")["decisions"] == 2


def test_nothing_harmful_is_shown(desk: Desk) -> None:
    """What a comment or a name could do to a line or a terminal is shown as an escape."""
    desk.ask("one")
    said = desk.run("rate", "good", "--comment", "fine\nRequest \u202edne \a")
    assert said.exit_code == 0
    shown = desk.run("explain").stdout
    assert "fine\\nRequest \\u202edne \\x07" in shown
    assert not {"\u202e", "\a"} & set(shown)


def test_nothing_logged(desk: Desk) -> None:
    """Of an empty log every verb says that there is nothing yet."""
    done = desk.run("explain")
    assert done.exit_code == 1
    assert "no decision has been logged yet" in done.stderr
    assert "no decision has been logged yet" in desk.run("rate", "good").stderr
    for verb in (("explain", "--list"), ("replay",)):
        done = desk.run(*verb)
        assert (done.exit_code, done.stdout) == (0, "")
        assert "logged yet" in done.stderr
    assert not (desk.home / "decisions.db").exists()


def test_unknown_ids(desk: Desk) -> None:
    """An id that is not in the log is an error with ids that are, as JSON where that was asked for."""
    request_id = desk.ask("one")
    done = desk.run("explain", "zzz")
    assert done.exit_code == 1
    assert request_id in done.stderr
    error = desk.json("explain", "zzz")["error"]
    assert isinstance(error, dict)
    assert error["type"] == "UnknownDecisionError"


def test_a_log_in_memory(desk: Desk) -> None:
    """A log that was in memory is gone with its process."""
    assert desk.run("ask", "one", path=":memory:").exit_code == 0
    done = desk.run("explain", path=":memory:")
    assert "no decision has been logged yet" in done.stderr


def test_another_programs_file(desk: Desk) -> None:
    """A file that is no log of ours is an error that names it, and nothing happens to it."""
    path = desk.home / "decisions.db"
    path.write_bytes(b"my diary" * 1000)
    done = desk.run("explain")
    assert done.exit_code == 1
    assert "cannot read" in done.stderr
    assert path.read_bytes() == b"my diary" * 1000


def test_rows_that_cannot_be_read(desk: Desk) -> None:
    """What is damaged, or newer than this turnout, is left out with a warning."""
    for word in ("one", "two", "three"):
        desk.ask(word)
    with closing(sqlite3.connect(desk.home / "decisions.db")) as connection, connection:
        decisions = "(SELECT id FROM events WHERE kind = 'decision' ORDER BY id LIMIT 1 OFFSET {})"
        connection.execute(f"UPDATE events SET version = 99 WHERE id = {decisions.format(0)}")
        connection.execute(f"UPDATE events SET body = '' WHERE id = {decisions.format(1)}")
    for verb in (("explain", "--list"), ("replay",)):
        done = desk.run(*verb)
        assert done.exit_code == 0
        assert "1 row left out: written by a newer turnout" in done.stderr
        assert "1 row left out: damaged" in done.stderr


def test_several_attempts(tmp_path: Path) -> None:
    """The decisions about one request are shown in order, each with its own end."""
    failing = html_500(route="/v1/chat/completions", times=2)
    with serve(Emulator(loaded=(OWL, HAWK), speed=1000, faults=(failing,))) as url:
        desk = Desk(url, tmp_path)
        request_id = desk.ask("one")
        shown = desk.run("explain").stdout
        decisions = desk.json("explain")["decisions"]
    assert shown.count(f"Request {request_id}, ") == 2
    assert shown.index("(1 of 2)") < shown.index("LLMResponseError") < shown.index("(2 of 2)")
    assert shown.index("(2 of 2)") < shown.index("answered")
    assert isinstance(decisions, list)
    first, second = decisions
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert first["tried"] == second["request"]["attempts"]  # type: ignore[index, call-overload]
    assert (first["attempt"], second["attempt"]) == (1, 3)


# --- rate ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "score"), [(("good",), 1.0), (("last", "BAD"), 0.0), (("last", "0.25"), 0.25), (("1",), 1.0)]
)
def test_every_learner_hears_a_rating(desk: Desk, words: tuple[str, ...], score: float) -> None:
    """A rating reaches every plugin with the model, host and kind of work of the answer."""
    request_id = desk.ask("--task-type", "planning", "Plan a trip")
    done = desk.run("rate", *words, "--comment", "thanks")
    assert done.exit_code == 0
    (heard,) = desk.listening.heard
    assert heard.model in done.stdout
    assert (heard.request_id, heard.score, heard.comment) == (request_id, score, "thanks")
    assert (heard.host, heard.task_type) == ("desk", TaskType.PLANNING)
    rows = [line.split() for line in desk.run("explain").stdout.splitlines()]
    assert [f"{score:.2f}", "thanks"] in [[row[0], row[-1]] for row in rows if row]


def test_rate_as_json(desk: Desk) -> None:
    """--json says what was rated."""
    request_id = desk.ask("one")
    rating = desk.json("rate", request_id[:6], "0.5")["rating"]
    assert isinstance(rating, dict)
    assert (rating["request_id"], rating["score"], rating["host"]) == (request_id, 0.5, "desk")


@pytest.mark.parametrize("words", [("great",), ("2",), ("nan",), ("last", "-1"), ("a", "b", "good"), ()])
def test_bad_ratings(desk: Desk, words: tuple[str, ...]) -> None:
    """What is no score is an error of use, and nobody hears it."""
    desk.ask("one")
    assert desk.run("rate", "--", *words).exit_code == 2
    assert desk.listening.heard == []


# --- replay -------------------------------------------------------------------------------------------


def test_replay_says_what_would_have_changed(desk: Desk) -> None:
    """A strategy that takes another model is shown with its moves, and with no number that nobody knows."""
    for word in ("one", "two", "three"):
        desk.ask("-m", "hawk-vl-4b", "--allow-fallback", word)
    done = desk.run("replay", "--strategy", "owls", "--strategy", "hawks", "--strategy", "sulking")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert "3 decisions from" in done.stdout
    assert ["owls", "3", "0", "0", "0", "3", "(100%)"] in [row[:7] for row in rows]
    assert ["hawks", "3", "0", "0", "0", "0", "(0%)"] in [row[:7] for row in rows]
    assert ["sulking", "0", "0", "0", "3", "0", "(0%)"] in [row[:7] for row in rows]
    assert [HAWK, OWL, "3"] in [row[:3] for row in rows]
    assert ["owls", "IPS", "-", "-", "nothing:"] in [row[:5] for row in rows]
    assert "owls: this log left nothing to chance" in done.stderr
    assert "the logged choice stands" in done.stderr
    assert "hawks: this log" not in done.stderr
    assert "A strategy failed on some decisions" in done.stderr


def test_replay_as_json(desk: Desk) -> None:
    """--json has the same, and says null where the log cannot tell."""
    desk.ask("-m", "hawk-vl-4b", "--allow-fallback", "--task-type", "planning", "one")
    desk.ask("-m", "hawk-vl-4b", "--allow-fallback", "two")
    shown = desk.json("replay", "--strategy", "owls", "--strategy", "sulking")
    assert isinstance(shown["replayed"], list)
    owls, sulking = shown["replayed"]
    assert isinstance(owls, dict)
    assert isinstance(sulking, dict)
    assert (owls["changed"], owls["choices"], owls["decisions"]) == (2, 2, 2)
    assert isinstance(owls["estimate"], dict)
    assert (owls["estimate"]["ips"], owls["estimate"]["model_alone"]) == (None, True)
    assert sulking["outcomes"] == {"declined": 1, "skipped": 1}


def test_replay_is_the_chain_by_default(desk: Desk) -> None:
    """Without a name the configured chain is asked, which changes nothing right after its own decisions."""
    desk.ask("one")
    rows = [line.split() for line in desk.run("replay").stdout.splitlines()]
    assert ["chain", "1", "0", "0", "0", "0", "(0%)", "0", "s", "0", "0"] in rows


def test_replay_filters(desk: Desk) -> None:
    """Time, kind of work and number limit what is replayed."""
    desk.ask("--task-type", "planning", "one")
    desk.ask("--task-type", "analysis", "two")
    for options, found in (
        (("--since", "1h"), 2),
        (("--task-type", "planning"), 1),
        (("--limit", "1"), 1),
        (("--task-type", "other"), 0),
    ):
        assert desk.json("replay", *options)["decisions"] == found


@pytest.mark.parametrize(
    "options",
    [("--since", "yesterday"), ("--since", "7"), ("--task-type", "poetry"), ("--limit", "0"),
     ("--patience", "0"), ("--patience", "nan"), ("--patience", "inf"), ("--data", "absent.csv")],
)  # fmt: skip
def test_bad_options(desk: Desk, options: tuple[str, ...]) -> None:
    """What means nothing is an error of use."""
    assert desk.run("replay", *options).exit_code == 2


def test_unknown_strategy(desk: Desk) -> None:
    """A strategy that is not installed is an error with the names of those that are."""
    desk.ask("one")
    done = desk.run("replay", "--strategy", "owl")
    assert done.exit_code == 1
    assert "Did you mean owls" in done.stderr


def test_replay_over_a_file(desk: Desk) -> None:
    """Over scored prompts the scores are exact, beside chance, the best single model and the oracle."""
    rows = f"prompt,score:{OWL},score:{HAWK}\none,1,0\ntwo,0,1\nthree,1,0\nfour,1,\n"
    (desk.home / "scores.csv").write_text(rows)
    done = desk.run("replay", "--data", "scores.csv", "--strategy", "hawks", "--strategy", "sulking")
    shown = [line.split() for line in done.stdout.splitlines()]
    assert ["hawks", "0.333"] in [row[:2] for row in shown]
    assert ["sulking", "0.500"] in [row[:2] for row in shown]
    assert ["best", "single", f"({OWL})", "0.667"] in [row[:4] for row in shown]
    assert ["oracle", "1.000"] in [row[:2] for row in shown]
    assert ["sulking", "(nothing)", "3"] in shown
    assert "1 row left out: without every score" in done.stderr
    assert "as a pick at random" in done.stderr
    assert ["sulking", "hawks", "+0.167"] in [row[:3] for row in shown]
    value = desk.json("replay", "--data", "scores.csv", "--strategy", "hawks")
    assert value["best_single"] == {"model": OWL, "score": pytest.approx(2 / 3)}


def test_a_bad_file(desk: Desk) -> None:
    """A file that holds no scored prompts is an error that says what is missing."""
    (desk.home / "scores.csv").write_text("a,b\n1,2\n")
    done = desk.run("replay", "--data", "scores.csv")
    assert done.exit_code == 1
    assert "has no column `prompt`" in done.stderr
