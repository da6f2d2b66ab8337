"""``turnout rate``: what somebody thinks of an answer, told to every plugin that learns from it."""

from turnout.router import Router
from turnout.types import Feedback
from turnout.verbs import App
from turnout_decisions.journal import Page
from turnout_decisions.lookup import history
from turnout_decisions.reader import Reader
from turnout_decisions.words import harmless, rating


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
        from turnout_decisions.shapes import rating_shape

        app.out.json({"rating": rating_shape(made)})
    else:
        where = f" on {made.host}" if made.host else ""
        app.out.line(harmless(f"{made.model}{where} rated {rating(made.score)} for {made.request_id}"))
