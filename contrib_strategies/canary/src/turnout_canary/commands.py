"""``turnout canary report``: what the experiments have shown so far."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from turnout import JSONObject
from turnout.store import read_store
from turnout.verbs import App, Output
from turnout_canary import outcomes
from turnout_canary.report import Arm, Finding, Report, reports
from turnout_canary.settings import CanarySettings

if TYPE_CHECKING:
    import click


def add_to(cli: "click.Group", settings: CanarySettings, path: Path) -> None:
    """Add the verb ``canary`` to *cli*."""
    import click

    @cli.group()
    def canary() -> None:
        """See what experiments between models have shown."""

    @canary.command("report")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @click.pass_obj
    def report_(app: App, as_json: bool) -> None:
        """Say of each experiment whether a difference is real, or how much is missing.

        It may be looked at as often as you like: the intervals hold at all times.
        """
        run(app.out, settings, path, as_json=as_json)


def run(out: Output, settings: CanarySettings, path: Path, *, as_json: bool) -> None:
    """Write the report; raises ``StoreError`` where the outcomes cannot be read."""
    found = read_store(path, outcomes.MIGRATIONS, outcomes.read, name=outcomes.NAME) or {}
    made = list(reports(settings, found))
    if as_json:
        out.json({"experiments": [_shape(report) for report in made]})
        return
    if not made:
        out.note("no experiment is configured: [[canary.experiments]]")
    for report in made:
        for line in lines(report):
            out.line(line)


def _shape(report: Report) -> JSONObject:
    experiment = report.experiment
    return {
        "name": experiment.name,
        "shadow": experiment.shadow,
        "weight": experiment.weight,
        "arms": [attrs.asdict(arm) for arm in report.arms],
        "findings": [attrs.asdict(finding) for finding in report.findings],
    }


def lines(report: Report) -> Iterable[str]:
    """Yield the report of one experiment, as people read it."""
    experiment = report.experiment
    kind = "shadow" if experiment.shadow else f"{experiment.weight:.0%} to the treatments"
    yield f"{experiment.name} ({kind})"
    for arm in report.arms:
        role = "control" if arm.model == experiment.control else "treatment"
        yield f"  {role:<9} {arm.model}: {_arm(arm)}"
    for treatment in experiment.treatments:
        found = [finding for finding in report.findings if finding.treatment == treatment]
        if not found:
            yield f"  {treatment}: not yet, too few conversations to compare"
        for finding in found:
            yield f"  {treatment}, {finding.measure}: {_words(finding)}"


def _arm(arm: Arm) -> str:
    shares = {"success": arm.success, "valid": arm.valid, "rating": arm.rating}
    known = [f"{name} {value:.2f}" for name, value in shares.items() if value is not None]
    seconds = [] if arm.seconds is None else [f"{arm.seconds:.1f} s"]
    return ", ".join([f"{arm.conversations} conversations", *known, *seconds])


def _words(finding: Finding) -> str:
    show = _factor if finding.measure == "seconds" else _points
    interval = f"{show(finding.difference)} (between {show(finding.low)} and {show(finding.high)})"
    if finding.verdict != "not yet":
        return f"{finding.verdict}, {interval}"
    return f"not yet, {interval}: {_missing(finding)}"


def _missing(finding: Finding) -> str:
    if not finding.more_needed:
        return "what there may be is smaller than what matters"
    return f"about {finding.more_needed} more conversations until a difference that matters would show"


def _points(value: float) -> str:
    return f"{value:+.2f}"


def _factor(value: float) -> str:
    return f"×{value:.2f}"
