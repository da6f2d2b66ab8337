"""Traffic: who asks when, how much, and for which model; read from a CSV file.

The columns are those of the traces that Azure has published (https://github.com/Azure/AzurePublicDataset,
AzureLLMInferenceTrace): ``TIMESTAMP``, ``ContextTokens``, ``GeneratedTokens``. In place of the time of day
there may be ``arrival`` in seconds, and ``model``, ``client`` and ``task_type`` may follow.
"""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from random import Random

from attrs import Attribute, evolve, field, frozen
from attrs.validators import ge

from turnout.errors import ConfigError
from turnout.skills import TaskType

TIMES = ("arrival", "TIMESTAMP")
TOKENS = ("ContextTokens", "GeneratedTokens")
LONGEST_SECONDS = 1e7
"""Of much more a floating-point number has no microseconds, and a simulation might not end."""


def _finite(_: object, attribute: "Attribute[float]", value: float) -> None:
    if not math.isfinite(value):
        message = f"{attribute.name} must be a number of seconds, not {value}"
        raise ValueError(message)


@frozen
class Arrival:
    """A request that comes ``at`` seconds after the first one.

    ``model`` None leaves the choice to the strategy.
    """

    at: float = field(validator=_finite)
    prompt_tokens: int = field(validator=ge(0))
    output_tokens: int = field(validator=ge(0))
    model: str | None = None
    client: str = ""
    task_type: TaskType | None = None


def read_trace(
    path: Path,
    *,
    mix: Mapping[str, float] | None = None,
    seed: int = 0,
    scale: float = 1.0,
    limit: int | None = None,
) -> tuple[Arrival, ...]:
    """Read the first *limit* requests of a trace, in the order of their arrival.

    *mix* gives each request a model, drawn by these weights and *seed*. *scale* is how many times as fast
    they come: 2 makes half an hour of an hour. Raises ``ConfigError`` with the line that is wrong.
    """
    arrivals = sorted(islice(_arrivals(path), limit), key=lambda one: one.at)
    if not arrivals:
        message = f"{path}: there is no request in it"
        raise ConfigError(message)
    began, ended = arrivals[0].at, arrivals[-1].at
    if not (ended - began) / scale <= LONGEST_SECONDS:
        message = f"{path}: it goes from {began:g} s to {ended:g} s, longer than the clock counts well"
        raise ConfigError(message)
    random, weights = Random(seed), dict(mix or {})
    models, shares = list(weights), list(weights.values())
    return tuple(
        evolve(
            one,
            at=round((one.at - began) / scale, 6),
            model=random.choices(models, shares)[0] if models else one.model,
        )
        for one in arrivals
    )


def _arrivals(path: Path) -> Iterator[Arrival]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            time = _time_column(path, rows.fieldnames or ())
            for row in rows:
                yield _arrival(row, time, f"{path}:{rows.line_num}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        message = f"{path}: {error}"
        raise ConfigError(message, error) from error


def _time_column(path: Path, columns: Sequence[str]) -> str:
    time = next((name for name in TIMES if name in columns), None)
    missing = [name for name in TOKENS if name not in columns]
    if time is None:
        missing.insert(0, " or ".join(TIMES))
    if time is None or missing:
        message = f"{path}: the first line names no column {', '.join(missing)}"
        raise ConfigError(message)
    return time


def _arrival(row: Mapping[str, str | None], time: str, where: str) -> Arrival:
    try:
        return Arrival(
            float(row[time] or "") if time == "arrival" else _seconds(row[time] or ""),
            int(row["ContextTokens"] or ""),
            int(row["GeneratedTokens"] or ""),
            row.get("model") or None,
            row.get("client") or "",
            TaskType(task) if (task := row.get("task_type")) else None,
        )
    except ValueError as error:
        message = f"{where}: {error}"
        raise ConfigError(message, error) from error


def _seconds(stamp: str) -> float:
    """Return the epoch seconds of a time of day such as ``2023-11-16 18:17:03.9799600``."""
    whole, _, fraction = stamp.partition(".")
    moment = datetime.fromisoformat(whole).replace(tzinfo=UTC)
    return moment.timestamp() + float(f"0.{fraction or 0}")
