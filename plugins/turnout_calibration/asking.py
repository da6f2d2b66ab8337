"""One task, asked of one deployment through the router, and what its checks say of the answer."""

import math
from collections.abc import Iterable

from attrs import evolve, field, frozen
from loguru import logger

from turnout.clock import now
from turnout.eligibility import estimate_tokens
from turnout.errors import (
    ContextOverflowError,
    EmptyReplyError,
    LLMError,
    LLMValidationError,
    ModelNotFoundError,
)
from turnout.fleet import Deployment
from turnout.router import Router
from turnout.types import ModelRequest, Reply
from turnout_calibration.checks import Answer, Finding
from turnout_calibration.code import Judged, PassesTests
from turnout_calibration.results import Place, Result
from turnout_calibration.sandbox import Limits
from turnout_calibration.settings import CalibrationSettings
from turnout_calibration.tasks import PROBES_VERSION, AnyCheck, Task

CLIENT = "calibration"
"""The ``client`` of these requests, by which other plugins can tell them from a person's."""
BEHIND = -1
"""Their ``priority``: a person's own requests go first."""
_SPARE = 32
_LONGEST_WHY = 500
_NO_THOUGHT = frozenset({"off", "none"})


@frozen
class Subject:
    """A deployment under examination; ``context`` is in tokens, infinite where it is not known."""

    host: str
    model: str
    quantization: str = ""
    bits: float | None = None
    context: float = math.inf
    thinks: bool = False

    @property
    def place(self) -> Place:
        """Whose result it is."""
        return self.host, self.model, self.quantization

    def __str__(self) -> str:
        return f"{self.model} on {self.host}"


def subject(deployment: Deployment) -> Subject:
    """Describe *deployment*; one that lists levels of reasoning is taken to think."""
    info = deployment.info
    return Subject(
        deployment.host.name,
        info.id,
        info.quantization or "",
        info.bits_per_weight,
        deployment.room,
        bool(set(info.reasoning or ()) - _NO_THOUGHT) and info.reasoning_default not in _NO_THOUGHT,
    )


@frozen
class Taken:
    """A result with the answer behind it; ``thought`` says that the model turned out to think.

    ``why`` says in words what was wrong; they may quote the answer or the server, and are for this run alone.
    """

    result: Result
    text: str | None = field(default=None, repr=False)
    why: str = field(default="", repr=False)
    error: LLMError | OSError | None = None
    thought: bool = False


async def take(router: Router, task: Task, of: Subject, settings: CalibrationSettings) -> Taken:
    """Ask *task* and check the answer; raises nothing for what goes wrong on the way: it is in the result.

    A model that is cut short while it thinks is asked again, with room to think.
    """
    try:
        reply = await router.ask(_request(task, of, settings))
        thought = not of.thinks and bool(reply.reasoning)
        if thought and (reply.truncated or reply.empty):
            reply = await router.ask(_request(task, evolve(of, thinks=True), settings))
    except LLMError as error:
        return _wrong(task, of, error) if _is_answer(task, error) else _failed(task, of, error)
    taken = await _checked(task, of, reply, settings.limits)
    return evolve(taken, thought=thought)


def _is_answer(task: Task, error: LLMError) -> bool:
    """Whether an error tells of the model: it said nothing, or cannot be asked for tools or JSON at all."""
    if isinstance(error, ContextOverflowError | ModelNotFoundError):
        return False
    refused = isinstance(error, LLMValidationError) and (task.schema is not None or bool(task.tools))
    return refused or isinstance(error, EmptyReplyError)


def _wrong(task: Task, of: Subject, error: LLMError) -> Taken:
    return Taken(evolve(_blank(task, of), error=type(error).__name__), "", error.message[:_LONGEST_WHY])


def _request(task: Task, of: Subject, settings: CalibrationSettings) -> ModelRequest:
    request = ModelRequest(
        task.prompt,
        system=task.system,
        explicit_model=of.model,
        hosts={of.host},
        schema=task.schema,
        tools=task.tools,
        temperature=0.0,
        timeout=settings.timeout,
        client=CLIENT,
        priority=BEHIND,
    )
    wanted = task.max_tokens + (settings.thinking_tokens if of.thinks else 0)
    room = of.context - estimate_tokens(request) - _SPARE
    return evolve(request, max_tokens=int(max(min(wanted, room), _SPARE)))


def _blank(task: Task, of: Subject) -> Result:
    return Result(
        host=of.host,
        model=of.model,
        quantization=of.quantization,
        bits=of.bits,
        source=task.source,
        version=PROBES_VERSION if task.source == "probe" else "",
        task=task.id,
        fingerprint=task.fingerprint,
        skills=task.skills,
    )


def _failed(task: Task, of: Subject, error: LLMError | OSError) -> Taken:
    logger.info("{} was not answered by {}: {}", task.id, of, error)
    words = error.message if isinstance(error, LLMError) else str(error)
    failed = evolve(_blank(task, of), outcome="failed", error=type(error).__name__)
    return Taken(failed, why=words[:_LONGEST_WHY], error=error)


async def _checked(task: Task, of: Subject, reply: Reply, limits: Limits) -> Taken:
    answer = Answer(reply.text, reply.tool_calls)
    try:
        findings = [await _look(check, answer, limits) for check in task.checks]
    except OSError as error:  # the sandbox does not start: no fault of the model
        return _failed(task, of, error)
    made = [finding for finding in findings if finding is not None]
    pairs = zip(task.checks, findings, strict=True)
    wrong = [(check, finding) for check, finding in pairs if finding is not None and finding.score < 1.0]
    known = evolve(
        _blank(task, of),
        at=now().timestamp(),
        seconds=max(reply.timings.total - reply.timings.queue - (reply.timings.load or 0.0), 0.0),
        prompt_tokens=reply.usage.prompt_tokens,
        output_tokens=reply.usage.completion_tokens,
        why=_joined((check.kind for check, _ in wrong), cut=reply.truncated),
    )
    words = _joined((finding.why for _, finding in wrong), cut=reply.truncated)
    points = sum(finding.score for finding in made)
    if len(made) < len(findings):
        return Taken(evolve(known, outcome="unjudged", score=points, answer=reply.text), reply.text, words)
    return Taken(evolve(known, score=points / len(findings)), reply.text, words)


async def _look(check: AnyCheck, answer: Answer, limits: Limits) -> Finding | None:
    """Return what *check* finds; None where another model is to say."""
    if isinstance(check, Judged):
        return None
    if isinstance(check, PassesTests):
        return await check.run(answer, limits)
    return check.look(answer)


def _joined(wrong: Iterable[str], *, cut: bool) -> str:
    parts = list(dict.fromkeys(wrong))
    if parts and cut:
        parts.insert(0, "the answer was cut short")
    return "; ".join(parts)[:_LONGEST_WHY]
