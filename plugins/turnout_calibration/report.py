"""What is known of each place, as JSON and as the rows of a table."""

import datetime as dt
from collections.abc import Iterable, Sequence

from turnout.messages import JSON, JSONObject
from turnout.skills import Assessment, ModelCapability, Skill, TaskType
from turnout_calibration.evidence import Evidence
from turnout_calibration.results import Place

_SHORT: Sequence[tuple[str, Skill]] = (
    ("CODE", TaskType.CODE_GENERATION),
    ("REVIEW", TaskType.CODE_REVIEW),
    ("ANALYSIS", TaskType.ANALYSIS),
    ("PLANNING", TaskType.PLANNING),
    ("SIMPLE", TaskType.SIMPLE_QUERY),
    ("REASONING", TaskType.COMPLEX_REASONING),
    ("TEXTS", TaskType.RAG_EXPLORATION),
    ("TOOLS", ModelCapability.TOOLS),
    ("JSON", ModelCapability.STRUCTURED_OUTPUT),
    ("LONG", ModelCapability.LONG_CONTEXT),
    ("GENERAL", ModelCapability.GENERAL),
)
COLUMNS = ("MODEL", "HOST", "QUANT", ">RIGHT", *(f">{name}" for name, _ in _SHORT))


def described(evidence: Evidence, at: float, places: Iterable[Place] | None = None) -> list[JSON]:
    """Return the scores of *places* (by default all), at *at* in seconds since the epoch."""
    wanted = evidence.places() if places is None else places
    return [_described(evidence, place, at) for place in wanted if evidence.at_place(place)]


def _described(evidence: Evidence, place: Place, at: float) -> JSONObject:
    host, model, quantization = place
    found = evidence.at_place(place)
    return {
        "host": host,
        "model": model,
        "quantization": quantization or None,
        "date": stamp(max(one.at for one in found)),
        "tasks": len(found),
        "passed": sum(one.passed for one in found),
        "scores": scores(evidence.of_place(place, at)),
    }


def scores(assessment: Assessment) -> JSONObject:
    """Return an assessment as JSON, its skills in alphabetical order."""
    return {
        str(skill): {"score": round(quality.score, 4), "weight": round(quality.weight, 2)}
        for skill, quality in sorted(assessment.items())
    }


def stamp(seconds: float) -> str:
    """Return a time since the epoch as ISO 8601, in UTC."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="seconds")


def row(evidence: Evidence, place: Place, at: float) -> tuple[str, ...]:
    """Return the cells of :data:`COLUMNS` for one place: of each skill the score in per cent."""
    host, model, quantization = place
    found, known = evidence.at_place(place), evidence.of_place(place, at)
    right = f"{sum(one.passed for one in found)}/{len(found)}"
    cells = (f"{known[skill].score:.0%}" if skill in known else "-" for _, skill in _SHORT)
    return model, host, quantization or "-", right, *cells
