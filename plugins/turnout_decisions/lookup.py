"""Finding a request in the log by what a person types."""

from collections.abc import Sequence

from turnout.errors import LLMError
from turnout.names import near
from turnout_decisions.journal import Log, Page, Wanted
from turnout_decisions.words import harmless

LAST = "last"
SHOWN = 5
NOTHING = "no decision has been logged yet"


class UnknownDecisionError(LLMError):
    """The log knows no decision of that name, or more than one."""

    default_advice = "`turnout explain --list` shows the recent ones."


def resolve(text: str, ids: Sequence[str]) -> str:
    """Return the one of *ids* (newest first) that *text* means: an id, or how an id begins.

    Where one id is the beginning of all the others, as a request's is of its copy's, that one is meant.
    Raises ``UnknownDecisionError`` with near ids.
    """
    if not ids:
        raise UnknownDecisionError(NOTHING, advice="Ask something first.")
    if text in ids:
        return text
    found = [one for one in ids if one.startswith(text)] if text else []
    shortest = min(found, key=len, default="")
    if found and all(one.startswith(shortest) for one in found):
        return shortest
    if found:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        message = f"{text!r} begins {len(found)} ids: {_listed(found)}{more}"
        raise UnknownDecisionError(message, advice="Write more of the id.")
    close = near(text, ids[:1000])
    meant = f"Did you mean {' or '.join(close)}?" if close else f"The last: {_listed(ids)}."
    message = f"no decision is logged about a request {text!r}. {meant}"
    raise UnknownDecisionError(message)


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(map(harmless, ids[:SHOWN]))


def history(text: str, log: Log, *, unseen: bool = False) -> Page:
    """Return all decisions about the request that *text* means, in order.

    ``last`` is the last whose answer somebody was shown, or with *unseen* the last of all.
    """
    request_id = _last(log, unseen=unseen) if text == LAST else resolve(text, log.ids())
    page = log.request(request_id)
    if not page.entries:
        what = f"the decisions about {harmless(request_id)}"
        raise _unreadable(what, page)
    return page


def _last(log: Log, *, unseen: bool) -> str:
    page = log.newest(Wanted(1, unseen=unseen))
    if page.entries:
        return page.entries[0].decision.id
    if page.unreadable or page.newer:
        what = "the last decision"
        raise _unreadable(what, page)
    only = ", only probes and copies whose answers nobody was shown" if page.unseen else ""
    message = f"{NOTHING}{only}"
    raise UnknownDecisionError(message, advice="Ask something first.")


def _unreadable(what: str, page: Page) -> UnknownDecisionError:
    advice = "Update turnout." if page.newer else "The file may be damaged."
    return UnknownDecisionError(f"{what} cannot be read", advice=advice)
