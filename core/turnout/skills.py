"""What a model can be good at, and how well it is known to do it."""

import enum
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from attrs import Attribute, field, frozen


class TaskType(enum.StrEnum):
    """What kind of work a request is."""

    CODE_GENERATION = "code_generation"
    CODE_REVIEW = "code_review"
    ANALYSIS = "analysis"
    PLANNING = "planning"
    SIMPLE_QUERY = "simple_query"
    COMPLEX_REASONING = "complex_reasoning"
    RAG_EXPLORATION = "rag_exploration"
    OTHER = "other"


class ModelCapability(enum.StrEnum):
    """What a model can do, or is good at."""

    REASONING = "reasoning"
    CODING = "coding"
    GENERAL = "general"
    FAST = "fast"
    EMBEDDINGS = "embeddings"
    VISION = "vision"
    TOOLS = "tools"
    STRUCTURED_OUTPUT = "structured_output"
    LONG_CONTEXT = "long_context"


Skill: TypeAlias = TaskType | ModelCapability
"""What a model is judged by: a kind of work, or a thing that a request may need."""


def share(_: object, attribute: "Attribute[float]", value: float) -> None:
    """Refuse what does not lie between 0 and 1; an attrs validator."""
    if not 0.0 <= value <= 1.0:  # NaN too
        message = f"'{attribute.name}' must be between 0 and 1, not {value:g}"
        raise ValueError(message)


def _positive(_: object, attribute: "Attribute[float]", value: float) -> None:
    if not value > 0.0:
        message = f"'{attribute.name}' must be above 0, not {value:g}"
        raise ValueError(message)


@frozen
class Quality:
    """How well a model does something: ``score`` from 0 to 1, and how much is behind it.

    ``weight`` counts trials. A prior from a catalogue is worth a few, a probe that was run is worth one.
    """

    score: float = field(validator=share)
    weight: float = field(default=1.0, validator=_positive)


Assessment: TypeAlias = Mapping[Skill, Quality]
"""What is known of one model; a skill that is not in it is unknown, which is not the same as bad."""


def combined(found: Iterable[Quality]) -> Quality | None:
    """Add up what several sources know: the mean of their scores, weighted; None where nobody knows."""
    score = weight = 0.0
    for quality in found:
        score += quality.score * quality.weight
        weight += quality.weight
    return Quality(min(score / weight, 1.0), weight) if weight else None
