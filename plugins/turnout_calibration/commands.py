"""The verbs ``calibrate`` and ``eval`` on the command line; what they do is imported when one is called."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from turnout.skills import ModelCapability, TaskType
from turnout.verbs import App
from turnout_calibration.ledger import Ledger
from turnout_calibration.settings import CalibrationSettings

if TYPE_CHECKING:
    import click

Verb: TypeAlias = Callable[..., None]


def add_to(cli: "click.Group", settings: CalibrationSettings, ledger: Ledger) -> None:
    """Add the verbs to *cli*."""
    _add_calibrate(cli, settings, ledger)
    _add_eval(cli, settings, ledger)


def _add_calibrate(cli: "click.Group", settings: CalibrationSettings, ledger: Ledger) -> None:
    import click

    @cli.command()
    @_with_calibrate_options
    @click.pass_obj
    def calibrate(
        app: App,
        *,
        models: tuple[str, ...],
        host: str | None,
        everything: bool,
        skills: tuple[str, ...],
        quick: bool,
        again: bool,
        yes: bool,
        as_json: bool,
    ) -> None:
        """Find out how well models do what, with a set of probes; the strategies use what was found.

        Without MODEL: all that are loaded. It may be interrupted: the next run goes on where it was.

        \b
        Examples:
          turnout calibrate
          turnout calibrate qwen3-coder-30b --skill tools
          turnout calibrate --all --quick --yes
        """  # noqa: D301  click reads the \b
        from turnout_calibration.calibrate_command import Wanted, run

        app.out.as_json = as_json
        run(app, settings, ledger, Wanted(models, host, everything, skills, quick, again, yes))


def _with_calibrate_options(function: Verb) -> Verb:
    import click

    known = [str(skill) for kind in (TaskType, ModelCapability) for skill in kind]
    options = [
        click.argument("models", nargs=-1, metavar="[MODEL]..."),
        click.option("--host", metavar="NAME", help="Only on this host."),
        click.option("--all", "everything", is_flag=True, help="All models, loaded or not."),
        click.option(
            "--skill", "skills", multiple=True, type=click.Choice(known), metavar="SKILL",
            help="Only probes for this task type or capability; may be repeated.",
        ),
        click.option("--quick", is_flag=True, help="Only a quarter of the probes."),
        click.option("--again", is_flag=True, help="Redo what is done already."),
        click.option("--yes", is_flag=True, help="Load what is not loaded without asking."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    ]  # fmt: skip
    return _with(options, function)


def _add_eval(cli: "click.Group", settings: CalibrationSettings, ledger: Ledger) -> None:
    import click

    @cli.command("eval")
    @_with_eval_options
    @click.pass_obj
    def eval_(
        app: App,
        *,
        file: Path,
        models: tuple[str, ...],
        host: str | None,
        judge: str | None,
        output: Path | None,
        table: Path | None,
        again: bool,
        yes: bool,
        as_json: bool,
    ) -> None:
        """Ask models your own prompts from FILE (JSON Lines), check the answers, and compare.

        Without --model: all that are loaded. It may be interrupted: the next run goes on where it was.

        \b
        Examples:
          turnout eval own.jsonl -m qwen3-coder-30b -m gemma-3-12b
          turnout eval own.jsonl --judge gpt-oss-20b --csv scores.csv
        """  # noqa: D301  click reads the \b
        from turnout_calibration.eval_command import Wanted, run

        app.out.as_json = as_json
        run(app, settings, ledger, Wanted(file, models, host, judge, output, table, again, yes))


def _with_eval_options(function: Verb) -> Verb:
    import click

    readable = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
    writable = click.Path(dir_okay=False, writable=True, path_type=Path)
    options = [
        click.argument("file", type=readable),
        click.option(
            "-m", "--model", "models", multiple=True, metavar="NAME", help="This model; repeatable.",
        ),
        click.option("--host", metavar="NAME", help="Only on this host."),
        click.option("--judge", metavar="MODEL", help="The model for judge checks that name none."),
        click.option(
            "-o", "--output", type=writable, metavar="FILE", help="Write each result as a JSON line.",
        ),
        click.option("--csv", "table", type=writable, metavar="FILE", help="Write prompts x models as CSV."),
        click.option("--again", is_flag=True, help="Redo what is done already."),
        click.option("--yes", is_flag=True, help="Load what is not loaded without asking."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    ]  # fmt: skip
    return _with(options, function)


def _with(options: "Sequence[Callable[[Verb], Verb]]", function: Verb) -> Verb:
    """Add *options* so that the help shows them in their order."""
    for option in reversed(options):
        function = option(function)
    return function
