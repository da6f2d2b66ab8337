"""A request as it is kept: every fact that a decision may rest on, and not a word of what was asked."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from attrs import evolve, frozen

from turnout.messages import ImagePart, Message, Role, TextPart, Tool
from turnout.skills import ModelCapability, TaskType
from turnout.types import ModelRequest, Operation, Signals, ToolChoice
from turnout_decisions.tries import Tried, attempts_of, kept

_INITIALS: Mapping[str, Role] = {
    "s": "system", "d": "developer", "u": "user", "a": "assistant", "t": "tool",
}  # fmt: skip
_NO_IMAGE = ImagePart("data:,")


@frozen
class Content:
    """The words of a request: kept only where the settings ask for it, and never the images."""

    task: str = ""
    system: str | None = None
    messages: tuple[str, ...] = ()


@frozen
class RequestFacts:
    """What is known of a request without its words.

    ``roles`` has one letter for each message. ``conversation`` and ``previous_response`` are hashes: equal
    where the originals were equal. ``client``, ``hosts`` and ``explicit_model`` are as they were given.
    """

    id: str
    signals: Signals = Signals()
    task_type: TaskType | None = None
    required_capabilities: frozenset[ModelCapability] = frozenset()
    prefer_fast: bool = False
    max_tokens: int | None = None
    explicit_model: str | None = None
    allow_fallback: bool = False
    operation: Operation = Operation.CHAT
    inputs: int = 0
    system: bool = False
    roles: str = ""
    images: int = 0
    tools: int = 0
    tool_choice: str | None = None
    schema: bool = False
    reasoning_effort: str | None = None
    previous_response: str | None = None
    store: bool = False
    streaming: bool = False
    hosts: frozenset[str] | None = None
    timeout: float | None = None
    priority: int = 0
    client: str = ""
    conversation: str = ""
    attempts: tuple[Tried, ...] = ()
    content: Content | None = None

    @property
    def attempt(self) -> int:
        """The number of the attempt that was decided about, from 1."""
        return len(self.attempts) + 1


def facts_of(request: ModelRequest, *, content: bool) -> RequestFacts:
    """Return the facts of *request*, with its words only where *content* is to be kept."""
    return RequestFacts(
        id=request.id,
        signals=request.signals if content else _without_words(request.signals),
        task_type=request.task_type,
        required_capabilities=request.required_capabilities,
        prefer_fast=request.prefer_fast,
        max_tokens=request.max_tokens,
        explicit_model=request.explicit_model,
        allow_fallback=request.allow_fallback,
        operation=request.operation,
        inputs=len(request.inputs),
        system=request.system is not None,
        roles="".join(message.role[:1] for message in request.messages),
        images=sum(len(message.images) for message in request.messages),
        tools=len(request.tools),
        tool_choice=request.tool_choice,
        schema=request.schema is not None,
        reasoning_effort=request.reasoning_effort,
        previous_response=_hashed(request.previous_response_id),
        store=request.store,
        streaming=request.streaming,
        hosts=request.hosts,
        timeout=request.timeout,
        priority=request.priority,
        client=request.client,
        conversation=_hashed(request.conversation_id) or "",
        attempts=kept(request.attempts, content=content),
        content=_words(request) if content else None,
    )


def _without_words(signals: Signals) -> Signals:
    """Return *signals* with those notes alone that are numbers: a text may be a piece of the prompt."""
    if not signals.notes:
        return signals
    notes = {name: note for name, note in signals.notes.items() if isinstance(note, bool | int | float)}
    return evolve(signals, notes=notes)


def _words(request: ModelRequest) -> Content:
    return Content(request.task, request.system, tuple(message.text for message in request.messages))


def _hashed(name: str | None) -> str | None:
    if not name:
        return name
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]


def request_of(facts: RequestFacts) -> ModelRequest:
    """Return the request again, for a strategy: with as many messages, images and tools, and no words.

    Its words are there where they were kept.
    """
    words = facts.content or Content()
    return ModelRequest(
        task=words.task,
        messages=tuple(_messages(facts, words.messages)),
        task_type=facts.task_type,
        required_capabilities=facts.required_capabilities,
        prefer_fast=facts.prefer_fast,
        max_tokens=facts.max_tokens,
        explicit_model=facts.explicit_model,
        allow_fallback=facts.allow_fallback,
        operation=facts.operation,
        inputs=("",) * facts.inputs,
        system=words.system if facts.content else ("" if facts.system else None),
        tools=tuple(Tool(f"tool_{number}") for number in range(facts.tools)),
        tool_choice=cast("ToolChoice | None", facts.tool_choice),
        schema={"type": "object"} if facts.schema else None,
        reasoning_effort=facts.reasoning_effort,
        previous_response_id=facts.previous_response,
        store=facts.store,
        streaming=facts.streaming,
        hosts=facts.hosts,
        timeout=facts.timeout,
        priority=facts.priority,
        client=facts.client,
        conversation_id=facts.conversation,
        id=facts.id,
        signals=facts.signals,
        attempts=attempts_of(facts.attempts),
    )


def _messages(facts: RequestFacts, texts: Sequence[str]) -> Iterator[Message]:
    """Yield the messages; all images stand in the last one."""
    last = len(facts.roles) - 1
    for number, initial in enumerate(facts.roles):
        text = texts[number] if number < len(texts) else ""
        role = _INITIALS.get(initial, "user")
        images = (_NO_IMAGE,) * facts.images if number == last else ()
        yield Message(role, (TextPart(text), *images) if images else text)
