"""Which of a model's deployments takes a request: one that can start it now, else the one done first."""

from collections.abc import Sequence

from attrs import frozen

from turnout.errors import Fault, ModelNotFoundError
from turnout.fleet import Deployment, Estimate, Fleet
from turnout.types import ModelRequest, ModelSelection, failed_models

LOAD_BYTES_PER_SECOND = 1e9
UNKNOWN_LOAD_SECONDS = 20.0
UNKNOWN_OUTPUT_TOKENS = 256


@frozen
class Option:
    """A deployment that may take the request, and what it costs there.

    ``ready``: resident, with a slot free at once. ``full``: not even its queue has room. ``seconds``:
    predicted to the last token; ``share``: the part of its slots that is taken.
    """

    deployment: Deployment
    ready: bool
    full: bool
    seconds: float
    share: float

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
    """Return the deployment of least cost; chance decides among equals, the same for the same request."""
    least = min(option.cost for option in options)
    equals = [option.deployment for option in options if option.cost == least]
    return equals[0] if len(equals) == 1 else request.rng.choice(equals)


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
