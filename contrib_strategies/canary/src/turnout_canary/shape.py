"""Whether an answer has the shape that was asked for, seen while it passes."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TypeAlias

from turnout import Done, Event, ModelRequest
from turnout.wire import ReplyBuilder

Run: TypeAlias = Callable[[], AsyncIterator[Event]]


def has_shape(request: ModelRequest) -> bool:
    """Whether there is anything to see: a schema, or tools."""
    return request.schema is not None or bool(request.tools)


def misshapen(request: ModelRequest, answer: ReplyBuilder) -> bool:
    """Whether a complete *answer* cannot be used: no JSON under a schema, or a call that cannot be made."""
    offered = {tool.name for tool in request.tools}
    for call in answer.tool_calls:
        if call.name not in offered or not _is_json(call.arguments or "{}", dict):
            return True
    return request.schema is not None and not answer.tool_calls and not _is_json(answer.text)


def _is_json(text: str, kind: type = object) -> bool:
    try:
        return isinstance(json.loads(text), kind)
    except ValueError:
        return False


async def watched(run: Run, request: ModelRequest, tell: Callable[[], None]) -> AsyncIterator[Event]:
    """Pass the events of *run* on; call *tell* before the end of an answer that is misshapen."""
    events, answer = run(), ReplyBuilder()
    try:
        async for event in events:
            answer.feed(event)
            if isinstance(event, Done) and misshapen(request, answer):
                tell()
            yield event
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()
