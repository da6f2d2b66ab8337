"""The log decided again by a strategy: what would have been picked instead, and what that changes."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from attrs import frozen

from turnout.fleet import Candidate
from turnout_decisions.journal import Entry, LoggedDecision
from turnout_decisions.offpolicy import OffPolicy
from turnout_decisions.policies import Pick


@frozen
class Move:
    """Decisions that would have gone to another model, and the predicted seconds that this saves in all."""

    origin: str
    destination: str
    decisions: int
    seconds_saved: float


@frozen
class Replayed:
    """What a strategy would have done with the log.

    ``choices`` counts decisions with more than one candidate. ``seconds_saved`` are those that were
    predicted at the time; a load is avoided where the logged model was loaded nowhere and the pick was
    somewhere, and added where it is the other way round. ``estimate`` is None where no reward is known.
    """

    strategy: str
    decisions: int
    choices: int
    outcomes: Counter[str]
    moves: tuple[Move, ...]
    seconds_saved: float
    loads_avoided: int
    loads_added: int
    estimate: OffPolicy | None = None

    @property
    def changed(self) -> int:
        """How many decisions would have gone to another model."""
        return sum(move.decisions for move in self.moves)


@frozen
class _Difference:
    """One decision that would have gone elsewhere."""

    origin: str
    destination: str
    seconds_saved: float
    load: int


def compare(
    strategy: str, entries: Sequence[Entry], picks: Sequence[Pick], estimate: OffPolicy | None = None
) -> Replayed:
    """Compare *picks*, one for each of *entries*, with what was picked."""
    decisions = [entry.decision for entry in entries]
    pairs = zip(decisions, picks, strict=True)
    found = [one for decision, made in pairs if (one := _difference(decision, made)) is not None]
    return Replayed(
        strategy,
        len(entries),
        sum(len(decision.candidates) > 1 for decision in decisions),
        Counter(made.outcome for made in picks),
        _moves(found),
        sum(one.seconds_saved for one in found),
        sum(one.load < 0 for one in found),
        sum(one.load > 0 for one in found),
        estimate,
    )


def _difference(decision: LoggedDecision, made: Pick) -> _Difference | None:
    was = decision.selection.model
    if made.model is None or made.model == was:
        return None
    before, after = decision.candidate(was), decision.candidate(made.model)
    assert after is not None  # a policy picks candidates only
    if before is None:
        return _Difference(was, made.model, 0.0, 0)
    saved = before.completion_seconds(*decision.tokens) - after.completion_seconds(*decision.tokens)
    return _Difference(was, made.model, saved, _loads(after) - _loads(before))


def _loads(candidate: Candidate) -> int:
    return 0 if candidate.resident else 1


def _moves(differences: Iterable[_Difference]) -> tuple[Move, ...]:
    """Return who would have lost decisions to whom, the most first."""
    saved = defaultdict[tuple[str, str], list[float]](list)
    for one in differences:
        saved[one.origin, one.destination].append(one.seconds_saved)
    moves = [Move(*pair, len(seconds), sum(seconds)) for pair, seconds in saved.items()]
    return tuple(sorted(moves, key=lambda move: (-move.decisions, move.origin, move.destination)))
