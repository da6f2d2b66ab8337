"""What happens while a request runs, in order; each event keeps the bytes that it came from."""

from typing import Literal, TypeAlias

from attrs import field, frozen

Stage: TypeAlias = Literal["queue", "load", "prefill", "pause"]
FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"] | str


@frozen
class Usage:
    """Tokens that a request took; ``estimated`` when the server did not count them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


@frozen
class ServerTimings:
    """What the server says of its own speed, in seconds and tokens per second; None where it does not."""

    tokens_per_second: float | None = None
    time_to_first_token: float | None = None
    load_seconds: float | None = None
    prefill_tokens_per_second: float | None = None


@frozen(kw_only=True)
class Event:
    """Base of all events; ``raw`` is the wire frame that it came from, empty for our own."""

    raw: bytes = field(default=b"", repr=False, eq=False)


@frozen(kw_only=True)
class Started(Event):
    """The request has been sent to ``host`` for ``model``."""

    host: str
    model: str


@frozen(kw_only=True)
class Progress(Event):
    """Something is going on before the first output: ``fraction`` of 0 to 1, ``expected_seconds`` in all.

    A ``pause`` stands between an attempt that failed and the next.
    """

    stage: Stage
    fraction: float | None = None
    expected_seconds: float | None = None
    detail: str = ""


@frozen(kw_only=True)
class Reasoning(Event):
    """A piece of what the model thinks."""

    text: str


@frozen(kw_only=True)
class Text(Event):
    """A piece of the answer."""

    text: str


@frozen(kw_only=True)
class ToolCallDelta(Event):
    """A piece of a tool call; pieces of one call share ``index``, and their ``arguments`` concatenate."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@frozen(kw_only=True)
class Embeddings(Event):
    """The vectors of an embedding request, in the order of its inputs."""

    vectors: tuple[tuple[float, ...], ...]


@frozen(kw_only=True)
class Used(Event):
    """Token counts from the server."""

    usage: Usage


@frozen(kw_only=True)
class Done(Event):
    """The answer is complete. ``model`` is what the server says served it."""

    finish_reason: FinishReason = "stop"
    model: str = ""
    response_id: str | None = None
    timings: ServerTimings = ServerTimings()


@frozen(kw_only=True)
class Other(Event):
    """A frame without meaning to us, kept for whoever passes the bytes on."""


OUTPUT = (Reasoning, Text, ToolCallDelta, Embeddings)
"""Events that a caller cannot un-see: after the first of them nothing is retried."""
