"""What one execution teaches, and what it must not be taken for."""

import math

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from turnout.types import ExecutionMetrics
from turnout_metrics.estimates import Evidence
from turnout_metrics.learned import Learned, Tally, unhealthy

WARM = ExecutionMetrics(
    "m", "h", 6.0, success=True, tokens_generated=101, tokens_per_second=20.0, prompt_tokens=1000,
    time_to_first_token=1.0, finish_reason="stop", timestamp=1000.0,
)  # fmt: skip
COLD = evolve(WARM, resident=False, load_seconds=8.0, time_to_first_token=9.0, duration_seconds=14.0)


def learn(*executions: ExecutionMetrics) -> Evidence:
    learned = Learned()
    for metrics in executions:
        learned.observe(metrics, 0.0)
    return learned.evidence(0.0)


def decode(*executions: ExecutionMetrics) -> float | None:
    measured = learn(*executions).decode
    return None if measured is None else measured.value


def prefill(*executions: ExecutionMetrics) -> float | None:
    measured = learn(*executions).prefill
    return None if measured is None else measured.value


def load(*executions: ExecutionMetrics) -> float | None:
    measured = learn(*executions).load
    return None if measured is None else measured.value


def test_a_warm_execution_teaches_both_rates_and_no_load() -> None:
    """Decoding comes from the rate, prefill from the first token over the prompt."""
    shown = learn(WARM)
    assert decode(WARM) == pytest.approx(1 / 20, rel=0.01)
    assert prefill(WARM) == pytest.approx(1 / 1000, rel=0.01)
    assert shown.load is None
    assert (shown.measured, shown.success_share, shown.outcomes) == (1, 1.0, 1.0)


def test_a_cold_execution_teaches_its_load_and_no_prefill() -> None:
    """A first token that waited for a load says nothing of the prompt."""
    assert load(COLD) == pytest.approx(8.0, rel=0.01)
    assert prefill(COLD) is None


def test_a_load_that_nobody_expected_is_a_load() -> None:
    """Load seconds count even where the deployment was thought resident, and spoil its first token."""
    surprised = evolve(COLD, resident=True)
    assert load(surprised) == pytest.approx(8.0, rel=0.01)
    assert prefill(surprised) is None


def test_a_load_that_is_not_told_is_what_the_first_token_took_beyond_its_prefill() -> None:
    """Servers that do not tell the load show it in the first token."""
    silent = evolve(COLD, load_seconds=None)
    assert load(silent) == pytest.approx(9.0, rel=0.01)
    assert load(WARM, silent) == pytest.approx(8.0, rel=0.02)
    assert load(WARM, evolve(silent, time_to_first_token=0.5)) is None


def test_without_a_told_rate_the_time_after_the_first_token_counts() -> None:
    """100 tokens after the first in 5 seconds are 20 a second."""
    assert decode(evolve(WARM, tokens_per_second=None)) == pytest.approx(1 / 20, rel=0.01)
    assert decode(evolve(WARM, tokens_per_second=None, tokens_generated=1)) is None


def test_an_answer_in_one_piece_counts_when_it_outweighs_its_prompt() -> None:
    """Without a first token, a rate includes prefill: a short answer to a long prompt teaches nothing."""
    whole = evolve(WARM, time_to_first_token=None, tokens_per_second=None)
    assert decode(whole) is None
    assert decode(evolve(whole, prompt_tokens=10)) == pytest.approx(6.0 / 101, rel=0.01)
    assert decode(evolve(whole, prompt_tokens=10, tokens_per_second=16.0)) == pytest.approx(1 / 16, rel=0.01)
    assert decode(evolve(whole, prompt_tokens=1, tokens_generated=8)) is None
    assert decode(evolve(whole, prompt_tokens=10, resident=False)) is None


def test_where_nothing_is_generated_all_time_went_into_the_prompt() -> None:
    """Embeddings teach the prefill rate by their duration."""
    vectors = evolve(WARM, tokens_generated=0, tokens_per_second=None, time_to_first_token=None)
    assert prefill(vectors) == pytest.approx(6.0 / 1000, rel=0.01)
    assert decode(vectors) is None


def test_short_prompts_do_not_outvote_a_long_one() -> None:
    """The prefill rate is that of most tokens, not of most requests: short prompts are all overhead."""
    short = evolve(WARM, prompt_tokens=10, time_to_first_token=0.3)
    long = evolve(WARM, prompt_tokens=4000, time_to_first_token=4.0)
    assert prefill(*[short] * 9, long) == pytest.approx(1 / 1000, rel=0.01)


@pytest.mark.parametrize("worthless", [None, 0.0, -1.0, math.nan, math.inf])
def test_a_worthless_measure_is_no_measure(worthless: float | None) -> None:
    """Zero, missing, negative and infinite values are passed over, and are no error."""
    shown = learn(
        evolve(
            WARM, tokens_per_second=worthless, time_to_first_token=worthless, load_seconds=worthless,
            prompt_tokens=0, tokens_generated=0,
        )
    )  # fmt: skip
    assert shown.decode is shown.prefill is shown.load is None
    assert shown.measured == 0
    assert shown.outcomes == 1.0


def test_a_failed_execution_teaches_no_speed() -> None:
    """What failed may have been another model's speed, or half an answer's."""
    failed = evolve(WARM, success=False, error="StreamInterruptedError")
    shown = learn(failed)
    assert shown.decode is shown.prefill is None
    assert (shown.success_share, shown.outcomes) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        ("LLMConnectionError", True),
        ("ModelCrashedError", True),
        ("LLMTimeoutError", True),
        ("SomethingFromAPlugin", True),
        ("ContextOverflowError", False),
        ("OverloadedError", False),
        ("LLMValidationError", False),
        ("DeadlineExceededError", False),
        ("CancelledError", False),
        ("Fault", True),
        (None, False),
    ],
)
def test_only_the_deployments_own_failures_lower_its_success(error: str | None, counts: bool) -> None:
    """What the request, the caller or our own queue is to blame for says nothing of a deployment."""
    assert unhealthy(error) is counts
    shown = learn(evolve(WARM, success=False, error=error))
    assert shown.outcomes == (1.0 if counts else 0.0)


@given(st.lists(st.booleans(), max_size=40))
def test_a_tally_counts_everything_once(outcomes: list[bool]) -> None:
    """Requests are successes and failures by class; tokens add up; the oldest time stays."""
    tally = Tally()
    for n, success in enumerate(outcomes):
        error = None if success else ("LLMTimeoutError", None)[n % 2]
        tally.count(evolve(WARM, success=success, error=error, timestamp=1000.0 + n))
    assert tally.requests == len(outcomes)
    assert tally.successes == outcomes.count(True)
    assert set(tally.failures) <= {"LLMTimeoutError", "stop"}
    assert tally.prompt_tokens == 1000 * len(outcomes)
    assert tally.tokens_generated == 101 * len(outcomes)
    assert tally.since == (1000.0 if outcomes else math.inf)


def test_merging_joins_counts_and_speeds() -> None:
    """Two deployments merged know what both have seen."""
    one, other = Learned(), Learned()
    for learned, metrics in ((one, WARM), (other, evolve(COLD, success=False, error="ModelCrashedError"))):
        learned.tally.count(metrics)
        learned.observe(metrics, 5.0)
    one.merge(other)
    shown = one.evidence(5.0)
    assert (one.tally.requests, dict(one.tally.failures)) == (2, {"ModelCrashedError": 1})
    assert shown.success_share == pytest.approx(0.5)
    assert shown.outcomes == pytest.approx(2.0)


def test_health_is_forgiven_within_hours_and_speed_is_kept_for_weeks() -> None:
    """Yesterday's failures hardly count today; yesterday's speeds do."""
    learned = Learned()
    for _ in range(10):
        learned.observe(WARM, 0.0)
        learned.observe(evolve(WARM, success=False, error="LLMConnectionError"), 0.0)
    tomorrow = learned.evidence(86_400.0)
    assert tomorrow.outcomes < 0.001
    assert tomorrow.decode is not None
    assert tomorrow.decode.weight > 0.9 * learn(*[WARM] * 10).decode.weight  # type: ignore[union-attr]


def test_what_a_model_writes_is_held_against_what_was_expected() -> None:
    """A truncated answer does not tell how long it would have been, nor one without an expectation."""
    wordy = evolve(WARM, tokens_generated=1000, expected_tokens=200)
    output = learn(wordy, wordy, evolve(wordy, finish_reason="length", tokens_generated=9)).output
    assert output is not None
    assert output.value == pytest.approx(5.0, rel=0.05)
    assert learn(WARM, evolve(wordy, tokens_generated=0)).output is None
