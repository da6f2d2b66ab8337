"""What is asked: a request, and the facts about it that are found before selection."""

import enum
import secrets
from collections.abc import Iterable, Mapping
from operator import attrgetter
from random import Random
from typing import Literal, TypeAlias

from attrs import Attribute, field, fields, frozen, validators

from turnout.messages import JSON, JSONObject, Message, Tool
from turnout.skills import ModelCapability, TaskType
from turnout.types.attempt import Attempt


class Operation(enum.StrEnum):
    """What is asked for: an answer to a conversation, or vectors for texts."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"


@frozen
class Signals:
    """Facts about a request, found before selection; None is unknown.

    ``prompt_tokens`` is an estimate; ``confidence`` (0 to 1) is that of ``task_type``.
    """

    task_type: TaskType | None = None
    confidence: float = 0.0
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    needs: frozenset[ModelCapability] = frozenset()
    language: str | None = None
    notes: Mapping[str, JSON] = field(factory=dict)


ToolChoice: TypeAlias = Literal["none", "auto", "required"]


def strings(values: Iterable[str]) -> tuple[str, ...]:
    """Return *values*, of which one may come alone, as a tuple."""
    return (values,) if isinstance(values, str) else tuple(values)


def _hosts(values: Iterable[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(strings(values))


def _capabilities(values: Iterable[ModelCapability]) -> frozenset[ModelCapability]:
    return frozenset(values)


def _messages(values: Iterable[Message]) -> tuple[Message, ...]:
    return tuple(values)


def _tools(values: Iterable[Tool]) -> tuple[Tool, ...]:
    return tuple(values)


def _max_tokens(value: "int | str | None") -> int | None:
    if value == "auto" or value is None or value == -1:
        return None
    return int(value)


def _pin(value: str | None) -> str | None:
    """``"default"`` was the old way to say: no particular model."""
    return None if value in (None, "", "default") else value


def _positive(_: object, attribute: "Attribute[int | None]", value: int | None) -> None:
    if value is not None and value < 1:
        message = f"{attribute.name} must be at least 1, or None: {value}"
        raise ValueError(message)


@frozen
class ModelRequest:
    """A request to be routed.

    Give a ``task`` (one prompt in words) or ``messages`` (a conversation), or ``inputs`` with the
    embeddings operation. ``explicit_model`` pins a model: it is never replaced, unless
    ``allow_fallback``. ``max_tokens`` None leaves the length to the model. ``timeout`` is in seconds,
    over everything. ``hosts`` limits where the request may go. ``extra`` holds fields that have no name
    here and are sent as they are. ``attempts`` and ``signals`` are filled in on the way.
    """

    task: str = field(default="", repr=lambda text: repr(text[:60]))
    messages: tuple[Message, ...] = field(default=(), converter=_messages, repr=False)
    task_type: TaskType | None = None
    required_capabilities: frozenset[ModelCapability] = field(default=frozenset(), converter=_capabilities)
    prefer_fast: bool = False
    max_tokens: int | None = field(default=None, converter=_max_tokens, validator=_positive)
    explicit_model: str | None = field(default=None, converter=_pin)
    allow_fallback: bool = False
    operation: Operation = field(default=Operation.CHAT, kw_only=True)
    inputs: tuple[str, ...] = field(default=(), converter=strings, repr=False, kw_only=True)
    system: str | None = field(default=None, repr=False, kw_only=True)
    tools: tuple[Tool, ...] = field(default=(), converter=_tools, repr=False, kw_only=True)
    tool_choice: ToolChoice | None = field(default=None, kw_only=True)
    schema: JSONObject | None = field(default=None, repr=False, kw_only=True)
    temperature: float | None = field(default=None, kw_only=True)
    top_p: float | None = field(default=None, kw_only=True)
    stop: tuple[str, ...] = field(default=(), converter=strings, kw_only=True)
    seed: int | None = field(default=None, kw_only=True)
    reasoning_effort: str | None = field(default=None, kw_only=True)
    previous_response_id: str | None = field(default=None, kw_only=True)
    store: bool = field(default=False, kw_only=True)
    streaming: bool = field(default=False, kw_only=True)
    extra: Mapping[str, JSON] = field(factory=dict, repr=False, kw_only=True)
    hosts: frozenset[str] | None = field(default=None, converter=_hosts, kw_only=True)
    timeout: float | None = field(
        default=None, validator=validators.optional(validators.gt(0)), kw_only=True
    )
    priority: int = field(default=0, kw_only=True)
    client: str = field(default="", kw_only=True)
    conversation_id: str = field(default="", kw_only=True)
    id: str = field(factory=lambda: secrets.token_hex(8), kw_only=True)
    signals: Signals = field(default=Signals(), kw_only=True)
    attempts: tuple[Attempt, ...] = field(default=(), kw_only=True)

    def with_signals(self, signals: Signals) -> "ModelRequest":
        """Return the same request with these *signals*.

        What is copied was checked when the request was made; doing so again takes longer than all the rest.
        """
        made = object.__new__(ModelRequest)
        for write, value in zip(_WRITE, _read(self), strict=True):
            write(made, value)
        _write_signals(made, signals)
        return made

    @property
    def conversation(self) -> tuple[Message, ...]:
        """All messages as they are sent: system, messages, then the task."""
        parts: list[Message] = []
        if self.system is not None:
            parts.append(Message("system", self.system))
        parts.extend(self.messages)
        if self.task:
            parts.append(Message("user", self.task))
        return tuple(parts)

    @property
    def text(self) -> str:
        """What the user asks: the task, else the last user message."""
        if self.task:
            return self.task
        return next((m.text for m in reversed(self.messages) if m.role == "user"), "")

    @property
    def rng(self) -> Random:
        """A source of chance that gives the same numbers for the same request, for replay."""
        return Random(self.id)

    @property
    def stateful(self) -> bool:
        """Whether the server is to keep the conversation (``/v1/responses``)."""
        return self.store or self.previous_response_id is not None


_NAMES = tuple(attribute.name for attribute in fields(ModelRequest))
_read = attrgetter(*_NAMES)
_WRITE = tuple(getattr(ModelRequest, name).__set__ for name in _NAMES)
_write_signals = ModelRequest.signals.__set__  # type: ignore[attr-defined]
