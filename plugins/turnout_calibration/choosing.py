"""Which deployments are meant by the names on a command line."""

from collections.abc import Iterable, Mapping, Sequence

from turnout.errors import ModelNotFoundError, NoSuitableModelError
from turnout.fleet import Deployment, Fleet, ModelKind
from turnout.names import matches, near


def chosen(
    fleet: Fleet,
    names: Sequence[str],
    host: str | None,
    *,
    everything: bool,
    aliases: Mapping[str, str],
) -> list[Deployment]:
    """Return the deployments of the models that *names* mean; without names those that are loaded.

    With *everything* also those that are not. A host of last resort is meant only by name. Raises
    ``ModelNotFoundError`` and ``NoSuitableModelError``, and a host's own error where none has a model.
    """
    broken = next((report.error for report in fleet.hosts if report.error is not None), None)
    if broken is not None and not fleet.deployments:
        raise broken
    able = [one for one in fleet.deployments if one.info.kind is ModelKind.LLM]
    if names:
        keys = [_key(name, able, aliases) for name in names]
        found = [one for key in dict.fromkeys(keys) for one in able if one.model == key]
    else:
        found = [one for one in able if (everything or one.resident) and (host or not one.host.last_resort)]
    here = [one for one in found if host in (None, one.host.name)]
    if not here:
        raise _nothing(fleet, names, host, able)
    return here


def _key(name: str, able: Iterable[Deployment], aliases: Mapping[str, str]) -> str:
    known = list(dict.fromkeys(one.model for one in able))
    found = matches(name, known, aliases)
    if len(found) == 1:
        return found[0]
    if found:
        raise ModelNotFoundError(name, known, near=found, reason="names more than one model")
    raise ModelNotFoundError(name, known, near=near(name, known))


def _nothing(
    fleet: Fleet, names: Sequence[str], host: str | None, able: Sequence[Deployment]
) -> NoSuitableModelError:
    """Say why nobody is left, and what would change that."""
    known = list(dict.fromkeys(one.model for one in able))
    silent = f" ({', '.join(fleet.silent)} did not answer)" if fleet.silent else ""
    if host is not None and all(report.host.name != host for report in fleet.hosts):
        hosts = ", ".join(report.host.name for report in fleet.hosts)
        return NoSuitableModelError(f"there is no host {host!r}, but {hosts or 'none'}", known)
    if names:
        return NoSuitableModelError(f"{', '.join(names)} is not on {host!r}", known)
    return NoSuitableModelError(f"no model is loaded{silent}. Name one, or take --all", known)
