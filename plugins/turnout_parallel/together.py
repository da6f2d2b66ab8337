"""One request for several models at once: every answer, or the first good one."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from turnout.router import Router
from turnout.types import ModelRequest, Reply
from turnout_parallel.outcome import Outcome, See, answered, copies, distinct, failure, outcome_of

Enough = Callable[[Sequence[Outcome | None]], bool]
"""Says whether the outcomes so far, None where one is still open, make the others needless."""


async def compare(
    router: Router,
    request: ModelRequest,
    models: Iterable[str],
    *,
    see: See | None = None,
) -> tuple[Outcome, ...]:
    """Ask all *models*, and return the outcome of each, in their order.

    The request's ``timeout`` is one deadline over all: what has not ended by then has a
    ``DeadlineExceededError``, beside the text that had come. Models that share a host take their turns there,
    those that are loaded first. No ``LLMError`` is raised. Raises ``ValueError`` without any model.
    """
    names = distinct(models)
    return await gathered(router, names, copies(request, names), see)


async def race(
    router: Router,
    request: ModelRequest,
    models: Iterable[str],
    *,
    good: Callable[[Reply], bool] = answered,
    see: See | None = None,
) -> Reply:
    """Ask all *models*, and return the first good answer; the others stop at once, upstream too.

    An answer is *good* when it is neither empty nor cut short, unless you say otherwise. Where none is, one
    that was cut short is returned before nothing. Raises ``ConcurrentExecutionError`` when all failed, or
    their own error when it is the only one or time was up; ``ValueError`` without any model.
    """
    outcomes = await raced(router, request, distinct(models), good=good, see=see)
    won = winner(outcomes, good)
    if won is None or won.reply is None:
        raise failure(outcomes)
    return won.reply


async def raced(
    router: Router,
    request: ModelRequest,
    names: Sequence[str],
    *,
    good: Callable[[Reply], bool] = answered,
    see: See | None = None,
) -> tuple[Outcome, ...]:
    """Run the race, and return how far everybody came."""

    def enough(outcomes: Sequence[Outcome | None]) -> bool:
        return any(one is not None and one.reply is not None and good(one.reply) for one in outcomes)

    return await gathered(router, names, copies(request, names), see, enough)


def winner(outcomes: Sequence[Outcome], good: Callable[[Reply], bool] = answered) -> Outcome | None:
    """Return the fastest good outcome; where none is good, the fastest with any answer; else None."""
    whole = [one for one in outcomes if one.reply is not None and good(one.reply)]
    some = [one for one in outcomes if one.reply is not None and not one.reply.empty]
    return min(whole or some, key=lambda one: one.seconds, default=None)


async def gathered(
    router: Router,
    names: Sequence[str],
    requests: Sequence[ModelRequest],
    see: See | None = None,
    enough: Enough = lambda _: False,
) -> tuple[Outcome, ...]:
    """Ask all *requests* at once until all have ended, or there is *enough*; then stop the rest."""
    began = asyncio.get_running_loop().time()
    pairs = zip(names, requests, strict=True)
    tasks = [asyncio.create_task(outcome_of(router, name, one, see)) for name, one in pairs]
    try:
        pending = set(tasks)
        while pending and not enough([_ended(task) for task in tasks]):
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    seconds = asyncio.get_running_loop().time() - began
    ended = [_ended(task) for task in tasks]
    return tuple(
        one or Outcome(name, seconds=seconds, cancelled=True) for name, one in zip(names, ended, strict=True)
    )


def _ended(task: "asyncio.Task[Outcome]") -> Outcome | None:
    """Return the outcome of a task that has ended; raises what is no error of ours."""
    return task.result() if task.done() and not task.cancelled() else None
