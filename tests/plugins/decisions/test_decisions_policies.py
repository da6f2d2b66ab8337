"""Asking strategies again: by name, alone or in their order, certain or by chance."""

from collections.abc import Callable, Sequence
from random import Random

import pytest
from attrs import evolve
from tests.core.inline import STRATEGIES

from turnout import Candidate, ModelRequest, ModelSelection, NoSuitableModelError, hookimpl
from turnout.plugins import Plugins
from turnout_decisions.offpolicy import evaluate
from turnout_decisions.policies import CHAIN, ELSEWHERE, UnknownStrategyError, pick, policy

from .logging_world import CODE, an_entry, candidates

MakePlugins = Callable[..., Plugins]
REQUEST = ModelRequest("hi", id="one", signals=CODE)


class Chance:
    """Takes each model with a chance of its own, drawn by ``request.rng``."""

    def __init__(self, chances: dict[str, float], *, also: object = None) -> None:
        self.chances = chances
        self.also = also

    @hookimpl
    def select_model(self, request: ModelRequest) -> ModelSelection:
        (model,) = request.rng.choices(list(self.chances), list(self.chances.values()))
        return ModelSelection(model, propensity=self.chances[model])


class ByConversation:
    """Sends a tenth of all conversations to b, each of them for ever."""

    @hookimpl
    def select_model(self, request: ModelRequest) -> ModelSelection:
        rare = Random(request.conversation_id).random() < 0.1
        return ModelSelection("b", propensity=0.1) if rare else ModelSelection("a", propensity=0.9)


class Doing:
    """Does the same for every request."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    @hookimpl
    def select_model(self, candidates: Sequence[Candidate]) -> object:
        return self.act()


def declining() -> object:
    raise NoSuitableModelError("none")


def failing() -> object:
    raise OSError("no")


@pytest.mark.parametrize(
    ("act", "outcome"),
    [
        (lambda: None, "abstained"),
        (declining, "declined"),
        (failing, "skipped"),
        (lambda: ModelSelection("absent"), "skipped"),
        (lambda: "a", "skipped"),
        (lambda: ModelSelection("b"), "selected"),
    ],
)
def test_outcomes_are_those_of_the_router(
    turnout_plugins: MakePlugins, act: Callable[[], object], outcome: str
) -> None:
    """What a strategy answers is taken as the router takes it."""
    found = pick(policy(turnout_plugins(it=Doing(act)), "it"), REQUEST, candidates())
    assert found.outcome == outcome
    assert (found.model, dict(found.chances)) == (("b", {"b": 1.0}) if outcome == "selected" else (None, {}))


def test_the_chain_asks_in_order(turnout_plugins: MakePlugins) -> None:
    """The first that chooses has chosen; where nobody does, the chain abstains."""
    plugins = turnout_plugins(**STRATEGIES)
    assert pick(policy(plugins, CHAIN), REQUEST, candidates({"a": 2.0, "b": 1.0})).model == "b"
    assert pick(policy(plugins, CHAIN), REQUEST, ()).outcome == "abstained"
    pinned = ModelRequest("hi", explicit_model="a", signals=CODE)
    assert pick(policy(plugins, CHAIN), pinned, candidates({"a": 2.0, "b": 1.0})).model == "a"
    assert pick(policy(plugins, "performance"), pinned, candidates({"a": 2.0, "b": 1.0})).model == "b"


def test_unknown_strategies(turnout_plugins: MakePlugins) -> None:
    """A name that no strategy has is an error with the names that it may mean."""
    plugins = turnout_plugins(**STRATEGIES)
    with pytest.raises(UnknownStrategyError, match="Did you mean performance") as caught:
        policy(plugins, "preformance")
    assert "Installed: explicit, fallback, performance, chain" in caught.value.message
    with pytest.raises(UnknownStrategyError, match=r"'zzz'\. Installed"):
        policy(plugins, "zzz")


def test_chances_are_found(turnout_plugins: MakePlugins) -> None:
    """Of a strategy that leaves it to chance every pick is found, each with its own probability."""
    ask = policy(turnout_plugins(it=Chance({"a": 0.75, "b": 0.25})), "it")
    found = pick(ask, REQUEST, candidates())
    assert found.chances == pytest.approx({"a": 0.75, "b": 0.25})
    assert found.model == pick(ask, REQUEST, candidates()).model


def test_a_chance_that_is_never_seen(turnout_plugins: MakePlugins) -> None:
    """What does not turn up is a pick elsewhere, and adds nothing to those that do."""
    ask = policy(turnout_plugins(it=Chance({"a": 1 - 1e-6, "b": 1e-6})), "it")
    found = pick(ask, REQUEST, candidates()).chances
    assert found == pytest.approx({"a": 1 - 1e-6, ELSEWHERE: 1e-6}, rel=1e-9)


def test_a_chance_drawn_by_the_conversation(turnout_plugins: MakePlugins) -> None:
    """Of a strategy that keeps a conversation where it is, the picks in other conversations are found."""
    ask = policy(turnout_plugins(it=ByConversation()), "it")
    requests = [ModelRequest("hi", id=str(n), conversation_id=f"talk {n}") for n in range(20)]
    for request in requests:
        assert pick(ask, request, candidates()).chances == pytest.approx({"a": 0.9, "b": 0.1})


@pytest.mark.parametrize("kept_as", ["talk", "hash of talk"])
def test_replaying_a_canary_earns_what_was_earned(turnout_plugins: MakePlugins, kept_as: str) -> None:
    """Replayed, it is worth what it was worth, though the log has only the hash of a conversation."""
    ask = policy(turnout_plugins(it=ByConversation()), "it")
    entries, picks = [], []
    for number in range(400):
        request = ModelRequest("hi", id=str(number), conversation_id=f"talk {number}")
        chosen = ask(request, candidates()).selection
        assert chosen is not None
        rating = 0.5 if chosen.model == "a" else 1.0
        entries.append(an_entry(chosen.model, rating=rating, propensity=chosen.propensity))
        again = evolve(request, conversation_id=f"{kept_as} {number}")
        picks.append(pick(ask, again, candidates()))
    found = evaluate(entries, picks)
    assert found is not None
    assert found.ips is not None
    assert found.ips.value == pytest.approx(found.logged.value, abs=0.02)


def test_a_strategy_that_sometimes_abstains(turnout_plugins: MakePlugins) -> None:
    """Draws in which nothing was chosen add no pick, and what is missing then is not given to the others."""

    class Sometimes:
        @hookimpl
        def select_model(self, request: ModelRequest) -> ModelSelection | None:
            return None if "/" in request.id else ModelSelection("a", propensity=0.5)

    found = pick(policy(turnout_plugins(it=Sometimes()), "it"), REQUEST, candidates())
    assert found.chances == {"a": 0.5, ELSEWHERE: 0.5}
