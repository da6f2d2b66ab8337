"""What a strategy would have earned: with chance in the log, without any, and where it chose nothing."""

from random import Random

import pytest

from turnout_decisions.journal import Entry
from turnout_decisions.offpolicy import evaluate
from turnout_decisions.policies import Pick

from .logging_world import an_entry

ABSTAINED = Pick("abstained")
A, B = Pick("selected", "a", {"a": 1.0}), Pick("selected", "b", {"b": 1.0})


def explored_log(size: int = 400) -> list[Entry]:
    """Return a log in which a (worth 0.2) and b (worth 0.9) were taken with 3/4 and 1/4."""
    rng = Random(5)
    picked = ["a" if rng.random() < 0.75 else "b" for _ in range(size)]
    worth, chance = {"a": 0.2, "b": 0.9}, {"a": 0.75, "b": 0.25}
    return [an_entry(model, rating=worth[model], propensity=chance[model]) for model in picked]


def test_a_log_with_chance_tells_of_other_picks() -> None:
    """Where the log left it to chance, all three estimates find what the other model is worth."""
    log = explored_log()
    found = evaluate(log, [B] * len(log))
    assert found is not None
    assert found.ips is not None
    assert found.snips is not None
    assert found.ips.value == pytest.approx(0.9, abs=0.15)
    assert found.snips.value == pytest.approx(0.9)
    assert found.dr.value == pytest.approx(0.9, abs=0.02)
    assert found.gain.value == pytest.approx(found.dr.value - found.logged.value)
    assert (found.unsupported, found.explored, found.model_alone) == (0.0, 1.0, False)
    assert found.ips.interval is not None
    assert found.ips.interval.low <= 0.9 <= found.ips.interval.high


def test_a_certain_log_tells_nothing_of_other_picks() -> None:
    """Where nothing was left to chance, other picks get no weighted number, and DR is the model's alone."""
    log = [an_entry("a", rating=0.2) for _ in range(40)]
    found = evaluate(log, [B] * 40)
    assert found is not None
    assert (found.ips, found.snips) == (None, None)
    assert found.model_alone
    assert (found.unsupported, found.explored, found.effective) == (1.0, 0.0, 0.0)
    assert found.dr.value == pytest.approx(0.2)


def test_the_same_picks_need_no_chance() -> None:
    """A strategy that picks what was picked has earned what was earned, chance or not."""
    log = [an_entry("a", rating=0.2) for _ in range(40)]
    found = evaluate(log, [A] * 40)
    assert found is not None
    assert found.ips == found.snips == found.logged
    assert found.dr.value == pytest.approx(0.2)
    assert not found.model_alone


@pytest.mark.parametrize("log", [explored_log(60), [an_entry("a", rating=0.4) for _ in range(60)]])
def test_where_nothing_was_chosen_the_log_stands(log: list[Entry]) -> None:
    """A strategy that abstains everywhere has earned exactly what was earned, and gains nothing."""
    found = evaluate(log, [ABSTAINED] * len(log))
    assert found is not None
    assert found.ips == found.logged
    assert found.dr.value == pytest.approx(found.logged.value)
    assert found.gain.value == pytest.approx(0.0)
    assert found.effective == pytest.approx(len(log))


def test_little_overlap() -> None:
    """A few decisions with great weights are said to be few."""
    rare = an_entry("b", rating=0.5, propensity=0.01)
    log = [an_entry("a", rating=0.5, propensity=0.99)] * 195 + [rare] * 5
    found = evaluate(log, [B] * 200)
    assert found is not None
    assert found.effective == pytest.approx(5)
    assert found.little_overlap
    assert not evaluate(log, [A] * 200).little_overlap  # type: ignore[union-attr]


def test_without_outcomes() -> None:
    """Decisions of which nothing became known are left out, and of them alone nothing is estimated."""
    unknown = an_entry("a", seconds=None)
    assert evaluate([unknown], [A]) is None
    found = evaluate([unknown, an_entry("a", rating=0.5)], [A, A])
    assert found is not None
    assert (found.decisions, found.logged.value, found.logged.interval) == (1, 0.5, None)


def test_estimates_by_seed() -> None:
    """The same seed gives the same report."""
    log = explored_log(50)
    assert evaluate(log, [B] * 50, seed=7) == evaluate(log, [B] * 50, seed=7)
    assert evaluate(log, [B] * 50, seed=7) != evaluate(log, [B] * 50, seed=8)
