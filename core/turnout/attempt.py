"""One attempt as it is seen from here: what came, when, and what it amounts to."""

import asyncio
from collections.abc import Callable

from attrs import frozen

from turnout.errors import EmptyReplyError, StreamInterruptedError
from turnout.events import OUTPUT, Done, Embeddings, Event, Reasoning, ServerTimings, Started, Text, Usage
from turnout.fleet import Deployment
from turnout.types import (
    Attempt,
    ExecutionMetrics,
    Feedback,
    Lease,
    ModelRequest,
    ModelSelection,
    Reply,
    Timings,
)
from turnout.wire import ReplyBuilder

_WORDS = (Text, Reasoning)
_NAMING = (Started, Done)


@frozen(kw_only=True)
class HandedOver(Event):
    """Another deployment answers from here on: a wrapper of ``execute_request`` says so to the core.

    ``attempt`` is how the one before ended, recorded under the error name ``recorded_as``; its slot is free
    now. The wrapper holds the slot on ``deployment``, which was asked at ``began`` in the loop's seconds. The
    caller does not see this event.
    """

    deployment: Deployment
    attempt: Attempt
    recorded_as: str
    began: float


class OpenAttempt:
    """What is seen of one attempt while it runs: the reply that forms, and its times.

    ``deployment`` is the one that answers: the lease's, unless it was handed over; ``before`` are those
    that it was handed over by.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, lease: Lease) -> None:
        self._loop = loop
        self._began = loop.time()
        self._first: float | None = None
        self._last = self._began
        self.lease = lease
        self.deployment = lease.deployment
        self.before: tuple[Attempt, ...] = ()
        self.builder = ReplyBuilder()
        self.served = ""

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return self._loop.time() - self._began

    def see(self, event: Event) -> None:
        """Take one event."""
        self.builder.feed(event)
        if is_output(event):
            self._last = self._loop.time()
            if self._first is None:
                self._first = self._last
        elif isinstance(event, _NAMING):
            self.served = event.model or self.served

    def hand_over(self, event: HandedOver) -> None:
        """Go on with another deployment, and give back the slot of the one before."""
        self.before = (*self.before, event.attempt)
        self.deployment = event.deployment
        self._began = self._last = event.began
        self._first = None
        self.lease.release()

    def check(self) -> None:
        """Raise for a stream that ended without an end, or an answer without anything in it."""
        host, model = self.deployment.host.name, self.deployment.model
        if self.builder.done is None:
            message = "the answer has no end"
            raise StreamInterruptedError(message, host=host, model=model)
        if self.builder.empty and not self.builder.reasoning:
            message = "the answer is empty"
            raise EmptyReplyError(message, host=host, model=model)

    def usage(self) -> Usage:
        """Return the server's counts, or an estimate."""
        known: Usage | None = self.builder.usage
        if known is not None:
            return known
        generated = (len(self.builder.text) + len(self.builder.reasoning)) // 4
        return Usage(completion_tokens=generated, estimated=True)

    def timings(self, request: ModelRequest, total: float | None = None) -> Timings:
        """Join what the server says with what was seen; the server knows better."""
        server = self.builder.done.timings if self.builder.done is not None else ServerTimings()
        tokens = self.usage().completion_tokens
        first = None if self._first is None or not request.streaming else self._first - self._began
        rate = None
        if request.streaming and self._first is not None and self._last > self._first:
            rate = max(tokens - 1, 1) / (self._last - self._first)
        return Timings(
            total=self.seconds if total is None else total,
            queue=self.lease.waited,
            load=server.load_seconds,
            time_to_first_token=server.time_to_first_token or first,
            tokens_per_second=server.tokens_per_second or rate,
        )

    def metrics(
        self, request: ModelRequest, selection: ModelSelection | None, error: str | None
    ) -> ExecutionMetrics:
        """Return what the learning plugins are told; *error* is the error's class name."""
        deployment, timings, usage = self.deployment, self.timings(request), self.usage()
        return ExecutionMetrics(
            model_id=deployment.model,
            host=deployment.host.name,
            duration_seconds=timings.total,
            success=error is None,
            task_type=request.signals.task_type or request.task_type,
            tokens_generated=usage.completion_tokens,
            tokens_per_second=timings.tokens_per_second,
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            time_to_first_token=timings.time_to_first_token,
            load_seconds=timings.load,
            queue_seconds=timings.queue,
            resident=deployment.resident,
            error=error,
            finish_reason=self.builder.done.finish_reason if self.builder.done else None,
            strategy=selection.strategy_used if selection else "",
            request_id=request.id,
            expected_tokens=request.signals.output_tokens or 0,
        )

    def reply(
        self,
        request: ModelRequest,
        selection: ModelSelection | None,
        total: float,
        recorder: Callable[[Feedback], None],
    ) -> Reply:
        """Build the reply; *total* is in seconds, over all attempts, and *recorder* takes its rating."""
        deployment, builder, done = self.deployment, self.builder, self.builder.done
        answered = Attempt(deployment.model, deployment.host.name, None, self.lease.waited, self.seconds)
        return Reply(
            text=builder.text,
            model=self.served or deployment.model,
            host=deployment.host.name,
            reasoning=builder.reasoning,
            tool_calls=builder.tool_calls,
            embeddings=builder.embeddings,
            usage=self.usage(),
            finish_reason=done.finish_reason if done else "stop",
            timings=self.timings(request, total),
            selection=selection,
            attempts=(*request.attempts, *self.before, answered),
            response_id=done.response_id if done else None,
            request_id=request.id,
            recorder=recorder,
        )


def is_output(event: Event) -> bool:
    """Whether *event* carries something; servers open their streams with empty pieces."""
    if isinstance(event, _WORDS):
        return bool(event.text)
    return isinstance(event, OUTPUT) and event != Embeddings(vectors=())
