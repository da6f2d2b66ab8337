"""Long recall: a fact or two in a long text, as long as the loaded context takes."""

import json
import math
from collections.abc import Iterator
from functools import cache
from random import Random

from turnout.eligibility import CHARS_PER_TOKEN
from turnout.messages import JSON, JSONObject
from turnout_calibration.probes import data
from turnout_calibration.reading import task
from turnout_calibration.tasks import Task

SIZES = (2_000, 6_000, 14_000, 30_000, 62_000, 126_000)
"""Tokens of text. A size is asked where it fits with a tenth to spare and room for the answer."""
_ANSWER = 256
QUICK = SIZES[0]


def sizes(context: float, longest: int, room: int = 0) -> tuple[int, ...]:
    """Return the sizes that fit *context* with *room* tokens to think, up to *longest*."""
    return tuple(size for size in SIZES if size <= longest and size * 1.1 + _ANSWER + room <= context)


@cache
def probes(size: int) -> tuple[Task, ...]:
    """Return the questions about a text of *size* tokens; they share it, so that it is read only once."""
    return tuple(_probes(size))


def _probes(size: int) -> Iterator[Task]:
    values = data("recall")
    number = str(Random(size).randint(100_000, 999_999))
    text = _text(values, size, number)
    for question in _rows(values, "question"):
        name = f"recall-{size // 1000}k-{question['id']}"
        raw: JSONObject = {
            "id": name,
            "prompt": f"{text}\n\n{str(question['prompt']).strip()}",
            "system": values["system"],
            "skills": question["skills"],
            "max_tokens": _ANSWER,
            "checks": json.loads(json.dumps(question["checks"]).replace("{number}", number)),
            "quick": size == QUICK,
        }
        yield task(raw, name, "probe")


def _text(values: JSONObject, size: int, number: str) -> str:
    """Write a diary of about *size* tokens, the same each time, with the needles at their depths."""
    chance = Random(size)
    sentences: list[str] = []
    length, most = 0, size * CHARS_PER_TOKEN
    while length < most:
        sentences.append(_sentence(values, chance))
        length += len(sentences[-1]) + 1
    for needle in sorted(_rows(values, "needle"), key=lambda one: -_depth(one)):
        at = math.floor(len(sentences) * _depth(needle))
        sentences.insert(at, str(needle["text"]).replace("{number}", number))
    return " ".join(sentences)


def _depth(needle: JSONObject) -> float:
    depth = needle["depth"]
    assert isinstance(depth, float)
    return depth


def _sentence(values: JSONObject, chance: Random) -> str:
    name, other = chance.sample(_words(values, "names"), 2)
    place, thing = chance.choice(_words(values, "places")), chance.choice(_words(values, "things"))
    return chance.choice(_words(values, "sentences")).format(name=name, name2=other, place=place, thing=thing)


def _words(values: JSONObject, key: str) -> list[str]:
    listed = values[key]
    assert isinstance(listed, list)
    return [str(one) for one in listed]


def _rows(values: JSONObject, key: str) -> list[JSONObject]:
    listed: JSON = values[key]
    assert isinstance(listed, list)
    return [one for one in listed if isinstance(one, dict)]
