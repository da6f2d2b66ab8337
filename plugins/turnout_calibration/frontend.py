"""What the command line offers a plugin's verb, and what both verbs of this one do with it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from turnout.fleet import Deployment, Fleet
from turnout.messages import JSONObject
from turnout.router import Router
from turnout.verbs import Output
from turnout_calibration.asking import subject
from turnout_calibration.results import Source
from turnout_calibration.running import Examination, Missing

if TYPE_CHECKING:
    pass

T = TypeVar("T")
PARTIAL = 7
"""The exit code of the command line for: some of several parts failed."""


async def look(router: Router) -> Fleet:
    """Return the fleet as it is now."""
    return await router.fleet(refresh=True)


def allowed(out: Output, deployments: Sequence[Deployment], *, yes: bool) -> list[Deployment]:
    """Return the deployments that may be used: those that are loaded, and the others if a person agrees."""
    import click

    cold = [one for one in deployments if not one.resident and one.loadable]
    if not cold or yes:
        return list(deployments)
    names = ", ".join(f"{one.model} on {one.host.name}" for one in cold)
    try:
        agreed = click.confirm(f"Load and afterwards unload {names}?", default=True, err=True)
    except click.Abort:  # nobody is there to ask
        agreed = False
    if not agreed:
        out.note(f"left out, because not loaded (--yes loads): {names}")
    return [one for one in deployments if agreed or one not in cold]


def ready(
    out: Output,
    examination: Examination,
    deployments: Sequence[Deployment],
    source: Source,
    *,
    again: bool,
    yes: bool,
) -> list[Deployment]:
    """Return the deployments that have something to do and may be used; with *again* all starts anew."""
    todo = [one for one in deployments if again or examination.left(one)]
    agreed = allowed(out, todo, yes=yes)
    for place in dict.fromkeys(subject(one).place for one in agreed if again):
        examination.ledger.renew(place, source)
    return agreed


def tell_missing(out: Output, missing: Sequence[Missing]) -> None:
    """Say what could not be examined."""
    for one in missing:
        out.warn(f"{one.subject}: {one.error}")


def missing_shape(missing: Sequence[Missing]) -> list[JSONObject]:
    """Return the same as JSON."""
    return [
        {
            "host": one.subject.host,
            "model": one.subject.model,
            "error": type(one.error).__name__,
            "message": str(one.error),
        }
        for one in missing
    ]
