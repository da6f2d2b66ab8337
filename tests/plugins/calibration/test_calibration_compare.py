"""Intervals and comparisons: what is known of them in advance."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout_calibration.compare import Comparison, Interval, compared, p_value, wilson

shares = st.floats(0.0, 1.0)


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962)],
)
def test_wilsons_interval_is_the_published_one(right: int, of: int, low: float, high: float) -> None:
    """The bounds are those of Wilson's formula without correction for continuity."""
    found = wilson([1.0] * right + [0.0] * (of - right), [1.0] * of)
    assert (found.value, found.low, found.high) == pytest.approx((right / of, low, high), abs=2e-4)


@given(st.lists(st.tuples(shares, st.floats(0.01, 100.0)), max_size=20))
def test_a_score_lies_in_its_interval(pairs: list[tuple[float, float]]) -> None:
    """Whatever the scores and weights, 0 ≤ low ≤ score ≤ high ≤ 1."""
    found = wilson([score for score, _ in pairs], [weight for _, weight in pairs])
    assert 0.0 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1.0


def test_uneven_weights_make_the_interval_wider() -> None:
    """Ten prompts of which one counts for nine tenths tell less than ten equal ones."""
    scores = [1.0, 0.0] * 5
    even, uneven = wilson(scores, [1.0] * 10), wilson(scores, [1.0] * 9 + [81.0])
    assert uneven.high - uneven.low > even.high - even.low


@pytest.mark.parametrize(
    ("parts", "p"),
    [([], 1.0), ([0.0], 1.0), ([1.0], 1.0), ([1.0] * 5, 2 / 32), ([1.0] * 10, 2 / 1024), ([1.0, -1.0], 1.0)],
)
def test_few_differences_are_tested_exactly(parts: list[float], p: float) -> None:
    """With few differences p is the share of all signs that reach as far."""
    assert p_value(parts) == pytest.approx(p)


def test_drawing_and_approximating_agree_with_the_exact_test() -> None:
    """For more differences p is drawn, for many approximated, and both come near the exact value."""
    parts = [1.0] * 14 + [-1.0] * 6
    exact = 2 * sum(math.comb(20, k) for k in range(7)) / 2**20
    assert p_value(parts) == pytest.approx(exact, abs=0.02)
    many = [1.0] * 180 + [-1.0] * 140
    drawn = p_value(many[20:])
    assert p_value(many) == pytest.approx(math.erfc(40 / math.sqrt(2 * 320)), rel=1e-6)
    assert 0.0 < drawn < 1.0


@given(st.lists(st.floats(-1.0, 1.0), max_size=30))
def test_a_p_value_is_a_probability_and_knows_no_direction(parts: list[float]) -> None:
    """It lies in (0, 1], and is the same for the opposite differences."""
    found = p_value(parts)
    assert 0.0 < found <= 1.0
    assert found == p_value([-part for part in parts])


def scores(*marks: float) -> dict[str, float]:
    return {str(number): mark for number, mark in enumerate(marks)}


def test_a_real_difference_is_named_with_the_better_first() -> None:
    """Ten prompts that one model alone gets right are no chance; it is said which and by how much."""
    (found,) = compared({"fool": scores(*[0.0] * 10), "sage": scores(*[1.0] * 10)}, scores(*[1.0] * 10))
    assert (found.better, found.worse, found.tasks) == ("sage", "fool", 10)
    assert found.real
    assert found.difference == Interval(1.0, 1.0, 1.0)
    assert str(found).startswith("sage is better than fool (+1.00, 95 % from +1.00 to +1.00, p = 0.002")


def test_chance_is_called_chance() -> None:
    """A single prompt more, or none, is no difference that was shown."""
    one, other = scores(1.0, 1.0, 0.0, 1.0), scores(1.0, 1.0, 0.0, 0.0)
    (found,) = compared({"a": one, "b": other}, scores(1, 1, 1, 1))
    assert not found.real
    assert str(found).startswith("no difference shown between a and b (+0.25")
    (same,) = compared({"a": one, "b": one}, scores(1, 1, 1, 1))
    assert same.p == 1.0


def test_only_prompts_that_both_answered_are_compared() -> None:
    """What one of them has no answer to is left out, and without a common prompt there is no comparison."""
    weights = scores(1, 1, 1)
    (found,) = compared({"a": scores(1.0, 0.0), "b": scores(0.0, 0.0, 1.0)}, weights)
    assert (found.tasks, found.difference.value) == (2, 0.5)
    assert compared({"a": {"0": 1.0}, "b": {"1": 1.0}}, weights) == []


def test_many_comparisons_need_more() -> None:
    """Each p is corrected for the number of comparisons, and a larger one is never below a smaller one."""
    models = {"a": scores(*[1.0] * 10), "b": scores(*[0.0] * 10), "c": scores(*[0.0] * 9, 1.0)}
    found = compared(models, scores(*[1.0] * 10))
    assert [round(one.p, 4) for one in found] == [round(3 * 2 / 1024, 4), round(2 * 2 / 512, 4), 1.0]
    assert all(isinstance(one, Comparison) for one in found)


def test_weights_of_prompts_count() -> None:
    """A prompt that counts nine times moves the difference nine times as far."""
    (found,) = compared({"a": scores(1.0, 0.0), "b": scores(0.0, 0.0)}, {"0": 9.0, "1": 1.0})
    assert found.difference.value == pytest.approx(0.9)


def test_many_prompts_are_compared_by_approximation() -> None:
    """Over hundreds of prompts the interval is the usual one around the mean."""
    marks = [1.0, 0.0] * 200
    (found,) = compared({"a": scores(*marks), "b": scores(*[0.0] * 400)}, scores(*[1.0] * 400))
    assert found.difference.value == 0.5
    assert found.difference.high - found.difference.value == pytest.approx(1.96 * 0.5 / 20, rel=0.01)
    assert found.real
