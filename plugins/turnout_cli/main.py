"""The group ``turnout``: global options, verbs loaded when they are named, and errors as exit codes."""

import contextlib
import difflib
import errno
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from turnout import Config, ConfigError, LLMError, __version__
from turnout_cli.app import App, installed_router, ok_plugins, override
from turnout_cli.exit_codes import MEANINGS, ExitCode, exit_code
from turnout_cli.output import fall_silent
from turnout_cli.run import TerminatedError

if TYPE_CHECKING:
    from turnout import Router

BUILT_IN = (
    "ask", "chat", "route", "models", "hosts", "stats", "config", "doctor", "plugins", "plugin", "completion",
)  # fmt: skip
SECTIONS: Mapping[str, Sequence[str]] = {
    "Ask": ("ask", "chat", "route", "compare", "batch"),
    "Look": ("models", "hosts", "stats", "plan", "explain"),
    "Find out which model is good": ("rate", "calibrate", "eval", "replay", "simulate"),
    "Set up": ("config", "doctor", "plugins", "plugin", "embedded", "completion"),
}
"""Where the help shows a verb, whether it is built in or a plugin's; others stand under "From plugins"."""

EXAMPLES = """
turnout ask "What is the capital of France?"
git diff | turnout ask --task-type code_review "Review this change"
turnout ask -m qwen/qwen3-coder-30b --file main.py "Explain this file"
turnout ask --image chart.png --schema '{"type": "object"}' "Read the numbers"
turnout route --explain "Plan a trip"      # which model, and why
turnout compare -m qwen/qwen3-4b -m google/gemma-3-12b "Explain recursion"
turnout batch prompts.jsonl -o answers.jsonl
turnout models load qwen/qwen3-4b --context-length 32768
turnout doctor                             # what is wrong, and what mends it
"""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class TurnoutGroup(click.Group):
    """The verbs: those built in, imported when named, then those that plugins register."""

    def __init__(self, make_router: Callable[[Config], "Router"]) -> None:
        super().__init__(
            "turnout",
            params=_global_options(),
            help="Send each LLM request to the right local model.",
            context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
            subcommand_metavar="VERB [ARGS]...",
        )
        self._make_router = make_router
        self._asked_plugins = False

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: object
    ) -> click.Context:
        """Give the context its :class:`App`."""
        return super().make_context(info_name, args, parent, **{"obj": App(self._make_router), **extra})

    # --- verbs ----------------------------------------------------------------------------------------

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all verbs, those of plugins last."""
        self._ask_plugins(ctx)
        return [*BUILT_IN, *sorted(self.commands)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a built-in verb; only for another one are the plugins asked."""
        if cmd_name in BUILT_IN:
            command = getattr(import_module(f"turnout_cli.commands.{cmd_name}"), cmd_name)
            assert isinstance(command, click.Command)
            return command
        self._ask_plugins(ctx)
        return self.commands.get(cmd_name)

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a plugin's verb; raises ``ValueError`` when the name is taken."""
        verb = name or cmd.name
        if verb in BUILT_IN or verb in self.commands:
            message = f"there is a verb {verb!r} already"
            raise ValueError(message)
        super().add_command(cmd, name)

    def _ask_plugins(self, ctx: click.Context) -> None:
        if self._asked_plugins:
            return
        self._asked_plugins = True
        app = ctx.ensure_object(App)
        try:
            router = app.router
        except ConfigError as error:
            app.out.warn(f"no plugin's verbs, because the configuration is invalid: {error}")
            return
        if "cli" in ok_plugins(router):
            router.plugins.call("register_commands", cli=self)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or say which one may have been meant."""
        verb = args[0]
        if not verb.startswith("-") and self.get_command(ctx, verb) is None and not ctx.resilient_parsing:
            close = difflib.get_close_matches(verb, self.list_commands(ctx), n=2, cutoff=0.5)
            meant = f" Did you mean {' or '.join(close)}?" if close else ""
            ctx.fail(f"There is no verb {verb!r}.{meant}")
        return super().resolve_command(ctx, args)

    # --- help -----------------------------------------------------------------------------------------

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write examples, the verbs in their groups, the options and the exit codes."""
        with formatter.section("Examples"):
            formatter.write("".join(f"  {line}\n" for line in EXAMPLES.strip().splitlines()))
        known = {verb for verbs in SECTIONS.values() for verb in verbs}
        present = self.list_commands(ctx)
        strangers = [verb for verb in present if verb not in known]
        for title, verbs in {**SECTIONS, "From plugins": strangers}.items():
            commands = [(verb, self.get_command(ctx, verb)) for verb in verbs if verb in present]
            rows = [(verb, found.get_short_help_str(72)) for verb, found in commands if found is not None]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
        records = [record for p in self.get_params(ctx) if (record := p.get_help_record(ctx))]
        with formatter.section("Options"):
            formatter.write_dl(records)
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), meaning) for code, meaning in MEANINGS.items()])

    # --- running --------------------------------------------------------------------------------------

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb; an error ends with its words on stderr and its exit code."""
        app = ctx.ensure_object(App)
        try:
            result: object = super().invoke(ctx)
            sys.stdout.flush()
        except LLMError as error:
            app.out.fail(error)
            ctx.exit(exit_code(error))
        except KeyboardInterrupt:
            app.out.end_text()
            app.out.say("Interrupted.")
            ctx.exit(ExitCode.INTERRUPTED)
        except TerminatedError:
            app.out.end_text()
            ctx.exit(ExitCode.TERMINATED)
        except BrokenPipeError:
            fall_silent()
            ctx.exit(ExitCode.OK)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            fall_silent()
            with contextlib.suppress(OSError):  # stderr may be on the same disk
                app.out.error(f"the output cannot be written: {error.strerror}")
            ctx.exit(ExitCode.FAILURE)
        return result


# --- global options -----------------------------------------------------------------------------------


def _global_options() -> list[click.Parameter]:
    """Return the options; they are eager, so that ``--help`` after them knows the plugins they leave."""

    def option(*names: str, callback: "_Callback", **attributes: object) -> click.Option:
        return click.Option(
            names, expose_value=False, is_eager=True, callback=callback, **attributes  # type: ignore[arg-type]
        )

    return [
        option("--config", callback=_config, metavar="PATH", help="Read this file instead of the usual two."),
        option(
            "--set", callback=_set, multiple=True, metavar="TABLE.KEY=VALUE",
            help="Override one setting; may be repeated.",
        ),
        option(
            "-p", callback=_leave_out, multiple=True, metavar="no:NAME",
            help="Leave a plugin out; may be repeated.",
        ),
        option(
            "--log-level", callback=_log_level, metavar="LEVEL",
            type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
            help="Log from this level up: DEBUG, INFO, WARNING or ERROR.",
        ),
        option("-v", "--verbose", callback=_verbose, count=True, help="Log more: -v is INFO, -vv is DEBUG."),
        option(
            "--no-color", callback=_no_color, is_flag=True,
            help="No colours; the variable NO_COLOR does the same.",
        ),
        option("--version", callback=_version, is_flag=True, help="Show the version and exit."),
    ]  # fmt: skip


_Callback = Callable[[click.Context, click.Parameter, object], None]


def _config(ctx: click.Context, _: click.Parameter, value: object) -> None:
    if isinstance(value, str):
        ctx.ensure_object(App).config_path = Path(value)


def _set(ctx: click.Context, param: click.Parameter, value: object) -> None:
    for assignment in value if isinstance(value, tuple) else ():
        try:
            override(ctx.ensure_object(App), assignment)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from error


def _leave_out(ctx: click.Context, param: click.Parameter, value: object) -> None:
    for text in value if isinstance(value, tuple) else ():
        if not text.startswith("no:") or text == "no:":
            message = f"{text!r} is not no:NAME, such as no:metrics"
            raise click.BadParameter(message, ctx, param)
        app = ctx.ensure_object(App)
        app.left_out = (*app.left_out, text.removeprefix("no:"))


def _log_level(ctx: click.Context, _: click.Parameter, value: object) -> None:
    if isinstance(value, str):
        override(ctx.ensure_object(App), f'log.level="{value}"')


def _verbose(ctx: click.Context, _: click.Parameter, value: object) -> None:
    if isinstance(value, int) and value > 0:
        override(ctx.ensure_object(App), 'log.level="INFO"' if value == 1 else 'log.level="DEBUG"')


def _no_color(ctx: click.Context, _: click.Parameter, value: object) -> None:
    if value or os.environ.get("NO_COLOR"):
        ctx.ensure_object(App).out.color = ctx.color = False


def _version(ctx: click.Context, _: click.Parameter, value: object) -> None:
    if value and not ctx.resilient_parsing:
        ctx.ensure_object(App).out.line(f"turnout {__version__}")
        ctx.exit()


# --- the console script -------------------------------------------------------------------------------


def build(make_router: Callable[[Config], "Router"] = installed_router) -> TurnoutGroup:
    """Return the command line; *make_router* may bring a router of one's own making."""
    return TurnoutGroup(make_router)


def main() -> None:
    """Run the command ``turnout``."""
    for stream in (sys.stdout, sys.stderr):
        # Half a character, as a stream may hold, must not end an answer.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    build().main(prog_name="turnout")
