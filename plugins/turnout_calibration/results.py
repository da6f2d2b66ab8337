"""What came of one task on one deployment, and how it lies in SQLite."""

import json
import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from attrs import field, fields, frozen

from turnout.clock import now
from turnout.skills import ModelCapability, Skill, TaskType
from turnout.store import Row

Source: TypeAlias = Literal["probe", "prompt"]
"""Where a task comes from: it is ours, or one of the person's own prompts."""

Outcome: TypeAlias = Literal["scored", "failed", "unjudged"]
"""``failed``: no answer came, which says nothing of the model. ``unjudged``: a judge has yet to look."""

Place: TypeAlias = tuple[str, str, str]
"""Host, model, quantisation (empty where it is unknown): whose result it is."""


@frozen(kw_only=True)
class Result:
    """One task on one deployment. Seconds are those of the answer, without queue and load.

    ``score`` is from 0 to 1; of what is ``unjudged`` it is the sum of the checks made so far, and ``answer``
    what is to be judged. ``why`` names the checks that did not hold, and ``error`` the class of an error: no
    words of an answer, a judge or a server. ``at`` is in seconds since the epoch.
    """

    key: str = field(factory=lambda: secrets.token_hex(8))
    at: float = field(factory=lambda: now().timestamp())
    host: str
    model: str
    quantization: str = ""
    bits: float | None = None
    source: Source = "probe"
    version: str = ""
    task: str
    fingerprint: str
    skills: Mapping[Skill, float] = field(factory=dict)
    outcome: Outcome = "scored"
    score: float = 0.0
    seconds: float = 0.0
    prompt_tokens: int = 0
    output_tokens: int = 0
    error: str = ""
    why: str = ""
    answer: str | None = field(default=None, repr=False)

    @property
    def place(self) -> Place:
        """Whose result it is."""
        return self.host, self.model, self.quantization

    @property
    def passed(self) -> bool:
        """Whether every check held."""
        return self.outcome == "scored" and self.score >= 1.0


@frozen
class Rating:
    """What a person thought of an answer: that of ``request``, whose last rating is the one that counts."""

    at: float
    model: str
    skill: Skill
    score: float
    request: str = field(factory=lambda: secrets.token_hex(8))


MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE results (
            key TEXT NOT NULL UNIQUE,
            at REAL NOT NULL,
            host TEXT NOT NULL,
            model TEXT NOT NULL,
            quantization TEXT NOT NULL,
            bits REAL,
            source TEXT NOT NULL,
            version TEXT NOT NULL,
            task TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            skills TEXT NOT NULL,
            outcome TEXT NOT NULL,
            score REAL NOT NULL,
            seconds REAL NOT NULL,
            prompt_tokens INTEGER NOT NULL,
            output_tokens INTEGER NOT NULL,
            error TEXT NOT NULL,
            why TEXT NOT NULL,
            answer TEXT
        )""",
        "CREATE INDEX results_by_task ON results (model, host, quantization, fingerprint, at)",
        """CREATE TABLE ratings (
            id INTEGER PRIMARY KEY,
            at REAL NOT NULL,
            model TEXT NOT NULL,
            skill TEXT NOT NULL,
            score REAL NOT NULL
        )""",
        """CREATE TABLE renewals (
            host TEXT NOT NULL,
            model TEXT NOT NULL,
            quantization TEXT NOT NULL,
            source TEXT NOT NULL,
            at REAL NOT NULL,
            PRIMARY KEY (host, model, quantization, source)
        )""",
    ),
    (
        "PRAGMA secure_delete = ON",
        "UPDATE results SET why = ''",  # it could quote answers
        "ALTER TABLE ratings ADD COLUMN request TEXT NOT NULL DEFAULT ''",
        "UPDATE ratings SET request = 'rating ' || id",
        "CREATE UNIQUE INDEX ratings_by_request ON ratings (request)",
    ),
)
"""Statements that lead from each schema version to the next. Append; never change one that was released."""

COLUMNS = tuple(one.name for one in fields(Result))
# ruff: noqa: S608  (the statements are made of the constants above)
INSERT = f"INSERT OR REPLACE INTO results ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
FORGET = """UPDATE results SET answer = NULL WHERE answer IS NOT NULL
AND host = ? AND model = ? AND quantization = ? AND fingerprint = ? AND key != ?"""
INSERT_RATING = "INSERT OR REPLACE INTO ratings (at, model, skill, score, request) VALUES (?, ?, ?, ?, ?)"
INSERT_RENEWAL = """INSERT OR REPLACE INTO renewals (host, model, quantization, source, at)
VALUES (?, ?, ?, ?, ?)"""
# The other columns of a row with max() are those of the row that has it: https://sqlite.org/lang_select.html
NEWEST = f"""SELECT {", ".join(COLUMNS)}, max(at) FROM results WHERE outcome != 'failed'
GROUP BY host, model, quantization, fingerprint ORDER BY at"""
PRUNE = "DELETE FROM {table} WHERE rowid <= (SELECT max(rowid) FROM {table}) - ?"
SKILLS: Mapping[str, Skill] = {str(skill): skill for kind in (TaskType, ModelCapability) for skill in kind}


@frozen
class History:
    """What the store knows: the newest result of each task and place, all ratings, when what was renewed."""

    results: tuple[Result, ...] = ()
    ratings: tuple[Rating, ...] = ()
    renewals: Mapping[tuple[Place, Source], float] = field(factory=dict)


def cells(result: Result) -> Row:
    """Return *result* as a row."""
    skills = json.dumps({str(skill): weight for skill, weight in result.skills.items()})
    values = (skills if name == "skills" else getattr(result, name) for name in COLUMNS)
    return tuple(sound(value) if isinstance(value, str) else value for value in values)


def sound(text: str) -> str:
    """Return *text* with its lone surrogates replaced: SQLite cannot hold them."""
    return text.encode("utf-8", "replace").decode()


def rating_cells(rating: Rating) -> Row:
    """Return *rating* as a row."""
    return rating.at, sound(rating.model), str(rating.skill), rating.score, sound(rating.request)


def read(connection: sqlite3.Connection) -> History:
    """Read what counts; from now on what is deleted or replaced is overwritten in the file too."""
    connection.execute("PRAGMA secure_delete = ON")
    known: dict[str, Mapping[Skill, float]] = {}
    results = tuple(_result(row, known) for row in connection.execute(NEWEST))
    rows = connection.execute("SELECT at, model, skill, score, request FROM ratings ORDER BY id")
    ratings = (
        Rating(at, model, SKILLS[name], score, request)
        for at, model, name, score, request in rows
        if name in SKILLS
    )
    return History(results, tuple(ratings), dict(_renewals(connection)))


def _result(row: Sequence[Any], known: dict[str, Mapping[Skill, float]]) -> Result:
    """Build a result; *known* holds the skills by their text, as there are few different ones."""
    values = dict(zip(COLUMNS, row, strict=False))
    text = values["skills"]
    if text not in known:
        weights = json.loads(text)
        known[text] = {SKILLS[name]: float(weight) for name, weight in weights.items() if name in SKILLS}
    values["skills"] = known[text]
    return Result(**values)


def _renewals(connection: sqlite3.Connection) -> Iterator[tuple[tuple[Place, Source], float]]:
    for host, model, quantization, source, at in connection.execute(
        "SELECT host, model, quantization, source, at FROM renewals"
    ):
        yield ((host, model, quantization), source), at


def prune(connection: sqlite3.Connection, rows: int) -> None:
    """Keep the newest *rows* results and as many ratings."""
    for table in ("results", "ratings"):
        connection.execute(PRUNE.format(table=table), (rows,))
