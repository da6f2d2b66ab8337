"""A person's own prompts: JSON Lines, every line checked before anything is asked."""

import json
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from turnout.errors import LLMValidationError
from turnout.messages import JSON
from turnout_calibration.reading import task
from turnout_calibration.tasks import Task

MOST_SHOWN = 20


@frozen
class Problem:
    """What is wrong with a line, counted from 1."""

    line: int
    what: str


@frozen
class Read:
    """The tasks of a file, and what is wrong with it."""

    tasks: tuple[Task, ...] = ()
    problems: tuple[Problem, ...] = ()


def read_file(path: Path, judge: str | None = None) -> tuple[Task, ...]:
    """Read the tasks of *path*; *judge* is the model for checks that name none.

    Raises ``LLMValidationError`` that names every line that is wrong, and ``OSError``.
    """
    try:
        read = parse(path.read_text(encoding="utf-8-sig"), judge)
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8: {error}"
        raise LLMValidationError(message, error) from error
    if read.problems:
        raise LLMValidationError(_words(path, read.problems), advice="Nothing was asked.")
    if not read.tasks:
        message = f"{path} has no prompts"
        raise LLMValidationError(message)
    return read.tasks


def _words(path: Path, problems: tuple[Problem, ...]) -> str:
    rows = [f"{path}:{problem.line}: {problem.what}" for problem in problems[:MOST_SHOWN]]
    more = len(problems) - len(rows)
    return "\n".join([*rows, f"and {more} more"] if more else rows)


def parse(text: str, judge: str | None = None) -> Read:
    """Read all lines of *text*; never raises."""
    tasks: list[Task] = []
    problems: list[Problem] = []
    names: dict[str, int] = {}
    prints: dict[str, int] = {}
    for number, line in _lines(text):
        try:
            made = _task(line, number, judge)
            _once(names, made.id, number, f"the id {made.id!r} is that of line")
            _once(prints, made.fingerprint, number, "it asks and checks the same as line")
        except ValueError as error:
            problems.append(Problem(number, str(error)))
        else:
            tasks.append(made)
    return Read(tuple(tasks), tuple(problems))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty; only a line feed ends one, as JSON may hold other separators."""
    return ((n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip())


def _task(line: str, number: int, judge: str | None) -> Task:
    try:
        raw: JSON = json.loads(line)
    except json.JSONDecodeError as error:
        message = f"not JSON: {error.msg} at column {error.colno}"
        raise ValueError(message) from error
    except RecursionError as error:
        message = "nested too deeply"
        raise ValueError(message) from error
    made = task(raw, f"line {number}", "prompt")
    if judge is None and any(check.model is None for check in made.judged):
        message = "a judge check names no model, and there is no --judge"
        raise ValueError(message)
    return made


def _once(seen: dict[str, int], what: str, number: int, words: str) -> None:
    if what in seen:
        message = f"{words} {seen[what]}"
        raise ValueError(message)
    seen[what] = number
