"""Best of several short answers, by majority."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from attrs import evolve, field, frozen

from turnout.router import Router
from turnout.types import ModelRequest, Reply
from turnout_parallel.outcome import Outcome, copies, distinct, failure
from turnout_parallel.together import gathered

SAMPLING_TEMPERATURE = 0.7
"""For samples of one model where the request does not say: at 0 they would all be the same."""


@frozen
class Vote:
    """An election: the winning ``reply``, and how many votes each answer had, most first.

    ``outcomes`` are in the order of the models. Those that were stopped because they could not change the
    result any more are ``cancelled``.
    """

    reply: Reply
    tally: tuple[tuple[str, int], ...]
    outcomes: tuple[Outcome, ...] = field(repr=False)

    @property
    def share(self) -> float:
        """The part of the votes cast that the winner has, from 0 to 1."""
        return self.tally[0][1] / sum(count for _, count in self.tally)


def short_answer(reply: Reply) -> str:
    """Return the text so that the same short answer is the same vote: case, space and ends do not matter."""
    text = unicodedata.normalize("NFKC", reply.text).casefold()
    return " ".join(text.split()).strip(" .!?,;:*_`\"'“”‘’()[]")


async def vote(
    router: Router,
    request: ModelRequest,
    models: Iterable[str] | int,
    *,
    key: Callable[[Reply], str] = short_answer,
) -> Vote:
    """Ask several *models*, or take so many samples of one, and return the answer that most agree on.

    A number means samples: of the request's own model, or each of one that is selected (self-consistency,
    Wang et al. 2022, arXiv:2203.11171), at temperature 0.7 where the request does not say and each with a
    seed of its own. *key* says which answers are the same; an empty one is no vote. Ties go to the answer
    whose first vote stands first in the order of the models. What can change nothing any more is stopped.

    Raises ``ConcurrentExecutionError``, or the only error, when there is no vote; ``ValueError`` without
    any model or sample.
    """
    names, requests = _ballots(request, models)

    def decided(outcomes: Sequence[Outcome | None]) -> bool:
        votes = Counter(_votes([one for one in outcomes if one is not None], key)).most_common(2)
        lead = votes[0][1] - (votes[1][1] if len(votes) > 1 else 0) if votes else 0
        return lead > outcomes.count(None)

    outcomes = await gathered(router, names, requests, enough=decided)
    return _counted(outcomes, key)


def _ballots(request: ModelRequest, models: Iterable[str] | int) -> tuple[list[str], list[ModelRequest]]:
    if not isinstance(models, int):
        names = distinct(models)
        return names, copies(request, names)
    if models < 1:
        message = f"take at least one sample, not {models}"
        raise ValueError(message)
    if request.temperature is None:
        request = evolve(request, temperature=SAMPLING_TEMPERATURE)
    pinned = copies(request, [request.explicit_model] * models)
    seeded = [
        evolve(one, seed=None if request.seed is None else request.seed + number)
        for number, one in enumerate(pinned)
    ]
    return [request.explicit_model or "" for _ in seeded], seeded


def _votes(outcomes: Sequence[Outcome], key: Callable[[Reply], str]) -> list[str]:
    cast = [key(one.reply) for one in outcomes if one.good and one.reply is not None]
    return [answer for answer in cast if answer]


def _counted(outcomes: tuple[Outcome, ...], key: Callable[[Reply], str]) -> Vote:
    tally = Counter(_votes(outcomes, key)).most_common()
    if not tally:
        raise failure(outcomes)
    first = (one.reply for one in outcomes if one.good and one.reply and key(one.reply) == tally[0][0])
    return Vote(next(first), tuple(tally), outcomes)
