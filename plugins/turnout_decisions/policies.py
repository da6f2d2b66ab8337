"""Strategies by name, asked about a request as it was: what would they pick, with what probability?"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from attrs import evolve, field, frozen
from loguru import logger

from turnout.errors import LLMError, NoSuitableModelError
from turnout.fleet import Candidate
from turnout.names import near
from turnout.plugins import Plugins
from turnout.types import ModelRequest, ModelSelection, Outcome

CHAIN = "chain"
DRAWS = 64
"""How often a strategy that leaves it to chance is asked again, to learn what else it might have picked."""
ENOUGH = 1.0 - 1e-9
"""Probabilities of picks that add up to so much are all."""

ELSEWHERE = ""
"""Stands for the picks that did not turn up in :data:`DRAWS` draws; no model has that name."""


class UnknownStrategyError(LLMError):
    """No installed strategy has that name."""


@frozen
class Said:
    """What a strategy said about one request; ``skipped`` is one that failed."""

    outcome: Outcome
    selection: ModelSelection | None = None


@frozen
class Pick:
    """What a strategy would have picked.

    ``chances`` are the probabilities of all picks that it might have made, those that are not known under
    :data:`ELSEWHERE`; they add up to 1, or are empty where it chose nothing.
    """

    outcome: Outcome
    model: str | None = None
    chances: Mapping[str, float] = field(factory=dict)


Caller: TypeAlias = Callable[..., object]
Policy: TypeAlias = Callable[[ModelRequest, Sequence[Candidate]], Said]


def policy(plugins: Plugins, name: str) -> Policy:
    """Return the strategy *name*, or the whole configured chain; raises ``UnknownStrategyError``."""
    if name == CHAIN:
        return chain(one(*pair) for pair in plugins.strategies)
    callers = dict(plugins.each("select_model"))
    if name not in callers:
        known = [*sorted(callers), CHAIN]
        close = near(name, known)
        meant = f" Did you mean {' or '.join(close)}?" if close else ""
        message = f"There is no strategy {name!r}.{meant} Installed: {', '.join(known)}"
        raise UnknownStrategyError(message)
    return one(name, callers[name])


def one(name: str, caller: Caller) -> Policy:
    """Return a strategy that is asked alone, as the router asks it."""

    def ask(request: ModelRequest, candidates: Sequence[Candidate]) -> Said:
        try:
            answer = caller(request=request, candidates=candidates)
        except NoSuitableModelError:
            return Said("declined")
        except Exception as error:  # noqa: BLE001  the plugin boundary
            logger.debug("{} failed: {}: {}", name, type(error).__name__, error)
            return Said("skipped")
        if answer is None:
            return Said("abstained")
        names = [candidate.id for candidate in candidates]
        if isinstance(answer, ModelSelection) and answer.model in names:
            return Said("selected", answer)
        return Said("skipped")

    return ask


def chain(policies: Iterable[Policy]) -> Policy:
    """Return the strategies asked in turn: the first that chooses has chosen."""
    links = tuple(policies)

    def ask(request: ModelRequest, candidates: Sequence[Candidate]) -> Said:
        said = (link(request, candidates) for link in links)
        return next((answer for answer in said if answer.selection is not None), Said("abstained"))

    return ask


def pick(ask: Policy, request: ModelRequest, candidates: Sequence[Candidate]) -> Pick:
    """Return what a strategy would pick: the same as then, where it decides by ``request.rng`` as then."""
    said = ask(request, candidates)
    if said.selection is None:
        return Pick(said.outcome)
    return Pick("selected", said.selection.model, _chances(ask, request, candidates, said.selection))


def _chances(
    ask: Policy, request: ModelRequest, candidates: Sequence[Candidate], first: ModelSelection
) -> Mapping[str, float]:
    """Find the other picks of a strategy that leaves it to chance, by asking with other seeds.

    Each pick says its own probability; what is then missing from 1 is :data:`ELSEWHERE`.
    """
    if first.propensity >= 1.0:
        return {first.model: 1.0}
    found = {first.model: [first.propensity]}
    for number in range(DRAWS):
        drawn = ask(_redrawn(request, number), candidates).selection
        if drawn is not None:
            found.setdefault(drawn.model, []).append(drawn.propensity)
        if sum(map(_mean, found.values())) >= ENOUGH:
            break
    total = sum(map(_mean, found.values()))
    chances = {model: _mean(values) / max(total, 1.0) for model, values in found.items()}
    return chances if total >= ENOUGH else {**chances, ELSEWHERE: 1.0 - total}


def _redrawn(request: ModelRequest, number: int) -> ModelRequest:
    """Return *request* under another id, and in another conversation: some strategies draw by that one."""
    conversation = request.conversation_id and f"{request.conversation_id}/{number}"
    return evolve(request, id=f"{request.id}/{number}", conversation_id=conversation)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
