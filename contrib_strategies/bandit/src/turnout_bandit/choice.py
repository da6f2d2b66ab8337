"""The choice: an arm for each candidate, and one of them by chance or by what is known."""

import math
from collections.abc import Sequence

from attrs import frozen

from turnout import Candidate, ModelCapability, ModelRequest, TaskType
from turnout_bandit.beliefs import Beliefs
from turnout_bandit.matching import Arm, chances, draw
from turnout_bandit.reward import price, sensible
from turnout_bandit.settings import BanditSettings

ANSWERS = frozenset({"assistant", "tool"})


@frozen
class Option:
    """A candidate as an arm, with the decayed number of ``answers`` behind it."""

    model: str
    arm: Arm
    answers: float


@frozen
class Choice:
    """What was chosen: the option, with what probability, and the others, best first."""

    option: Option
    propensity: float
    explored: bool
    others: tuple[Option, ...]


def may_explore(request: ModelRequest) -> bool:
    """Whether chance may decide: not in a conversation that runs, least of all between a call and its result.

    Nor after a failure, when somebody waits already.
    """
    runs = any(message.role in ANSWERS for message in request.messages)
    return not (runs or request.attempts or request.previous_response_id is not None)


def task_of(request: ModelRequest) -> str:
    """Return the kind of work under which the answer will be counted."""
    return str(request.task_type or request.signals.task_type or TaskType.OTHER)


def choose(
    settings: BanditSettings, beliefs: Beliefs, request: ModelRequest, candidates: Sequence[Candidate]
) -> Choice | None:
    """Choose among *candidates*; None where there are none."""
    found = sorted(
        (option_of(settings, beliefs, request, candidate) for candidate in candidates),
        key=lambda option: (-option.arm.value, option.model),
    )
    if not found:
        return None
    if not may_explore(request):
        return Choice(found[0], 1.0, explored=False, others=tuple(found[1:]))
    shares = chances([option.arm for option in found])
    at = draw(shares, request.rng)
    others = (*found[:at], *found[at + 1 :])
    return Choice(found[at], min(shares[at], 1.0), explored=True, others=others)


def option_of(
    settings: BanditSettings, beliefs: Beliefs, request: ModelRequest, candidate: Candidate
) -> Option:
    """Return a candidate's posterior: its prior, and what was observed of it at this kind of work."""
    task = task_of(request)
    alpha, beta = _prior(settings, request, candidate)
    known = beliefs.evidence(task, candidate.id)
    arm = Arm(alpha + known.good, beta + known.bad, _cost(settings, candidate))
    return Option(candidate.id, arm, known.answers)


def _prior(
    settings: BanditSettings, request: ModelRequest, candidate: Candidate
) -> tuple[float, float]:
    """Return the prior: flat, and drawn to what a model of the known quality earns unrated.

    It weighs as many trials as stand behind the quality, up to ``prior_cap``.
    """
    task = request.task_type or request.signals.task_type or TaskType.OTHER
    quality = candidate.quality(task) or candidate.quality(ModelCapability.GENERAL)
    if quality is None:
        return 1.0, 1.0
    earned = quality.score * settings.unrated - price(
        _work(request, candidate), settings.latency_weight, settings
    )
    mass, mean = min(quality.weight, settings.prior_cap), min(max(earned, 0.0), 1.0)
    return 1.0 + mass * mean, 1.0 + mass * (1.0 - mean)


def _work(request: ModelRequest, candidate: Candidate) -> float:
    """Predict the seconds of the answer itself, without queue and load."""
    prompt, output = request.signals.prompt_tokens or 0, request.signals.output_tokens or 0
    estimates = [candidate.estimate(deployment) for deployment in candidate.deployments]
    return min(
        (
            sensible(
                prompt * e.prefill_seconds_per_token
                + output * e.output_factor * e.decode_seconds_per_token
            )
            for e in estimates
        ),
        default=math.inf,
    )


def _cost(settings: BanditSettings, candidate: Candidate) -> float:
    """Return the price of the wait for the model: a load costs more than a queue, for it evicts others."""
    estimates = [candidate.estimate(deployment) for deployment in candidate.deployments]
    costs = (
        price(sensible(e.load_seconds), settings.switch_weight, settings)
        + price(sensible(e.queue_seconds), settings.latency_weight, settings)
        for e in estimates
    )
    return min(costs, default=0.0)
