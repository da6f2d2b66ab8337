"""What a decision was worth, and what the reward model makes of it."""

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from turnout_decisions.rewards import SHRINKAGE, RewardModel, cross_fitted, reward

from .logging_world import OUTCOME, an_entry


@pytest.mark.parametrize(
    ("seconds", "worth"), [(0.0, 1.0), (30.0, 0.5), (90.0, 0.25)]
)
def test_the_faster_the_better(seconds: float, worth: float) -> None:
    """An answer at once is worth 1, one after 30 seconds half as much, one after 90 a quarter."""
    assert reward(an_entry(seconds=seconds)) == pytest.approx(worth)


def test_patience() -> None:
    """Who has more patience loses less by waiting."""
    assert reward(an_entry(seconds=30.0), patience=90.0) == pytest.approx(0.75)


def test_failure_is_worth_nothing() -> None:
    """A decision whose last attempt failed is worth 0."""
    assert reward(an_entry(success=False)) == 0.0


def test_every_try_and_every_wait_counts() -> None:
    """The seconds of failed tries and of queues are part of the wait."""
    entry = an_entry(seconds=5.0)
    entry.outcomes.insert(0, evolve(OUTCOME, duration_seconds=5.0, queue_seconds=20.0, success=False))
    assert reward(entry) == pytest.approx(0.5)


def test_the_newest_rating_counts_alone() -> None:
    """Where somebody has rated the answer, time says nothing, and the last word holds."""
    entry = an_entry(seconds=300.0, rating=0.2)
    entry.ratings.append(evolve(entry.ratings[0], score=0.9))
    assert reward(entry) == 0.9


def test_unknown_rewards() -> None:
    """Without an outcome, and where the caller gave up, nothing is known."""
    assert reward(an_entry(seconds=None)) is None
    entry = an_entry(success=False)
    entry.outcomes = [evolve(entry.outcomes[0], error="CancelledError")]
    assert reward(entry) is None


@given(st.floats(0, 1e9), st.floats(0.001, 1e9))
def test_rewards_are_shares(seconds: float, patience: float) -> None:
    """Every reward lies between 0 and 1."""
    found = reward(an_entry(seconds=seconds), patience)
    assert found is not None
    assert 0.0 <= found <= 1.0


# --- the model ----------------------------------------------------------------------------------------


def test_means_are_drawn_to_more_general_ones() -> None:
    """A pair's mean is drawn to the model's, and that to the mean of all, each weighing five decisions."""
    model = RewardModel([("code", "a", 1.0), ("plan", "a", 0.0), ("code", "b", 0.5)])
    overall = 0.5
    of_a = (1.0 + SHRINKAGE * overall) / (2 + SHRINKAGE)
    assert model.predict("code", "a") == pytest.approx((1.0 + SHRINKAGE * of_a) / (1 + SHRINKAGE))
    assert model.predict("review", "a") == pytest.approx(of_a)
    assert model.predict("code", "unheard-of") == pytest.approx(overall)


def test_a_model_of_nothing() -> None:
    """Without any decision every reward is expected to be 0."""
    assert RewardModel([]).predict("code", "a") == 0.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_predictions_stay_among_the_rewards(values: list[float]) -> None:
    """A mean of rewards is never outside their range."""
    found = RewardModel([("", "a", value) for value in values]).predict("", "a")
    assert min(values) - 1e-9 <= found <= max(values) + 1e-9


def test_nobody_predicts_itself() -> None:
    """A decision's own reward does not bear on its own prediction."""
    rows = [("code", "a", 0.5)] * 9
    before = [model.predict("code", "a") for model in cross_fitted([*rows, ("code", "a", 0.0)])]
    after = [model.predict("code", "a") for model in cross_fitted([*rows, ("code", "a", 1.0)])]
    assert before[-1] == after[-1] == pytest.approx(0.5)
    assert before[0] < after[0]
