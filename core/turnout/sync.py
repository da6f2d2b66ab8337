"""The one-line front for scripts and notebooks, without ``await``."""

import asyncio
import threading
from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, TypeVar, Unpack

from attrs import evolve

from turnout.options import RequestOptions
from turnout.types import Feedback, ModelRequest, Reply

if TYPE_CHECKING:
    from turnout.config import Config

T = TypeVar("T")


def ask(
    prompt: ModelRequest | str, config: "Config | None" = None, **options: Unpack[RequestOptions]
) -> Reply:
    """Answer one prompt, without ``await``: for scripts and notebooks.

    Opens a router, asks, and closes it; hold a :class:`~turnout.router.Router` yourself to ask more
    than once. Works inside a running event loop too, which it blocks.
    """
    from turnout.rating import Rater
    from turnout.router import Router

    async def run() -> Reply:
        async with Router(config) as router:
            return await router.ask(prompt, **options)

    reply = run_sync(run())
    rater, record = reply.recorder, partial(_record, config)
    return evolve(reply, recorder=evolve(rater, record=record) if isinstance(rater, Rater) else record)


def _record(config: "Config | None", feedback: Feedback) -> None:
    """Tell a rating to a router of its own: the one that asked is closed by then."""
    from turnout.router import Router

    async def run() -> None:
        async with Router(config) as router:
            router.record_feedback(feedback)

    run_sync(run())


def run_sync(work: Coroutine[object, object, T]) -> T:
    """Run *work* to its end in a loop of its own; in a thread of its own where a loop is running."""
    if not _running():
        return asyncio.run(work)
    outcome: list[T] = []
    failure: list[BaseException] = []

    def target() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001  carried over to the caller's thread
            failure.append(error)

    thread = threading.Thread(target=target, name="turnout-ask")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def _running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
