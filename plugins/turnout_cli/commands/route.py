"""``turnout route``: which model would answer, and why; nothing is sent to it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

import click

from turnout import Candidate, Decision, Explanation, ModelCapability, ModelSelection, Router, Signals
from turnout_cli.app import App
from turnout_cli.commands.ask import EXISTING
from turnout_cli.exit_codes import exit_code
from turnout_cli.images import data_url
from turnout_cli.options import json_option, quiet_option, routing_options
from turnout_cli.output import Output
from turnout_cli.prompt import read_prompt
from turnout_cli.requests import RoutingOptions, check_hosts, make_request
from turnout_cli.shapes import decision_shape, predicted
from turnout_cli.words import UNKNOWN, seconds


@click.command()
@click.argument("words", nargs=-1, metavar="[PROMPT]...")
@click.option("-f", "--file", "files", multiple=True, type=EXISTING, metavar="PATH", help="As for ask.")
@click.option("--image", "images", multiple=True, metavar="PATH|URL", help="As for ask.")
@routing_options
@click.option("--explain", is_flag=True, help="Show all candidates, and what each strategy said.")
@json_option
@quiet_option
@click.pass_obj
def route(
    app: App,
    *,
    words: tuple[str, ...],
    files: tuple[Path, ...],
    images: tuple[str, ...],
    explain: bool,
    as_json: bool,
    **options: Unpack[RoutingOptions],
) -> None:
    """Say which model would answer, and why.

    Nothing is sent to a model. The options are those of ask.
    """
    prompt = read_prompt(words, files, app.out.warn)
    request = make_request(prompt, options, images=[data_url(one) for one in images])

    async def decided(router: Router) -> Decision:
        await check_hosts(router, options["hosts"])
        return await router.explain(request)

    decision = app.run(decided)
    if as_json:
        app.out.json(decision_shape(decision))
    elif explain:
        show(decision, app.out)
    elif decision.selection is not None:
        app.out.line(decision.selection.model)
        app.out.note(why(decision.selection))
        for note in decision.explanation.notes:
            app.out.note(note)
    if decision.error is not None:
        app.out.error(str(decision.error))
        click.get_current_context().exit(exit_code(decision.error))


def why(selection: ModelSelection) -> str:
    """Say in a sentence who chose a model, and why."""
    return f"chosen by {selection.strategy_used}: {selection.reason or 'no reason given'}"


def show(decision: Decision, out: Output) -> None:
    """Show a whole decision as tables."""
    if decision.selection is not None:
        out.line(f"{decision.selection.model}: {why(decision.selection)}")
    else:
        out.line("No model can answer.")
    if decision.candidates:
        columns = ("MODEL", "HOST", "LOADED", ">QUALITY", ">EXPECTED", ">MEASURED")
        out.table(columns, _candidates(decision), title="\nCandidates")
    show_explanation(decision.explanation, out)


def show_explanation(explanation: Explanation, out: Output) -> None:
    """Show what each strategy said, and who was left out and why."""
    if explanation.verdicts:
        rows = [(one.strategy, one.outcome, one.detail) for one in explanation.verdicts]
        out.table(("STRATEGY", "SAID", "WHY"), rows, title="\nStrategies, in the order asked")
    if explanation.reloads:
        small = [(one.model, one.host, one.reason) for one in explanation.reloads]
        out.table(("MODEL", "HOST", "REASON"), small, title="\nLoaded again first, with a larger context")
    if explanation.ineligible:
        left_out = [(one.model, one.host, one.reason) for one in explanation.ineligible]
        out.table(("MODEL", "HOST", "REASON"), left_out, title="\nLeft out")
    for note in explanation.notes:
        out.line(f"\nNote: {note}")
    out.line(f"\n{facts(explanation.signals)}")


def facts(signals: Signals) -> str:
    """Say in a line what is known of the request."""
    sure = f" ({signals.confidence:.0%} sure)" if signals.task_type and signals.confidence else ""
    language = f"; language: {signals.language}" if signals.language else ""
    return (
        f"Task: {signals.task_type or 'unknown'}{sure}{language}; "
        f"about {signals.prompt_tokens} tokens in, {signals.output_tokens} out expected."
    )


def _candidates(decision: Decision) -> Iterator[tuple[str, ...]]:
    signals = decision.request.signals

    def expected(candidate: Candidate) -> float:
        return predicted(candidate, signals)

    skill = signals.task_type or ModelCapability.GENERAL
    for candidate in sorted(decision.candidates, key=expected):
        quality = candidate.quality(skill)
        for deployment in candidate.deployments:
            estimate = candidate.estimate(deployment)
            predicted_seconds = estimate.completion_seconds(
                signals.prompt_tokens or 0, signals.output_tokens or 0
            )
            yield (
                candidate.id,
                deployment.host.name,
                "yes" if deployment.resident else "no",
                UNKNOWN if quality is None else f"{quality.score:.2f}",
                seconds(predicted_seconds),
                str(estimate.measured),
            )
