"""Quality against time: what a strategy weighs when it knows both.

A candidate is worth its quality, less the share of it that waiting costs::

    worth = score × success rate - seconds / patience

``patience`` is the time for which one would swap a useless answer against a perfect one. An expert has
little of it for a quick question and much for a proof; it decides whether a better model is worth loading.
"""

import math
from collections.abc import Mapping, Sequence

from attrs import frozen

from turnout.fleet import Candidate
from turnout.skills import ModelCapability, Quality, Skill, combined
from turnout.types import ModelRequest, ModelSelection

TRIALS_OF_THE_UNKNOWN = 1.0
"""Trials that weigh as much as the assumption that a model is like the others."""
NOTEWORTHY = 0.9
"""A success rate below this is said in the reason."""
UNKNOWN_SHARE = 0.9
"""What is left of the others' score for one that is unknown: among equals the known goes first."""
PATIENCE_FOR_NEEDS: Mapping[Skill, float] = {
    ModelCapability.REASONING: 600.0,
    ModelCapability.VISION: 240.0,
    ModelCapability.TOOLS: 240.0,
    ModelCapability.LONG_CONTEXT: 240.0,
    ModelCapability.STRUCTURED_OUTPUT: 120.0,
}
"""Seconds at least: a wrong tool call is no quick answer."""
LONG_PROMPT_TOKENS = 16_000
"""From here on a model must be able to find something in what it reads."""


@frozen(eq=False)
class Weighed:
    """A candidate with its ``score`` (0 to 1), its predicted ``seconds``, and what it is worth.

    ``success`` is how often its fastest deployment succeeds. ``known`` says that somebody knew its quality;
    else the score is that of the others.
    """

    candidate: Candidate
    score: float
    seconds: float
    worth: float
    known: bool
    success: float = 1.0


def needed_skills(request: ModelRequest) -> tuple[Skill, ...]:
    """Return what *request* needs beside its kind of work, as its own facts show."""
    wanted = request.required_capabilities | request.signals.needs
    needs: dict[Skill, bool] = {
        ModelCapability.VISION: any(message.images for message in request.messages),
        ModelCapability.TOOLS: bool(request.tools),
        ModelCapability.STRUCTURED_OUTPUT: request.schema is not None,
        ModelCapability.REASONING: request.reasoning_effort not in (None, "none"),
        ModelCapability.LONG_CONTEXT: (request.signals.prompt_tokens or 0) >= LONG_PROMPT_TOKENS,
    }
    return tuple(skill for skill, needed in needs.items() if needed or skill in wanted)


def patience_with(needs: Sequence[Skill], patience: float) -> float:
    """Return the patience, in seconds, of one who *needs* something that not every model can do."""
    return max([patience, *(PATIENCE_FOR_NEEDS.get(need, 0.0) for need in needs)])


def weigh(
    request: ModelRequest, candidates: Sequence[Candidate], skills: Sequence[Skill], patience: float
) -> list[Weighed]:
    """Weigh *candidates* for all of *skills*, best first; none where nobody's quality is known.

    ``patience`` is in seconds. A chain is as strong as its weakest link, so the lowest score counts. What is
    unknown of a model is taken to be a little worse than what is known of the others.
    """
    columns = [_scores([candidate.quality(skill) for candidate in candidates]) for skill in skills]
    columns = [column for column in columns if column]
    if not columns:
        return []
    prompt, output = request.signals.prompt_tokens or 0, request.signals.output_tokens or 0
    found = []
    for number, candidate in enumerate(candidates):
        score = min(column[number][0] for column in columns)
        seconds, success = candidate.outlook(prompt, output)
        known = any(column[number][1] for column in columns)
        worth = score * success - seconds / patience
        found.append(Weighed(candidate, score, seconds, worth, known, success))
    found.sort(key=lambda one: (-one.worth, one.candidate.id))
    return found


def best_of(found: Sequence[Weighed], why: str) -> ModelSelection:
    """Return the selection of the first of *found*, which :func:`weigh` gave, with *why* in its reason."""
    best, *others = found
    seconds = best.seconds if best.seconds < math.inf else None
    about = "" if seconds is None else f" in about {seconds:.0f} s" if seconds >= 1 else " in under 1 s"
    rest = f", the best trade of {len(found)}" if others else ""
    often = f", succeeds in {best.success:.0%}" if best.success < NOTEWORTHY else ""
    reason = f"{why}: quality {best.score:.2f}{about}{often}{rest}"
    return ModelSelection(best.candidate.id, reason, [one.candidate.id for one in others], seconds)


def _scores(qualities: Sequence[Quality | None]) -> list[tuple[float, bool]]:
    """Return each score, drawn to the mean the less is behind it; nothing where nobody is known."""
    common = combined(quality for quality in qualities if quality is not None)
    if common is None:
        return []
    mean = common.score
    return [(mean * UNKNOWN_SHARE, False) if one is None else (_shrunk(one, mean), True) for one in qualities]


def _shrunk(quality: Quality, mean: float) -> float:
    total = quality.weight + TRIALS_OF_THE_UNKNOWN
    return (quality.score * quality.weight + mean * TRIALS_OF_THE_UNKNOWN) / total
