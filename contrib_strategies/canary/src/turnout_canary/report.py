"""What the outcomes say: for each treatment and measure the difference, its interval, and a verdict."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeAlias

from attrs import frozen

from turnout_canary.outcomes import Conversation, Outcomes
from turnout_canary.sequential import FEWEST, Difference, Looks, between, paired
from turnout_canary.settings import CanarySettings, Experiment

Verdict: TypeAlias = Literal["better", "worse", "no difference that matters", "not yet"]


@frozen
class Measure:
    """Something that is compared. ``share`` is from 0 to 1 and better when higher; else a log of seconds."""

    name: str
    value: Callable[[Conversation], float | None]
    share: bool = True


def _log_seconds(conversation: Conversation) -> float | None:
    return None if conversation.seconds is None else math.log(conversation.seconds)


MEASURES = (
    Measure("success", lambda conversation: conversation.success),
    Measure("valid", lambda conversation: conversation.valid),
    Measure("rating", lambda conversation: conversation.rating),
    Measure("seconds", _log_seconds, share=False),
)


@frozen
class Finding:
    """One measure of one treatment against the control.

    ``difference`` with ``low`` and ``high`` is treatment less control for shares, and treatment divided by
    control for seconds. ``detectable`` is the smallest difference that the present number could show, on the
    same scale. ``more_needed``: conversations until one of the size that matters would show.
    """

    treatment: str
    measure: str
    verdict: Verdict
    difference: float
    low: float
    high: float
    detectable: float
    more_needed: int


@frozen
class Arm:
    """One model of an experiment; means over its conversations, None where nothing is known."""

    model: str
    conversations: int
    success: float | None
    valid: float | None
    rating: float | None
    seconds: float | None


@frozen
class Report:
    """One experiment: its arms, the control first, and what can be said of the treatments."""

    experiment: Experiment
    arms: tuple[Arm, ...]
    findings: tuple[Finding, ...]


def reports(settings: CanarySettings, outcomes: Outcomes) -> Iterator[Report]:
    """Yield a report for each experiment that is configured."""
    for experiment in settings.experiments:
        seen = {model: outcomes.get((experiment.name, model), ()) for model in experiment.models}
        order = (experiment.control, *experiment.treatments)
        # One chance of a false claim for all that is claimed: Bonferroni.
        alpha = settings.alpha / (len(experiment.treatments) * len(MEASURES))
        looks = Looks(alpha, settings.horizon)
        findings = [
            _finding(treatment, measure, found, looks, settings.effect)
            for treatment in experiment.treatments
            for measure in MEASURES
            if (found := _difference(experiment, seen[treatment], seen[experiment.control], measure))
        ]
        yield Report(experiment, tuple(_arm(model, seen[model]) for model in order), tuple(findings))


def _arm(model: str, seen: Sequence[Conversation]) -> Arm:
    means = {measure.name: _mean(_values(seen, measure)) for measure in MEASURES}
    logs = means.pop("seconds")
    return Arm(model, len(seen), seconds=None if logs is None else math.exp(logs), **means)


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _values(seen: Sequence[Conversation], measure: Measure) -> list[float]:
    return [value for one in seen if (value := measure.value(one)) is not None]


def _difference(
    experiment: Experiment,
    treatment: Sequence[Conversation],
    control: Sequence[Conversation],
    measure: Measure,
) -> Difference | None:
    if not experiment.shadow:
        span = (0.0, 1.0) if measure.share else ()
        return between(_values(treatment, measure), _values(control, measure), span)
    before = {one.unit: measure.value(one) for one in control}
    pairs = [(measure.value(one), before.get(one.unit)) for one in treatment]
    differences = [ours - theirs for ours, theirs in pairs if ours is not None and theirs is not None]
    return paired(differences, (-1.0, 1.0) if measure.share else ())


def _finding(
    treatment: str, measure: Measure, found: Difference, looks: Looks, effect: float
) -> Finding:
    matters = effect if measure.share else math.log1p(effect)
    half = found.half_width(looks)
    show: Callable[[float], float] = float if measure.share else _factor
    low, high = found.estimate - half, found.estimate + half
    return Finding(
        treatment,
        measure.name,
        _verdict(found, low, high, matters, higher_is_better=measure.share),
        show(found.estimate),
        show(max(low, -1.0) if measure.share else low),
        show(min(high, 1.0) if measure.share else high),
        show(min(half, 1.0) if measure.share else half),
        found.more_needed(looks, matters),
    )


def _verdict(
    found: Difference, low: float, high: float, matters: float, *, higher_is_better: bool
) -> Verdict:
    if found.fewest < FEWEST:
        return "not yet"
    if low > 0.0 or high < 0.0:
        return "better" if (low > 0.0) == higher_is_better else "worse"
    return "no difference that matters" if -matters < low and high < matters else "not yet"


def _factor(logarithm: float) -> float:
    return math.exp(min(logarithm, 50.0))
