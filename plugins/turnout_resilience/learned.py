"""How long things took lately, per deployment: to the first output, to load, and from piece to piece."""

from collections import deque
from collections.abc import Iterable

from attrs import define, field, frozen

from turnout.fleet import Deployment
from turnout.types import ModelRequest
from turnout_resilience.settings import ResilienceSettings
from turnout_resilience.traffic import Key

REMEMBERED = 64
ENOUGH = 5
ENOUGH_FOR_TAILS = 10
TAIL = 0.95
RENEW_EVERY = 16
SLOW_PREFILL, SLOW_DECODE = 0.01, 0.1
"""Seconds per token of a slow machine without a graphics card, where nothing is known."""
LONGEST_ANSWER = 32_768
"""Tokens that an answer may have where neither the request nor the context limits it."""


@frozen
class Sample:
    """A success: its prompt's estimated tokens, and the seconds to its first output and to its end.

    ``longest_gap`` is the longest pause between two pieces of a stream; ``tokens`` is what was generated.
    """

    prompt: int
    first: float
    whole: float
    longest_gap: float
    tokens: int = 0


@frozen
class Limits:
    """Seconds of silence after which an attempt has failed: before the first output, and after it."""

    first: float
    gap: float


@frozen
class Expected:
    """Seconds to the first output: ``typical`` for a caller that waits, ``tail`` that few exceed."""

    typical: float
    tail: float


def _samples() -> "deque[Sample]":
    return deque(maxlen=REMEMBERED)


def _seconds() -> "deque[float]":
    return deque(maxlen=REMEMBERED)


@define
class Record:
    """The last successes of one kind on one deployment; what follows from them is worked out now and then."""

    samples: deque[Sample] = field(factory=_samples)
    _added: int = 0
    _known: dict[tuple[str, int, float], float] = field(factory=dict)

    def add(self, sample: Sample) -> None:
        """Take one more."""
        self.samples.append(sample)
        self._added += 1
        if self._added <= ENOUGH_FOR_TAILS or self._added % RENEW_EVERY == 0:
            self._known.clear()

    def first(self, prompt: int, share: float) -> float:
        """Return the seconds to the first output that this *share* does not exceed.

        A longer prompt than those known is expected to take as much longer, a shorter one as long.
        """
        prompt = _rounded(prompt)
        key = ("first", prompt, share)
        if key not in self._known:
            times = (sample.first * max(1.0, prompt / sample.prompt) for sample in self.samples)
            self._known[key] = _quantile(times, share)
        return self._known[key]

    def gap(self) -> float:
        """Return the longest pause within a stream that nearly none exceeds."""
        return self._once("gap", (sample.longest_gap for sample in self.samples))

    def rate(self) -> float:
        """Return the seconds for each token of a whole answer that nearly none exceeds."""
        return self._once("rate", (s.whole / s.tokens for s in self.samples if s.tokens))

    def _once(self, what: str, values: Iterable[float]) -> float:
        key = (what, 0, TAIL)
        if key not in self._known:
            self._known[key] = _quantile(values, TAIL)
        return self._known[key]


@define
class History:
    """What is known of one deployment: its successes while resident, by kind, and its loads."""

    streamed: Record = field(factory=Record)
    whole: Record = field(factory=Record)
    loads: deque[float] = field(factory=_seconds)

    def of(self, request: ModelRequest) -> Record:
        """Return the record of requests of the same kind."""
        return self.streamed if request.streaming else self.whole


class Learned:
    """What is known of each deployment, and the limits that follow."""

    def __init__(self, settings: ResilienceSettings) -> None:
        self._settings = settings
        self._histories: dict[Key, History] = {}

    def took(self, request: ModelRequest, deployment: Deployment, sample: Sample) -> None:
        """Learn from a success."""
        history = self._histories.get(deployment.key)
        if history is None:
            history = self._histories[deployment.key] = History()
        if deployment.resident or not deployment.loadable:
            history.of(request).add(sample)
        elif request.streaming:
            history.loads.append(sample.first)

    def expected(self, request: ModelRequest, deployment: Deployment) -> Expected | None:
        """Return the seconds to the first output of a resident model; None while too little is known."""
        history = self._histories.get(deployment.key)
        if history is None or len(history.of(request).samples) < ENOUGH_FOR_TAILS:
            return None
        record, prompt = history.of(request), _prompt(request)
        return Expected(record.first(prompt, 0.5), record.first(prompt, TAIL))

    def limits(self, request: ModelRequest, deployment: Deployment, load_timeout: float) -> Limits:
        """Return how long silence may last; a load that nothing is known of may take *load_timeout*."""
        history = self._histories.get(deployment.key) or History()
        first = self._first(request, deployment, history.of(request))
        if not deployment.resident and deployment.loadable:
            first += self._load(history, load_timeout)
        return Limits(first, self._gap(request, history.streamed))

    def _first(self, request: ModelRequest, deployment: Deployment, record: Record) -> float:
        settings = self._settings
        if len(record.samples) < ENOUGH:
            return settings.unknown_floor + settings.patience * self._most_seconds(request, deployment)
        expected = record.first(_prompt(request), TAIL)
        if not request.streaming:
            # A whole answer shows nothing before its end, and may be longer than all that were seen.
            expected = max(expected, record.rate() * _most_tokens(request, deployment))
        return max(settings.first_output_floor, settings.patience * expected)

    def _most_seconds(self, request: ModelRequest, deployment: Deployment) -> float:
        prompt = _prompt(request) * SLOW_PREFILL
        if request.streaming:
            return prompt
        return prompt + _most_tokens(request, deployment) * SLOW_DECODE

    def _load(self, history: History, load_timeout: float) -> float:
        if not history.loads:
            return load_timeout
        longest = self._settings.patience * max(history.loads)
        return min(max(self._settings.unknown_floor, longest), load_timeout)

    def _gap(self, request: ModelRequest, record: Record) -> float:
        # A tool call, or what a schema asks for, may be shown only when it is complete (bt#1881).
        silent = request.tools or request.schema is not None
        if silent or len(record.samples) < ENOUGH:
            return self._settings.unknown_floor
        return max(self._settings.gap_floor, self._settings.patience * record.gap())


def _prompt(request: ModelRequest) -> int:
    return max(request.signals.prompt_tokens or 0, 1)


def _most_tokens(request: ModelRequest, deployment: Deployment) -> float:
    """Return how many tokens an answer can have."""
    room = max(deployment.room - _prompt(request), 1.0)
    return min(request.max_tokens or LONGEST_ANSWER, room)


def _rounded(prompt: int) -> int:
    """Round up by at most a sixteenth, so that few lengths have to be worked out."""
    step = 1 << max(prompt.bit_length() - 5, 0)
    return -(-prompt // step) * step


def _quantile(values: Iterable[float], share: float) -> float:
    """Return the value that this *share* of the *values* do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0
