"""The plugin that adds ``turnout simulate`` to the command line."""

from typing import TYPE_CHECKING

from turnout import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def register_commands(cli: "click.Group") -> None:
    """Add the verb; what it needs is imported when it runs."""
    from turnout_testing.simulation.verb import verb

    cli.add_command(verb())
