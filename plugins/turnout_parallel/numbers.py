"""Numbers on the command line."""

from math import isinf, isnan

import click


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
