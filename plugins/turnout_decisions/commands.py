"""The verbs ``explain``, ``rate`` and ``replay`` on the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from turnout.clock import now
from turnout.skills import TaskType
from turnout.verbs import App, Output
from turnout_decisions import words as words_
from turnout_decisions.journal import Page, Wanted
from turnout_decisions.lookup import LAST, history
from turnout_decisions.policies import CHAIN
from turnout_decisions.reader import Reader
from turnout_decisions.rewards import PATIENCE_SECONDS

if TYPE_CHECKING:
    import click

S = TypeVar("S")
T = TypeVar("T")
Option: TypeAlias = Callable[[Callable[..., None]], Callable[..., None]]
LISTED, REPLAYED = 20, 1_000


def add_to(cli: "click.Group", read: Reader) -> None:
    """Add the verbs to *cli*; *read* looks things up in the log."""
    _add_explain(cli, read)
    _add_rate(cli, read)
    _add_replay(cli, read)


def _add_explain(cli: "click.Group", read: Reader) -> None:
    import click

    @cli.command()
    @click.argument("which", default=LAST, metavar="[last|ID]")
    @click.option("--list", "listed", is_flag=True, help="List the recent decisions, one line each.")
    @click.option("--limit", type=click.IntRange(min=1), default=LISTED, metavar="N", help="List at most N.")
    @_unseen_option
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @click.pass_obj
    def explain(app: App, *, which: str, listed: bool, limit: int, unseen: bool, as_json: bool) -> None:
        """Show a decision that was made, and what became of it.

        The last one that somebody was shown the answer of, or those about the request ID, of which the
        beginning is enough: what was known, who could answer and who could not, what each strategy said, how
        each attempt ended, and how the answer was rated.

        \b
        Examples:
          turnout explain
          turnout explain --list --limit 5
          turnout explain 3f2a --json
        """  # noqa: D301  click reads the \b
        app.out.as_json = as_json
        wanted = Wanted(limit, unseen=unseen)
        page = read(lambda log: log.newest(wanted) if listed else history(which, log, unseen=unseen))
        _explained(page, app.out, listed=listed, as_json=as_json)


def _explained(page: Page, out: Output, *, listed: bool, as_json: bool) -> None:
    from turnout_decisions import explain as tables
    from turnout_decisions.shapes import page_shape

    if as_json:
        out.json(page_shape(page))
    elif listed:
        tables.show_list(page, out)
    else:
        tables.show(page, out)


def _unseen_option(function: Callable[..., None]) -> Callable[..., None]:
    import click

    what = "Probes and copies too, whose answers nobody was shown."
    return click.option("--all", "unseen", is_flag=True, help=what)(function)


def _add_rate(cli: "click.Group", read: Reader) -> None:
    import click

    @cli.command()
    @click.argument("words", nargs=-1, required=True, metavar="[last|ID] good|bad|0..1")
    @click.option("--comment", default="", metavar="TEXT", help="What was good or bad; kept with the rating.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @click.pass_obj
    def rate(app: App, *, words: tuple[str, ...], comment: str, as_json: bool) -> None:
        """Say how good an answer was, for the strategies that learn from it.

        The last answer that somebody was shown, or that to the request ID. good is 1, bad is 0.

        \b
        Examples:
          turnout rate good
          turnout rate last 0.4 --comment "too long"
        """  # noqa: D301  click reads the \b
        from turnout_decisions import rate as rating

        if len(words) > 2:
            message = "Name one request, and one score."
            raise click.UsageError(message)
        which = words[0] if len(words) == 2 else LAST
        app.out.as_json = as_json
        score = _parsed(words_.score_of)(click.get_current_context(), None, words[-1])
        rating.run(app, read, which, score, comment, as_json=as_json)


def _add_replay(cli: "click.Group", read: Reader) -> None:
    import click

    @click.pass_obj
    def replay(
        app: App, *, strategies: tuple[str, ...], since: float | None, task_type: str | None, limit: int,
        unseen: bool, patience: float, seed: int, data: Path | None, as_json: bool,
    ) -> None:
        """Ask strategies again about the decisions in the log, and say what would have changed.

        Nothing is sent to a model. Counts what would have gone to another model, the predicted seconds and
        loads that this saves, and estimates what it would have been worth.

        \b
        Examples:
          turnout replay --strategy performance --since 7d
          turnout replay --strategy fallback --data scores.csv
        """  # noqa: D301  click reads the \b
        from turnout_decisions import replay as replaying

        app.out.as_json = as_json
        oldest = 0.0 if since is None else now().timestamp() - since
        wanted = Wanted(limit, oldest, None if task_type is None else TaskType(task_type), unseen)
        asked = replaying.Replay(tuple(dict.fromkeys(strategies)), wanted, patience, seed, data)
        replaying.run(app, read, asked, as_json=as_json)  # fmt: skip

    cli.command()(_with_replay_options(replay))


def _with_replay_options(function: Callable[..., None]) -> Callable[..., None]:
    for option in reversed([*_which_decisions(), *_how_to_replay()]):
        function = option(function)
    return function


def _which_decisions() -> "list[Option]":
    import click

    return [
        click.option(
            "--strategy", "strategies", multiple=True, default=(CHAIN,), metavar="NAME",
            help=f"Ask this strategy; may be repeated. {CHAIN} is all in their order, and the default.",
        ),
        click.option(
            "--since", callback=_parsed(words_.span), metavar="SPAN", help="Not older than 12h, 7d or 2w."
        ),
        click.option(
            "--task-type", type=click.Choice([str(task) for task in TaskType]), metavar="KIND",
            help="Only this kind of work.",
        ),
        click.option(
            "--limit", type=click.IntRange(min=1), default=REPLAYED, show_default=True, metavar="N",
            help="At most the newest N decisions.",
        ),
        _unseen_option,
    ]  # fmt: skip


def _how_to_replay() -> "list[Option]":
    import click

    return [
        click.option(
            "--patience", type=click.FloatRange(min=0, min_open=True), default=PATIENCE_SECONDS,
            callback=_parsed(words_.finite), show_default=True, metavar="SECONDS",
            help="After so long an answer is worth half.",
        ),
        click.option("--seed", type=int, default=0, metavar="N", help="Of the bootstrap intervals."),
        click.option(
            "--data", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
            help="Replay a CSV file of prompts and scores instead of the log.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    ]  # fmt: skip


def _parsed(parse: Callable[[S], T]) -> "Callable[[click.Context, click.Parameter | None, S | None], T]":
    """Return a callback that has *parse* read a value, whose ``ValueError`` is the user's."""

    def callback(ctx: "click.Context", param: "click.Parameter | None", value: S | None) -> T:
        import click

        if value is None:
            return None  # type: ignore[return-value]
        try:
            return parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from error

    return callback
