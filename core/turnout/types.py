"""What travels with a request: the request itself, its selection, lease, attempts, metrics and reply."""

import enum
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from random import Random
from types import TracebackType
from typing import Literal, Self, TypeAlias

from attrs import Attribute, field, fields, frozen, validators

from turnout.clock import now
from turnout.errors import Fault, LLMError
from turnout.events import FinishReason, Usage
from turnout.fleet import Deployment
from turnout.messages import JSON, JSONObject, Message, Tool, ToolCall
from turnout.skills import ModelCapability, TaskType, share


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


@frozen
class Attempt:
    """One try at one deployment; ``error`` is None for the one that answered. Seconds throughout.

    ``pause_seconds`` is the wait that followed it before the next one began.
    """

    model: str
    host: str
    error: LLMError | None = None
    queue_seconds: float = 0.0
    duration_seconds: float = 0.0
    pause_seconds: float = 0.0


ToolChoice: TypeAlias = Literal["none", "auto", "required"]


def _strings(values: Iterable[str]) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)


def _hosts(values: Iterable[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(_strings(values))


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
    inputs: tuple[str, ...] = field(default=(), converter=_strings, repr=False, kw_only=True)
    system: str | None = field(default=None, repr=False, kw_only=True)
    tools: tuple[Tool, ...] = field(default=(), converter=_tools, repr=False, kw_only=True)
    tool_choice: ToolChoice | None = field(default=None, kw_only=True)
    schema: JSONObject | None = field(default=None, repr=False, kw_only=True)
    temperature: float | None = field(default=None, kw_only=True)
    top_p: float | None = field(default=None, kw_only=True)
    stop: tuple[str, ...] = field(default=(), converter=_strings, kw_only=True)
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


Outcome: TypeAlias = Literal["selected", "abstained", "declined", "skipped"]


@frozen
class Verdict:
    """What one strategy said."""

    strategy: str
    outcome: Outcome
    detail: str = ""


@frozen
class Ineligible:
    """A deployment that could not be chosen, and why."""

    model: str
    host: str
    reason: str

    def __str__(self) -> str:
        return f"{self.model} on {self.host}: {self.reason}"


@frozen
class Reload:
    """A deployment that has to be loaded again before it can serve, with ``context`` tokens at the least.

    ``loaded`` are too few.
    """

    model: str
    host: str
    context: int
    loaded: int

    def __str__(self) -> str:
        return f"{self.model} on {self.host}: {self.reason}"

    @property
    def reason(self) -> str:
        """Say why, as a person reads it."""
        return f"the request needs about {self.context} tokens, and {self.loaded} are loaded"


@frozen
class Explanation:
    """A whole decision: who could be chosen, who could not and why, and what each strategy said.

    ``notes`` are sentences on the whole of it, for its reader: from vetoes and from the chosen strategy.
    ``reloads``: candidates that would be loaded again first, because nobody has enough context as it is.
    """

    candidates: tuple[str, ...] = ()
    ineligible: tuple[Ineligible, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    signals: Signals = Signals()
    notes: tuple[str, ...] = ()
    reloads: tuple[Reload, ...] = ()


@frozen
class Vetoes:
    """The deployments that a plugin forbids, each with a reason; ``notes`` go into the explanation."""

    reasons: Mapping[Deployment, str] = field(factory=dict)
    notes: tuple[str, ...] = field(default=(), converter=_strings)


def _not_zero(_: object, attribute: "Attribute[float]", value: float) -> None:
    if value == 0.0:
        message = f"'{attribute.name}' must be above 0: what was chosen can be chosen"
        raise ValueError(message)


@frozen
class ModelSelection:
    """The model that a strategy chose, and why.

    ``ranking`` lists the models that it would take next, best first. The core fills in
    ``strategy_used`` and ``explanation``, of which it keeps a strategy's ``notes``.
    ``estimated_duration`` is in seconds. ``propensity`` is the probability with which the strategy takes
    this model for this request: 1, unless it left it to chance.
    """

    model: str
    reason: str = ""
    ranking: tuple[str, ...] = field(default=(), converter=_strings)
    estimated_duration: float | None = None
    strategy_used: str = ""
    explanation: Explanation = field(default=Explanation(), repr=False)
    propensity: float = field(default=1.0, validator=(share, _not_zero))


class Lease:
    """A slot on one deployment, held until released; releasing twice does no harm.

    ``deployment`` carries only the instance that the slot is on. ``waited`` is seconds in the queue.
    Use it as a context manager, so that no path can forget it.
    """

    __slots__ = ("_release", "deployment", "expected_load_seconds", "waited")

    def __init__(
        self,
        deployment: Deployment,
        release: Callable[[], None] = lambda: None,
        *,
        waited: float = 0.0,
        expected_load_seconds: float | None = None,
    ) -> None:
        self.deployment = deployment
        self.waited = waited
        self.expected_load_seconds = expected_load_seconds
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        """Give the slot back."""
        release, self._release = self._release, None
        if release is not None:
            release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class NextStep(enum.Enum):
    """What to do after a failure."""

    RETRY = "retry"
    CHOOSE_AGAIN = "choose_again"
    STOP = "stop"


@frozen
class After:
    """A next step that begins ``seconds`` from now. The request's deadline goes on meanwhile."""

    step: NextStep
    seconds: float = field(validator=validators.ge(0.0))


NEXT_STEP_BY_FAULT = {
    Fault.REQUEST: NextStep.STOP,
    Fault.DEPLOYMENT: NextStep.CHOOSE_AGAIN,
    Fault.HOST: NextStep.CHOOSE_AGAIN,
    Fault.PASSING: NextStep.RETRY,
}


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


def failed_models(attempts: Iterable[Attempt]) -> frozenset[tuple[str, str]]:
    """Return the (host, model) pairs that failed in *attempts*."""
    return frozenset((a.host, a.model) for a in attempts if a.error is not None)
