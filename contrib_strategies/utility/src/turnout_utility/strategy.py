"""The strategy: the candidate whose quality is worth its seconds."""

import math
from collections.abc import Sequence

from attrs import field, frozen, validators

from turnout import Candidate, ModelRequest, ModelSelection, Operation, hookimpl
from turnout_utility.worth import Option, options, seconds_per_tenth

FAST = 0.0


@frozen
class UtilitySettings:
    """The table ``[utility]``.

    ``balance`` is the slider, from 0 (fast) to 1 (good). ``prior_trials``: trials of a model that weigh as
    much as the mean of the others.
    """

    balance: float = field(default=0.5, validator=[validators.ge(0.0), validators.le(1.0)])
    prior_trials: float = field(default=4.0, validator=[validators.ge(0.0), validators.lt(math.inf)])


class Utility:
    """Chooses by quality less the price of the predicted seconds."""

    def __init__(self, settings: UtilitySettings) -> None:
        self.settings = settings

    @hookimpl
    def select_model(
        self, request: ModelRequest, candidates: Sequence[Candidate]
    ) -> ModelSelection | None:
        """Choose the best value; abstain where no candidate's quality is known, and for embeddings."""
        if request.operation is not Operation.CHAT:
            return None
        balance = FAST if request.prefer_fast else self.settings.balance
        tenth = seconds_per_tenth(balance)
        found = options(request, candidates, self.settings.prior_trials)
        ranked = sorted(found, key=lambda o: (-o.utility(tenth), -o.quality, o.model))
        if not ranked:
            return None
        best, *others = ranked
        return ModelSelection(
            best.model,
            _reason(best, others, balance, tenth),
            [option.model for option in others],
            estimated_duration=best.seconds if best.seconds < math.inf else None,
        )


def _reason(best: Option, others: Sequence[Option], balance: float, tenth: float) -> str:
    words = f"quality {_quality(best)} in {_seconds(best)}"
    if not others:
        return f"the only one: {words}"
    following = f"{others[0].model} has {_quality(others[0])} in {_seconds(others[0])}"
    return f"{words} is the best value at balance {balance:g} (0.1 is worth {tenth:.3g} s); {following}"


def _quality(option: Option) -> str:
    if option.known is None:
        return f"{option.quality:.2f} (unknown, the others' mean)"
    return f"{option.quality:.2f} (measured {option.known.score:.2f} in {option.known.weight:.3g} trials)"


def _seconds(option: Option) -> str:
    return f"about {option.seconds:.1f} s" if option.seconds < math.inf else "unknown time"
