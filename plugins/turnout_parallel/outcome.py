"""What became of one request among several: its reply, or its error and what had come until then."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from typing import TypeAlias

from attrs import evolve, field, frozen

from turnout.errors import ConcurrentExecutionError, DeadlineExceededError, LLMError
from turnout.events import Event, Text
from turnout.router import Router
from turnout.types import ModelRequest, Reply

See: TypeAlias = Callable[[str, Event], None]
"""Is shown the events of each model as they come, under the name that was asked for."""


@frozen
class Outcome:
    """How one model did: a ``reply``, or an ``error`` with the ``partial`` text that came before it.

    ``model`` is the name that was asked for; ``seconds`` are over everything. ``cancelled`` marks one that
    was stopped because it was not needed any more.
    """

    model: str
    reply: Reply | None = None
    error: LLMError | None = None
    seconds: float = 0.0
    partial: str = field(default="", repr=False)
    cancelled: bool = False

    @property
    def good(self) -> bool:
        """Whether there is a whole answer."""
        return self.reply is not None and answered(self.reply)

    @property
    def text(self) -> str:
        """The answer, or as much as there is of it."""
        return self.partial if self.reply is None else self.reply.text


def answered(reply: Reply) -> bool:
    """Return whether *reply* is a whole answer: neither empty nor cut short."""
    return not (reply.empty or reply.truncated)


async def outcome_of(router: Router, model: str, request: ModelRequest, see: See | None = None) -> Outcome:
    """Ask, and return what comes of it; only what is no ``LLMError`` is raised."""
    loop = asyncio.get_running_loop()
    began, heard = loop.time(), list[str]()
    stream = router.open_stream(request)
    try:
        async with aclosing(stream):
            async for event in stream:
                if isinstance(event, Text):
                    heard.append(event.text)
                if see is not None:
                    see(model, event)
    except LLMError as error:
        return Outcome(model, None, error, loop.time() - began, "".join(heard))
    return Outcome(model, stream.reply, seconds=loop.time() - began)


def copies(request: ModelRequest, models: Iterable[str | None]) -> list[ModelRequest]:
    """Return *request* once for each of *models*, pinned to it, under an id of its own."""
    return [
        evolve(request, explicit_model=model, id=f"{request.id}.{number}")
        for number, model in enumerate(models, 1)
    ]


def distinct(models: Iterable[str]) -> list[str]:
    """Return *models* without repetitions; raises ``ValueError`` when there is none."""
    names = list(dict.fromkeys([models] if isinstance(models, str) else models))
    if not names:
        message = "name at least one model"
        raise ValueError(message)
    return names


def failure(outcomes: Sequence[Outcome]) -> LLMError:
    """Return the one error for *outcomes* of which none is good: their own where they are alike."""
    errors = [(one.model, one.error) for one in outcomes if one.error is not None]
    late = [error for _, error in errors if isinstance(error, DeadlineExceededError)]
    if errors and (len(outcomes) == 1 or len(late) == len(outcomes)):
        return errors[0][1]
    said = {model: str(error) for model, error in errors}
    silent = {one.model: "no whole answer" for one in outcomes if one.model not in said}
    both = {**said, **silent}
    return ConcurrentExecutionError(list(both), list(both.values()))
