"""Finding a request in the log by what a person types."""

from collections.abc import Sequence

from turnout.errors import LLMError
from turnout.names import near
from turnout_decisions.journal import Log, Page

LAST = "last"
SHOWN = 5


class UnknownDecisionError(LLMError):
    """The log knows no decision of that name, or more than one."""

    default_advice = "`turnout explain --list` shows the recent ones."


def resolve(text: str, ids: Sequence[str]) -> str:
    """Return the one of *ids* (newest first) that *text* means: ``last``, an id, or how an id begins.

    Raises ``UnknownDecisionError`` with near ids.
    """
    if not ids:
        message = "no decision has been logged yet"
        raise UnknownDecisionError(message, advice="Ask something first.")
    if text == LAST:
        return ids[0]
    if text in ids:
        return text
    found = [one for one in ids if one.startswith(text)] if text else []
    if len(found) == 1:
        return found[0]
    if found:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        message = f"{text!r} begins {len(found)} ids: {', '.join(found[:SHOWN])}{more}"
        raise UnknownDecisionError(message, advice="Write more of the id.")
    close = near(text, ids[:1000])
    meant = f"Did you mean {' or '.join(close)}?" if close else f"The last: {', '.join(ids[:SHOWN])}."
    message = f"no decision is logged about a request {text!r}. {meant}"
    raise UnknownDecisionError(message)


def history(text: str, log: Log) -> Page:
    """Return all decisions about the request that *text* means, in order."""
    request_id = resolve(text, log.ids())
    page = log.request(request_id)
    if not page.entries:
        message = f"the decisions about {request_id} cannot be read"
        advice = "Update turnout." if page.newer else "The file may be damaged."
        raise UnknownDecisionError(message, advice=advice)
    return page
