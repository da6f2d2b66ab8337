"""How often a model is asked for, lately."""

import pytest

from turnout_pool.demand import WINDOW_SECONDS, Demand


def test_a_steady_stream_has_its_rate() -> None:
    """Whenever it is looked at, once a window is full."""
    demand = Demand(0.0)
    for second in range(200):
        demand.add(float(second))
    assert demand.rate(199.5) == pytest.approx(1.0, rel=0.05)


def test_what_was_long_ago_is_forgotten() -> None:
    """After two windows of silence nothing is left."""
    demand = Demand(0.0)
    for _ in range(100):
        demand.add(1.0)
    assert demand.rate(WINDOW_SECONDS * 1.5) == pytest.approx(50 / WINDOW_SECONDS)
    assert demand.rate(WINDOW_SECONDS * 3.5) == 0.0
