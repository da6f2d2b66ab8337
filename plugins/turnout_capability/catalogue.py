"""What is known of a model before anything was measured here: its family, its size, and how good it is.

``assess`` takes the size curve (``curve``), moves it to where the family's published figures stand, talent by
talent, and takes off what quantisation costs. A score is the share of right answers to expect on the
benchmarks of the talents that a skill needs.
"""

import re
from collections.abc import Mapping
from functools import cache

from attrs import frozen

from turnout import Assessment, ModelCapability, ModelInfo, ModelKind, Quality, Skill, TaskType
from turnout_capability import curve
from turnout_capability.curve import BENCHMARKS, Benchmark
from turnout_capability.families import Family, catalogue, model_part
from turnout_capability.sizes import Size, bits_per_weight

__all__ = ["Family", "assess", "match", "parameters_of"]

# A talent, and the benchmarks that show it. The last two were measured for the curve, not by family.
TALENTS: Mapping[str, tuple[str, ...]] = {
    "knowledge": ("mmlu_pro", "mmlu_redux"),
    "reasoning": ("gpqa",),
    "code": ("humaneval",),
    "contest code": ("livecodebench_v5", "livecodebench_v6"),
    "instructions": ("ifeval",),
    "tools": ("bfcl_v3",),
    "vision": ("mmmu",),
    "long context": ("ruler_128k",),
    "reading code": ("crux",),
    "easy questions": ("easy",),
}
# The talents that a skill needs, alike. Which ones is a judgement; none of the benchmarks is the work itself.
TASKS: Mapping[Skill, tuple[str, ...]] = {
    ModelCapability.GENERAL: ("knowledge",),
    TaskType.CODE_GENERATION: ("code", "contest code"),
    TaskType.CODE_REVIEW: ("reading code", "code", "contest code", "reasoning"),
    TaskType.ANALYSIS: ("knowledge", "reasoning"),
    TaskType.PLANNING: ("reasoning", "instructions"),
    TaskType.SIMPLE_QUERY: ("easy questions",),
    TaskType.COMPLEX_REASONING: ("reasoning",),
    TaskType.RAG_EXPLORATION: ("knowledge", "instructions", "long context"),
    TaskType.OTHER: ("knowledge", "instructions"),
}
CAPABILITIES: Mapping[Skill, tuple[str, ...]] = {
    ModelCapability.REASONING: ("reasoning",),
    ModelCapability.STRUCTURED_OUTPUT: ("instructions",),
    ModelCapability.TOOLS: ("tools",),
    ModelCapability.VISION: ("vision",),
    ModelCapability.LONG_CONTEXT: ("long context",),
}

# Trials that a prior is worth. Judgements, in this order: a few trials on the machine itself outweigh each.
PUBLISHED = 4.0
BY_KIND = 2.0
UNVERIFIED = 1.0
BY_SIZE = 0.5
DOUBT = 0.5
"""What is left of a weight where the size is a guess, or the model a base model."""
EVERYDAY_CODE = 0.8
"""What a coder does better at everyday code than contests show, in logits. A judgement: contests reward
long thinking, and the work on repositories that coders are trained for is not among the figures."""
UNABLE = 0.1
"""The score of what a family is documented not to do."""
CODE = (TaskType.CODE_GENERATION, TaskType.CODE_REVIEW)
SHRINKAGE = 0.5
"""Results that the curve counts as, beside a family's own."""
LONG = 65_536
"""Tokens from which a documented context counts as long."""

_BASE = re.compile(r"(?<![a-z0-9])(?:base|pt|pretrained)(?![a-z0-9])")
_TUNED = re.compile(r"(?<![a-z0-9])(?:it|instruct|chat)(?![a-z0-9])")


def match(info: ModelInfo) -> Family | None:
    """Return the family of a model by its key, else by its architecture; None when it is not catalogued."""
    return catalogue().match(info)


def parameters_of(info: ModelInfo) -> Size:
    """Return (weights, weights used per token): as told, else as catalogued, else as the key says."""
    return catalogue().parameters_of(info)


def assess(info: ModelInfo) -> Assessment:
    """Return what to expect of a model, by skill; a skill that nothing is known of is left out."""
    if info.kind is ModelKind.EMBEDDING:
        return {}
    family, size = match(info), parameters_of(info)
    billions = curve.effective_size(size) or (_typical(family) if family else None)
    if billions is None:
        return {}
    base = _is_base(model_part(info.id))
    trust = (1.0 if size[0] else DOUBT) * (DOUBT if base else 1.0)
    known = standing(family) if family else UNKNOWN
    ability = known.ability(billions) - curve.quantisation_loss(bits_per_weight(info))
    ability -= (curve.INSTRUCTION + curve.UNTUNED) * base
    skills = TASKS if family is None else {**TASKS, **_capabilities(info, family, base=base)}
    work = EVERYDAY_CODE if family is not None and _proven_coder(family) else 0.0
    found = {
        skill: known.quality(talents, ability, trust, work if skill in CODE else 0.0)
        for skill, talents in skills.items()
    }
    if family is not None and family.reasoning is False and not info.reasoning:
        found[ModelCapability.REASONING] = Quality(UNABLE, PUBLISHED * trust)
    return found


def _proven_coder(family: Family) -> bool:
    return family.kind == "coder" and any(name in family.scores for name in TALENTS["code"])


def _is_base(key: str) -> bool:
    return _BASE.search(key) is not None and _TUNED.search(key) is None  # "pt" is Portuguese too


@frozen
class Talent:
    """What a family does beside what its ability says: ``lead`` in logits, ``weight`` in trials."""

    lead: float
    weight: float


@frozen
class Standing:
    """Where a family stands: ``lead`` is the ability that it has beside the curve."""

    year: float
    thinking: bool
    lead: float
    talents: Mapping[str, Talent]

    def ability(self, billions: float) -> float:
        """Return the ability of its instruction model of this size, not quantised."""
        return curve.ability(billions, self.year, thinking=self.thinking) + self.lead

    def quality(self, talents: tuple[str, ...], ability: float, trust: float, beside: float) -> Quality:
        """Return what to expect where these *talents* count alike, and *beside* is added, in logits."""
        logits = [SCALES[name].expected(ability) + self.talents[name].lead for name in talents]
        weight = sum(self.talents[name].weight for name in talents) / len(talents)
        return Quality(curve.share_of(sum(logits) / len(logits) + beside), weight * trust)


SCALES: Mapping[str, Benchmark] = {
    talent: curve.average([BENCHMARKS[name] for name in names]) for talent, names in TALENTS.items()
}
UNKNOWN = Standing(curve.TYPICAL_YEAR, False, 0.0, dict.fromkeys(TALENTS, Talent(0.0, BY_SIZE)))
"""A model that the catalogue does not know: by size alone."""


@cache
def standing(family: Family) -> Standing:
    """Compare a family's published figures with the curve.

    Where it has none, the family that it was made from and its kind speak for it.
    """
    year, thinking = curve.year_of(family.released), bool(family.reasoning)
    plain = Standing(year, thinking, 0.0, {})
    above = [
        (curve.logit(score) - BENCHMARKS[name].difficulty) / BENCHMARKS[name].slope - plain.ability(billions)
        for name, billions, score in _figures(family, "knowledge")
    ]
    kin = catalogue().named(family.like)
    expected = (standing(kin).lead if kin else 0.0) + curve.CODER_LOSS * (family.kind == "coder")
    placed = Standing(year, thinking, _mean(above, expected), {})
    return Standing(year, thinking, placed.lead, {name: _talent(family, name, placed) for name in TALENTS})


def _talent(family: Family, talent: str, placed: Standing) -> Talent:
    leads = [
        curve.logit(score) - BENCHMARKS[name].expected(placed.ability(billions))
        for name, billions, score in _figures(family, talent)
    ]
    if talent == "knowledge":  # its lead is the ability's
        return Talent(0.0, PUBLISHED if leads else _unpublished(family))
    lead = _mean(leads, SCALES[talent].added(family.kind))
    return Talent(lead, PUBLISHED if leads else _unpublished(family))


def _unpublished(family: Family) -> float:
    return BY_KIND if family.scores else UNVERIFIED


def _mean(found: list[float], expected: float) -> float:
    return (sum(found) + SHRINKAGE * expected) / (len(found) + SHRINKAGE)


def _figures(family: Family, talent: str) -> list[tuple[str, float, float]]:
    """Return the figures of a talent: benchmark, effective billions of weights, share of right answers."""
    return [
        (name, curve.effective_size(size) or 1.0, score)
        for name in TALENTS[talent]
        for size, score in family.scores.get(name, ())
    ]


def _typical(family: Family) -> float | None:
    """Return the size in the middle of those that figures are published of."""
    sizes = {curve.effective_size(size) for row in family.scores.values() for size, _ in row}
    known = sorted(size for size in sizes if size is not None)
    return known[len(known) // 2] if known else None


def _capabilities(info: ModelInfo, family: Family, *, base: bool) -> dict[Skill, tuple[str, ...]]:
    """Return what the model is documented, or told by the server, to be able to do."""
    able = {
        ModelCapability.REASONING: bool(info.reasoning) or bool(family.reasoning),
        ModelCapability.STRUCTURED_OUTPUT: not base,
        ModelCapability.TOOLS: not base and _either(info.tools, family.tools, "bfcl_v3" in family.scores),
        ModelCapability.VISION: _either(info.vision, family.vision, "mmmu" in family.scores),
        ModelCapability.LONG_CONTEXT: "ruler_128k" in family.scores or (family.context or 0) >= LONG,
    }
    return {skill: talents for skill, talents in CAPABILITIES.items() if able[ModelCapability(skill)]}


def _either(told: bool | None, documented: bool | None, measured: bool) -> bool:
    if told is not None:
        return told
    return measured if documented is None else documented
