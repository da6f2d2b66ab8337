"""The chances of arms, against what repeated draws from their posteriors say."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from turnout_bandit.matching import CELLS, Arm, chances, draw

parameters = st.floats(1, 200)
arms = st.builds(Arm, parameters, parameters, st.sampled_from([0.0, 0.1, 0.7]))


def frequencies(given_: list[Arm], draws: int) -> list[float]:
    """Return how often each arm has the largest of a draw from all posteriors."""
    rng = Random(7)
    wins = [0] * len(given_)
    for _ in range(draws):
        values = [rng.betavariate(arm.alpha, arm.beta) - arm.cost for arm in given_]
        wins[values.index(max(values))] += 1
    return [won / draws for won in wins]


@pytest.mark.parametrize(
    "given_",
    [
        [Arm(1, 1), Arm(1, 1), Arm(1, 1)],
        [Arm(8, 4), Arm(4, 4), Arm(1, 1)],
        [Arm(80, 20), Arm(70, 30), Arm(60, 40, 0.05)],
        [Arm(1, 1, 0.4), Arm(30, 10), Arm(30, 10), Arm(12, 3, 0.1)],
        [Arm(1, 50), Arm(2, 60)],
    ],
)
def test_each_arm_is_taken_as_often_as_it_is_the_best(given_: list[Arm]) -> None:
    """The chances are those of Thompson sampling, within the error of 20,000 draws and of the division."""
    assert chances(given_) == pytest.approx(frequencies(given_, 20_000), abs=0.02)


@given(st.lists(arms, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_chances_are_a_distribution_of_arms_and_not_of_places(given_: list[Arm], rng: Random) -> None:
    """They add up to 1, equals have the same, and the order does not matter."""
    found = dict(zip(given_, chances(given_), strict=True))
    shuffled = rng.sample(given_, len(given_))
    assert sum(chances(given_)) == pytest.approx(1.0)
    assert chances(shuffled) == [found[arm] for arm in shuffled]


@given(arms, st.floats(1 / CELLS, 0.3))
def test_a_cost_never_helps(arm: Arm, more: float) -> None:
    """The dearer of two that earn the same is the best less often."""
    cheap, dear = chances([arm, Arm(arm.alpha, arm.beta, arm.cost + more)])
    assert cheap >= dear


def test_more_than_a_few_equals_share_alike() -> None:
    """Fifty of which nothing is known have a fiftieth each."""
    assert chances([Arm(1, 1)] * 50) == pytest.approx([0.02] * 50)


@given(st.integers(0, 10**6))
def test_what_has_no_chance_is_never_drawn(seed: int) -> None:
    """Whatever the random number, an arm with a chance is drawn."""
    assert draw([0.0, 0.25, 0.0, 0.75, 0.0], Random(seed)) in (1, 3)


class Highest(Random):
    """Draws the largest number there is."""

    def random(self) -> float:
        """Return it."""
        return 1.0 - 2.0**-53


def test_rounding_leaves_nobody_without() -> None:
    """Where the shares add up to a hair less than 1, the last that has one is drawn."""
    assert draw([0.5, 0.5 - 1e-12, 0.0], Highest()) == 1


def test_draws_come_as_often_as_the_shares_say() -> None:
    """Over many draws each place has its share."""
    rng = Random(3)
    drawn = [draw([0.2, 0.5, 0.3], rng) for _ in range(5000)]
    assert [drawn.count(place) / 5000 for place in range(3)] == pytest.approx([0.2, 0.5, 0.3], abs=0.03)
