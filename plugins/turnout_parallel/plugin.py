"""The plugin: two verbs for the command line. The functions need no plugin."""

from typing import TYPE_CHECKING

from turnout.markers import hookimpl
from turnout_parallel.settings import ParallelSettings

if TYPE_CHECKING:
    import click

_DEFAULTS = ParallelSettings()


class Parallel:
    """Adds ``turnout compare`` and ``turnout batch``."""

    def __init__(self, settings: ParallelSettings = _DEFAULTS) -> None:
        self.settings = settings

    @hookimpl(optionalhook=True)
    def register_commands(self, cli: "click.Group") -> None:
        """Add the verbs."""
        from turnout_parallel.commands import add_to

        add_to(cli, self.settings)
