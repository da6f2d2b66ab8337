"""Files of prompts with the score that each model's answer got: ``prompt`` and ``score:<model>`` columns."""

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from attrs import frozen

from turnout.errors import LLMError

SCORE = "score:"
LONGEST_FIELD = 2**31 - 1


class DataFileError(LLMError):
    """A file does not hold what it should; the message names it, and the row where there is one."""


@frozen
class Scored:
    """A prompt, and how well each model answered it: the more, the better."""

    id: str
    prompt: str
    scores: Mapping[str, float]


@frozen
class DataFile:
    """The rows of a file, and how many were left out: marked as contaminated, or without every score."""

    name: str
    models: tuple[str, ...]
    rows: tuple[Scored, ...]
    contaminated: int = 0
    incomplete: int = 0


def read_data(path: Path) -> DataFile:
    """Read a CSV file, or a gzipped one; raises ``DataFileError`` for one that is not as it should be."""
    try:
        with _opened(path) as text, _long_fields():
            return _parsed(path.name, csv.DictReader(text, strict=True))
    except (OSError, EOFError, UnicodeError, zlib.error, csv.Error) as error:
        message = f"{path} cannot be read: {error}"
        raise DataFileError(message, error) from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    with path.open("rb") as file:
        plain = cast("IO[bytes]", gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file)
        with io.TextIOWrapper(plain, encoding="utf-8-sig", newline="") as text:
            yield text


@contextmanager
def _long_fields() -> Iterator[None]:
    """Take prompts of any length; the module's own limit is 131,072 characters, and it is a global."""
    before = csv.field_size_limit(LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _parsed(name: str, table: "csv.DictReader[str]") -> DataFile:
    columns = _score_columns(name, table.fieldnames or ())
    rows: list[Scored] = []
    contaminated = incomplete = 0
    for number, row in enumerate(table, start=2):
        if (row.get("contaminated") or "0").strip() not in ("0", ""):
            contaminated += 1
        elif not all((row[column] or "").strip() for column in columns):
            incomplete += 1
        else:
            rows.append(_scored(name, number, row, columns))
    if not rows:
        message = f"{name} has no row with a score for each of its models"
        raise DataFileError(message)
    models = tuple(column.removeprefix(SCORE) for column in columns)
    return DataFile(name, models, tuple(rows), contaminated, incomplete)


def _score_columns(name: str, header: Sequence[str]) -> list[str]:
    """Return the columns of scores; raises ``DataFileError`` where one is missing, or there twice."""
    columns = [column for column in header if column.startswith(SCORE)]
    message = ""
    if "prompt" not in header or not columns:
        message = f"{name} has no column `prompt`, or no column `{SCORE}<model>`"
    read = ("id", "prompt", "contaminated", *columns)
    twice = next((column for column in read if header.count(column) > 1), None)
    if twice is not None:
        message = f"{name} has more than one column `{twice}`"
    if message:
        raise DataFileError(message, advice="Its first line names the columns.")
    return columns


def _scored(name: str, number: int, row: Mapping[str, str | None], columns: Sequence[str]) -> Scored:
    scores = {
        column.removeprefix(SCORE): _score(name, number, column, row[column] or "") for column in columns
    }
    return Scored(row.get("id") or str(number), row["prompt"] or "", scores)


def _score(name: str, number: int, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        message = f"{name}, row {number}, column {column}: {text!r} is no score"
        raise DataFileError(message)
    return value
