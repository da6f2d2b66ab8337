"""The numbers that plugins report, read as they come: what is not there is None."""

from collections.abc import Iterator, Mapping

from attrs import frozen

from turnout import JSON


def dig(value: JSON, *path: str) -> JSON:
    """Follow *path* into *value*; None where it ends early."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def number(value: JSON, *path: str) -> float | None:
    """Return the number at *path*."""
    found = dig(value, *path)
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


@frozen
class Speeds:
    """What was measured of one model on one host; medians. Seconds and tokens per second."""

    host: str
    model: str
    requests: int = 0
    successes: int = 0
    interrupted: int = 0
    tokens_generated: int = 0
    success_rate: float | None = None
    time_to_first_token: float | None = None
    tokens_per_second: float | None = None
    load_seconds: float | None = None
    since: str = ""

    @property
    def went_well(self) -> float | None:
        """The share of the requests that went well, without those that the caller broke off."""
        ended = self.requests - self.interrupted
        return self.successes / ended if ended else None


def speeds(stats: Mapping[str, JSON]) -> Iterator[Speeds]:
    """Yield what the plugin ``metrics`` has measured, deployment by deployment."""
    rows = dig(stats.get("metrics"), "models")
    for row in rows if isinstance(rows, list) else ():
        yield Speeds(
            host=str(dig(row, "host") or ""),
            model=str(dig(row, "model") or ""),
            requests=int(number(row, "requests") or 0),
            successes=int(number(row, "successes") or 0),
            interrupted=int(number(row, "failures", "CancelledError") or 0),
            tokens_generated=int(number(row, "tokens_generated") or 0),
            success_rate=number(row, "success_rate"),
            time_to_first_token=number(row, "time_to_first_token", "p50"),
            tokens_per_second=number(row, "tokens_per_second", "p50"),
            load_seconds=number(row, "load_seconds", "p50"),
            since=str(dig(row, "since") or ""),
        )


def measured(stats: Mapping[str, JSON], host: str, model: str) -> Speeds | None:
    """Return what was measured of *model* on *host*."""
    return next((one for one in speeds(stats) if (one.host, one.model) == (host, model)), None)


def in_flight(stats: Mapping[str, JSON], host: str, model: str) -> int | None:
    """Return how many requests this process has under way there, as the plugin ``pool`` counts."""
    found = number(stats.get("pool"), host, "models", model, "in_flight")
    return None if found is None else int(found)


@frozen
class Scores:
    """What the plugin ``calibration`` found out of one model on one host; ``by_skill``: (score, trials)."""

    date: str
    tasks: int
    passed: int
    by_skill: Mapping[str, tuple[float, float]]
    shape: JSON


def scores(stats: Mapping[str, JSON], host: str, model: str) -> Scores | None:
    """Return how *model* on *host* did in calibration."""
    rows = dig(stats.get("calibration"), "models")
    for row in rows if isinstance(rows, list) else ():
        if (dig(row, "host"), dig(row, "model")) == (host, model):
            return _scores(row)
    return None


def _scores(row: JSON) -> Scores:
    by_skill = dig(row, "scores")
    known = by_skill if isinstance(by_skill, dict) else {}
    pairs = {
        skill: (number(one, "score") or 0.0, number(one, "weight") or 0.0) for skill, one in known.items()
    }
    counts = int(number(row, "tasks") or 0), int(number(row, "passed") or 0)
    return Scores(str(dig(row, "date") or ""), *counts, pairs, row)
