"""``turnout compare``: one prompt, several models, and who did it best."""

import asyncio
from collections.abc import Sequence

from attrs import define, field, frozen

from turnout.errors import NoSuitableModelError
from turnout.events import Event, Progress, Reasoning, Text
from turnout.fleet import ModelKind
from turnout.messages import JSON, JSONObject
from turnout.router import Router
from turnout.types import ModelRequest
from turnout_parallel.columns import Shown, show
from turnout_parallel.faces import FAILURE, PARTIAL, App, Display
from turnout_parallel.judging import Judgement, judged
from turnout_parallel.outcome import Outcome, distinct
from turnout_parallel.together import compare, raced, winner

STAGES = {"queue": "queued", "load": "loading", "prefill": "reading", "pause": "pausing"}


@frozen
class Wanted:
    """What the command line asks for; no ``models`` means all that are loaded."""

    request: ModelRequest
    models: tuple[str, ...] = ()
    judge: str | None = None
    race: bool = False


@define(eq=False)
class Board:
    """Says what each model is doing."""

    display: Display
    _doing: dict[str, str] = field(factory=dict)
    _pieces: dict[str, int] = field(factory=dict)

    def see(self, model: str, event: Event) -> None:
        """Show an event of *model*."""
        if isinstance(event, Progress):
            self._doing[model] = STAGES[event.stage]
        elif isinstance(event, Text | Reasoning):
            self._pieces[model] = self._pieces.get(model, 0) + 1
            doing = "thinking" if isinstance(event, Reasoning) else "writing"
            self._doing[model] = f"{doing} {self._pieces[model]}"
        else:
            return
        said = ", ".join(f"{name} {doing}" for name, doing in self._doing.items())
        self.display.show(f"comparing: {said}")


def run(app: App, wanted: Wanted) -> None:
    """Ask, show, and end with the exit code that fits.

    Raises the error of all models where it is one and the same.
    """
    import click

    with app.out.waiting() as display:
        judgement = app.run(lambda router: _asked(router, wanted, Board(display)))
    outcomes = judgement.outcomes
    _raise_if_alike(outcomes)
    if app.out.as_json:
        app.out.json(shape(judgement, judged=wanted.judge is not None))
    else:
        _show(app, wanted, judgement)
    if any(one.error is not None for one in outcomes) or judgement.error is not None:
        some = any(one.reply is not None for one in outcomes)
        click.get_current_context().exit(PARTIAL if some else FAILURE)


async def _asked(router: Router, wanted: Wanted, board: Board) -> Judgement:
    names = distinct(wanted.models) if wanted.models else await _loaded(router)
    board.display.show(f"comparing: {', '.join(names)}")
    if wanted.race:
        outcomes = await raced(router, wanted.request, names, see=board.see)
        return Judgement(winner(outcomes), outcomes)
    loop = asyncio.get_running_loop()
    began, limit = loop.time(), wanted.request.timeout
    outcomes = await compare(router, wanted.request, names, see=board.see)
    if wanted.judge is None or not any(one.good for one in outcomes):
        return Judgement(None, outcomes)
    left = None if limit is None else began + limit - loop.time()
    board.display.show(f"{wanted.judge} judges")
    return await judged(router, wanted.request, outcomes, wanted.judge, left)


async def _loaded(router: Router) -> list[str]:
    """Return the models that are loaded; raises ``NoSuitableModelError`` when none is."""
    models = await router.models(refresh=True)
    names = [one.id for one in models if one.loaded and one.kind is ModelKind.LLM]
    if not names:
        requirements = "no model is loaded, so name those to compare with -m"
        raise NoSuitableModelError(requirements, [one.id for one in models])
    return names


def _raise_if_alike(outcomes: Sequence[Outcome]) -> None:
    """Raise the error that all have in common, such as that of a host that does not answer."""
    errors = [one.error for one in outcomes if one.error is not None and not one.partial]
    alike = {(type(error), error.message) for error in errors}
    if len(errors) == len(outcomes) and len(alike) == 1:
        raise errors[0]


def _show(app: App, wanted: Wanted, judgement: Judgement) -> None:
    title = "First" if wanted.race else f"Best, says {wanted.judge}"
    show(Shown(judgement.outcomes, judgement.best, title, judgement.reason), app.out)
    if judgement.error is not None:
        app.out.warn(f"nobody is the best, because the judge failed: {judgement.error}")


# --- as JSON ------------------------------------------------------------------------------------------


def shape(judgement: Judgement, *, judged: bool) -> JSONObject:
    """Describe all outcomes, and who won: null where nobody was to win."""
    outcomes: list[JSON] = [_outcome(one, judgement.best) for one in judgement.outcomes]
    best = None if judgement.best is None else judgement.best.model
    error = None if judgement.error is None else judgement.error.to_dict()
    verdict: JSONObject = {"judge": {"reason": judgement.reason, "error": error}} if judged else {}
    return {"outcomes": outcomes, "best": best, **verdict}


def _outcome(one: Outcome, best: Outcome | None) -> JSONObject:
    reply = one.reply
    facts: JSONObject = {
        "model": one.model,
        "text": one.text,
        "seconds": one.seconds,
        "best": one is best,
        "cancelled": one.cancelled,
        "error": None if one.error is None else one.error.to_dict(),
    }
    if reply is None:
        return facts
    return {
        **facts,
        "served_by": {"model": reply.model, "host": reply.host},
        "finish_reason": reply.finish_reason,
        "tokens": {"prompt": reply.usage.prompt_tokens, "completion": reply.usage.completion_tokens},
        "tokens_per_second": reply.timings.tokens_per_second,
        "request_id": reply.request_id,
    }
