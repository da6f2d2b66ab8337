"""What came of a request: times, what the learning plugins are told, the reply, and what is thought of it."""

import json
from collections.abc import Callable

from attrs import field, frozen

from turnout.clock import now
from turnout.events import FinishReason, Usage
from turnout.messages import JSON, ToolCall
from turnout.skills import TaskType, share
from turnout.types.attempt import Attempt
from turnout.types.decision import ModelSelection


@frozen
class Timings:
    """Where the time went, in seconds; None where nothing was measured.

    ``tokens_per_second`` counts generated tokens after the first, as the server tells or else as seen here,
    which takes a stream: a whole answer does not tell reading from writing.
    """

    total: float = 0.0
    queue: float = 0.0
    load: float | None = None
    time_to_first_token: float | None = None
    tokens_per_second: float | None = None


@frozen
class ExecutionMetrics:
    """One execution, as the learning plugins see it. Seconds; ``error`` is the error's class name.

    ``duration_seconds`` is from sending to the end, without the queue. ``cached_tokens`` are those of the
    prompt that the server did not have to read again.
    """

    model_id: str
    host: str
    duration_seconds: float
    success: bool
    task_type: TaskType | None = None
    tokens_generated: int = 0
    tokens_per_second: float | None = None
    prompt_tokens: int = 0
    time_to_first_token: float | None = None
    load_seconds: float | None = None
    queue_seconds: float = 0.0
    resident: bool = True
    error: str | None = None
    finish_reason: str | None = None
    strategy: str = ""
    request_id: str = ""
    timestamp: float = field(factory=lambda: now().timestamp())
    """Seconds since the epoch."""
    cached_tokens: int = 0
    expected_tokens: int = 0
    """Tokens that the request's signals expected of an ordinary model; 0 when unknown."""


@frozen
class Feedback:
    """What somebody thinks of an answer: ``score`` from 0 (useless) to 1 (just right).

    ``model``, ``host`` and ``task_type`` are those of the request that ``request_id`` names.
    """

    request_id: str
    score: float = field(converter=float, validator=share)
    model: str = ""
    host: str = ""
    task_type: TaskType | None = None
    comment: str = ""
    timestamp: float = field(factory=lambda: now().timestamp())
    """Seconds since the epoch."""


@frozen
class Reply:
    """The answer, and how it came about.

    ``model`` and ``host`` are the ones that really served it. ``truncated`` says that it was cut by
    ``max_tokens`` or the context: half an answer is not success.
    """

    text: str
    model: str
    host: str
    reasoning: str = field(default="", repr=False)
    tool_calls: tuple[ToolCall, ...] = ()
    embeddings: tuple[tuple[float, ...], ...] = field(default=(), repr=False)
    usage: Usage = Usage()
    finish_reason: FinishReason = "stop"
    timings: Timings = Timings()
    selection: ModelSelection | None = field(default=None, repr=False)
    attempts: tuple[Attempt, ...] = field(default=(), repr=False)
    response_id: str | None = None
    request_id: str = ""
    recorder: Callable[[Feedback], None] | None = field(default=None, eq=False, repr=False)

    def rate(self, score: float, comment: str = "") -> None:
        """Say how good the answer is, from 0 (or False) to 1 (or True), for the plugins that learn from it.

        Raises ``ValueError`` for another score, ``RuntimeError`` where no router has given this answer or
        that router is closed.
        """
        if self.recorder is None:
            message = "this reply comes from no router that could learn from a rating"
            raise RuntimeError(message)
        task = None if self.selection is None else self.selection.explanation.signals.task_type
        model = self.attempts[-1].model if self.attempts else self.model
        self.recorder(Feedback(self.request_id, score, model, self.host, task, comment))

    @property
    def truncated(self) -> bool:
        """Whether the answer was cut short."""
        return self.finish_reason == "length"

    @property
    def empty(self) -> bool:
        """Whether there is nothing but, at most, reasoning."""
        return not (self.text or self.tool_calls or self.embeddings)

    def parsed(self) -> JSON:
        """Return the text as JSON; raises ``ValueError`` when it is not."""
        value: JSON = json.loads(self.text)
        return value

    def __str__(self) -> str:
        return self.text
