"""An answer that broke off, continued elsewhere from the words that the caller has already."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING

from attrs import evolve

from turnout.attempt import HandedOver
from turnout.eligibility import CHARS_PER_TOKEN
from turnout.errors import Fault, LLMError
from turnout.events import Done, Event, Reasoning, Text, ToolCallDelta
from turnout.fleet import Deployment
from turnout.messages import Message
from turnout.types import Attempt, ModelRequest, Operation
from turnout_resilience.hedging import lease_elsewhere, second_copy
from turnout_resilience.pump import Run, closed
from turnout_resilience.seam import Seam

if TYPE_CHECKING:
    from turnout.router import Router

ASKED = "continue_streams"
"""The note by which a request asks for it."""
PART = "resilience.part"
"""The note of a request whose last message is the beginning of its own answer."""


class Told:
    """What the caller has of the answer: ``text``, and whether anything else that has no seam."""

    def __init__(self) -> None:
        self.text = ""
        self._called = False

    def see(self, event: Event) -> None:
        """Note an event that is passed on."""
        if isinstance(event, Text):
            self.text += event.text
        elif isinstance(event, ToolCallDelta):
            self._called = True

    def can_go_on(self, error: LLMError) -> bool:
        """Whether the answer may be continued after *error*."""
        return bool(self.text) and not self._called and error.fault is not Fault.REQUEST


def is_asked(request: ModelRequest, *, always: bool) -> bool:
    """Whether *request* is to be continued: only plain text that the caller hears as it comes."""
    wanted = always or request.signals.notes.get(ASKED) is True
    plain = not (request.tools or request.stateful) and request.schema is None
    return wanted and plain and request.streaming and request.operation is Operation.CHAT


async def continued(
    router: "Router", run: Run, request: ModelRequest, deployment: Deployment
) -> AsyncGenerator[Event, None]:
    """Yield the events of *run*; where it breaks off after some text, go on with another host's.

    That one is given the text as the beginning of its answer, and what it repeats of it is left out. Its own
    thoughts are not shown: the caller has had some. Raises the error where nobody can go on.
    """
    told, began = Told(), _now()
    events = _joined(Seam(request.messages[-1].text), run()) if _is_part(request) else run()
    try:
        async for event in events:
            told.see(event)
            yield event
    except LLMError as error:
        failed = error
    else:
        return
    finally:
        await closed(events)
    attempt = Attempt(deployment.model, deployment.host.name, failed, 0.0, _now() - began)
    later = _later(request, told.text, attempt)
    if not told.can_go_on(failed) or len(later.attempts) >= router.config.router.max_attempts:
        raise failed
    router.forget_fleet()
    lease = await lease_elsewhere(router, later, deployment, lambda _: True, at_once=False)
    if lease is None:
        raise failed
    with lease:
        place, name = lease.deployment, type(failed).__name__
        yield HandedOver(deployment=place, attempt=attempt, recorded_as=name, began=_now())
        rest = router.plugins.execute_request(later, place)()
        try:
            async for event in rest:
                yield event
        finally:
            await closed(rest)


def _is_part(request: ModelRequest) -> bool:
    return bool(request.signals.notes.get(PART))


def _later(request: ModelRequest, text: str, failed: Attempt) -> ModelRequest:
    """Return the request that asks for the rest."""
    conversation = request.conversation
    if _is_part(request):
        text = conversation[-1].text + text
        conversation = conversation[:-1]
    notes = {**request.signals.notes, PART: True, ASKED: True}
    left = None
    if request.max_tokens is not None:
        left = max(request.max_tokens - len(text) // CHARS_PER_TOKEN, 1)
    return second_copy(
        evolve(
            request,
            task="",
            system=None,
            messages=(*conversation, Message("assistant", text)),
            max_tokens=left,
            signals=evolve(request.signals, notes=notes),
            attempts=(*request.attempts, failed),
        )
    )


async def _joined(seam: Seam, events: AsyncIterator[Event]) -> AsyncGenerator[Event, None]:
    """Yield what is new."""
    try:
        async for event in events:
            if isinstance(event, Text):
                fresh = seam.feed(event.text)
                if fresh:
                    yield event if fresh == event.text else Text(text=fresh)
            elif isinstance(event, Done):
                rest = seam.close()
                if rest:
                    yield Text(text=rest)
                yield event
            elif not isinstance(event, Reasoning):
                yield event
    finally:
        await closed(events)


def _now() -> float:
    return asyncio.get_running_loop().time()
