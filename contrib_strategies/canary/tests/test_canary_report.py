"""What may be claimed: intervals that hold at every look, and verdicts from them."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from turnout_canary import CanarySettings, Experiment
from turnout_canary.outcomes import Conversation
from turnout_canary.report import Finding, Report, reports
from turnout_canary.sequential import FEWEST, Difference, Looks, between, paired

SHARE = (0.0, 1.0)
LOOKS = Looks(0.05, 300)
AB = Experiment("larger", "small", ("large",), weight=0.5)


def ever_claimed(rng: Random, chances: tuple[float, float], until: int) -> int | None:
    """Return at how many observations a difference is first claimed, looking after every one of them."""
    groups: tuple[list[float], list[float]] = ([], [])
    for n in range(until):
        groups[n % 2].append(float(rng.random() < chances[n % 2]))
        if n >= 2 * FEWEST and n % 8 == 0:
            found = between(groups[0], groups[1], SHARE)
            assert found is not None
            if abs(found.estimate) > found.half_width(LOOKS):
                return n
    return None


@pytest.mark.parametrize("chance", [0.5, 0.9, 0.99])
def test_looking_all_the_time_claims_no_difference_that_is_not_there(chance: float) -> None:
    """Two equal arms are told apart in at most one of twenty experiments, at any of their looks."""
    rng = Random(1)
    claims = sum(ever_claimed(rng, (chance, chance), 400) is not None for _ in range(120))
    assert claims <= 0.05 * 120


def test_a_real_difference_is_found() -> None:
    """Nine of ten against six of ten is seen within 400 conversations, nearly always."""
    rng = Random(2)
    assert sum(ever_claimed(rng, (0.9, 0.6), 400) is not None for _ in range(50)) >= 48


def test_twenty_of_twenty_prove_nothing() -> None:
    """Where neither arm has failed yet, the interval still has a width."""
    found = between([1.0] * 20, [1.0] * 20, SHARE)
    assert found is not None
    assert found.half_width(LOOKS) > 0.1


@given(st.integers(1, 5000), st.floats(0.001, 0.3))
def test_the_interval_is_narrowest_at_its_horizon(horizon: int, alpha: float) -> None:
    """No other horizon gives a narrower interval at that number of observations, but for a hair."""
    there = Looks(alpha, horizon).factor(horizon)
    others = [Looks(alpha, max(1, int(horizon * f))).factor(horizon) for f in (0.25, 0.5, 2, 4)]
    assert there <= min(others) * 1.02


@given(
    st.floats(1e-4, 4.0), st.integers(4, 2000), st.floats(0.02, 0.5), st.floats(0.01, 0.99)
)
def test_what_is_missing_is_the_least_that_suffices(
    spread: float, n: int, effect: float, smaller: float
) -> None:
    """With so many more the interval is narrow enough, and with one fewer it is not."""
    found = Difference(0.0, spread / n, n, max(1, int(n * smaller / 2)))
    more = found.more_needed(LOOKS, effect)

    def narrow(total: int) -> bool:
        return math.sqrt(spread / total) * LOOKS.factor(total) <= effect

    assert more >= 0
    assert narrow(n + more)
    if more:
        too_few = found.fewest * (n + more - 1) / n < FEWEST
        assert too_few or not narrow(n + more - 1)


def test_a_variance_takes_two() -> None:
    """With fewer there is nothing to say."""
    assert between([1.0], [1.0, 0.0], SHARE) is None
    assert paired([1.0]) is None


def conversations(good: int, bad: int, seconds: float = 2.0) -> list[Conversation]:
    """Make conversations, of which some went well and some did not, evenly mixed."""
    made, total = [], good + bad
    for n in range(total):
        well = float(n * good // total != (n + 1) * good // total)
        took = seconds * (1 + 0.1 * (n % 3)) if well else None
        made.append(Conversation(f"c{n}", well, well, None, took))
    return made


def report(
    control: list[Conversation], treatment: list[Conversation], *, shadow: bool = False
) -> tuple[Report, dict[str, Finding]]:
    """Return the report, and its findings by measure."""
    experiment = Experiment("larger", "small", ("large",), shadow=shadow)
    seen = {("larger", "small"): control, ("larger", "large"): treatment}
    (made,) = reports(CanarySettings((experiment,)), seen)
    return made, {finding.measure: finding for finding in made.findings}


def test_better_and_slower_are_told_apart() -> None:
    """A treatment may be right more often and take longer: each is judged for itself."""
    made, found = report(conversations(300, 200), conversations(480, 20, seconds=4.0))
    assert (found["valid"].verdict, found["seconds"].verdict) == ("better", "worse")
    assert found["valid"].difference == pytest.approx(0.36)
    assert found["seconds"].difference == pytest.approx(2.0, rel=0.02)
    assert found["seconds"].low > 1.5
    assert "rating" not in found
    assert [arm.model for arm in made.arms] == ["small", "large"]
    assert made.arms[0].seconds == pytest.approx(2.2, rel=0.02)


def test_not_yet_says_how_many_are_missing() -> None:
    """A difference that is within the interval is no difference yet."""
    _, found = report(conversations(45, 5), conversations(47, 3))
    assert found["valid"].verdict == "not yet"
    assert found["valid"].low < 0 < found["valid"].high
    assert found["valid"].detectable > 0.1
    assert 50 < found["valid"].more_needed < 1000


def test_enough_of_the_same_is_an_answer_too() -> None:
    """Where the whole interval is smaller than what matters, that is said."""
    _, found = report(conversations(4500, 500), conversations(4500, 500))
    assert found["valid"].verdict == "no difference that matters"
    assert found["valid"].more_needed == 0


def test_nothing_is_claimed_of_a_few() -> None:
    """Before a score of conversations in each arm the intervals do not hold yet."""
    _, found = report(conversations(0, 500), conversations(FEWEST - 1, 0))
    assert found["valid"].verdict == "not yet"
    _, found = report(conversations(0, 500), conversations(FEWEST, 0))
    assert found["valid"].verdict == "better"


def test_copies_are_compared_with_what_they_copy() -> None:
    """In a shadow experiment each copy is held against its own original, and others do not count."""
    control = [Conversation(f"c{n}", 1.0, float(n % 2), None, 1.0 + n % 7) for n in range(400)]
    treatment = [Conversation(f"c{n}", 1.0, float(n % 2), None, (1.0 + n % 7) / 2) for n in range(100)]
    stranger = Conversation("elsewhere", 0.0, 0.0, None, 100.0)
    _, found = report(control, [*treatment, stranger], shadow=True)
    assert found["valid"].difference == 0.0
    assert found["seconds"].verdict == "better"
    assert found["seconds"].difference == pytest.approx(0.5)


def test_the_chance_of_a_false_claim_is_shared() -> None:
    """With more treatments each interval is wider, so that the experiment's own chance stays."""
    outcomes = {("e", m): conversations(80, 20) for m in ("c", "t0", "t1", "t2")}
    widths = []
    for treatments in (("t0",), ("t0", "t1", "t2")):
        (made,) = reports(CanarySettings((Experiment("e", "c", treatments),)), outcomes)
        widths.append(made.findings[0].detectable)
    assert widths[0] < widths[1]


def test_an_experiment_without_outcomes_has_empty_arms() -> None:
    """It is listed, and nothing is made up."""
    made, found = report([], [])
    assert found == {}
    assert [(arm.conversations, arm.valid, arm.seconds) for arm in made.arms] == [(0, None, None)] * 2
