"""Many requests through one router: in any number, within bounded memory, and with few loads."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal

from turnout.errors import ConcurrentExecutionError, LLMError
from turnout.router import Router
from turnout.types import Reply
from turnout_parallel.running import WINDOW, Limits, Result, Run
from turnout_parallel.source import Requests, source_of

MOST_NAMED = 100
"""Errors that a ``ConcurrentExecutionError`` lists."""


def map_prompts(
    router: Router,
    requests: Requests,
    *,
    ordered: bool = False,
    timeout: float | None = None,
    max_in_flight: int | None = None,
    window: int = WINDOW,
    errors: Literal["return", "raise"] = "return",
) -> AsyncGenerator[tuple[int, Reply | LLMError], None]:
    """Answer all *requests*, and yield ``(number, reply or error)`` for each, once, as they end.

    Numbers count from 0; with *ordered* they come in order. What fails alone is an error in its place.
    With ``errors="raise"`` failures are not yielded; a ``ConcurrentExecutionError`` names them at the end.

    Models that are loaded are asked first, then one after the other, with as many requests at once as all
    their slots take; of a list (any ``Sequence``) the whole is planned, of other (async) iterables at most
    *window* requests are read ahead. That is also the bound with *ordered*. A queue that is full is waited
    for. *timeout* (seconds) is one deadline over all: what has not ended then is a
    ``DeadlineExceededError``, and an iterable is not read on.

    Leaving the loop early stops what is under way once the generator is closed: use
    ``contextlib.aclosing``. Raises ``ValueError`` for limits that are none.
    """
    run = Run(router, source_of(requests), Limits(timeout, max_in_flight, window, ordered))
    return run.results() if errors == "return" else _raising(run.results())


async def _raising(
    results: AsyncGenerator[tuple[int, Result], None],
) -> AsyncGenerator[tuple[int, Result], None]:
    """Keep the failures for the end."""
    models: list[str] = []
    said: list[str] = []
    async with aclosing(results):
        async for number, result in results:
            if isinstance(result, Reply):
                yield number, result
            elif len(models) < MOST_NAMED:
                models.append(f"{result.model or 'request'} [{number}]")
                said.append(str(result))
    if models:
        raise ConcurrentExecutionError(models, said)
