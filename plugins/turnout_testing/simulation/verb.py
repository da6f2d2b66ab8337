"""``turnout simulate``: its options, and what it does with them."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from turnout import Config
from turnout.errors import ConfigError
from turnout.messages import JSON, JSONObject
from turnout_testing.simulation.app import App, Output

if TYPE_CHECKING:
    from turnout_testing.simulation.chaos import Course
    from turnout_testing.simulation.result import Result
    from turnout_testing.simulation.run import Simulation

HELP = """Simulate the requests of TRACE on the hosts of FLEET, in virtual time.

The router, its queues and its strategies are the real ones; the hosts are emulated. FLEET is a TOML file of
hosts and models, TRACE a CSV file with the columns arrival (seconds) or TIMESTAMP, ContextTokens,
GeneratedTokens, and perhaps model, client and task_type.
"""
STRATEGY_HELP = (
    "turnout (the default), an installed strategy, or what others do: random, round-robin, least-in-flight, "
    "resident-first, static; each also as gated-NAME, with a proxy that lets loads wait. May be repeated."
)


class Options(TypedDict):
    """What the verb takes, as click hands it over."""

    fleet: Path | None
    trace: Path | None
    strategies: tuple[str, ...]
    mix: str | None
    seed: int
    scale: float
    limit: int | None
    timeout: float
    as_json: bool
    csv_path: Path | None
    plot_path: Path | None
    chaos: bool
    seeds: int


def verb() -> click.Command:
    """Return the command."""

    @click.pass_context
    def simulate(context: click.Context, **options: Unpack[Options]) -> None:
        app: App = context.obj
        if not (_chaos(app.out, options) if options["chaos"] else _simulate(app, options)):
            context.exit(1)

    return click.Command("simulate", params=list(_parameters()), callback=simulate, help=HELP)


def _parameters() -> Iterator[click.Parameter]:
    file = click.Path(path_type=Path)
    above = click.FloatRange(0, min_open=True)
    yield click.Argument(["fleet"], type=file, required=False)
    yield click.Argument(["trace"], type=file, required=False)
    yield click.Option(
        ["-s", "--strategy", "strategies"], multiple=True, metavar="NAME", help=STRATEGY_HELP
    )
    yield click.Option(
        ["--mix"], metavar="MODEL=SHARE,...", help="Draw each request's model with these weights."
    )
    yield click.Option(["--seed"], type=int, default=0, show_default=True, help="Of all chance.")
    yield click.Option(
        ["--scale"], type=above, default=1.0, callback=_finite, show_default=True,
        help="How many times as fast they come.",
    )  # fmt: skip
    yield click.Option(["--limit"], type=click.IntRange(1), help="Take only so many requests.")
    yield click.Option(
        ["--timeout"], type=above, default=600.0, callback=_finite, show_default=True,
        help="Seconds that each client waits.",
    )  # fmt: skip
    yield click.Option(["--json", "as_json"], is_flag=True, help="Print JSON.")
    yield click.Option(["--csv", "csv_path"], type=file, metavar="FILE", help="Write each request's line.")
    yield click.Option(["--plot", "plot_path"], type=file, metavar="FILE", help="Draw an SVG.")
    yield click.Option(
        ["--chaos"], is_flag=True, help="Let everything go wrong instead, and check what the router promises."
    )
    yield click.Option(
        ["--seeds"], type=click.IntRange(1), default=1, help="With --chaos: how many, from --seed on."
    )


def _finite(_: click.Context, __: click.Parameter, value: float) -> float:
    # Click lets what is no number through any range.
    if not math.isfinite(value):
        message = f"{value} is no finite number."
        raise click.BadParameter(message)
    return value


def _simulate(app: App, options: Options) -> bool:
    """Simulate each strategy; return whether every one of them had something answered."""
    simulation = _simulation(app, options)
    names = dict.fromkeys(options["strategies"] or ("turnout",))
    results: list[Result] = []
    with app.out.waiting() as display:
        for name in names:
            display.show(f"simulating {name}", fraction=len(results) / len(names))
            results.append(simulation.run(name))
    _show(app.out, results, options)
    return all(result.answered for result in results)


def _simulation(app: App, options: Options) -> "Simulation":
    from turnout_testing.simulation.fleet_file import read_fleet
    from turnout_testing.simulation.run import Simulation
    from turnout_testing.simulation.trace import read_trace

    if options["fleet"] is None or options["trace"] is None:
        message = "Name a fleet file and a trace, or use --chaos."
        raise click.UsageError(message)
    _spare_inputs(options)
    fleet = read_fleet(options["fleet"])
    mix = _mix(options["mix"], fleet.models)
    seed, scale, limit = options["seed"], options["scale"], options["limit"]
    arrivals = read_trace(options["trace"], mix=mix, seed=seed, scale=scale, limit=limit)
    return Simulation(fleet, arrivals, seed, options["timeout"], _settings(app.config, options))


def _spare_inputs(options: Options) -> None:
    """Refuse to write over what is read."""
    read = [path for path in (options["fleet"], options["trace"]) if path is not None and path.exists()]
    for path in (options["csv_path"], options["plot_path"]):
        if path is not None and path.exists() and any(path.samefile(one) for one in read):
            message = f"{path} is read: write into another file."
            raise click.UsageError(message)


def _settings(config: Config, options: Options) -> Config:
    """Return what of the user's settings holds in a simulation: of placing, surviving and choosing."""
    kept = {"pool", "resilience", *options["strategies"]}
    return Config(tables={name: table for name, table in config.tables.items() if name in kept})


def _mix(text: str | None, known: Iterable[str]) -> dict[str, float]:
    models, shares = list(known), dict[str, float]()
    for part in text.split(",") if text else ():
        model, _, share = part.rpartition("=")
        if model not in models or not 0 < (weight := _weight(share)) < math.inf:
            message = f"--mix: {part!r} is not MODEL=SHARE with one of {', '.join(models)}"
            raise click.UsageError(message)
        shares[model] = weight
    return shares


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _show(out: Output, results: "Sequence[Result]", options: Options) -> None:
    from turnout_testing.simulation import report
    from turnout_testing.simulation.plot import plot

    if options["csv_path"] is not None:
        _write(out, options["csv_path"], report.as_csv(results))
    if options["plot_path"] is not None:
        _write(out, options["plot_path"], plot(results))
    if options["as_json"]:
        return out.json(report.as_json(results))
    for columns, rows in (
        (report.COLUMNS, report.rows(results)),
        (report.TIME_COLUMNS, report.time_rows(results)),
        (report.HOST_COLUMNS, report.host_rows(results)),
    ):
        out.table(columns, rows)
        out.line()
    for result in results:
        if result.errors:
            errors = ", ".join(f"{count} × {name}" for name, count in result.errors.items())
            out.note(f"{result.strategy}: {errors}")
    return None


def _write(out: Output, path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise ConfigError(message, error) from error
    out.note(f"wrote {path}")


def _chaos(out: Output, options: Options) -> bool:
    """Run the seeds; return whether all promises were kept."""
    from turnout_testing.simulation.chaos import run
    from turnout_testing.simulation.invariants import InvariantError

    courses: list[Course] = []
    failures: dict[int, str] = {}
    first, count = options["seed"], options["seeds"]
    with out.waiting() as display:
        for number in range(count):
            display.show("letting everything go wrong", fraction=number / count)
            try:
                courses.append(run(first + number))
            except InvariantError as error:
                failures[first + number] = str(error)
    show_courses(out, courses, failures, as_json=options["as_json"])
    return not failures


def show_courses(
    out: Output, courses: "Sequence[Course]", failures: Mapping[int, str], *, as_json: bool
) -> None:
    """Sum up the seeds that kept all promises, and give the command that replays each of the others."""
    from turnout_testing.simulation.chaos import replay_command

    requests, events = sum(c.requests for c in courses), sum(c.events for c in courses)
    answered = sum(c.answered for c in courses)
    if as_json:
        failed: list[JSON] = [
            {"seed": seed, "error": error, "replay": replay_command(seed)} for seed, error in failures.items()
        ]
        totals: JSONObject = {"seeds": len(courses), "requests": requests, "answered": answered}
        return out.json({**totals, "checks": events, "failures": failed})
    for seed, error in failures.items():
        out.error(f"seed {seed}: {error}")
        out.line(replay_command(seed))
    sums = f"{requests} requests, {answered} answered, {events} checks"
    out.line(f"{len(courses)} of {len(courses) + len(failures)} seeds kept all promises: {sums}")
    return None
