"""The verbs ``compare`` and ``batch`` on the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from turnout_parallel.faces import App
from turnout_parallel.settings import ParallelSettings

if TYPE_CHECKING:
    import click

    from turnout.types import ModelRequest
    from turnout_parallel.sinks import Wanted


def add_to(cli: "click.Group", settings: ParallelSettings) -> None:
    """Add the verbs to *cli*."""
    _add_compare(cli)
    _add_batch(cli, settings)


class CompareOptions(TypedDict):
    """What ``turnout compare`` takes."""

    words: tuple[str, ...]
    models: tuple[str, ...]
    judge: str | None
    race: bool
    system: str | None
    max_tokens: int | None
    temperature: float | None
    timeout: float | None
    as_json: bool


def _add_compare(cli: "click.Group") -> None:
    import click

    @click.pass_obj
    def compare(app: App, **options: Unpack[CompareOptions]) -> None:
        """Ask several models the same, and show their answers side by side.

        Without --model: all that are loaded. Text that is piped in is appended to PROMPT, or stands where
        PROMPT has a "-".
        """
        from turnout_parallel import comparing

        app.out.as_json = options["as_json"]
        if options["judge"] is not None and options["race"]:
            message = "--race takes the first answer, so there is nothing for --judge."
            raise click.UsageError(message)
        request = _request(options)
        wanted = comparing.Wanted(request, options["models"], options["judge"], options["race"])
        comparing.run(app, wanted)

    cli.command()(_with(_compare_options(), compare))


def _request(options: CompareOptions) -> "ModelRequest":
    from turnout.types import ModelRequest
    from turnout_parallel.prompt import read_prompt

    return ModelRequest(
        read_prompt(options["words"]),
        system=options["system"],
        max_tokens=options["max_tokens"],
        temperature=options["temperature"],
        timeout=options["timeout"],
        client="cli",
    )


def _compare_options() -> "list[Callable[[Callable[..., None]], Callable[..., None]]]":
    import click

    from turnout_parallel.numbers import Number

    seconds = Number(above=True, endless=True)
    return [
        click.argument("words", nargs=-1, metavar="[PROMPT]..."),
        click.option(
            "-m", "--model", "models", multiple=True, metavar="NAME", help="This model; repeatable."
        ),
        click.option("--judge", metavar="MODEL", help="Let this model say whose answer is the best."),
        click.option("--race", is_flag=True, help="Take the first whole answer, and stop the others."),
        click.option("-s", "--system", metavar="TEXT", help="The system prompt."),
        click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="Write at most N tokens."),
        click.option("--temperature", type=Number(), metavar="T", help="0 is most certain."),
        click.option(
            "--timeout", type=seconds, metavar="SECONDS", help="Over all; what is there by then is shown."
        ),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    ]


class BatchOptions(TypedDict):
    """What ``turnout batch`` takes."""

    source: str
    output: str
    order: bool
    model: str | None
    again: bool
    skip_bad: bool
    max_in_flight: int | None
    timeout: float | None
    as_json: bool


def _add_batch(cli: "click.Group", settings: ParallelSettings) -> None:
    import click

    @click.pass_obj
    def batch(app: App, **options: Unpack[BatchOptions]) -> None:
        """Answer a file of requests, whatever interrupts it.

        INPUT has a request on each line: OpenAI's batch format, {"prompt": …} with "id", "model" and the
        like, or plain text. All lines are checked first. The same command again goes on where it was, also
        after Ctrl-C, a kill or a power cut: every line is answered once. "-" is standard input or output.
        """
        from turnout_parallel import batch as batches

        app.out.as_json = options["as_json"]
        batches.run(app, settings, _wanted(options))

    cli.command()(_with(_batch_options(), batch))


def _wanted(options: BatchOptions) -> "Wanted":
    from turnout_parallel.sinks import Wanted

    return Wanted(
        options["source"],
        _path(options["source"], options["output"], as_json=options["as_json"]),
        options["order"],
        options["model"],
        options["again"],
        options["skip_bad"],
        options["max_in_flight"],
        options["timeout"],
    )


def _batch_options() -> "list[Callable[[Callable[..., None]], Callable[..., None]]]":
    import click

    from turnout_parallel.numbers import Number

    seconds = Number(above=True, endless=True)
    readable = click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True)
    return [
        click.argument("source", metavar="INPUT", type=readable),
        click.option(
            "-o", "--output", required=True, metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True),
            help="Write the answers there, one line each, as they come.",
        ),
        click.option("--order", is_flag=True, help="Put the answers in the order of the input at the end."),
        click.option("-m", "--model", metavar="NAME", help="Ask this model, whatever the lines say."),
        click.option("--retry-errors", "again", is_flag=True, help="Ask again what ended in an error."),
        click.option("--skip-bad", is_flag=True, help="Report invalid lines in the output, and go on."),
        click.option(
            "--max-in-flight", type=click.IntRange(min=1), metavar="N",
            help="Ask at most N at once; by default as many as the models have slots.",
        ),
        click.option(
            "--timeout", type=seconds, metavar="SECONDS", help="For each answer: queue, load, attempts."
        ),
        click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON."),
    ]  # fmt: skip


def _with(
    options: "list[Callable[[Callable[..., None]], Callable[..., None]]]", function: Callable[..., None]
) -> Callable[..., None]:
    for option in reversed(options):
        function = option(function)
    return function


def _path(source: str, output: str, *, as_json: bool) -> Path | None:
    """Return the output file; None for standard output."""
    import click

    path = Path(output)
    if output == "-" and as_json:
        message = "--json says on standard output what was done: write the answers into a file."
        raise click.UsageError(message)
    if output == "-":
        return None
    if source != "-" and path.exists() and path.samefile(source):
        message = "The output would overwrite the input."
        raise click.UsageError(message)
    return path
