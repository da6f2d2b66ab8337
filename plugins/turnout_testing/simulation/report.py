"""A simulation's results as a table, as JSON and as CSV."""

import csv
import io
import math
from collections.abc import Sequence

from turnout.messages import JSON, JSONObject
from turnout_testing.simulation.result import QUANTILES, HostDoings, Result, quantile

COLUMNS = ("strategy", ">answered", ">errors", ">makespan", ">loads", ">swaps", ">tokens/s")
TIME_COLUMNS = ("strategy", "seconds", ">p50", ">p95", ">p99", ">max")
HOST_COLUMNS = ("strategy", "host", ">busy", ">loading", ">loads", ">swaps", ">killed")
SAMPLE_COLUMNS = (
    "strategy", "number", "at", "wait", "first_token", "latency", "model", "host", "output_tokens", "error",
)  # fmt: skip


def rows(results: Sequence[Result]) -> list[list[str]]:
    """Return a line for each result under `COLUMNS`; times in seconds."""
    return [_row(result) for result in results]


def _row(result: Result) -> list[str]:
    answered = len(result.answered)
    counts = [answered, len(result.samples) - answered, _seconds(result.makespan), result.loads, result.swaps]
    return [result.strategy, *map(str, counts), f"{result.tokens_per_second:.1f}"]


def time_rows(results: Sequence[Result]) -> list[list[str]]:
    """Return three lines for each result under `TIME_COLUMNS`."""
    return [
        [result.strategy, name, *(_seconds(quantile(ordered, share)) for share in (*QUANTILES, 1.0))]
        for result in results
        for name, ordered in (
            ("waiting", result.waits),
            ("to the first token", result.first_tokens),
            ("to the last token", result.latencies),
        )
    ]


def host_rows(results: Sequence[Result]) -> list[list[str]]:
    """Return a line for each host of each result under `HOST_COLUMNS`."""
    return [
        [
            result.strategy,
            host.name,
            f"{host.busy:.0%}",
            f"{host.loading:.0%}",
            str(host.loads),
            str(host.swaps),
            str(host.killed),
        ]
        for result in results
        for host in result.hosts
    ]


def _seconds(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1f}"


def as_json(results: Sequence[Result]) -> JSONObject:
    """Return everything but the single requests; times in seconds, shares from 0 to 1."""
    return {"strategies": [_summary(result) for result in results]}


def _summary(result: Result) -> JSON:
    hosts: JSONObject = {host.name: _host(host) for host in result.hosts}
    errors: JSONObject = dict(result.errors)
    return {
        "strategy": result.strategy,
        "requests": len(result.samples),
        "answered": len(result.answered),
        "makespan": _number(result.makespan),
        "wait": _spread(result.waits),
        "first_token": _spread(result.first_tokens),
        "latency": _spread(result.latencies),
        "loads": result.loads,
        "swaps": result.swaps,
        "tokens_per_second": _number(result.tokens_per_second),
        "errors": errors,
        "hosts": hosts,
    }


def _host(host: HostDoings) -> JSON:
    return {
        "busy": _number(host.busy),
        "loading": _number(host.loading),
        "loads": host.loads,
        "swaps": host.swaps,
        "killed": host.killed,
    }


def _spread(ordered: Sequence[float]) -> JSON:
    shares: JSONObject = {f"p{share * 100:g}": _number(quantile(ordered, share)) for share in QUANTILES}
    return {**shares, "max": _number(quantile(ordered, 1.0))}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


def as_csv(results: Sequence[Result]) -> str:
    """Return a line for each request of each strategy, under `SAMPLE_COLUMNS`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(SAMPLE_COLUMNS)
    for result in results:
        for number, one in enumerate(result.samples):
            times = [_cell(value) for value in (one.at, one.wait, one.first_token, one.latency)]
            told = [one.model, one.host, one.output_tokens, one.error or ""]
            writer.writerow([result.strategy, number, *times, *told])
    return text.getvalue()


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"
