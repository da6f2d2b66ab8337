"""What an answer is worth, and how it is remembered."""

import math

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from turnout_bandit import BanditSettings
from turnout_bandit.beliefs import RATEABLE, SECONDS_PER_DAY, Beliefs
from turnout_bandit.reward import Outcome, outcome_of, price, reward, says_something

from turnout import ExecutionMetrics, TaskType

SETTINGS = BanditSettings()
WELL = Outcome(0.0, "r", "planning", "m", success=True, valid=True, seconds=0.0)
ILL = evolve(WELL, success=False, valid=False)
EXECUTION = ExecutionMetrics(
    "m", "desk", 12.0, success=True, task_type=TaskType.PLANNING, load_seconds=8.0, finish_reason="stop",
    request_id="r", timestamp=5.0,
)  # fmt: skip

ratings = st.none() | st.floats(0, 1)
outcomes = st.builds(
    Outcome, st.floats(0, 1e7), st.sampled_from("xyz"), st.sampled_from(["planning", "other"]),
    st.sampled_from("mn"), st.just(True), st.booleans(), st.floats(0, 1e4), ratings,
)  # fmt: skip


@given(outcomes)
def test_a_reward_lies_between_0_and_1(outcome: Outcome) -> None:
    """Nothing earns more than a whole answer, nor less than none."""
    assert 0.0 <= reward(outcome, SETTINGS) <= 1.0


@pytest.mark.parametrize(
    ("outcome", "worth"),
    [
        (WELL, 0.8),
        (evolve(WELL, rating=1.0), 1.0),
        (evolve(WELL, rating=0.0), 0.0),
        (evolve(WELL, seconds=30.0), 0.7),
        (evolve(WELL, seconds=30.0, rating=1.0), 0.9),
        (evolve(WELL, seconds=math.inf), 0.6),
        (evolve(WELL, valid=False, rating=1.0), 0.0),
        (ILL, 0.0),
    ],
)
def test_success_times_validity_times_rating_less_the_wait(outcome: Outcome, worth: float) -> None:
    """Half the price of waiting is due at thirty seconds, and all of it never."""
    assert reward(outcome, SETTINGS) == pytest.approx(worth)


@pytest.mark.parametrize(
    ("metrics", "limited", "valid", "seconds"),
    [
        (EXECUTION, False, True, 4.0),
        (evolve(EXECUTION, finish_reason="tool_calls", load_seconds=None), False, True, 12.0),
        (evolve(EXECUTION, finish_reason="length"), False, False, 4.0),
        (evolve(EXECUTION, finish_reason="length"), True, True, 4.0),
        (evolve(EXECUTION, finish_reason=None, duration_seconds=math.nan), False, True, 0.0),
        (evolve(EXECUTION, success=False, error="ModelCrashedError"), False, False, 4.0),
    ],
)
def test_an_execution_becomes_an_outcome(
    metrics: ExecutionMetrics, limited: bool, valid: bool, seconds: float
) -> None:
    """Half an answer is valid only where it was asked for, and a load is not the answer's time."""
    made = outcome_of(metrics, limited=limited)
    assert (made.valid, made.seconds) == (valid, seconds)
    assert (made.at, made.request_id, made.task, made.model) == (5.0, "r", "planning", "m")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("ModelCrashedError", True),
        ("EmptyReplyError", True),
        ("DeadlineExceededError", True),
        ("AnswerRejectedError", True),
        ("CancelledError", False),
        ("LLMConnectionError", False),
        ("LLMValidationError", False),
        ("ContextOverflowError", False),
        ("OverloadedError", False),
        (None, True),
    ],
)
def test_not_every_failure_is_the_models(error: str | None, expected: bool) -> None:
    """What the request, the host or the caller did says nothing of the model."""
    assert says_something(evolve(EXECUTION, success=False, error=error)) is expected


@given(st.lists(outcomes, max_size=30))
def test_the_sums_are_the_discounted_sums(seen: list[Outcome]) -> None:
    """Each answer weighs the discount for every later one of its kind, and half for each half-life."""
    beliefs = Beliefs(SETTINGS, seen)
    for task in ("planning", "other"):
        mine = [outcome for outcome in seen if outcome.task == task]
        for model in "mn":
            good = bad = 0.0
            for number, outcome in enumerate(mine):
                if outcome.model == model:
                    newest = max(o.at for o in mine)
                    reached = max(o.at for o in mine[: number + 1])
                    days = (newest - reached) / SECONDS_PER_DAY
                    weight = 0.99 ** (len(mine) - 1 - number) * 0.5 ** (days / 30)
                    good += weight * reward(outcome, SETTINGS)
                    bad += weight * (1 - reward(outcome, SETTINGS))
            known = beliefs.evidence(task, model)
            assert (known.good, known.bad) == pytest.approx((good, bad), abs=1e-6)


@given(st.lists(outcomes, min_size=1, max_size=20), st.floats(0, 1))
def test_a_late_rating_is_as_if_it_had_been_there(seen: list[Outcome], rating: float) -> None:
    """Whatever came in between, rating an answer gives the sums that a rated answer would have given."""
    seen = [evolve(outcome, request_id=str(n), rating=None) for n, outcome in enumerate(seen)]
    late = Beliefs(SETTINGS, seen)
    late.rate("0", 0.5)
    late.rate("0", rating, seen[0].model)
    early = Beliefs(SETTINGS, [evolve(seen[0], rating=rating), *seen[1:]])
    for task in early.tasks:
        for model, known in early.tasks[task].arms.items():
            other = late.evidence(task, model)
            assert (other.good, other.bad) == pytest.approx((known.good, known.bad), abs=1e-6)


def test_a_rating_of_another_models_answer_changes_nothing() -> None:
    """Neither does one of a request that is not known, or that failed."""
    beliefs = Beliefs(SETTINGS, [WELL, evolve(ILL, request_id="failed")])
    before = beliefs.evidence("planning", "m")
    for request, model in (("r", "n"), ("unknown", ""), ("failed", "m")):
        beliefs.rate(request, 0.0, model)
    assert beliefs.evidence("planning", "m") == before


def test_the_oldest_answers_can_no_longer_be_rated() -> None:
    """What may be rated takes up bounded room."""
    seen = [evolve(WELL, request_id=str(n)) for n in range(RATEABLE + 1)]
    beliefs = Beliefs(BanditSettings(discount=1.0), seen)
    before = beliefs.evidence("planning", "m")
    beliefs.rate("0", 0.0)
    assert beliefs.evidence("planning", "m") == before
    beliefs.rate("1", 0.0)
    assert beliefs.evidence("planning", "m") != before


def test_what_is_old_weighs_little() -> None:
    """After a month half is left, and a clock that goes back gives nothing new."""
    beliefs = Beliefs(SETTINGS, [WELL])
    beliefs.age(30 * SECONDS_PER_DAY)
    assert beliefs.evidence("planning", "m").answers == pytest.approx(0.5)
    beliefs.age(0.0)
    assert beliefs.evidence("planning", "m").answers == pytest.approx(0.5)
    beliefs.age(1e6 * SECONDS_PER_DAY)
    assert beliefs.evidence("planning", "m").answers < 1e-9


def test_a_price_grows_with_the_wait() -> None:
    """It never reaches its weight, but where the wait has no end."""
    prices = [price(seconds, 0.5, SETTINGS) for seconds in (0.0, 30.0, 300.0, math.inf)]
    assert prices == pytest.approx([0.0, 0.25, 0.4545, 0.5], abs=1e-3)


@pytest.mark.parametrize("values", [{"discount": 0.0}, {"discount": 1.1}, {"half_life_days": 0.0}])
def test_a_memory_needs_sense(values: dict[str, float]) -> None:
    """A discount of nothing and a half-life of nothing are refused by name."""
    with pytest.raises(ValueError, match=f"'{next(iter(values))}' must be"):
        BanditSettings(**values)  # type: ignore[arg-type]
