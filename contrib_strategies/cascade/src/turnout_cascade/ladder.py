"""The ladder: which models, in which order, and on which rung a request stands."""

import math
from collections.abc import Sequence

from attrs import frozen

from turnout import Candidate, ModelCapability, ModelRequest
from turnout_cascade.rejected import AnswerRejectedError
from turnout_cascade.settings import CascadeSettings


@frozen
class Step:
    """The rung that a request is on: its model, and the stronger ones ``above``, the weakest first.

    ``seconds`` is the prediction for this one, and ``next_seconds`` for the fastest above: infinite where
    none makes sense, or where there is none.
    """

    model: str
    above: tuple[str, ...]
    seconds: float
    next_seconds: float
    escalated: bool = False

    @property
    def reason(self) -> str:
        """What the selection says; nobody else says the same."""
        how = f"about {self.seconds:.1f} s" if self.seconds < math.inf else "an unknown time"
        if not self.above:
            return f"the last rung of the cascade, {how}: its answer is passed on as it comes"
        first = "escalated, now" if self.escalated else "small first:"
        return f"{first} {how}, checked before it is passed on; above it {', '.join(self.above)}"


def step_of(
    settings: CascadeSettings, request: ModelRequest, candidates: Sequence[Candidate]
) -> Step | None:
    """Return the rung for *request*: the cheapest that is above all that has failed; None where none is."""
    rejected = [a.error for a in request.attempts if isinstance(a.error, AnswerRejectedError)]
    failed = {attempt.model for attempt in request.attempts if attempt.error is not None}
    if rejected:
        rungs = _named(rejected[-1].above, candidates)
    else:
        rungs = ladder(settings, request, candidates, failed)
    rungs = [rung for rung in rungs if rung.id not in failed]
    climbing = bool(rejected) or not failed.isdisjoint(settings.ladder)
    if len(rungs) < (1 if climbing else 2):
        return None
    seconds = [seconds_of(request, rung) for rung in rungs]
    at = min(range(len(rungs)), key=lambda n: (seconds[n], _size(rungs[n]), n))
    above = tuple(rung.id for rung in rungs[at + 1 :])
    next_seconds = min(seconds[at + 1 :], default=math.inf)
    return Step(rungs[at].id, above, seconds[at], next_seconds, bool(rejected))


def ladder(
    settings: CascadeSettings,
    request: ModelRequest,
    candidates: Sequence[Candidate],
    failed: frozenset[str] | set[str] = frozenset(),
) -> list[Candidate]:
    """Return the rungs, the weakest first: those of the settings, above all that has failed, or found ones.

    A found rung is stronger than all that are predicted to be faster; of more than ``rungs`` some between
    the first and the last are left out.
    """
    if settings.ladder:
        tops = [at for at, model in enumerate(settings.ladder, 1) if model in failed]
        return _named(settings.ladder[max(tops, default=0) :], candidates)
    strength = _strengths(request, candidates)
    known = [candidate for candidate in candidates if candidate.id in strength]
    found: list[Candidate] = []
    for candidate in sorted(known, key=lambda c: (seconds_of(request, c), _size(c), -strength[c.id], c.id)):
        if not found or strength[candidate.id] > strength[found[-1].id]:
            found.append(candidate)
    return _thinned(found, settings.rungs)


def seconds_of(request: ModelRequest, candidate: Candidate) -> float:
    """Return the predicted seconds; infinite where the prediction is no number."""
    prompt, output = request.signals.prompt_tokens or 0, request.signals.output_tokens or 0
    seconds = candidate.completion_seconds(prompt, output)
    return max(seconds, 0.0) if seconds < math.inf else math.inf  # NaN is infinite too


def _named(models: Sequence[str], candidates: Sequence[Candidate]) -> list[Candidate]:
    known = {candidate.id: candidate for candidate in candidates}
    return [known[model] for model in models if model in known]


def _thinned(found: list[Candidate], rungs: int) -> list[Candidate]:
    if len(found) <= rungs:
        return found
    return [found[round(n * (len(found) - 1) / (rungs - 1))] for n in range(rungs)]


def _size(candidate: Candidate) -> int:
    return candidate.info.size_bytes or candidate.info.parameters or 0


def _strengths(request: ModelRequest, candidates: Sequence[Candidate]) -> dict[str, float]:
    """Return by what the candidates are ordered: quality where all have it, else weights, else bytes.

    What nothing is known of has no place on a ladder.
    """
    task = request.task_type or request.signals.task_type
    for skill in (task, ModelCapability.GENERAL):
        if skill is not None:
            known = {c.id: q.score for c in candidates if (q := c.quality(skill)) is not None}
            if len(known) == len(candidates):
                return known
    by_weights = {c.id: float(c.info.parameters) for c in candidates if c.info.parameters is not None}
    by_bytes = {c.id: float(c.info.size_bytes) for c in candidates if c.info.size_bytes is not None}
    return max(by_weights, by_bytes, key=len)
