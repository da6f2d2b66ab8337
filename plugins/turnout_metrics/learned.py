"""What the executions on one deployment have taught: counts, speeds and health, the recent weighing more."""

import math
from collections import Counter

from attrs import define, field

from turnout import errors
from turnout.errors import Fault, LLMError
from turnout.types import ExecutionMetrics
from turnout_metrics.estimates import Evidence, Measured, positive
from turnout_metrics.sketch import DecayingCounts, DecayingSketch

HALF_LIFE = 50.0
"""Executions after which one weighs half."""
SPEED_HALF_LIFE_SECONDS = 14 * 86_400.0
HEALTH_HALF_LIFE_SECONDS = 3_600.0
"""Short: a deployment that failed gets no requests with which it could show that it is well again."""

MOST_TOKENS = 4_096
"""A longer text measures the speed no better, and must not outvote all others."""
LEAST_TOKENS_IN_ONE_PIECE = 16

INNOCENT = (errors.ContextOverflowError, errors.OverloadedError)
"""Errors that put the deployment at fault and say nothing of its health."""


def failure_class(error: str | None, finish_reason: str | None) -> str:
    """Return the name under which a failure is counted."""
    return error or finish_reason or "unknown"


def unhealthy(error: str | None) -> bool:
    """Return whether a failure of that class speaks against the deployment, and not against the request."""
    if error is None or error == "CancelledError":
        return False
    known = getattr(errors, error, None)
    if not (isinstance(known, type) and issubclass(known, LLMError)):
        return True
    return known.fault is not Fault.REQUEST and not issubclass(known, INNOCENT)


@define
class Tally:
    """Plain counts, for people; ``since`` is the oldest execution's time, in seconds since the epoch."""

    requests: int = 0
    failures: Counter[str] = field(factory=Counter)
    prompt_tokens: int = 0
    tokens_generated: int = 0
    since: float = math.inf

    @property
    def successes(self) -> int:
        """Requests that went well."""
        return self.requests - self.failures.total()

    def count(self, metrics: ExecutionMetrics) -> None:
        """Count one execution."""
        self.requests += 1
        self.prompt_tokens += metrics.prompt_tokens
        self.tokens_generated += metrics.tokens_generated
        self.since = min(self.since, metrics.timestamp)
        if not metrics.success:
            self.failures[failure_class(metrics.error, metrics.finish_reason)] += 1

    def add(self, other: "Tally") -> None:
        """Add the counts of *other*."""
        self.requests += other.requests
        self.failures.update(other.failures)
        self.prompt_tokens += other.prompt_tokens
        self.tokens_generated += other.tokens_generated
        self.since = min(self.since, other.since)


def _speeds() -> DecayingSketch:
    return DecayingSketch(HALF_LIFE, SPEED_HALF_LIFE_SECONDS)


@define(eq=False)
class Learned:
    """The learned state of one deployment, or of several merged.

    ``decode`` and ``prefill`` hold seconds per token weighted by tokens: their median is the rate of
    least absolute deviation, to which a short prompt, whose time is mostly overhead, contributes little.
    Times ``at`` are the running loop's.
    """

    tally: Tally = field(factory=Tally)
    first_token: DecayingSketch = field(factory=_speeds)
    decode: DecayingSketch = field(factory=_speeds)
    prefill: DecayingSketch = field(factory=_speeds)
    load: DecayingSketch = field(factory=_speeds)
    output: DecayingSketch = field(factory=_speeds)
    outcomes: DecayingCounts[bool] = field(
        factory=lambda: DecayingCounts[bool](HALF_LIFE, HEALTH_HALF_LIFE_SECONDS)
    )
    measured: int = 0

    def observe(self, metrics: ExecutionMetrics, at: float) -> None:
        """Learn from one execution; it is not counted in the tally."""
        if metrics.success or unhealthy(metrics.error):
            self.outcomes.add(metrics.success, at)
        if metrics.error is None:
            self._observe_speed(metrics, at)

    def _observe_speed(self, metrics: ExecutionMetrics, at: float) -> None:
        first = positive(metrics.time_to_first_token)
        if first is not None:
            self.first_token.add(first, at)
        decode = decode_seconds(metrics)
        if decode is not None:
            self.decode.add(decode, at, _token_weight(metrics.tokens_generated))
        prefill = prefill_seconds(metrics)
        if prefill is not None:
            self.prefill.add(prefill, at, _token_weight(metrics.prompt_tokens))
        factor = output_factor(metrics)
        if factor is not None:
            self.output.add(factor, at)
        load = self._load_seconds(metrics)
        if load is not None:
            self.load.add(load, at)
        self.measured += decode is not None or prefill is not None or load is not None

    def _load_seconds(self, metrics: ExecutionMetrics) -> float | None:
        """Return the seconds of a load: as told, else what the first token took beyond its prefill."""
        told = positive(metrics.load_seconds)
        first = positive(metrics.time_to_first_token)
        if told is not None or metrics.resident or first is None:
            return told
        return positive(first - metrics.prompt_tokens * (self.prefill.quantile(0.5) or 0.0))

    def evidence(self, at: float) -> Evidence:
        """Return what all this says at *at*."""
        return Evidence(
            decode=_measured(self.decode, at),
            prefill=_measured(self.prefill, at),
            load=_measured(self.load, at),
            output=_measured(self.output, at),
            success_share=self.outcomes.share(True),
            outcomes=self.outcomes.weight(at),
            measured=self.measured,
        )

    def merge(self, other: "Learned") -> None:
        """Add what *other* has learned."""
        self.tally.add(other.tally)
        for mine, its in (
            (self.first_token, other.first_token),
            (self.decode, other.decode),
            (self.prefill, other.prefill),
            (self.load, other.load),
            (self.output, other.output),
        ):
            mine.merge(its)
        self.outcomes.merge(other.outcomes)
        self.measured += other.measured


def _measured(sketch: DecayingSketch, at: float) -> Measured | None:
    value = sketch.quantile(0.5)
    return None if value is None else Measured(value, sketch.weight(at))


def _token_weight(tokens: int) -> int:
    return min(max(tokens, 1), MOST_TOKENS)


def _cold(metrics: ExecutionMetrics) -> bool:
    """Whether a load was part of it, even one that nobody expected."""
    return not metrics.resident or positive(metrics.load_seconds) is not None


def decode_seconds(metrics: ExecutionMetrics) -> float | None:
    """Return the seconds per generated token: as told, else from the time after the first token.

    Where the first token's time is unknown, the answer came in one piece, and even a rate that is told
    may include load and prefill: it counts only when nothing was loaded and it outweighs its prompt.
    """
    told, tokens = positive(metrics.tokens_per_second), metrics.tokens_generated
    first = positive(metrics.time_to_first_token)
    least = max(LEAST_TOKENS_IN_ONE_PIECE, metrics.prompt_tokens)
    if first is None and (_cold(metrics) or tokens < least):
        return None
    if told is not None:
        return positive(1.0 / told)
    if first is None:
        return positive(metrics.duration_seconds / tokens)
    return positive((metrics.duration_seconds - first) / (tokens - 1)) if tokens > 1 else None


def output_factor(metrics: ExecutionMetrics) -> float | None:
    """Return the tokens that were written for each that was expected; a truncated answer does not tell."""
    if not metrics.expected_tokens or metrics.finish_reason == "length":
        return None
    return positive(metrics.tokens_generated / metrics.expected_tokens)


def prefill_seconds(metrics: ExecutionMetrics) -> float | None:
    """Return the seconds per prompt token, of executions that had nothing to load.

    Where nothing was generated (embeddings) the whole duration went into the prompt. What the server had
    in its cache was not read, and does not count.
    """
    read = metrics.prompt_tokens - metrics.cached_tokens
    if _cold(metrics) or read < 1:
        return None
    first = positive(metrics.time_to_first_token)
    if first is None and metrics.tokens_generated == 0:
        first = positive(metrics.duration_seconds)
    return None if first is None else positive(first / read)
