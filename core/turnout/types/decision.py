"""Which model was chosen and why: the selection, and the whole decision that it came of."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from attrs import Attribute, field, frozen

from turnout.fleet import Deployment
from turnout.skills import share
from turnout.types.request import Signals, strings

Outcome: TypeAlias = Literal["selected", "abstained", "declined", "skipped"]


@frozen
class Verdict:
    """What one strategy said."""

    strategy: str
    outcome: Outcome
    detail: str = ""


@frozen
class Ineligible:
    """A deployment that could not be chosen, and why."""

    model: str
    host: str
    reason: str

    def __str__(self) -> str:
        return f"{self.model} on {self.host}: {self.reason}"


@frozen
class Reload:
    """A deployment that has to be loaded again before it can serve, with ``context`` tokens at the least.

    ``loaded`` are too few.
    """

    model: str
    host: str
    context: int
    loaded: int

    def __str__(self) -> str:
        return f"{self.model} on {self.host}: {self.reason}"

    @property
    def reason(self) -> str:
        """Say why, as a person reads it."""
        return f"the request needs about {self.context} tokens, and {self.loaded} are loaded"


@frozen
class Explanation:
    """A whole decision: who could be chosen, who could not and why, and what each strategy said.

    ``notes`` are sentences on the whole of it, for its reader: from vetoes and from the chosen strategy.
    ``reloads``: candidates that would be loaded again first, because nobody has enough context as it is.
    """

    candidates: tuple[str, ...] = ()
    ineligible: tuple[Ineligible, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    signals: Signals = Signals()
    notes: tuple[str, ...] = ()
    reloads: tuple[Reload, ...] = ()


@frozen
class Vetoes:
    """The deployments that a plugin forbids, each with a reason; ``notes`` go into the explanation."""

    reasons: Mapping[Deployment, str] = field(factory=dict)
    notes: tuple[str, ...] = field(default=(), converter=strings)


def _not_zero(_: object, attribute: "Attribute[float]", value: float) -> None:
    if value == 0.0:
        message = f"'{attribute.name}' must be above 0: what was chosen can be chosen"
        raise ValueError(message)


@frozen
class ModelSelection:
    """The model that a strategy chose, and why.

    ``ranking`` lists the models that it would take next, best first. The core fills in
    ``strategy_used`` and ``explanation``, of which it keeps a strategy's ``notes``.
    ``estimated_duration`` is in seconds. ``propensity`` is the probability with which the strategy takes
    this model for this request: 1, unless it left it to chance.
    """

    model: str
    reason: str = ""
    ranking: tuple[str, ...] = field(default=(), converter=strings)
    estimated_duration: float | None = None
    strategy_used: str = ""
    explanation: Explanation = field(default=Explanation(), repr=False)
    propensity: float = field(default=1.0, validator=(share, _not_zero))
