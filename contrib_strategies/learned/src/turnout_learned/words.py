"""A prompt as words and as a few plain facts about its surface."""

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache

HEAD, TAIL = 4000, 1500
"""Characters that are looked at: a request says at its beginning or at its end what it wants."""
SYMBOLS = frozenset("=+-*/^<>$\\{}()[]|_")
PIECES = range(3, 6)
_WORD = re.compile(r"[^\W_]+|[^\w\s]")
_OPTION = re.compile(r"\n\s*(?:\([A-J]\)|[A-J][.)]|Options:)")
_SIGNS = re.compile(
    r"\bnot\b|\bexcept\b|\bwhich\b|\bwhy\b|\bhow\b|\bwrite\b|\bcalculate\b|\bprove\b|\bdef |\bbest\b"
)
_WANTED = ("not", "except", "which", "why", "how", "write", "calculate", "prove", "def ", "best")


def excerpt(text: str) -> str:
    """Return what is looked at of *text*: all of it, unless it is very long."""
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]}\n{text[-TAIL:]}"


def words(text: str) -> list[str]:
    """Split into words and single signs, in lower case."""
    return _WORD.findall(text.lower())


@lru_cache(maxsize=1 << 15)
def pieces(word: str) -> tuple[str, ...]:
    """Return the pieces of *word* of three to five characters, its ends marked by underscores."""
    marked = f"_{word}_"
    return tuple(marked[at : at + n] for n in PIECES for at in range(len(marked) - n + 1))


def terms(text: str) -> Mapping[str, int]:
    """Count the words of *text*, the pairs of neighbours and the pieces of words."""
    found = words(text)
    counts = Counter(found)
    counts.update(map(" ".join, itertools.pairwise(found)))
    for word in found:
        counts.update(pieces(word))
    return counts


def surface(text: str) -> list[float]:
    """Describe how *text* looks: lengths, kinds of characters, options to choose from, telling words."""
    return [*_lengths(text), *_shares(text), *_telling(text)]


def _lengths(text: str) -> Iterator[float]:
    found = text.split()
    options = list(_OPTION.finditer(text))
    head = options[0].start() if options else len(text)
    yield math.log1p(len(text))
    yield math.log1p(len(found))
    yield math.log1p(head)
    yield math.log1p(len(text) - head)
    yield math.log1p(len(options))
    yield math.log1p(text.count("\n"))
    yield sum(map(len, found)) / max(len(found), 1)
    yield len(set(found)) / max(len(found), 1)


def _shares(text: str) -> Iterator[float]:
    size = max(len(text), 1)
    yield sum(map(str.isdigit, text)) / size
    yield sum(map(str.isupper, text)) / size
    yield sum(sign in SYMBOLS for sign in text) / size
    yield text.count(",") / size
    yield text.count(".") / size
    yield sum(sign > "\x7f" for sign in text) / size


def _telling(text: str) -> Iterator[float]:
    found = set(_SIGNS.findall(text.lower()))
    yield from (float(word in found) for word in _WANTED)
    yield float("?" in text)
    yield float('"' in text)
    yield float("```" in text or "\n    " in text)


SURFACE = len(surface(""))
"""How many facts describe a surface."""
