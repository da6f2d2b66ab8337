"""Estimates start at what the model's size promises, and go where the measurements are."""

import math

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from turnout.fleet import ModelInfo
from turnout_metrics.estimates import (
    SUCCESS_PRIOR,
    Evidence,
    Measured,
    Scale,
    compare,
    predict,
    success_rate,
    typical,
)

EIGHT_B = ModelInfo("eight", parameters=8 * 10**9, bits_per_weight=4.5, size_bytes=4_500_000_000)
numbers = st.none() | st.integers(-5, 10**13)
infos = st.builds(
    ModelInfo,
    st.just("any"),
    parameters=numbers,
    active_parameters=numbers,
    size_bytes=numbers,
    bits_per_weight=st.none() | st.floats(-1.0, 32.0) | st.just(math.nan),
)
measures = st.none() | st.builds(Measured, st.floats(1e-9, 1e6), st.floats(1e-6, 1e6))
evidences = st.builds(
    Evidence, measures, measures, measures, st.floats(0.0, 1.0), st.floats(0.0, 100.0), st.integers(0, 500)
)


@given(infos, evidences, st.lists(st.tuples(infos, evidences), max_size=5), st.booleans())
def test_every_estimate_is_a_usable_number(
    info: ModelInfo, evidence: Evidence, others: list[tuple[ModelInfo, Evidence]], resident: bool
) -> None:
    """Whatever is missing, zero or absurd, all rates are positive and finite, and success is a share."""
    scale = typical([compare(*other) for other in others])
    estimate = predict(info, resident=resident, evidence=evidence, scale=scale)
    assert 0.0 < estimate.decode_seconds_per_token < math.inf
    assert 0.0 < estimate.prefill_seconds_per_token < math.inf
    assert 0.0 <= estimate.load_seconds < math.inf
    assert 0.0 <= estimate.success_rate <= 1.0
    assert math.isfinite(estimate.completion_seconds(10_000, 1_000))


@given(infos, evidences)
def test_what_is_resident_needs_no_load(info: ModelInfo, evidence: Evidence) -> None:
    """Load seconds are 0 for a resident deployment and positive for any other."""
    assert predict(info, resident=True, evidence=evidence).load_seconds == 0.0
    assert predict(info, resident=False, evidence=evidence).load_seconds > 0.0


@given(st.integers(1, 10**12), st.integers(1, 10**12))
def test_a_bigger_model_is_expected_to_be_slower(small: int, more: int) -> None:
    """Without measurements, more bytes mean slower decoding, prefill and load."""
    one = predict(ModelInfo("one", size_bytes=small), resident=False)
    two = predict(ModelInfo("two", size_bytes=small + more), resident=False)
    assert two.decode_seconds_per_token >= one.decode_seconds_per_token
    assert two.prefill_seconds_per_token >= one.prefill_seconds_per_token
    assert two.load_seconds >= one.load_seconds


def test_a_mixture_of_experts_decodes_by_its_active_part_and_loads_whole() -> None:
    """30B-A3B decodes like a model of 3B and loads like one of 30B."""
    mixture = ModelInfo("a3b", parameters=30 * 10**9, active_parameters=3 * 10**9, bits_per_weight=4.0)
    small = predict(ModelInfo("3b", parameters=3 * 10**9, bits_per_weight=4.0), resident=False)
    large = predict(ModelInfo("30b", parameters=30 * 10**9, bits_per_weight=4.0), resident=False)
    found = predict(mixture, resident=False)
    assert found.decode_seconds_per_token == pytest.approx(small.decode_seconds_per_token)
    assert found.load_seconds == pytest.approx(large.load_seconds)
    alone = predict(evolve(mixture, parameters=None), resident=True)
    assert alone.decode_seconds_per_token == pytest.approx(small.decode_seconds_per_token)


def test_an_ordinary_model_on_an_ordinary_machine_makes_some_twenty_tokens_per_second() -> None:
    """The prior of 8B at 4.5 bits is what such a model does on a plain machine; unknown counts as that."""
    for info in (EIGHT_B, ModelInfo("unknown")):
        estimate = predict(info, resident=False)
        assert 15 < 1 / estimate.decode_seconds_per_token < 30
        assert 200 < 1 / estimate.prefill_seconds_per_token < 1000
        assert 3 < estimate.load_seconds < 15
        assert estimate.measured == 0


@given(st.floats(1e-4, 10.0), st.floats(0.1, 1e6), st.floats(1.01, 100.0))
def test_more_evidence_draws_the_estimate_to_the_measured(value: float, weight: float, factor: float) -> None:
    """The estimate lies between prior and measured value, and ever closer to the measured."""
    prior = predict(EIGHT_B, resident=True).decode_seconds_per_token

    def distance(weight: float) -> float:
        found = predict(EIGHT_B, resident=True, evidence=Evidence(decode=Measured(value, weight)))
        return abs(math.log(found.decode_seconds_per_token / value))

    assert distance(weight * factor) <= distance(weight) + 1e-12
    assert distance(weight) <= abs(math.log(prior / value)) + 1e-12


def test_one_answer_outweighs_the_prior() -> None:
    """After one answer of 200 tokens the estimate is within a quarter of a speed ten times the prior."""
    fast = predict(EIGHT_B, resident=True).decode_seconds_per_token / 10
    found = predict(EIGHT_B, resident=True, evidence=Evidence(decode=Measured(fast, 200), measured=1))
    assert found.decode_seconds_per_token == pytest.approx(fast, rel=0.25)
    assert found.measured == 1


def test_prefill_follows_the_models_own_decoding_until_it_is_measured() -> None:
    """A model that decodes ten times slower than expected is expected to read prompts slower too."""
    prior = predict(EIGHT_B, resident=True)
    slow = Evidence(decode=Measured(prior.decode_seconds_per_token * 10, 1e6))
    found = predict(EIGHT_B, resident=True, evidence=slow)
    assert found.prefill_seconds_per_token == pytest.approx(prior.prefill_seconds_per_token * 10, rel=0.01)


@given(st.floats(0.05, 20.0), st.floats(0.05, 20.0), st.floats(0.05, 20.0))
def test_a_hosts_speed_carries_over_to_its_other_models(decode: float, prefill: float, load: float) -> None:
    """Where three models run by certain factors off the prior, a fourth, unmeasured, is expected to."""
    other = ModelInfo("other", size_bytes=20_000_000_000)
    shown = []
    for size in (2, 5, 9):
        info = ModelInfo("measured", size_bytes=size * 10**9)
        prior = predict(info, resident=False)
        evidence = Evidence(
            decode=Measured(prior.decode_seconds_per_token * decode, 1e4),
            prefill=Measured(prior.prefill_seconds_per_token * decode * prefill, 1e4),
            load=Measured(prior.load_seconds * load, 1e4),
        )
        shown.append(compare(info, evidence))
    prior = predict(other, resident=False)
    found = predict(other, resident=False, scale=typical(shown))
    assert found.decode_seconds_per_token == pytest.approx(prior.decode_seconds_per_token * decode, rel=0.15)
    assert found.load_seconds == pytest.approx(prior.load_seconds * load, rel=0.15)
    assert found.prefill_seconds_per_token == pytest.approx(
        prior.prefill_seconds_per_token * decode * prefill, rel=0.25
    )


def test_one_model_that_does_not_fit_slows_no_other() -> None:
    """A host's scale is the median of its models: one that spilled out of video memory is left aside."""
    scale = typical([Scale(decode=0.2), Scale(decode=0.25), Scale(decode=4.0)])
    assert scale.decode == pytest.approx(0.25, rel=0.1)
    assert scale.prefill is scale.load is None


def test_thin_evidence_says_nothing_of_the_host() -> None:
    """A measurement lighter than the prior does not scale other models."""
    assert compare(EIGHT_B, Evidence(decode=Measured(1.0, 2.0), load=Measured(60.0, 0.1))) == Scale()


def test_success_starts_at_the_prior_and_follows_what_happens() -> None:
    """No executions leave the prior; failures lower the rate, and fading evidence brings it back."""
    assert success_rate(Evidence()) == pytest.approx(SUCCESS_PRIOR)
    failing = success_rate(Evidence(success_share=0.0, outcomes=5.0))
    fading = success_rate(Evidence(success_share=0.0, outcomes=0.5))
    assert failing < 0.55 < fading < SUCCESS_PRIOR
    assert success_rate(Evidence(success_share=1.0, outcomes=50.0)) > SUCCESS_PRIOR


@pytest.mark.parametrize(
    ("options", "default", "factor"),
    [((), None, 1.0), (("off", "on"), "on", 4.0), (("off", "on"), "off", 1.0), (("low", "high"), None, 1.0)],
)
def test_a_model_that_thinks_by_default_is_expected_to_write_more(
    options: tuple[str, ...], default: str | None, factor: float
) -> None:
    """So its answer takes longer at the same speed; executions soon show how much."""
    info = evolve(EIGHT_B, reasoning=options, reasoning_default=default)
    plain = predict(info, resident=True)
    assert plain.output_factor == factor
    assert plain.completion_seconds(0, 100) == 100 * factor * plain.decode_seconds_per_token
    shown = predict(info, resident=True, evidence=Evidence(output=Measured(2.0, 1e6)))
    assert shown.output_factor == pytest.approx(2.0, rel=1e-3)
