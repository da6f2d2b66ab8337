"""Routing quality on prompts × model scores: the strategy ``learned`` beside plain policies.

Run: ``python benchmarks/routing_quality.py --train FILE --test FILE [--seed N]``. A FILE is CSV, plain or
gzip, with a column ``prompt``, columns ``score:<model>``, and perhaps the kind of work (``task``,
``category``, ``domain``, ``dataset`` or ``native``). Rows with ``contaminated`` 1 are dropped. Where both are
the same FILE, its rows are split: by its column ``split`` where that says ``test`` for some, else by seed.

All is fitted on the training rows alone; what ``learned`` sets itself follows from their evidence. Policies:

- random: any model; its score is the mean over the models.
- best single: the model that is best on the training rows.
- prompt length: the best model for prompts of about that length.
- per-task table: the best model for the row's kind of work, which it is told and ``learned`` is not.
- oracle: the best model for each row.
- learned: ``contrib_strategies/learned``, fitted on the training rows.

``score`` is the mean score of the picks. For two models: PGR = (score − weak) / (strong − weak); APGR is its
area over the share of strong calls, from 0 to 100 %, at thresholds on the eleven quantiles 0, 10, ..., 100 %
of what the policy prefers; CPT(x) is the percentage of strong calls at which PGR reaches x %, as in RouteLLM
(Ong et al., arXiv 2406.18665; ``turnout_learned/routellm.py`` has the fine print). Differences are paired,
with 95 % bootstrap intervals: 2,000 resamples of the rows, 500 for APGR.

Published on RouteLLM's MMLU protocol: their best router has APGR .603, CPT(50) 35.4, CPT(80) 70.3; a TF-IDF
ridge from 1,500 labels .628, 31.6, 67.1.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Protocol

from cattrs import unstructure

HERE = Path(__file__).resolve().parent.parent / "contrib_strategies" / "learned"
INSTALL = f"pip install {HERE}"


class Interval(Protocol):
    """A difference with its interval."""

    value: float
    low: float
    high: float


class TwoModels(Protocol):
    """RouteLLM's figures."""

    apgr: float
    cpt50: float
    cpt80: float


class Result(Protocol):
    """One policy."""

    policy: str
    score: float
    lead: Interval | None
    two: TwoModels | None
    apgr_lead: Interval | None


class Measurement(Protocol):
    """All policies."""

    fitted_on: int
    rows: int
    models: Sequence[str]
    weak: str | None
    strong: str | None
    results: Sequence[Result]


def learned(module: str) -> ModuleType:
    """Import a module of turnout-learned, from the checkout where it is not installed."""
    try:
        return import_module(f"turnout_learned.{module}")
    except ModuleNotFoundError as error:
        if error.name == "turnout_learned" and str(HERE / "src") not in sys.path:
            sys.path.append(str(HERE / "src"))
            return learned(module)
        sys.exit(f"routing_quality: {error}. It comes with the contributed strategy: {INSTALL}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Routing quality of `learned` beside plain policies.")
    parser.add_argument("--train", type=Path, required=True, metavar="FILE", help="score table to fit on")
    parser.add_argument("--test", type=Path, required=True, metavar="FILE", help="score table to report on")
    parser.add_argument("--seed", type=int, default=0, help="of split, fit, chance and bootstrap (0)")
    parser.add_argument("--models", help="only these, separated by commas")
    parser.add_argument("--share", type=float, default=0.2, help="of one file's rows to report on (0.2)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


def measured(options: argparse.Namespace) -> tuple[Measurement, str]:
    """Fit on one part and measure on the other; return what was found, and how the rows were divided."""
    tables = learned("tables")
    train, test = tables.read_table(options.train), tables.read_table(options.test)
    names = options.models.split(",") if options.models else shared(train.models, test.models)
    train, test = train.only(names), test.only(names)
    division = f"fitted on {options.train.name}, reported on {options.test.name}"
    if options.train.resolve() == options.test.resolve():
        marked = "test" in train.splits
        mine, others = tables.split(train, options.seed, options.share)
        train, test = train.rows(mine), test.rows(others)
        how = "its column split" if marked else f"seed {options.seed}, {options.share:.0%} held out"
        division = f"{options.train.name}, split by {how}"
    fitted = learned("fitting").fit(train, seed=options.seed)
    found: Measurement = learned("measuring").measure(train, test, fitted, options.seed)
    return found, division


def shared(mine: Sequence[str], others: Sequence[str]) -> list[str]:
    return [model for model in mine if model in others]


def lines(found: Measurement, division: str, seed: int) -> Iterator[str]:
    yield f"{division}; seed {seed}; {found.fitted_on} rows to fit on, {found.rows} to report on"
    yield f"{len(found.models)} models: {', '.join(found.models)}"
    if found.weak and found.strong:
        yield f"weak: {found.weak}, strong: {found.strong} (by the training rows)"
    yield ""
    two = any(result.two for result in found.results)
    figures = f" {'APGR':>6}{'CPT(50)':>9}{'CPT(80)':>9}  {'learned − policy, APGR':24}" if two else ""
    yield f"{'policy':16}{'score':>7}  {'learned − policy, score':24}{figures}".rstrip()
    for result in found.results:
        yield row(result, two=two).rstrip()


def row(result: Result, *, two: bool) -> str:
    text = f"{result.policy:16}{result.score:7.3f}  {interval(result.lead):24}"
    if not two or result.two is None:
        return text
    own = result.two
    return f"{text} {own.apgr:6.3f}{own.cpt50:9.1f}{own.cpt80:9.1f}  {interval(result.apgr_lead):24}"


def interval(lead: Interval | None) -> str:
    return "" if lead is None else f"{lead.value:+.3f} ({lead.low:+.3f}, {lead.high:+.3f})"


def main() -> None:
    options = arguments()
    learned("tables")  # says what is missing, if anything is
    found, division = measured(options)
    if options.json:
        plain = {"division": division, "seed": options.seed, **unstructure(found)}
        print(json.dumps(plain, indent=2, allow_nan=False))
        return
    print("\n".join(lines(found, division, options.seed)))


if __name__ == "__main__":
    main()
