"""What quality is worth in seconds, and how good a model is taken to be while little is known of it."""

import math
from collections.abc import Mapping, Sequence

from attrs import frozen

from turnout import Candidate, ModelCapability, ModelRequest, Quality, Skill

FASTEST = 0.5
"""Seconds that a tenth of quality is worth at balance 0."""
BEST = 500.0
"""The same at balance 1."""
TENTH = 0.1


def seconds_per_tenth(balance: float) -> float:
    """Return how many seconds of waiting a tenth of quality is worth at *balance*, from 0 to 1.

    The scale is logarithmic: each tenth of the slider doubles the seconds, nearly (1000 ** 0.1 is 1.995).
    """
    return float(FASTEST * (BEST / FASTEST) ** balance)


@frozen
class Option:
    """A candidate as this strategy sees it.

    ``quality`` (0 to 1) is drawn towards the others' mean; ``known`` is what it was drawn from, None where
    nobody knows. ``seconds`` is infinite where no prediction makes sense.
    """

    model: str
    quality: float
    known: Quality | None
    seconds: float

    def utility(self, tenth: float) -> float:
        """Return the quality less the price of the seconds, *tenth* of which are worth a tenth of quality."""
        return self.quality - TENTH * self.seconds / tenth


def skill_of(request: ModelRequest, candidates: Sequence[Candidate]) -> Skill:
    """Return what the candidates are judged by: the kind of work, where that is known of any of them."""
    task = request.task_type or request.signals.task_type
    if task is not None and any(candidate.quality(task) for candidate in candidates):
        return task
    return ModelCapability.GENERAL


def options(request: ModelRequest, candidates: Sequence[Candidate], prior: float) -> list[Option]:
    """Return the candidates with quality and seconds; none where no candidate's quality is known."""
    skill = skill_of(request, candidates)
    known = {candidate.id: candidate.quality(skill) for candidate in candidates}
    drawn = shrunk(known, prior)
    prompt, output = request.signals.prompt_tokens or 0, request.signals.output_tokens or 0
    return [
        Option(c.id, drawn[c.id], known[c.id], _sensible(c.completion_seconds(prompt, output)))
        for c in candidates
        if c.id in drawn
    ]


def shrunk(known: Mapping[str, Quality | None], prior: float) -> dict[str, float]:
    """Draw each score towards the mean of all: the more, the fewer trials are behind it.

    A model of which nothing is known gets the mean: unknown is not bad. *prior* is the number of trials
    that weigh as much as the mean. Empty where nothing is known of anybody. This is the estimate of
    empirical Bayes for a normal mean, with *prior* in place of the ratio of variances (Efron and Morris,
    "Data analysis using Stein's estimator", JASA 70, 1975).
    """
    trust = {model: 1 / (1 + prior / q.weight) for model, q in known.items() if q is not None}
    scored = {model: q.score for model, q in known.items() if q is not None}
    if not scored:
        return {}
    mean = math.fsum(trust[model] * score for model, score in scored.items()) / math.fsum(trust.values())
    return {m: mean + trust[m] * (scored[m] - mean) if m in scored else mean for m in known}


def _sensible(seconds: float) -> float:
    return max(seconds, 0.0) if seconds < math.inf else math.inf  # NaN is infinite too
