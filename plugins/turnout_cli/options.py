"""Options that several verbs take."""

from collections.abc import Callable
from math import isinf, isnan
from typing import TypeVar

import click

from turnout import TaskType
from turnout_cli.app import App

F = TypeVar("F", bound=Callable[..., object])


class Number(click.FloatRange):
    """A number from 0 on, or ``above`` it; infinite only where it may be ``endless``.

    ``nan`` is in every range of click's.
    """

    def __init__(self, *, above: bool = False, endless: bool = False) -> None:
        super().__init__(min=0, min_open=above)
        self._endless = endless

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; fails for what is none."""
        found = float(super().convert(value, param, ctx))
        if isnan(found) or (isinf(found) and not self._endless):
            self.fail(f"{found} is no {'number' if isnan(found) else 'finite number'}.", param, ctx)
        return found


def json_option(function: F) -> F:
    """Add ``--json``; errors are printed as JSON too."""

    def callback(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
        if value:
            ctx.ensure_object(App).out.as_json = True
        return value

    return click.option(
        "--json", "as_json", is_flag=True, callback=callback, help="Print JSON.", is_eager=True
    )(function)


def quiet_option(function: F) -> F:
    """Add ``-q``: no notes on stderr; warnings and errors stay."""

    def callback(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            ctx.ensure_object(App).out.quiet = True

    return click.option(
        "-q", "--quiet", is_flag=True, expose_value=False, callback=callback, help="Say nothing but errors."
    )(function)


def routing_options(function: F) -> F:
    """Add what bears on the choice of a model and on its answer; see :class:`~turnout.ModelRequest`."""
    options = [
        click.option("-m", "--model", metavar="NAME", help="This model, and no other."),
        click.option("-s", "--system", metavar="TEXT", help="The system prompt."),
        click.option(
            "--host", "hosts", multiple=True, metavar="NAME", help="Only this host; may be repeated."
        ),
        click.option(
            "--allow-fallback", is_flag=True, help="Take another model where the named one cannot answer."
        ),
        click.option(
            "--task-type", type=click.Choice([str(task) for task in TaskType]), metavar="KIND",
            help=f"What kind of work it is: {', '.join(TaskType)}.",
        ),
        click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="Write at most N tokens."),
        click.option("--temperature", type=Number(), metavar="T", help="0 is most certain."),
        click.option(
            "--timeout", type=Number(above=True, endless=True), metavar="SECONDS",
            help="Over everything: queue, load and all attempts.",
        ),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function
