"""Facts and quantities as people read them; what is unknown is a dash."""

import datetime as dt
import math
import re
import unicodedata
from collections.abc import Iterable

from turnout_decisions.estimators import Interval

UNKNOWN = "-"
SCORES = {"good": 1.0, "bad": 0.0}
_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_STEERING = frozenset({"Cc", "Cs", "Zl", "Zp"})
_TURNING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def when(at: float) -> str:
    """Say a time since the epoch in the reader's own time zone."""
    try:
        moment = dt.datetime.fromtimestamp(at, dt.UTC).astimezone()
    except (OverflowError, ValueError, OSError):
        return UNKNOWN
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def span(text: str) -> float:
    """Return the seconds of ``90s``, ``15m``, ``12h``, ``7d`` or ``2w``; raises ``ValueError``."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        message = f"{text!r} is no span of time, such as 12h, 7d or 2w"
        raise ValueError(message)
    return float(found[1]) * _UNITS[found[2]]


def seconds(value: float | None) -> str:
    """Say a duration: ``0.34 s``, ``12 s``, ``3 min 20 s``."""
    if value is None:
        return UNKNOWN
    if value < 0:
        return f"-{seconds(-value)}"
    if value < 1:
        return "0 s" if value == 0 else "<0.01 s" if value < 0.01 else f"{value:.2g} s"
    if value < 10:
        return f"{value:.1f} s"
    if value >= 1e9:  # infinity too
        return "never"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def share(value: float | None) -> str:
    """Say a share of 1 in per cent."""
    return UNKNOWN if value is None else f"{value:.0%}"


def count(value: int | None) -> str:
    """Say a count."""
    return UNKNOWN if value is None else str(value)


def plural(amount: int, one: str, many: str = "") -> str:
    """Say how many: ``1 decision``, ``2 decisions``."""
    return f"{amount} {one if amount == 1 else many or one + 's'}"


def rating(value: float | None) -> str:
    """Say what somebody thinks of an answer."""
    return UNKNOWN if value is None else f"{value:.2f}"


def reward(value: float | None) -> str:
    """Say a reward or a score."""
    return UNKNOWN if value is None else f"{value:.3f}"


def gain(value: float) -> str:
    """Say a difference of rewards, with its sign."""
    return f"{value:+.3f}"


def interval(bounds: Interval | None) -> str:
    """Say between what bounds a value lies."""
    return UNKNOWN if bounds is None else f"{bounds.low:.3f} to {bounds.high:.3f}"


def harmless(text: str) -> str:
    """Return *text* with an escape for what could break a line, steer a terminal or turn the writing.

    A newline is shown as a backslash and an n (Unicode Technical Report 36 tells of spoofing by direction).
    """
    return "".join(_escaped(char) if _steers(char) else char for char in text)


def _steers(char: str) -> bool:
    return unicodedata.category(char) in _STEERING or unicodedata.bidirectional(char) in _TURNING


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def harmless_rows(rows: Iterable[Iterable[str]]) -> list[tuple[str, ...]]:
    """Return the cells of a table made :func:`harmless`."""
    return [tuple(map(harmless, row)) for row in rows]


def finite(value: float) -> float:
    """Return *value*; raises ``ValueError`` for one that is infinite or no number."""
    if not math.isfinite(value):
        message = f"{value} is no finite number"
        raise ValueError(message)
    return value


def score_of(text: str) -> float:
    """Return the score that ``good``, ``bad`` or a number from 0 to 1 means; raises ``ValueError``."""
    try:
        score = SCORES[text.casefold()] if text.casefold() in SCORES else float(text)
    except ValueError:
        score = -1.0
    if not 0.0 <= score <= 1.0:  # NaN too
        message = f"{text!r} is neither good, nor bad, nor a number from 0 to 1"
        raise ValueError(message)
    return score
