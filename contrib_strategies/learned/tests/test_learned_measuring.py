"""Measurements are paired, repeat themselves, and compare with policies that see the training rows alone."""

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from turnout_learned.fitted import Fitted
from turnout_learned.fitting import fit
from turnout_learned.measuring import LEARNED, Measurement, Result, lead, measure
from turnout_learned.policies import policies
from turnout_learned.tables import ScoreTable

from .conftest import MakeTable

values = st.lists(st.floats(0, 1), min_size=2, max_size=30).map(np.array)


def by_name(found: Measurement) -> dict[str, Result]:
    """Return the results by policy."""
    return {result.policy: result for result in found.results}


def stronger_at_verse(table: ScoreTable) -> ScoreTable:
    """Return two models as good at sums, one of which is also good at verse."""
    pair = table.only(("acme/bard", "acme/abacus"))
    bard, abacus = pair.scores.T
    sums = np.array([kind == "sums" for kind in pair.tasks])
    return evolve(pair, scores=np.column_stack([np.where(sums, abacus, bard), abacus]))


def test_all_policies_are_measured(fitted: Fitted, table_of: MakeTable) -> None:
    """The oracle is best, the table and learned are alike, and random and the best single are far behind."""
    found = by_name(measure(table_of(), table_of(200, seed=4), fitted))
    assert list(found)[-2:] == ["oracle", LEARNED]
    assert found["oracle"].score >= found[LEARNED].score
    assert found[LEARNED].score == pytest.approx(found["per-task table"].score, abs=0.03)
    assert found[LEARNED].score > found["best single"].score + 0.2
    assert found["best single"].lead is not None
    assert found["best single"].lead.low > 0.1
    assert found["random"].score == pytest.approx(0.55, abs=0.05)


def test_a_table_needs_kinds_of_work(table_of: MakeTable) -> None:
    """Where rows have no kind of work there is no per-task table."""
    assert "per-task table" not in policies(table_of(30, labelled=False))
    assert "per-task table" in policies(table_of(30))


def test_policies_see_no_score_of_the_test(table_of: MakeTable) -> None:
    """But for the oracle, other scores on the rows reported on change no policy."""
    train, test = table_of(80), table_of(40, seed=5)
    other = evolve(test, scores=1.0 - test.scores)
    for name, policy in policies(train).items():
        same = np.array_equal(policy(train, test, 0), policy(train, other, 0))
        assert same == (name != "oracle")


def test_two_models_have_routellms_figures(table_of: MakeTable) -> None:
    """With two models, every policy but the best single has APGR and CPT, and the better one is strong."""
    train, test = (stronger_at_verse(table_of(200, seed=seed)) for seed in (0, 6))
    found = measure(train, test, fit(train))
    assert (found.weak, found.strong) == ("acme/abacus", "acme/bard")
    results = by_name(found)
    assert results["best single"].two is None
    assert {name for name, one in results.items() if one.two} == set(results) - {"best single"}
    assert results[LEARNED].apgr_lead is None
    mine, chance = results[LEARNED].two, results["random"].two
    assert mine is not None
    assert chance is not None
    assert mine.apgr > chance.apgr
    assert mine.cpt50 <= mine.cpt80


def test_without_a_gap_there_is_none_to_recover(table_of: MakeTable) -> None:
    """Where the strong model is not stronger on the rows reported on, there are no such figures."""
    train = table_of(60).only(("acme/abacus", "acme/steady"))
    test = evolve(train, scores=np.ones_like(train.scores))
    assert all(result.two is None for result in measure(train, test, fit(train)).results)


def test_measuring_repeats_itself(fitted: Fitted, table_of: MakeTable) -> None:
    """The same seed gives the same intervals."""
    train, test = table_of(), table_of(50, seed=7)
    assert measure(train, test, fitted, 3) == measure(train, test, fitted, 3)


@given(values, st.integers(0, 2**31))
def test_nothing_leads_itself(found: np.ndarray, seed: int) -> None:
    """The difference of a policy to itself is exactly nothing, and so is its interval."""
    same = lead(found, found, seed)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


@given(values, st.floats(0.001, 1), st.integers(0, 2**31))
def test_the_interval_is_paired(found: np.ndarray, more: float, seed: int) -> None:
    """Who is better by the same on every row is surely better by that, however the rows differ."""
    surely = lead(found + more, found, seed)
    assert (surely.low, surely.high) == pytest.approx((more, more))


def test_rows_that_one_lacks_are_left_out() -> None:
    """A pick whose score is unknown is compared with nothing."""
    assert lead(np.array([1.0, np.nan]), np.array([0.5, 0.0]), 0).value == pytest.approx(0.5)
