"""A prompt as a bag of short strings: its words, what they are about, and how it is laid out.

Everything is one kind of thing, a string that is there or not, so that one table of weights serves all. What
starts with ``#`` is about the layout, ``@`` about concepts; the rest are words and pairs of words. Numbers
become bins. Words are taken from the prose alone: the words of pasted code say what the code is about, not
what is wanted.
"""

from bisect import bisect_left as bisect
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from attrs import frozen

from turnout_task_based.layout import Layout, lay_out
from turnout_task_based.lexicon import STOP_WORDS, concept_of, concepts_within
from turnout_task_based.shapes import (
    FILE_KINDS,
    FILE_NAME,
    FINISHED,
    INNER_WORD,
    NAME,
    POLITE,
    SHAPES,
    WORD,
    YEAR,
    shapes_in,
)

FIRST_WORDS, LAST_WORDS = 36, 30
"""Words read at either end of the prose: the request stands there."""

@frozen
class _Words:
    """The words of the request: those it opens with, those it closes with."""

    opening: Sequence[str]
    closing: Sequence[str]

    @property
    def all(self) -> list[str]:
        return [*self.opening, *self.closing]


def features_of(text: str) -> frozenset[str]:
    """Return the features of a prompt; the same for the same text, and never an error."""
    layout = lay_out(text)
    prose = "\n".join(layout.prose).lower()
    polite = POLITE.match(prose)
    words = _words(prose[polite.end() :] if polite else prose)
    concepts = _concepts(words.all, prose)
    shape = frozenset(_shape(layout, prose, words))
    return frozenset((*_word_features(words), *_concept_features(concepts, shape), *shape, *_crossed(shape)))


def _words(prose: str) -> _Words:
    """Take the words at either end: what is far from both is what the request is about, not the request."""
    if len(prose) <= 16 * FIRST_WORDS:
        words = list(_normal(WORD.findall(prose)))
    else:
        words = list(_normal(WORD.findall(f"{prose[: 10 * FIRST_WORDS]} {prose[-10 * LAST_WORDS :]}")))
    first = 3 if SHAPES["context"].match(prose) and len(words) > FIRST_WORDS else FIRST_WORDS
    return _Words(words[:first], words[max(first, len(words) - LAST_WORDS) :])


def _normal(words: Iterable[str]) -> Iterator[str]:
    return (_number(word) if word.isdigit() else word.replace("’", "'")[:24] for word in words)


def _number(digits: str) -> str:
    return "year" if len(digits) == 4 and digits[:1] in "12" else "0"


def _word_features(words: _Words) -> Iterator[str]:
    yield from (word for word in words.all if word not in STOP_WORDS)
    for part in (words.opening, words.closing):
        pairs = pairwise(part)
        yield from (f"{one} {two}" for one, two in pairs if one not in STOP_WORDS or two not in STOP_WORDS)
    for count in (1, 2, 3):
        yield "^" + " ".join(words.opening[:count])


def _concepts(words: Sequence[str], prose: str) -> list[str]:
    """Return the distinct concepts in order of their first mention."""
    found = [concept for word in words if (concept := concept_of(word)) is not None]
    if not prose.isascii():
        found += concepts_within(prose[:600])
    return list(dict.fromkeys(found))


def _concept_features(concepts: Sequence[str], shape: frozenset[str]) -> Iterator[str]:
    for place, concept in enumerate(concepts[:8]):
        yield "@" + concept
        yield from (f"@{earlier}>{concept}" for earlier in concepts[:place][:4])
        yield from (f"@{concept}{part}" for part in _SETTINGS if part in shape)
    yield from (f"^@{concept}" for concept in concepts[:1])
    if not concepts:
        yield "@none"


_SETTINGS = (
    "#code0", "#code1", "#code2", "#code3", "#asks", "#short", "#long", "#table", "#formula", "#trace",
)  # fmt: skip


def _shape(layout: Layout, prose: str, words: _Words) -> Iterator[str]:
    yield from (f"#{name}" for name in shapes_in(layout.window))
    yield from {FILE_KINDS[named.lastindex or 0] for named in FILE_NAME.finditer(layout.window)}
    yield f"#code{_share_bin(layout.code_share)}"
    yield f"#length{bisect(_LENGTHS, layout.length)}"
    yield f"#prose{bisect(_LENGTHS, len(prose))}"
    yield from _present("#questions", min(prose.count("?") + prose.count("？"), 4))
    yield from _size(layout)
    yield from _endings(layout, prose)
    yield from _figures(layout)
    yield from (f"#file{ending}" for ending in layout.files)
    if len(words.all) <= 4:
        yield "#few"


def _size(layout: Layout) -> Iterator[str]:
    if layout.length < 90:
        yield "#short"
    elif layout.length > 600:
        yield "#long"
    if layout.table > 1:
        yield "#table"
    if layout.fenced:
        yield "#fence"
    if layout.code and not FINISHED.search(layout.window):
        yield "#unfinished"


def _endings(layout: Layout, prose: str) -> Iterator[str]:
    """Say where the question stands."""
    if prose.rstrip(" \n\"')").endswith(("?", "？")):
        yield "#asks"
    if layout.prose and layout.prose[0].rstrip().endswith(("?", "？")):
        yield "#opens-asking"
    if layout.prose and layout.prose[0].rstrip().endswith(":"):
        yield "#opens-colon"
    last = layout.prose[-1] if layout.prose else ""
    if layout.length > 300 and len(last) < 200:
        yield "#asks-briefly" if last.rstrip().endswith("?") else "#closes-briefly"
    if not prose:
        yield "#wordless"


def _figures(layout: Layout) -> Iterator[str]:
    """Say what the characters are; what is absent is no feature, or all would be about absence."""
    window = layout.window
    digits = sum(map(window.count, "0123456789"))
    if digits:
        digits -= 4 * len(YEAR.findall(window))
    yield from _present("#digits", _share_bin(4 * digits / max(len(window), 1)))
    yield from _present("#operators", bisect(_COUNTS, sum(map(window.count, "+*/=^"))))
    if window.islower():
        yield "#lower"
    else:
        words = len(INNER_WORD.findall(window))
        yield from _present("#names", _share_bin(2 * len(NAME.findall(window)) / max(words, 1)))
    if not window.isascii():
        foreign = sum(character > "\u02ff" and character.isalpha() for character in window[:200])
        yield from _present("#foreign", _share_bin(foreign / min(len(window), 200)))


def _present(name: str, bin_: int) -> Iterator[str]:
    if bin_:
        yield f"{name}{bin_}"


def _crossed(shape: frozenset[str]) -> Iterator[str]:
    """Yield pairs of what says something only together."""
    present = [name for name in _CROSSED if name in shape]
    yield from (f"{one}&{other}" for place, one in enumerate(present) for other in present[:place])


_CROSSED = (
    "#code0", "#code1", "#code2", "#code3", "#asks", "#short", "#long", "#table", "#formula", "#latex",
    "#options", "#context", "#question", "#asks-briefly", "#docstring", "#asserts", "#trace", "#diff",
    "#doctest", "#labelled", "#unfinished", "#money", "#unit",
)  # fmt: skip


_COUNTS = (0, 2, 6)
_LENGTHS = (50, 150, 600, 2000)


def _share_bin(share: float) -> int:
    """Return 0 for none, then 1 to 3 for some, much and most."""
    return 0 if share <= 0 else 1 if share < 0.25 else 2 if share < 0.6 else 3
