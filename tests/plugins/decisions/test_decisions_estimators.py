"""The estimators against cases that can be worked out by hand, and against a simulated log."""

import math
from collections.abc import Sequence
from random import Random
from statistics import mean, stdev

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from turnout_decisions import estimators
from turnout_decisions.estimators import Interval, bootstrap

rewards = st.lists(st.floats(0, 1), min_size=2, max_size=30)


def test_ips_by_hand() -> None:
    """A decision that the policy would take surely and the log took at 1/4 counts four times, others not."""
    weights = estimators.importance_weights([1.0, 0.0, 0.5], [0.25, 0.5, 0.5])
    assert weights == [4.0, 0.0, 1.0]
    assert estimators.ips_terms([0.5, 1.0, 1.0], weights) == [2.0, 0.0, 1.0]


def test_self_normalised_by_hand() -> None:
    """Divided by the weights instead of the decisions, the estimate is a mean of the rewards seen."""
    weights = [4.0, 0.0, 1.0]
    assert estimators.ratio(estimators.ips_terms([0.5, 1.0, 1.0], weights), weights) == pytest.approx(0.6)
    assert estimators.ratio([], []) is None
    assert estimators.ratio([0.0], [0.0]) is None


def test_doubly_robust_by_hand() -> None:
    """The model's expectation is corrected by the weighted error of its prediction for the logged action."""
    terms = estimators.doubly_robust_terms([1.0, 0.0], [2.0, 0.0], [0.5, 0.9], [0.6, 0.7])
    assert terms == pytest.approx([0.6 + 2 * 0.5, 0.7])


def test_impossible_log() -> None:
    """A logged action that had no chance of being taken is an error, not an infinite weight."""
    with pytest.raises(ZeroDivisionError):
        estimators.importance_weights([1.0], [0.0])


@given(rewards, st.floats(0.05, 1))
def test_the_same_policy_earns_what_was_earned(values: list[float], chance: float) -> None:
    """The logging policy itself has weights of 1, so that all three estimates are the mean of the rewards."""
    weights = estimators.importance_weights([chance] * len(values), [chance] * len(values))
    assert weights == [1.0] * len(values)
    terms = estimators.ips_terms(values, weights)
    robust = estimators.doubly_robust_terms(values, weights, [0.3] * len(values), [0.3] * len(values))
    assert estimators.mean(terms) == pytest.approx(mean(values))
    assert estimators.ratio(terms, weights) == pytest.approx(mean(values))
    assert estimators.mean(robust) == pytest.approx(mean(values))


@given(rewards, st.data())
def test_self_normalised_stays_among_the_rewards(values: list[float], data: st.DataObject) -> None:
    """The self-normalised estimate never leaves the range of the rewards that were seen."""
    weights = data.draw(st.lists(st.floats(0.01, 100), min_size=len(values), max_size=len(values)))
    found = estimators.ratio(estimators.ips_terms(values, weights), weights)
    assert found is not None
    assert min(values) - 1e-9 <= found <= max(values) + 1e-9


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
def test_effective_sample_size_is_at_most_the_sample(weights: list[float]) -> None:
    """No weights make a log worth more decisions than it has."""
    assert 0.0 <= estimators.effective_sample_size(weights) <= len(weights) * (1 + 1e-9)


def test_effective_sample_size_by_hand() -> None:
    """Equal weights are worth all decisions, one weight alone is worth one, and none nothing."""
    assert estimators.effective_sample_size([3.0] * 7) == pytest.approx(7)
    assert estimators.effective_sample_size([0.0, 5.0]) == pytest.approx(1)
    assert estimators.effective_sample_size([0.0]) == 0.0


def test_unsupported_by_hand() -> None:
    """Only where the log was certain is another pick unknown to it."""
    assert estimators.unsupported([0.0, 0.25, 1.0, 0.0], [1.0, 1.0, 1.0, 0.5]) == pytest.approx(1.75 / 4)


# --- intervals ----------------------------------------------------------------------------------------


def test_interval_of_equal_values() -> None:
    """Where every decision says the same, the interval is that value alone."""
    assert bootstrap([0.5] * 10) == Interval(0.5, 0.5)


def test_interval_needs_two() -> None:
    """Of one decision nothing can be drawn anew, and of weights that are all zero no ratio can be made."""
    assert bootstrap([0.5]) is None
    assert bootstrap([0.0, 0.0], [0.0, 0.0]) is None


@given(rewards, st.integers(0, 2**32))
def test_interval_by_seed(values: list[float], seed: int) -> None:
    """The same seed gives the same interval, within the range of the values."""
    found = bootstrap(values, seed=seed)
    assert found == bootstrap(values, seed=seed)
    assert found is not None
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


def test_interval_of_a_mean() -> None:
    """For many decisions the interval is the textbook's: the mean, 1.96 standard errors to both sides."""
    rng = Random(3)
    values = [rng.random() for _ in range(2000)]
    error = stdev(values) / len(values) ** 0.5
    found = bootstrap(values)
    assert found is not None
    assert found.low == pytest.approx(mean(values) - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(mean(values) + 1.96 * error, abs=0.15 * error)


# --- a simulated log ----------------------------------------------------------------------------------

REWARD = {("easy", "small"): 0.8, ("easy", "big"): 0.6, ("hard", "small"): 0.2, ("hard", "big"): 0.7}
LOGGING = {"easy": {"small": 0.7, "big": 0.3}, "hard": {"small": 0.6, "big": 0.4}}
TARGET = {"easy": {"small": 1.0, "big": 0.0}, "hard": {"small": 0.1, "big": 0.9}}
TRUTH = mean(
    [sum(chance * REWARD[task, model] for model, chance in TARGET[task].items()) for task in TARGET]
)
WRONG = dict.fromkeys(REWARD, 0.5)


@frozen
class SimulatedLog:
    """What one simulated day leaves for the estimators, with a reward model and, maybe, wrong chances."""

    rewards: list[float]
    weights: list[float]
    modelled: list[float]
    expected: list[float]

    @property
    def ips(self) -> list[float]:
        return estimators.ips_terms(self.rewards, self.weights)

    @property
    def robust(self) -> list[float]:
        return estimators.doubly_robust_terms(self.rewards, self.weights, self.modelled, self.expected)


def simulated(
    seed: int, size: int, model: dict[tuple[str, str], float], *, wrong_chances: bool = False
) -> SimulatedLog:
    rng = Random(seed)
    log = SimulatedLog([], [], [], [])
    for _ in range(size):
        task = rng.choice(["easy", "hard"])
        picked = "small" if rng.random() < LOGGING[task]["small"] else "big"
        log.rewards.append(float(rng.random() < REWARD[task, picked]))
        believed = 0.5 if wrong_chances else LOGGING[task][picked]
        log.weights.append(TARGET[task][picked] / believed)
        log.modelled.append(model[task, picked])
        log.expected.append(sum(chance * model[task, name] for name, chance in TARGET[task].items()))
    return log


def standard_errors(values: Sequence[float]) -> float:
    """Return by how many standard errors the mean of *values* misses the truth."""
    return abs(mean(values) - TRUTH) / (stdev(values) / math.sqrt(len(values)))


def test_ips_is_unbiased() -> None:
    """Over many logs the IPS estimate is the truth on average."""
    values = [mean(simulated(seed, 100, WRONG).ips) for seed in range(600)]
    assert standard_errors(values) < 3


def test_doubly_robust_is_unbiased_with_a_wrong_model() -> None:
    """With the right probabilities a wrong reward model costs no bias."""
    values = [mean(simulated(seed, 100, WRONG).robust) for seed in range(600)]
    assert standard_errors(values) < 3


def test_doubly_robust_is_unbiased_with_wrong_probabilities() -> None:
    """With the right reward model wrong probabilities cost no bias, as they do IPS."""
    logs = [simulated(seed, 100, REWARD, wrong_chances=True) for seed in range(600)]
    assert standard_errors([mean(log.robust) for log in logs]) < 3
    assert standard_errors([mean(log.ips) for log in logs]) > 10


def test_a_good_model_narrows_the_estimate() -> None:
    """With a good reward model doubly robust estimates spread less than IPS."""
    logs = [simulated(seed, 100, REWARD) for seed in range(200)]
    assert stdev(mean(log.robust) for log in logs) < 0.8 * stdev(mean(log.ips) for log in logs)


def test_intervals_cover_the_truth() -> None:
    """About 95 % of the intervals hold the truth, for all three estimates: 52 of 60, if not more."""
    covered = dict.fromkeys(("ips", "snips", "dr"), 0)
    for seed in range(60):
        log = simulated(seed, 80, REWARD)
        found = {
            "ips": bootstrap(log.ips, seed=seed),
            "snips": bootstrap(log.ips, log.weights, seed=seed),
            "dr": bootstrap(log.robust, seed=seed),
        }
        for name, interval in found.items():
            assert interval is not None
            covered[name] += interval.low <= TRUTH <= interval.high
    assert min(covered.values()) >= 52
