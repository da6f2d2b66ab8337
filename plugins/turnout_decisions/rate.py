"""``turnout rate``: what somebody thinks of an answer, told to every plugin that learns from it."""

from turnout.router import Router
from turnout.types import Feedback
from turnout_decisions.faces import App, Reader
from turnout_decisions.journal import Page
from turnout_decisions.lookup import history
from turnout_decisions.shapes import rating_shape

WORDS = {"good": 1.0, "bad": 0.0}


def score_of(text: str) -> float:
    """Return the score that ``good``, ``bad`` or a number from 0 to 1 means; raises ``ValueError``."""
    try:
        score = WORDS[text.casefold()] if text.casefold() in WORDS else float(text)
    except ValueError:
        score = -1.0
    if not 0.0 <= score <= 1.0:  # NaN too
        message = f"{text!r} is neither good, nor bad, nor a number from 0 to 1"
        raise ValueError(message)
    return score


def feedback(page: Page, score: float, comment: str) -> Feedback:
    """Return the rating of the request on *page*: of the model and host that answered last."""
    last = page.entries[-1]
    model, host = last.decision.selection.model, ""
    if last.outcomes:
        model, host = last.outcomes[-1].model_id, last.outcomes[-1].host
    return Feedback(last.decision.id, score, model, host, last.decision.task_type, comment)


def run(app: App, read: Reader, which: str, score: float, comment: str, *, as_json: bool) -> None:
    """Rate, and say what was rated; raises ``UnknownDecisionError``."""
    made = feedback(read(lambda log: history(which, log)), score, comment)

    async def tell(router: Router) -> None:
        router.record_feedback(made)

    app.run(tell)
    if as_json:
        app.out.json({"rating": rating_shape(made)})
    else:
        where = f" on {made.host}" if made.host else ""
        app.out.line(f"{made.model}{where} rated {made.score:.2f} for {made.request_id}")
