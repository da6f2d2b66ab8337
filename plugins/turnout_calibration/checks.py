"""What an answer's words can be checked for: pure functions, for probes and for one's own prompts.

Every check is a frozen value with a method ``look`` that never raises, whatever the answer is.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import ClassVar, Protocol

from attrs import field, frozen

from turnout.messages import ToolCall

_LONGEST_SHOWN = 120
_QUOTES = "\"'`*“”„‘’«»()[]"
_SPACE = re.compile(r"\s+")
_MARKED = re.compile(r"\banswer(?:[ \t]+is)?[*_ \t]{0,6}:[* \t]*(.*)$", re.IGNORECASE | re.MULTILINE)
_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?", re.ASCII)
_THOUSANDS = re.compile(r"(?<=\d)[, _](?=\d{3}\b)")
_WORD = re.compile(r"\w[\w'’-]*")


@frozen
class Answer:
    """What a model said: its text, and the tools that it called."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


@frozen
class Finding:
    """What a check found: ``score`` from 0 to 1, and why, where that is less than 1."""

    score: float
    why: str = ""


class Check(Protocol):
    """Looks at an answer; without any effect, and without ever raising. ``kind`` is its key in a file."""

    @property
    def kind(self) -> str:
        """Return the key by which it is written."""

    def look(self, answer: Answer) -> Finding:
        """Return the score, and why it is less than 1."""


RIGHT = Finding(1.0)


def right(holds: bool, why: str) -> Finding:
    """Return full marks where it *holds*, else none, and *why*."""
    return RIGHT if holds else Finding(0.0, why)


def shown(value: object) -> str:
    """Return *value* for a sentence, cut where it is long."""
    text = value if isinstance(value, str) else repr(value)
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")


def normal(text: str) -> str:
    """Return *text* as it is compared: without case, with single spaces, compatible letters made equal."""
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def bare(text: str) -> str:
    """Return *text* as :func:`normal` does, without surrounding quotes and marks and without a final stop."""
    return normal(text).strip(_QUOTES + " ").removesuffix(".").strip(_QUOTES + " ")


def same(wanted: str, said: str) -> bool:
    """Whether two short answers are the same: equal words, or no number but *wanted* is in *said*."""
    first, second = bare(wanted), bare(said)
    if first == second:
        return True
    number = _numbers(first)
    return len(number) == 1 and _NUMBER.fullmatch(first) is not None and _numbers(second) == number


def _numbers(text: str) -> set[float]:
    """Return the numbers in *text*, with or without thousands separators."""
    return {float(one) for one in _NUMBER.findall(_THOUSANDS.sub("", text))}


@frozen
class Equals:
    """The whole answer is one of ``texts``, apart from case, space, surrounding quotes and a final stop."""

    kind: ClassVar[str] = "equals"
    texts: tuple[str, ...]

    def look(self, answer: Answer) -> Finding:
        """Compare."""
        found = any(bare(text) == bare(answer.text) for text in self.texts)
        return right(found, f"{shown(answer.text)} is not {' or '.join(map(shown, self.texts))}")


@frozen
class FinalAnswer:
    """What follows the last ``Answer:`` (where there is none, the last line) is one of ``texts``.

    A number counts by its value, and may have a unit: ``1,200.0 m`` is ``1200``.
    """

    kind: ClassVar[str] = "answer"
    texts: tuple[str, ...]

    def look(self, answer: Answer) -> Finding:
        """Compare."""
        said = final(answer.text)
        found = any(same(text, said) for text in self.texts)
        return right(found, f"the answer is {shown(said)}, not {' or '.join(map(shown, self.texts))}")


def final(text: str) -> str:
    """Return what *text* gives as its result: after the last ``Answer:``, else its last line."""
    found = list(_MARKED.finditer(text))
    rest = text[found[-1].end() :] if found and not found[-1][1] else ""
    lines = [line for line in text.splitlines() if line.strip()]
    follows = next((line for line in rest.splitlines() if line.strip()), "")
    said = (found[-1][1] or follows) if found else (lines[-1] if lines else "")
    boxed = _BOXED.search(said)
    return (boxed[1] if boxed else said).strip().strip("$*` ")


@frozen
class Contains:
    """The answer contains all of ``texts``, apart from case and the kind of space between words."""

    kind: ClassVar[str] = "contains"
    texts: tuple[str, ...]

    def look(self, answer: Answer) -> Finding:
        """Search."""
        said = normal(answer.text)
        missing = [text for text in self.texts if normal(text) not in said]
        return right(not missing, f"{', '.join(map(shown, missing))} is missing")


@frozen
class Absent:
    """The answer contains none of ``texts``."""

    kind: ClassVar[str] = "absent"
    texts: tuple[str, ...]

    def look(self, answer: Answer) -> Finding:
        """Search."""
        said = normal(answer.text)
        found = [text for text in self.texts if normal(text) in said]
        return right(not found, f"{', '.join(map(shown, found))} is there")


@frozen
class Matches:
    """The regular expression is found in the answer; ``^`` and ``$`` are the ends of a line."""

    kind: ClassVar[str] = "regex"
    pattern: re.Pattern[str]

    def look(self, answer: Answer) -> Finding:
        """Search."""
        found = self.pattern.search(answer.text) is not None
        return right(found, f"no match of {shown(self.pattern.pattern)}")


@frozen
class Count:
    """The answer has so many words or lines, from ``least`` to ``most``; empty lines do not count."""

    what: str
    least: int = 0
    most: int | None = None

    @property
    def kind(self) -> str:
        """Return what is counted."""
        return self.what

    def look(self, answer: Answer) -> Finding:
        """Count."""
        counted = len(words(answer.text) if self.what == "words" else lines(answer.text))
        enough = counted >= self.least and (self.most is None or counted <= self.most)
        return right(enough, f"{counted} {self.what}, not {_range(self.least, self.most)}")


def _range(least: int, most: int | None) -> str:
    if most is None:
        return f"at least {least}"
    return str(least) if least == most else f"{least} to {most}"


def words(text: str) -> list[str]:
    """Return the words of *text*; ``don't`` and ``well-known`` are one each."""
    return _WORD.findall(text)


def lines(text: str) -> list[str]:
    """Return the lines of *text* that are not empty."""
    return [line for line in text.splitlines() if line.strip()]


@frozen
class InOrder:
    """The final answer names every one of ``items`` once, each ``before`` pair in that order."""

    kind: ClassVar[str] = "order"
    items: tuple[str, ...]
    before: tuple[tuple[str, str], ...] = field(default=())

    def look(self, answer: Answer) -> Finding:
        """Read the order, and hold it against the pairs."""
        order = _named(final(answer.text), self.items)
        if sorted(order) != sorted(normal(item) for item in self.items):
            return Finding(0.0, f"{shown(final(answer.text))} does not name each of them once")
        wrong = [f"{a} before {b}" for a, b in self.before if order.index(normal(a)) > order.index(normal(b))]
        return right(not wrong, f"not {', '.join(wrong)}")


def _named(text: str, items: Sequence[str]) -> list[str]:
    """Return the *items* in *text*, in its order, as whole words."""
    one_of = "|".join(re.escape(normal(item)) for item in sorted(items, key=len, reverse=True))
    return re.findall(rf"(?<!\w)(?:{one_of})(?!\w)", normal(text)) if items else []


def score(findings: Iterable[Finding]) -> float:
    """Return the mean of the scores; 0 where nothing was checked."""
    scores = [finding.score for finding in findings]
    return sum(scores) / len(scores) if scores else 0.0
