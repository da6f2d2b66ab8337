"""The log: what belongs together, what is found, what is kept, and what damage costs."""

import json
import sqlite3
import struct
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest
from attrs import evolve

from turnout import Estimate, Feedback, TaskType
from turnout.clock import now
from turnout.store import open_store, read_store
from turnout_decisions.codec import VERSION, Encoder
from turnout_decisions.journal import Event, Log, Page, Query, Wanted
from turnout_decisions.lookup import UnknownDecisionError, history, resolve
from turnout_decisions.memory_log import MOST_EVENTS, MemoryLog
from turnout_decisions.schema import INSERT, MIGRATIONS, WITNESSES, Retention
from turnout_decisions.sqlite_log import SqliteLog
from turnout_decisions.writing import cells

from .logging_world import OUTCOME, a_decision

T = TypeVar("T")
Look = Callable[[Iterable[Event], Query[Page]], Page]
ALL = Wanted()


def write(path: Path, events: Iterable[Event], retention: Retention | None = None) -> None:
    prune = retention.prune if retention else None
    store = open_store(path, MIGRATIONS, lambda _: None, name="decisions", prune=prune).store
    assert store is not None
    encoder = Encoder()
    for event in events:
        store.append(INSERT, [cells(encoder.encode(event))])
        store.flush()
    store.close()


def read(path: Path, query: Query[T]) -> T:
    found = read_store(path, MIGRATIONS, lambda c: (query(SqliteLog(c)),), name="decisions")
    assert found is not None
    return found[0]


@pytest.fixture(name="look", params=["memory", "sqlite"])
def _look(request: pytest.FixtureRequest, path: Path) -> Look:
    """Look into a log of some events, in memory and in SQLite."""

    def in_memory(events: Iterable[Event], query: Query[Page]) -> Page:
        log = MemoryLog()
        for event in events:
            log.add(event)
        return query(log)

    def in_sqlite(events: Iterable[Event], query: Query[Page]) -> Page:
        write(path, events)
        return read(path, query)

    return in_memory if request.param == "memory" else in_sqlite


def everything(log: Log) -> Page:
    return log.newest(ALL)


def test_outcomes_belong_to_the_decision_before_them(look: Look) -> None:
    """What was executed after a decision, and before the next about the same request, became of that one."""
    events: list[Event] = [
        a_decision("a"),
        evolve(OUTCOME, success=False, error="ModelCrashedError"),
        a_decision("b", request_id="other"),
        evolve(OUTCOME, success=False, error="ModelCrashedError"),
        a_decision("b"),
        evolve(OUTCOME, model_id="b"),
        evolve(OUTCOME, model_id="b", request_id="other"),
        evolve(OUTCOME, request_id="never heard of"),
    ]
    page = look(events, everything)
    assert [(one.decision.id, [o.model_id for o in one.outcomes]) for one in page.entries] == [
        ("one", ["a", "a"]),
        ("other", ["b"]),
        ("one", ["b"]),
    ]
    assert page.entries[0].outcomes[0] == events[1]


def test_ratings_belong_to_the_model_that_was_rated(look: Look) -> None:
    """A rating goes to the decision for its model, else to the request's last, even if noted before it."""
    of_a, of_none = Feedback("one", 0.1, "a"), Feedback("one", 0.2, "x", comment="hm")
    events: list[Event] = [of_a, a_decision("a"), a_decision("b"), of_none, Feedback("never heard of", 1.0)]
    page = look(events, everything)
    assert [one.ratings for one in page.entries] == [[of_a], [of_none]]


def test_what_is_wanted(look: Look) -> None:
    """The newest are found, oldest first, by time and by kind of work."""
    events = [a_decision("a", request_id=str(number), at=float(number)) for number in range(5)]

    def found(wanted: Wanted) -> list[str]:
        return [one.decision.id for one in look(events, lambda log: log.newest(wanted)).entries]

    assert found(Wanted(2)) == ["3", "4"]


def test_what_is_wanted_by_time_and_task(path: Path) -> None:
    """A page holds only what is new enough and of the right kind, with what became of it."""
    events: list[Event] = [a_decision("a", request_id=str(number), at=float(number)) for number in range(5)]
    events.append(evolve(OUTCOME, request_id="4"))
    log = MemoryLog()
    for event in events:
        log.add(event)
    write(path, events)
    for wanted, ids in (
        (Wanted(since=3.0), ["3", "4"]),
        (Wanted(task_type=TaskType.CODE_GENERATION), list("01234")),
        (Wanted(task_type=TaskType.PLANNING), []),
    ):
        query = _newest(wanted)
        for page in (query(log), read(path, query)):
            assert [one.decision.id for one in page.entries] == ids
            assert [len(one.outcomes) for one in page.entries[-1:]] == [1] * bool(ids)


def _newest(wanted: Wanted) -> Query[Page]:
    return lambda log: log.newest(wanted)


@pytest.mark.parametrize("client", ["calibration", "shadow"])
def test_what_nobody_was_shown_is_passed_over(look: Look, client: str) -> None:
    """Probes and copies are counted and left out, unless they are wanted, and use up no room."""
    seen = [a_decision(request_id=name) for name in ("one", "two")]
    copies = [a_decision(request_id=f"{name}-copy", client=client) for name in ("one", "two")]
    events: list[Event] = [seen[0], copies[0], OUTCOME, seen[1], copies[1]]

    def found(wanted: Wanted) -> tuple[list[str], int]:
        page = look(events, lambda log: log.newest(wanted))
        return [one.decision.id for one in page.entries], page.unseen

    assert found(Wanted(2)) == (["one", "two"], 2)


def test_what_nobody_was_shown_may_be_wanted(look: Look) -> None:
    """Probes and copies are found like others by who asks for them."""
    events = [a_decision(request_id="one"), a_decision(request_id="probe", client="calibration")]
    page = look(events, lambda log: log.newest(Wanted(1, unseen=True)))
    assert ([one.decision.id for one in page.entries], page.unseen) == (["probe"], 0)


def test_one_request(look: Look) -> None:
    """A request is found with all its decisions, and nobody else's."""
    events: list[Event] = [a_decision("a"), a_decision("b", request_id="other"), a_decision("b"), OUTCOME]
    page = look(events, lambda log: log.request("one"))
    assert [one.decision.selection.model for one in page.entries] == ["a", "b"]
    assert page.entries[-1].outcomes == [OUTCOME]


def test_ids_are_newest_first(path: Path) -> None:
    """Ids are listed once each, by the request's last decision."""
    events = [a_decision(request_id=name) for name in ("x", "y", "z", "x")]
    log = MemoryLog()
    for event in events:
        log.add(event)
    write(path, events)
    assert list(log.ids()) == list(read(path, lambda found: found.ids())) == ["x", "z", "y"]


def test_memory_is_bounded() -> None:
    """In memory only the newest are held."""
    log = MemoryLog()
    for number in range(MOST_EVENTS + 10):
        log.add(a_decision(request_id=str(number)))
    assert len(log.ids()) == MOST_EVENTS
    assert "9" not in log.ids()


# --- what a person types ------------------------------------------------------------------------------

IDS = ("f00d1", "f00d2", "beef", "cafe")


@pytest.mark.parametrize(
    ("text", "found"),
    [("beef", "beef"), ("ca", "cafe"), ("f00d1-c", "f00d1-copy"), ("f00d1", "f00d1")],
)
def test_requests_are_found(text: str, found: str) -> None:
    """A whole id, and the beginning of one alone are understood."""
    assert resolve(text, (*IDS, "f00d1-copy")) == found


def test_a_request_comes_before_its_copy() -> None:
    """The beginning of a request's id means the request, and not the copy whose id begins alike."""
    assert resolve("be", ("beef-copy", *IDS)) == "beef"


def test_the_last_is_what_somebody_was_shown(look: Look) -> None:
    """``last`` passes over probes and copies, and where there is nothing else it says so."""
    probe = a_decision(request_id="probe", client="calibration")
    events = [a_decision(request_id="mine"), probe]
    (entry,) = look(events, lambda log: history("last", log)).entries
    assert entry.decision.id == "mine"


def test_the_last_of_all(look: Look) -> None:
    """A probe is found by its id, and as the last of all; where there is nothing else, the error says so."""

    def only(log: Log) -> Page:
        with pytest.raises(UnknownDecisionError, match="only probes and copies"):
            history("last", log)
        assert history("probe", log).entries
        return history("last", log, unseen=True)

    (entry,) = look([a_decision(request_id="probe", client="calibration")], only).entries
    assert entry.decision.id == "probe"


@pytest.mark.parametrize(
    ("text", "ids", "words"),
    [
        ("beef", (), "no decision has been logged yet"),
        ("f00d", IDS, "'f00d' begins 2 ids: f00d1, f00d2"),
        ("beed", IDS, "Did you mean beef"),
        ("zzz", IDS, "The last: f00d1, f00d2, beef, cafe"),
        ("", IDS, "a request ''"),
        ("1", [f"1{number}" for number in range(8)], "and 3 more"),
    ],
)
def test_requests_that_are_not_found(text: str, ids: tuple[str, ...], words: str) -> None:
    """What is unknown or ambiguous is an error with the ids that may be meant."""
    with pytest.raises(UnknownDecisionError, match=words):
        resolve(text, ids)


# --- keeping ------------------------------------------------------------------------------------------


def rows(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def test_retention_by_rows(path: Path) -> None:
    """At most so many rows are kept, the newest."""
    write(path, [a_decision(request_id=str(n), at=now().timestamp()) for n in range(9)], Retention(4, 1.0))
    assert list(read(path, lambda log: log.ids())) == ["8", "7", "6", "5"]


def test_retention_by_age(path: Path) -> None:
    """What is too old goes, as soon as enough newer events agree with the clock that it is."""
    at = now().timestamp()
    old = [a_decision(request_id="old", at=at - 90_000)]
    new = [a_decision(request_id=f"new {number}", at=at) for number in range(WITNESSES)]
    write(path, [*old, *new[1:]], Retention(1000, 1.0))
    assert read(path, lambda log: log.ids())[-1] == "old"
    write(path, new[:1], Retention(1000, 1.0))
    assert "old" not in read(path, lambda log: log.ids())


def test_a_clock_that_is_ahead_costs_nothing(path: Path) -> None:
    """What a start with a wrong clock writes makes nothing else too old."""
    real = now().timestamp() - 91 * 86_400.0
    events = [a_decision(request_id=str(number), at=real) for number in range(WITNESSES + 20)]
    write(path, events)
    write(path, [a_decision(request_id="ahead", at=now().timestamp())], Retention(1000, 90.0))
    assert len(read(path, lambda log: log.ids())) == len(events) + 1


def test_shared_pieces_go_with_the_last_that_rests_on_them(path: Path) -> None:
    """A piece stays as long as a decision that is kept needs it, and no longer."""
    at = now().timestamp()
    shared = a_decision(request_id="first", at=at)
    again = evolve(shared, facts=evolve(shared.facts, id="second"))
    write(path, [shared, again], Retention(1, 1.0))
    assert rows(path, "SELECT count(*) FROM parts") == [(1,)]
    assert len(read(path, everything).entries) == 1
    write(path, [a_decision("a", request_id="third", at=at)], Retention(1, 1.0))
    assert rows(path, "SELECT count(*) FROM parts") == [(1,)]
    assert rows(path, "SELECT count(*) FROM parts JOIN events ON digest = fleet") == [(1,)]


# --- damage -------------------------------------------------------------------------------------------

DAMAGE = {
    "body of another kind": "UPDATE events SET body = '[]'",
    "no JSON": "UPDATE events SET body = '{'",
    "half an archive": "UPDATE events SET body = substr(body, 1, 20)",
    "a number": "UPDATE events SET body = 5",
    "deep JSON": f"UPDATE events SET body = '{'[' * 100_000}'",
    "a kind that nobody knows": "UPDATE events SET kind = 'rating' WHERE kind = 'decision'",
    "no fleet": "UPDATE events SET fleet = NULL",
    "half the estimates": "UPDATE events SET estimates = substr(estimates, 1, 20)",
    "one estimate of two": "UPDATE events SET estimates = substr(estimates, 1, 8)",
    "no estimates": "UPDATE events SET estimates = NULL",
    "lost pieces": "DELETE FROM parts",
    "a broken piece": "UPDATE parts SET body = x'00'",
    "a piece of another decision": "UPDATE parts SET body = '[]'",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_rows_are_left_out(path: Path, damage: str) -> None:
    """A row that does not hold what was written costs itself, and is counted."""
    write(path, [a_decision("a", request_id="broken")])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(damage)
    page = read(path, lambda log: log.request("broken"))
    assert (len(page.entries), page.unreadable, page.newer) == (0, 1, 0)
    with pytest.raises(UnknownDecisionError):
        read(path, lambda log: history("last", log))


def test_rows_of_a_newer_turnout_are_left_out(path: Path) -> None:
    """What a newer version wrote is not guessed at: it is left out and counted, and the rest is read."""
    write(path, [a_decision(request_id="new"), a_decision(request_id="known")])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE events SET version = ? WHERE request_id = 'new'", (VERSION + 1,))
    page = read(path, everything)
    assert [one.decision.id for one in page.entries] == ["known"]
    assert (page.unreadable, page.newer) == (0, 1)
    with pytest.raises(UnknownDecisionError, match="Update turnout"):
        read(path, lambda log: history("new", log))


def test_rows_of_an_older_turnout_are_read(path: Path) -> None:
    """A row that lacks what was added later, or has a field that is no more, is read with defaults."""
    write(path, [OUTCOME, a_decision()])
    old = json.dumps(
        {"model_id": "m", "host": "h", "duration_seconds": 1, "success": True, "gone": 1, "request_id": "one"}
    )
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE events SET body = ?, id = 9 WHERE kind = 'outcome'", (old,))
    (entry,) = read(path, everything).entries
    assert (entry.outcomes[0].model_id, entry.outcomes[0].tokens_generated) == ("m", 0)


def test_estimates_of_an_older_turnout(path: Path) -> None:
    """Estimates that have fewer numbers are read as far as they go."""
    write(path, [a_decision()])
    two = struct.pack("<4d", 0.5, 0.25, 0.1, 0.2)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE events SET estimates = ?", (two,))
    (entry,) = read(path, everything).entries
    first, second = entry.decision.candidates
    assert first.estimate(first.deployments[0]) == Estimate(0.5, 0.25)
    assert second.estimate(second.deployments[0]) == Estimate(0.1, 0.2)
