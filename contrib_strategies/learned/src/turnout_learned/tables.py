"""Score tables: what each model's answer to each prompt was worth.

CSV with a header, UTF-8, plain or gzip: a column ``prompt``, one column ``score:<model>`` for each model with
numbers, usually from 0 to 1 (empty where nothing was measured), and, where it is known, the kind of work in
a column ``task``, ``category``, ``domain``, ``dataset`` or ``native``. Rows with ``contaminated`` 1 are left
out.
"""

import csv
import gzip
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from attrs import frozen

from turnout import ConfigError
from turnout_learned.arrays import Floats, Ints

PREFIX = "score:"
TASK_COLUMNS = ("task", "category", "domain", "dataset", "native")
SPLIT = "split"
_LONGEST_FIELD = 2**31 - 1
_FORMAT = "The first line names the columns: prompt, score:<model>, ...; see the README of turnout-learned."


@frozen(eq=False)
class ScoreTable:
    """Prompts × models. Where nothing is known, ``scores`` has NaN, and ``tasks`` and ``splits`` have ""."""

    prompts: tuple[str, ...]
    models: tuple[str, ...]
    scores: Floats
    tasks: tuple[str, ...]
    splits: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def labelled(self) -> bool:
        """Whether it says of what kind the prompts are."""
        return len(set(self.tasks)) > 1

    def rows(self, chosen: Ints) -> "ScoreTable":
        """Return these rows."""
        return ScoreTable(
            tuple(self.prompts[row] for row in chosen),
            self.models,
            self.scores[chosen],
            tuple(self.tasks[row] for row in chosen),
            tuple(self.splits[row] for row in chosen),
        )

    def only(self, models: Sequence[str]) -> "ScoreTable":
        """Return these models' columns, in this order; raises ``ConfigError`` for one that is not there."""
        missing = [model for model in models if model not in self.models]
        if missing:
            message = f"no column {PREFIX}{missing[0]}; there are {', '.join(self.models)}"
            raise ConfigError(message)
        columns = [self.models.index(model) for model in models]
        return ScoreTable(self.prompts, tuple(models), self.scores[:, columns], self.tasks, self.splits)


def read_table(path: Path) -> ScoreTable:
    """Read one file; raises ``ConfigError`` that names the file, and the line where one is wrong."""
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        message = f"{path}: cannot be read: {error}"
        raise ConfigError(message, error) from error
    try:
        return _table(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except (ValueError, csv.Error) as error:
        message = f"{path}: {error}"
        raise ConfigError(message, error, advice=_FORMAT) from error


def _table(reader: "csv.DictReader[str]") -> ScoreTable:
    csv.field_size_limit(_LONGEST_FIELD)
    columns = list(reader.fieldnames or ())
    scored = [column for column in columns if column.startswith(PREFIX)]
    if "prompt" not in columns or len(scored) < 2:
        message = "needs a column prompt and at least two columns score:<model>"
        raise ValueError(message)
    task = next((column for column in TASK_COLUMNS if column in columns), None)
    kept = [(row, _scores(row, scored, reader.line_num)) for row in reader if row.get("contaminated") != "1"]
    if not kept:
        message = "has no rows"
        raise ValueError(message)
    return ScoreTable(
        tuple(row["prompt"] or "" for row, _ in kept),
        tuple(column.removeprefix(PREFIX) for column in scored),
        np.array([scores for _, scores in kept]),
        tuple((row[task] or "") if task else "" for row, _ in kept),
        tuple(row.get(SPLIT) or "" for row, _ in kept),
    )


def _scores(row: Mapping[str, str], columns: Iterable[str], line: int) -> list[float]:
    return [_score(row[column], column, line) for column in columns]


def _score(text: str | None, column: str, line: int) -> float:
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        message = f"line {line}: {column} must be a number, usually from 0 to 1, not {text!r}"
        raise ValueError(message)
    return value


def read_tables(paths: Sequence[Path]) -> ScoreTable:
    """Read several files as one: all rows, and every model that any of them scored."""
    tables = [read_table(path) for path in paths]
    models = tuple(dict.fromkeys(model for table in tables for model in table.models))
    return ScoreTable(
        tuple(_chained(table.prompts for table in tables)),
        models,
        np.vstack([_widened(table, models) for table in tables]),
        tuple(_chained(table.tasks for table in tables)),
        tuple(_chained(table.splits for table in tables)),
    )


def _chained(parts: Iterable[Iterable[str]]) -> Iterator[str]:
    for part in parts:
        yield from part


def _widened(table: ScoreTable, models: Sequence[str]) -> Floats:
    wide = np.full((len(table), len(models)), np.nan)
    wide[:, [models.index(model) for model in table.models]] = table.scores
    return wide


def split(table: ScoreTable, seed: int, share: float = 0.2) -> tuple[Ints, Ints]:
    """Return the rows to fit on and those to report on: by the column ``split``, else *share* by *seed*."""
    marked = np.array([name == "test" for name in table.splits])
    if not marked.any() or marked.all():
        order = np.random.default_rng(seed).permutation(len(table))
        marked = order < max(1, round(share * len(table)))
    return np.flatnonzero(~marked), np.flatnonzero(marked)
