"""A prompt and its options as a request."""

from collections.abc import Sequence
from typing import Any, Literal, TypedDict, cast

from attrs import evolve

from turnout.messages import JSONObject, Message, Tool
from turnout.skills import TaskType
from turnout.types import ModelRequest


class RequestOptions(TypedDict, total=False):
    """What may be said beside a prompt; see :class:`~turnout.types.ModelRequest`."""

    model: str | None
    system: str | None
    messages: Sequence[Message]
    max_tokens: int | None
    temperature: float | None
    schema: JSONObject | None
    tools: Sequence[Tool]
    tool_choice: Literal["none", "auto", "required"] | None
    task_type: TaskType | None
    prefer_fast: bool
    allow_fallback: bool
    hosts: frozenset[str] | None
    timeout: float | None


def as_request(request: ModelRequest | str, options: RequestOptions) -> ModelRequest:
    """Build a request from a prompt and options, or change one by options."""
    named = {"explicit_model" if name == "model" else name: value for name, value in options.items()}
    fields = cast("dict[str, Any]", named)
    if isinstance(request, str):
        return ModelRequest(request, **fields)
    return evolve(request, **fields) if fields else request
