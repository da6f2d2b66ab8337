"""The catalogue of model families: read once, and found by a model's key, else by its architecture."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from typing import TypeAlias

from attrs import field, frozen

from turnout.fleet import ModelInfo, ModelKind
from turnout.names import base_name
from turnout_capability.curve import Kind
from turnout_capability.sizes import Size, experts_times_size, size_in_name

Figures: TypeAlias = tuple[tuple[Size, float], ...]
"""Published shares of right answers, 0 to 1, each with the size of the model."""

ANY_SIZE = "*"
"""The key of ``sizes`` for when nothing in the model's key says its size."""


@frozen
class Family:
    """What is published of a model family. None, and empty ``languages``, mean that it is not documented.

    ``like`` names the family that it was made from; ``context`` is in tokens; ``sizes`` says what a part of
    a key means; ``scores`` are by benchmark.
    """

    name: str
    patterns: tuple[str, ...] = field(converter=tuple)
    released: date
    as_of: date
    source: str
    kind: Kind
    like: str | None = None
    architectures: tuple[str, ...] = field(default=(), converter=tuple)
    languages: frozenset[str] = field(default=frozenset(), converter=frozenset)
    tools: bool | None = None
    vision: bool | None = None
    reasoning: bool | None = None
    context: int | None = None
    sizes: Mapping[str, Size] = field(factory=dict, hash=False)
    scores: Mapping[str, Figures] = field(factory=dict, hash=False)


@frozen
class _Rule:
    """``stem`` is the run of letters that every match begins with: cheaper to look for than the pattern."""

    stem: str
    pattern: "re.Pattern[str]"
    family: Family


class Catalogue:
    """Families, ready to be looked up; the order in which they were given does not matter."""

    def __init__(self, families: Iterable[Family]) -> None:
        self.families = tuple(sorted(families, key=lambda family: family.name))
        self._by_architecture = {name: f for f in self.families for name in f.architectures}
        patterns = [(pattern, family) for family in self.families for pattern in family.patterns]
        # The most specific first: the one with the most letters.
        patterns.sort(key=lambda rule: (-_letters(rule[0]), rule[0]))
        self._rules = tuple(_Rule(_stem(p), _compiled(p), family) for p, family in patterns)

    def named(self, name: str | None) -> Family | None:
        """Return the family of that name."""
        return next((family for family in self.families if family.name == name), None)

    def match(self, info: ModelInfo) -> Family | None:
        """Return the family of *info*; None when it is unknown, and for embedding models."""
        if info.kind is ModelKind.EMBEDDING:
            return None
        key = model_part(info.id)
        for rule in self._rules:
            if rule.stem in key and rule.pattern.search(key):
                return rule.family
        return self._by_architecture.get((info.architecture or "").casefold())

    def parameters_of(self, info: ModelInfo) -> Size:
        """Return (weights, weights used per token), in that order of trust: told, catalogued, in the key."""
        named = self._named_size(info)
        total, active = _possible(info.parameters), _possible(info.active_parameters)
        if total is None or total == experts_times_size(model_part(info.id)):
            return named[0] or total, active or named[1]
        if active is None and named[0] is not None and _ALIKE[0] <= named[0] / total <= _ALIKE[1]:
            active = named[1]
        return total, active

    def _named_size(self, info: ModelInfo) -> Size:
        key = model_part(info.id)
        family = self.match(info)
        sizes = family.sizes if family is not None else {}
        listed = next((sizes[part] for part in _PARTS.split(key) if part in sizes), None)
        found = listed or size_in_name(key)
        return found if found[0] is not None else sizes.get(ANY_SIZE, found)


_PARTS = re.compile(r"[-_ :]")
_ALIKE = (0.8, 1.25)
"""What a server tells and what a maker tells of one size differ by rounding, and by a vision encoder."""
_MOST = 10**15
"""Weights; a server that tells more tells nonsense."""


def _possible(number: int | None) -> int | None:
    return number if number is not None and 0 < number < _MOST else None


def model_part(key: str) -> str:
    """Strip the publisher, ``@variant`` and ``:N`` from a key, and its case."""
    return base_name(key).casefold().partition("@")[0].rpartition("/")[2]


def _letters(pattern: str) -> int:
    return sum(character.isalnum() for character in pattern)


def _stem(pattern: str) -> str:
    found = re.match("[a-z]+", pattern)
    return found[0] if found else ""


def _compiled(pattern: str) -> "re.Pattern[str]":
    escaped = "".join({"-": "[-_ ]?", ".": "[._]", "*": ".*"}.get(c, re.escape(c)) for c in pattern)
    # "phi-3" is not found in "phi-3.5", nor "gemma-3" in "gemma-3n".
    return re.compile(rf"(?<![a-z0-9]){escaped}(?![a-z0-9])(?![._]\d{{1,2}}(?![a-z0-9]))")


@cache
def catalogue() -> Catalogue:
    """Return the families that ship with turnout, read on the first call."""
    text = files(__package__).joinpath("families.toml").read_text(encoding="utf-8")
    return Catalogue(
        Family(
            **table | {"sizes": _sizes(table.get("sizes", {})), "scores": _scores(table.get("scores", {}))}
        )
        for table in tomllib.loads(text)["family"]
    )


def _billions(numbers: Iterable[float]) -> Size:
    total, active = (*(round(number * 1e9) for number in numbers), None)[:2]
    return total, active


def _sizes(table: Mapping[str, Iterable[float]]) -> dict[str, Size]:
    return {part: _billions(numbers) for part, numbers in table.items()}


def _scores(table: Mapping[str, Mapping[str, float]]) -> dict[str, Figures]:
    return {benchmark: tuple(map(_figure, row.items())) for benchmark, row in table.items()}


def _figure(entry: tuple[str, float]) -> tuple[Size, float]:
    size, percent = entry
    return _billions(map(float, size.split("/"))), percent / 100
