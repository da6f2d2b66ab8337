"""How far a batch is, and how that is said."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout import LLMError, Reply, Usage
from turnout_parallel.pace import FEW, RECENT, REFRESH_SECONDS, Pace
from turnout_parallel.words import rate, seconds

YES = Reply("Yes.", "m", "h", usage=Usage(3, 10))


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.34, "0.34 s"), (7.0, "7.0 s"), (12.4, "12 s"), (200.0, "3 min 20 s"), (7500.0, "2 h 5 min")],
)
def test_durations(value: float, words: str) -> None:
    """A person reads two units at most."""
    assert seconds(value) == words
    assert (rate(7.25), rate(250.4)) == ("7.2 tokens/s", "250 tokens/s")


def test_the_pace_is_that_of_late() -> None:
    """What is left is told by the last answers, so that a slow start, or a load, is soon forgotten."""
    pace = Pace(todo=1000, before=24)
    pace.begin(100.0)
    assert (pace.left(), pace.tokens_per_second()) == (None, None)
    for number in range(1, FEW):
        pace.note(YES, 700.0 + number)
        assert pace.left() is None
    pace.note(YES, 900.0)
    assert pace.left() == pytest.approx((1000 - FEW) * 800 / FEW)
    for number in range(RECENT):
        pace.note(YES, 900.0 + number / 2)
    assert pace.left() == pytest.approx((1000 - 72) / 2)
    assert pace.tokens_per_second() == pytest.approx(20.0)
    assert pace.words() == "batch: 96 of 1024, 20.0 tokens/s, about 7 min 44 s left"
    assert pace.fraction == 96 / 1024


def test_failures_count_apart() -> None:
    """They are said on the way and in the end."""
    pace = Pace(todo=3, before=0)
    pace.begin(0.0)
    pace.note(YES, 1.0)
    pace.note(LLMError("lost"), 2.0)
    assert pace.words().startswith("batch: 2 of 3, 1 failed")
    assert pace.summary(2.0) == "1 answer, 1 error, 2.0 s, 3 + 10 tokens, 5.0 tokens/s"


@given(st.lists(st.floats(0, 1000), max_size=200))
def test_it_is_shown_a_few_times_a_second(times: list[float]) -> None:
    """However many answers come, what is shown is bounded by the time, and the first is shown."""
    pace = Pace(todo=1, before=0)
    shown = [now for now in sorted(times) if pace.due(now)]
    assert len(shown) <= 1000 / REFRESH_SECONDS + 1
    assert shown[:1] == sorted(times)[:1]
    assert all(b - a >= REFRESH_SECONDS for a, b in pairwise(shown))
