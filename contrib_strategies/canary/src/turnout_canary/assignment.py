"""Who gets which arm: decided by a hash, so that one conversation stays in one arm."""

from collections.abc import Collection, Iterable
from hashlib import blake2b

from attrs import frozen

from turnout import ModelRequest, Operation
from turnout_canary.settings import Experiment


@frozen
class Assignment:
    """A request's arm. ``copy_to`` is the treatment that gets a copy, in a shadow experiment."""

    experiment: Experiment
    model: str
    unit: str
    propensity: float = 1.0
    copy_to: str | None = None

    @property
    def reason(self) -> str:
        """What the selection says; nobody else says the same."""
        name, propensity = self.experiment.name, self.propensity
        if self.experiment.shadow:
            also = f", and {self.copy_to} answers a copy when it is idle" if self.copy_to else ""
            return f"experiment {name!r}: the control{also}"
        arm = "the control" if self.model == self.experiment.control else "a treatment"
        return f"experiment {name!r}: {arm}, which {propensity:.3g} of the conversations get"


def assign(
    experiments: Iterable[Experiment], request: ModelRequest, models: Collection[str]
) -> Assignment | None:
    """Return the arm of *request* in the first of *experiments* that is about it; None where none is.

    All arms must be among *models*: otherwise they would answer different requests, and not be comparable.
    After a failure nothing is assigned: whatever follows belongs to the arm that failed.
    """
    continues_nameless = request.previous_response_id is not None and not request.conversation_id
    if request.operation is not Operation.CHAT or request.attempts or continues_nameless:
        return None
    task = request.task_type or request.signals.task_type
    for experiment in experiments:
        if experiment.models <= set(models) and (not experiment.task_types or task in experiment.task_types):
            return _assigned(experiment, request)
    return None


def _assigned(experiment: Experiment, request: ModelRequest) -> Assignment:
    unit = request.conversation_id or request.id
    treatment = _treatment(experiment, unit)
    if experiment.shadow:
        copied = None if request.stateful else treatment
        return Assignment(experiment, experiment.control, unit, copy_to=copied)
    if treatment is None:
        return Assignment(experiment, experiment.control, unit, 1.0 - experiment.weight)
    return Assignment(experiment, treatment, unit, experiment.weight / len(experiment.treatments))


def _treatment(experiment: Experiment, unit: str) -> str | None:
    drawn = share(experiment.name, unit)
    if drawn >= experiment.weight:
        return None
    number = int(drawn / experiment.weight * len(experiment.treatments))
    return experiment.treatments[min(number, len(experiment.treatments) - 1)]


def share(name: str, unit: str) -> float:
    """Return where *unit* stands in the experiment *name*: from 0 to below 1, the same for ever."""
    text = f"{name}\0{unit}".encode(errors="surrogatepass")
    return (int.from_bytes(blake2b(text, digest_size=8).digest()) >> 11) / 2**53
