"""RouteLLM's figures, on rows that can be counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from turnout_learned.routellm import Curve

WEAK = np.array([0.0] * 5 + [1.0] * 5)
STRONG = np.ones(10)
"""The strong model helps on the first five of ten rows."""
ranks = st.lists(st.integers(-1000, 1000), min_size=10, max_size=10).map(lambda found: np.array(found, float))


def test_a_perfect_router_needs_half_of_the_calls() -> None:
    """One that sends first what is worth it recovers the gap along a straight line, and is then done."""
    curve = Curve.of(np.arange(10.0)[::-1], WEAK, STRONG)
    assert curve.cpt(50) == pytest.approx(25)
    assert curve.cpt(80) == pytest.approx(40)
    assert curve.apgr == pytest.approx(0.75)


def test_the_worst_router_needs_nearly_all_calls() -> None:
    """One that sends first what is in vain recovers nothing with half of the calls."""
    curve = Curve.of(np.arange(10.0), WEAK, STRONG)
    assert curve.cpt(50) == pytest.approx(75)
    assert curve.apgr == pytest.approx(0.25)


def test_no_opinion_is_chance() -> None:
    """Equal ranks leave all or nothing, and between them the line of chance."""
    curve = Curve.of(np.zeros(10), WEAK, STRONG)
    assert curve.shares.tolist() == [0.0] + [1.0] * 10
    assert (curve.apgr, curve.cpt(50), curve.cpt(80)) == pytest.approx((0.5, 50, 80))


def test_the_first_crossing_counts() -> None:
    """Where more calls do harm, the least share that reaches the goal counts."""
    weak, strong = np.array([0.0, 0.0, 1.0, 0.0] * 5), np.array([1.0, 1.0, 0.0, 0.0] * 5)
    order = np.repeat([3.0, 2.0, 1.0, 0.0], 1).tolist() * 5
    curve = Curve.of(np.array(order), weak, strong)
    assert max(curve.recovered) > 1.5
    assert curve.cpt(100) < 50


@given(ranks)
def test_only_the_order_of_the_ranks_matters(found: np.ndarray) -> None:
    """A router that stretches its numbers is the same router, up to thresholds between equal quantiles."""
    curve, stretched = Curve.of(found, WEAK, STRONG), Curve.of(found * 3 + 7, WEAK, STRONG)
    assert stretched.apgr == pytest.approx(curve.apgr)


@given(ranks)
def test_a_curve_goes_from_nothing_to_everything(found: np.ndarray) -> None:
    """With no strong calls nothing is recovered, with all of them everything, and the shares rise."""
    curve = Curve.of(found, WEAK, STRONG)
    assert (curve.shares[0], curve.recovered[0]) == (0.0, 0.0)
    assert (curve.shares[-1], curve.recovered[-1]) == (1.0, 1.0)
    assert (np.diff(curve.shares) >= 0).all()
    assert 0.0 <= curve.cpt(50) <= curve.cpt(80) <= 100.0
