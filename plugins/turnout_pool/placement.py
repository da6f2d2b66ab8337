"""Which of a model's deployments takes a request: one that can start it now, else the one done first."""

from collections.abc import Sequence
from math import sqrt

from attrs import frozen

from turnout.errors import Fault, ModelNotFoundError
from turnout.fleet import Deployment, Estimate, Fleet
from turnout.types import ModelRequest, ModelSelection, failed_models

LOAD_BYTES_PER_SECOND = 1e9
UNKNOWN_LOAD_SECONDS = 20.0
UNKNOWN_OUTPUT_TOKENS = 256
ALIKE = 0.1
"""Predicted seconds that differ by a smaller part are no reason to prefer one."""
DOUBT = 0.3
"""By what part one execution's speed commonly misses the next one's; the mean of n misses by √n less."""


@frozen
class Option:
    """A deployment that may take the request, and what it costs there.

    ``ready``: resident, with a slot free at once. ``full``: not even its queue has room. ``seconds``:
    predicted to the last token; ``share``: the part of its slots that is taken. ``home``: it has read the
    beginning of the conversation before. ``measured``: how many executions its speed was learned from.
    """

    deployment: Deployment
    ready: bool
    full: bool
    seconds: float
    share: float
    home: bool = False
    measured: int = 0

    @property
    def cost(self) -> tuple[bool, bool, float]:
        """What to be low in; requests that run beside each other slow each other."""
        return self.full, not self.ready, self.seconds * (1 + self.share) if self.ready else self.seconds


def eligible(request: ModelRequest, selection: ModelSelection, fleet: Fleet) -> list[Deployment]:
    """Return the deployments of the selected model that may take the request.

    One that has failed it is left out, unless there is no other. Raises ``ModelNotFoundError`` when
    there is none at all.
    """
    model, explanation = selection.model, selection.explanation
    left_out = {entry.host for entry in explanation.ineligible if entry.model == model}
    allowed = [d for d in fleet.models.get(model, ()) if d.host.name not in left_out]
    if not allowed:
        reason = "has no deployment that is eligible"
        raise ModelNotFoundError(model, list(fleet.models), reason=reason, fault=Fault.DEPLOYMENT)
    if not request.attempts:
        return allowed
    failed = failed_models(request.attempts)
    return [deployment for deployment in allowed if deployment.key not in failed] or allowed


def best(options: Sequence[Option], request: ModelRequest) -> Deployment:
    """Return the deployment of least cost; chance decides among equals, the same for the same request.

    Of those that can start now, what is predicted to take nearly as long counts as equal: learned speeds of
    like machines are never quite the same, and the fastest by a hair would get everything. Among equals the
    conversation's home comes first, then the idlest.
    """
    least = min(options, key=lambda option: option.cost)
    alike = [option for option in options if _equal(option, least)]
    equals = [option for option in alike if option.home] or _idlest(alike)
    return (equals[0] if len(equals) == 1 else request.rng.choice(equals)).deployment


def _equal(option: Option, least: Option) -> bool:
    """Whether *option* is no worse than *least*, as far as anybody can know."""
    if not (option.ready and least.ready):
        return option.cost == least.cost
    margin = ALIKE
    if option.share <= least.share:  # what runs there is known, and only the speeds are in doubt
        margin = max(ALIKE, DOUBT / sqrt(1 + min(option.measured, least.measured)))
    return option.cost[2] <= least.cost[2] * (1 + margin)


def _idlest(options: Sequence[Option]) -> list[Option]:
    least = min(option.share for option in options)
    return [option for option in options if option.share == least]


def load_seconds(deployment: Deployment, estimate: Estimate) -> float:
    """Predict a load: what is expected, else by size."""
    if estimate.load_seconds > 0:
        return estimate.load_seconds
    size = deployment.info.size_bytes
    return UNKNOWN_LOAD_SECONDS if size is None else 1.0 + size / LOAD_BYTES_PER_SECOND


@frozen
class Work:
    """What a request takes on a deployment: tokens to read and to write, and the seconds for both."""

    prompt: float
    output: float
    seconds: float

    @property
    def tokens(self) -> float:
        """What it takes of a context."""
        return self.prompt + self.output


def work_of(request: ModelRequest, estimate: Estimate) -> Work:
    """Predict prefill and decode, without queue and load."""
    signals = request.signals
    prompt = signals.prompt_tokens or 0
    expected = (signals.output_tokens or UNKNOWN_OUTPUT_TOKENS) * estimate.output_factor
    output = request.max_tokens or expected
    seconds = prompt * estimate.prefill_seconds_per_token + output * estimate.decode_seconds_per_token
    return Work(prompt, output, seconds)
