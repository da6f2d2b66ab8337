"""What is compared with what, and how sure the report has to be."""

from pathlib import Path

from attrs import Attribute, field, frozen, validators

from turnout import TaskType

_share = [validators.ge(0.0), validators.le(1.0)]
_inside = [validators.gt(0.0), validators.lt(1.0)]


@frozen
class Experiment:
    """``[[canary.experiments]]``: a control model against one or more treatments.

    ``weight`` is the share of conversations that the treatments get together, each as many. ``task_types``
    limits it to some kinds of work. With ``shadow`` the control answers everybody, and the treatments answer
    copies that nobody sees.
    """

    name: str = field(validator=validators.min_len(1))
    control: str = field(validator=validators.min_len(1))
    treatments: tuple[str, ...] = field(validator=validators.min_len(1))
    weight: float = field(default=0.1, validator=_share)
    task_types: frozenset[TaskType] = frozenset()
    shadow: bool = False

    @treatments.validator
    def _others(self, attribute: "Attribute[tuple[str, ...]]", value: tuple[str, ...]) -> None:
        if len({self.control, *value}) <= len(value):
            message = f"'{attribute.name}' must be models other than the control, each named once"
            raise ValueError(message)

    @property
    def models(self) -> frozenset[str]:
        """All arms."""
        return frozenset({self.control, *self.treatments})


@frozen
class CanarySettings:
    """The table ``[canary]``.

    ``path`` is the SQLite file, by default ``canary.db`` in the user's data directory. ``alpha`` is the
    chance that one experiment's report ever claims a difference where there is none, however often it is
    looked at. ``effect`` is the smallest difference that matters: 0.1 is a tenth of all answers, or a tenth
    of the seconds. ``horizon`` is the number of conversations at which the intervals are narrowest.
    """

    experiments: tuple[Experiment, ...] = field(default=())
    path: Path | None = None
    alpha: float = field(default=0.05, validator=_inside)
    effect: float = field(default=0.1, validator=_inside)
    horizon: int = field(default=300, validator=validators.ge(1))

    @experiments.validator
    def _names(self, attribute: "Attribute[tuple[Experiment, ...]]", value: tuple[Experiment, ...]) -> None:
        if len({experiment.name for experiment in value}) < len(value):
            message = f"'{attribute.name}' must have different names"
            raise ValueError(message)
