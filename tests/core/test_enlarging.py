"""A request that needs more context than is loaded: a larger load is the last way before an error."""

from collections.abc import Mapping, Sequence

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from tests.core import worlds
from tests.core.deciding import decided, plugged
from tests.core.inline import a_deployment, a_fleet, a_host

from turnout import (
    Attempt,
    Config,
    ContextOverflowError,
    Decision,
    Deployment,
    Fleet,
    Ineligible,
    ModelKind,
    ModelRequest,
    NoSuitableModelError,
    Reload,
    Signals,
    StrategyChainError,
    hookimpl,
)
from turnout.eligibility import eligible, if_enlarged, if_shorter, needs_of
from turnout.selection import decide

LONG = ModelRequest("x", signals=Signals(prompt_tokens=12_000, output_tokens=50))
"""Surely 9000 tokens."""


def may_grow(
    model: str = "m", host: str = "one", *, to: int = 32_768, loaded: int = 4096, last_resort: bool = False
) -> Deployment:
    made = a_deployment(model, a_host(host, last_resort=last_resort), context=32_768, loaded=loaded)
    return evolve(made, enlargeable=to)


def asked(*deployments: Deployment, request: ModelRequest = LONG) -> Decision:
    return decided([worlds.last()], request, a_fleet(*deployments))


growing = st.builds(
    lambda fleet, most: [evolve(d, enlargeable=m) for d, m in zip(fleet.deployments, most, strict=False)],
    worlds.fleets,
    st.lists(st.sampled_from([0, 4096, 32_000]), min_size=8, max_size=8),
)


@given(growing, worlds.requests)
def test_nobody_is_loaded_again_who_has_enough_or_may_not(
    deployments: list[Deployment], request: ModelRequest
) -> None:
    """Whoever would be is too small as it is, may have what is needed, and nothing else is against it."""
    needs = needs_of(request)
    for deployment in if_enlarged(needs, deployments):
        assert deployment.loaded_context is not None
        assert deployment.loaded_context < needs.context <= deployment.enlargeable
        assert deployment.key not in needs.failed
        assert deployment not in eligible(needs, deployments)[0]


@given(growing, worlds.requests)
def test_a_decision_counts_on_a_load_only_where_nobody_can_serve_without(
    deployments: list[Deployment], request: ModelRequest
) -> None:
    """And then every candidate is one that is to be loaded again, and is not left out at the same time."""
    request = evolve(request, explicit_model=None)
    decision = decided([worlds.last()], request, Fleet(tuple(deployments)))
    reloads = {(one.host, one.model) for one in decision.explanation.reloads}
    out = {(one.host, one.model) for one in decision.explanation.ineligible}
    assert not reloads & out
    if reloads:
        able = eligible(needs_of(request), deployments)[0]
        assert all(d.host.last_resort for d in able)
        assert {d.key for c in decision.candidates for d in c.deployments} == reloads


def test_who_has_enough_context_is_the_only_candidate() -> None:
    """Whoever would have to be loaded again is left out, with the reason as ever."""
    decision = asked(may_grow(), a_deployment(host="two", context=32_768, loaded=32_768))
    assert [d.host.name for c in decision.candidates for d in c.deployments] == ["two"]
    assert decision.explanation.reloads == ()
    assert "loaded with 4096" in decision.explanation.ineligible[0].reason


def test_where_nobody_has_whoever_may_grow_is() -> None:
    """The explanation says which, and those that may not keep their reasons."""
    decision = asked(may_grow(), may_grow(host="two", to=8192), may_grow("n", loaded=2048))
    assert decision.chosen().explanation.reloads == (
        Reload("m", "one", 9000, 4096),
        Reload("n", "one", 9000, 2048),
    )
    assert [(one.host, one.model) for one in decision.explanation.ineligible] == [("two", "m")]


def test_a_pin_is_loaded_again_and_no_other_model() -> None:
    """A model that was named is never replaced, nor is another one touched for it."""
    fleet = (may_grow("m"), may_grow("n"), a_deployment("o", context=32_768, loaded=32_768))
    decision = asked(*fleet, request=evolve(LONG, explicit_model="m"))
    assert [one.model for one in decision.explanation.reloads] == ["m"]
    assert asked(*fleet).chosen().model == "o"


def test_a_larger_load_comes_before_a_last_resort() -> None:
    """The small model of last resort has room, and is left out with that reason."""
    spare = a_deployment("s", a_host("spare", last_resort=True), context=65_536, loaded=65_536)
    decision = asked(may_grow(), spare)
    assert [c.id for c in decision.candidates] == ["m"]
    assert decision.explanation.ineligible == (
        Ineligible("s", "spare", "a last resort, and another host can serve with a larger context"),
    )
    assert [c.id for c in asked(may_grow("t", "spare", last_resort=True), spare).candidates] == ["s"]


def test_what_has_overflowed_needs_more_than_that() -> None:
    """A server has counted, so the estimate does not matter; and who failed is not asked again."""
    short = ModelRequest("x", signals=Signals(prompt_tokens=1000))
    overflow = ContextOverflowError("too long", 5000, 4096)
    again = evolve(short, attempts=(Attempt("m", "one", overflow),))
    decision = asked(may_grow(), may_grow(host="two"), request=again)
    assert decision.explanation.reloads == (Reload("m", "two", 4097, 4096),)
    assert asked(may_grow(), request=again).error is overflow


class Full:
    """Has no room on the host ``one``."""

    @hookimpl
    def veto_deployments(self, deployments: Sequence[Deployment]) -> Mapping[Deployment, str]:
        return {d: "no room" for d in deployments if d.host.name == "one"}


def vetoed(*deployments: Deployment) -> Decision:
    return decide(plugged(last=worlds.last(), full=Full()), LONG, a_fleet(*deployments), Config())


def test_a_veto_holds_for_what_would_be_loaded_again() -> None:
    """Its reason is told in place of the length."""
    decision = vetoed(may_grow(), may_grow(host="two"))
    assert [one.host for one in decision.explanation.reloads] == ["two"]
    assert decision.explanation.ineligible == (Ineligible("m", "one", "no room (full)"),)
    nobody = vetoed(may_grow())
    assert isinstance(nobody.error, ContextOverflowError)
    assert "m on one: no room (full)" in nobody.error.message


def test_a_request_that_is_only_too_long_is_an_overflow() -> None:
    """With the numbers and what to do: a larger load where the model knows more, else a shorter prompt."""
    error = asked(a_deployment(context=32_768, loaded=4096), a_deployment("n", loaded=8192)).error
    assert isinstance(error, ContextOverflowError)
    assert (error.prompt_tokens, error.context_length) == (9000, 8192)
    assert error.message.startswith("The request needs about 9000 tokens of context. No model can take")
    assert "`turnout models load m --context-length 32768` gives it more" in error.message
    assert error.advice == ContextOverflowError.default_advice
    hopeless = asked(a_deployment(loaded=8192, context=8192), a_deployment("n", context=4096, loaded=None))
    assert hopeless.error is not None
    assert hopeless.error.advice == "Shorten the prompt: no model takes so much."
    unknown = asked(a_deployment(loaded=8192, context=None)).error
    assert unknown is not None
    assert unknown.advice == ContextOverflowError.default_advice


@pytest.mark.parametrize("pin", [None, "e"])
def test_what_has_another_reason_is_no_overflow(pin: str | None) -> None:
    """A model of the wrong kind would not do for a short prompt either; a vetoed one has room."""
    embedder = a_deployment("e", loaded=4096, kind=ModelKind.EMBEDDING)
    kind = StrategyChainError if pin is None else NoSuitableModelError
    assert isinstance(asked(embedder, request=evolve(LONG, explicit_model=pin)).error, kind)
    roomy = a_deployment("r", context=32_768, loaded=32_768)
    assert isinstance(vetoed(roomy, a_deployment("s", host="two", loaded=4096)).error, StrategyChainError)
    assert if_shorter(needs_of(LONG), [embedder, roomy]) == []
