"""A decision keeps its promises whatever the strategies do, and can be explained."""

import math
from collections.abc import Mapping, Sequence

import pytest
from attrs import evolve
from tests.core import worlds
from tests.core.deciding import Oracle, decided, plugged
from tests.core.inline import STRATEGIES, a_deployment, a_fleet, a_host

from turnout import (
    Attempt,
    Candidate,
    Config,
    Decision,
    Deployment,
    Explanation,
    Fault,
    Fleet,
    HostReport,
    Ineligible,
    LLMConnectionError,
    LLMError,
    ModelCapability,
    ModelKind,
    ModelNotFoundError,
    ModelRequest,
    ModelSelection,
    NoSuitableModelError,
    Operation,
    SelectionSettings,
    Signals,
    StrategyChainError,
    TaskType,
    Verdict,
    Vetoes,
    hookimpl,
)
from turnout.plugins import Plugins
from turnout.selection import decide, merge_signals, prepare, repeat

HI = ModelRequest("hi", signals=Signals(prompt_tokens=10, output_tokens=50))


# --- pins -------------------------------------------------------------------------------------------

FLEET = a_fleet(
    a_deployment("pub/m"),
    a_deployment("other/m"),
    a_deployment("pub/n", "two"),
    a_deployment("embed", kind=ModelKind.EMBEDDING),
)


def asked(model: str, *, fleet: Fleet = FLEET, fallback: bool = False, **aliases: str) -> Decision:
    config = Config(selection=SelectionSettings(aliases=aliases))
    request = evolve(HI, explicit_model=model, allow_fallback=fallback)
    return decide(plugged(**STRATEGIES), request, fleet, config)


@pytest.mark.parametrize("name", ["pub/n", "PUB/N", "n", "pub/n:2", "n@q4", "fast"])
def test_a_pin_may_be_written_in_many_ways(name: str) -> None:
    """What is sent upstream is the model's own key."""
    decision = asked(name, fast="n")
    assert decision.chosen().model == "pub/n"
    assert decision.chosen().strategy_used == "explicit"
    assert decision.request.explicit_model == "pub/n"


def test_a_pin_that_is_not_there_is_an_error_with_near_names() -> None:
    """Models and aliases may have been meant, the closest first."""
    config = Config(selection=SelectionSettings(aliases={"pub/nnn": "pub/m"}))
    error = decide(plugged(), evolve(HI, explicit_model="pub/nn"), FLEET, config).error
    assert isinstance(error, ModelNotFoundError)
    assert (error.model_name, error.near) == ("pub/nn", ["pub/nnn", "pub/n", "pub/m"])
    assert str(error).startswith("Model 'pub/nn' not found. Did you mean 'pub/nnn' or 'pub/n' or 'pub/m'? Av")


def test_a_pin_that_is_not_there_may_be_on_a_silent_host() -> None:
    """The error names the hosts that did not answer."""
    reports = (HostReport(a_host("desk"), error=LLMConnectionError("off")), HostReport(a_host("one")))
    error = asked("absent", fleet=Fleet(FLEET.deployments, reports)).error
    assert str(error).startswith("Model 'absent' not found (desk did not answer). Available models: ")


def test_a_pin_of_two_models_is_an_error_that_names_them() -> None:
    """Nobody guesses which was meant."""
    error = asked("m").error
    assert isinstance(error, ModelNotFoundError)
    assert "Model 'm' names more than one model. Did you mean 'pub/m' or 'other/m'?" in str(error)


@pytest.mark.parametrize("name", ["absent", "m"])
def test_with_leave_to_fall_back_another_model_answers(name: str) -> None:
    """A name that means none, or more than one, is then no error."""
    decision = asked(name, fallback=True)
    assert decision.chosen().strategy_used == "performance"
    assert [v.outcome for v in decision.explanation.verdicts] == ["abstained", "selected"]


def test_with_leave_to_fall_back_the_named_model_comes_first() -> None:
    """Leave is for the case that it cannot answer."""
    assert asked("pub/n", fallback=True).chosen().model == "pub/n"


def test_a_pin_that_cannot_take_the_request_says_why() -> None:
    """The reasons are those of its own deployments."""
    error = asked("embed").error
    assert isinstance(error, NoSuitableModelError)
    assert error.message.startswith(
        "No suitable model: embed cannot take this request (one: an embedding model). "
    )


def test_a_pin_that_failed_is_the_failure() -> None:
    """What happened is told, and not that nothing is left."""
    failure = LLMError("it broke", fault=Fault.DEPLOYMENT)
    request = evolve(HI, explicit_model="pub/n", attempts=(Attempt("pub/n", "two", failure),))
    assert decide(plugged(**STRATEGIES), request, FLEET, Config()).error is failure


# --- nobody -----------------------------------------------------------------------------------------


def test_without_any_model_the_hosts_tell_why() -> None:
    """Each host's own answer is told, and how to get one."""
    reports = (
        HostReport(a_host("desk"), error=LLMConnectionError("refused", advice="-")),
        HostReport(a_host("box")),
    )
    error = decided([], evolve(HI, explicit_model="m"), Fleet((), reports)).error
    assert isinstance(error, LLMConnectionError)
    assert error.message == "No host offers a model. inline://desk: refused. -; inline://box: has no models"
    assert "Start LM Studio's server (`lms server start`)" in error.advice


def test_without_any_host_that_is_told() -> None:
    """There is nobody to ask for a reason."""
    error = decided([], HI, Fleet()).error
    assert error is not None
    assert error.message == "No host offers a model. No host is configured"


def test_without_an_eligible_model_everybody_has_a_reason() -> None:
    """No strategy is asked, and the reasons are told."""
    error = decided([worlds.last()], HI, a_fleet(FLEET.deployments[-1])).error
    assert isinstance(error, StrategyChainError)
    assert str(error) == (
        "No model can take this request. Left out: embed on one: an embedding model. "
        "`turnout route --explain` shows everybody."
    )


def test_when_nobody_chooses_each_strategy_has_its_reason() -> None:
    """Abstaining, declining and failing are told apart."""
    strategies = [
        worlds.answering(None),
        worlds.raising(NoSuitableModelError("too small")),
        worlds.raising(OSError("no")),
        worlds.answering(ModelSelection("absent")),
    ]
    decision = decided(strategies, HI, FLEET)
    assert isinstance(decision.error, StrategyChainError)
    assert decision.error.attempted_strategies == ["s0", "s1", "s2", "s3"]
    assert [v.outcome for v in decision.explanation.verdicts] == [
        "abstained",
        "declined",
        "skipped",
        "skipped",
    ]
    assert decision.error.reasons["s0"] == "abstained"
    assert decision.error.reasons["s1"].startswith("No suitable model: too small")
    assert decision.error.reasons["s2"] == "failed: OSError: no"
    assert "which is no selection of a candidate" in decision.error.reasons["s3"]


def test_an_undecided_decision_is_an_error_all_the_same() -> None:
    """There is no third outcome."""
    with pytest.raises(StrategyChainError):
        Decision(HI, Explanation()).chosen()


# --- what is told -----------------------------------------------------------------------------------


class Veto:
    """Forbids one host."""

    @hookimpl
    def veto_deployments(self, deployments: Sequence[Deployment]) -> Mapping[Deployment, str]:
        return {d: "on battery" for d in deployments if d.host.name == "one"}


def test_a_veto_takes_a_deployment_out_with_its_reason() -> None:
    """What is vetoed is no candidate."""
    here, there = a_deployment(), a_deployment(host="two")
    decision = decide(plugged(last=worlds.last(), veto=Veto()), HI, a_fleet(here, there), Config())
    assert [c.deployments for c in decision.candidates] == [(there,)]
    assert decision.explanation.ineligible == (Ineligible("m", "one", "on battery (veto)"),)


class Remark:
    """Forbids nothing, but has something to say."""

    @hookimpl
    def veto_deployments(self, deployments: Sequence[Deployment]) -> Vetoes:
        return Vetoes(notes=f"{len(deployments)} to choose from")


def test_a_decision_keeps_the_notes_of_vetoes_and_of_the_strategy() -> None:
    """They stand in the explanation with the names of who made them, whether somebody can choose or not."""
    chosen = worlds.answering(ModelSelection("m", explanation=Explanation(("x",), notes=("by the stars",))))
    fleet, notes = a_fleet(a_deployment()), ("1 to choose from (remark)", "by the stars (chosen)")
    selection = decide(plugged(chosen=chosen, remark=Remark()), HI, fleet, Config()).chosen()
    assert (selection.explanation.candidates, selection.explanation.notes) == (("m",), notes)
    nobody = decide(plugged(remark=Remark(), chosen=worlds.answering(None)), HI, fleet, Config())
    assert (nobody.selection, nobody.explanation.notes) == (None, notes[:1])


def test_what_a_strategy_puts_for_an_explanation_costs_it_nothing_but_its_notes() -> None:
    """The core writes the explanation, whatever stood there."""
    wrong = worlds.answering(ModelSelection("m", explanation="because"))  # type: ignore[arg-type]
    selection = decided([wrong], HI, a_fleet(a_deployment())).chosen()
    assert (selection.model, selection.explanation.notes) == ("m", ())


def test_a_selection_explains_itself() -> None:
    """Who could be chosen, who could not, and what each strategy said, up to the one that chose."""
    strategies = [
        worlds.answering(None),
        worlds.answering(ModelSelection("pub/n", "I like it")),
        worlds.last(),
    ]
    selection = decided(strategies, HI, FLEET).chosen()
    assert (selection.model, selection.strategy_used, selection.reason) == ("pub/n", "s1", "I like it")
    assert selection.explanation == Explanation(
        candidates=("pub/m", "other/m", "pub/n"),
        ineligible=(Ineligible("embed", "one", "an embedding model"),),
        verdicts=(Verdict("s0", "abstained"), Verdict("s1", "selected", "I like it")),
        signals=HI.signals,
    )


class Looks:
    """A strategy that keeps what it was shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[Candidate, ...]] = []

    @hookimpl
    def select_model(self, candidates: tuple[Candidate, ...]) -> None:
        self.seen.append(candidates)


def test_strategies_see_the_predictions() -> None:
    """Each candidate knows what is expected of its deployments."""
    looks = Looks()
    decide(plugged(looks=looks, oracle=Oracle()), HI, FLEET, Config())
    [[first, *_]] = looks.seen
    assert first.estimate(first.deployments[0]).queue_seconds == len("one")


# --- preparing --------------------------------------------------------------------------------------


class Says:
    """A classifier that says what it is told."""

    def __init__(self, signals: Signals) -> None:
        self.signals = signals

    @hookimpl
    def classify_request(self) -> Signals:
        return self.signals


@pytest.mark.anyio
async def test_of_each_signal_the_first_that_is_known_counts() -> None:
    """The request's own come first, then the plugins' in their order; needs and notes add up."""
    coding = Signals(
        TaskType.CODE_REVIEW, 0.9, needs=frozenset({ModelCapability.CODING}), language="de", notes={"a": 1}
    )
    other = Signals(
        TaskType.OTHER, 0.1, 77, 88, frozenset({ModelCapability.FAST}), language="fr", notes={"a": 2, "b": 3}
    )
    request = ModelRequest("hi", signals=Signals(prompt_tokens=5))
    prepared = await prepare(plugged(one=Says(coding), two=Says(other)), request, Config())
    assert prepared.signals == Signals(
        TaskType.CODE_REVIEW,
        0.9,
        prompt_tokens=5,
        output_tokens=88,
        needs=frozenset({ModelCapability.CODING, ModelCapability.FAST}),
        language="de",
        notes={"a": 1, "b": 3},
    )
    assert merge_signals([Signals()]) == Signals()


@pytest.mark.anyio
@pytest.mark.parametrize(("asked_for", "expected"), [(None, 256), (10, 10), (9000, 256)])
async def test_sizes_that_nobody_knows_are_estimated(asked_for: int | None, expected: int) -> None:
    """Every strategy may count on both numbers of tokens."""
    prepared = await prepare(plugged(), ModelRequest("x" * 400, max_tokens=asked_for), Config())
    assert prepared.signals.prompt_tokens == pytest.approx(100, abs=10)
    assert prepared.signals.output_tokens == expected


@pytest.mark.anyio
async def test_the_default_model_is_taken_where_it_can_serve() -> None:
    """A request that names none gets it, and falls back where it cannot take it."""
    config = Config(selection=SelectionSettings(default_model="pub/n"))
    plugins = plugged(**STRATEGIES)
    plain = decide(plugins, await prepare(plugins, ModelRequest("hi"), config), FLEET, config)
    assert plain.chosen().model == "pub/n"
    embedding = ModelRequest(operation=Operation.EMBEDDINGS, inputs="x")
    assert decide(plugins, await prepare(plugins, embedding, config), FLEET, config).chosen().model == "embed"
    pinned = await prepare(plugins, ModelRequest("hi", explicit_model="pub/m"), config)
    assert (pinned.explicit_model, pinned.allow_fallback) == ("pub/m", False)


# --- trying the same again --------------------------------------------------------------------------


def test_a_selection_can_be_repeated_for_one_deployment() -> None:
    """The others of the model are left out, and that it has failed does not count."""
    here, there = a_deployment(), a_deployment(host="two")
    failed = evolve(HI, attempts=(Attempt("m", "two", LLMError("no", fault=Fault.DEPLOYMENT)),))
    again = repeat(plugged(), failed, a_fleet(here, there), ModelSelection("m", "I like it"), "two")
    assert again is not None
    assert (again.model, again.reason) == ("m", "I like it")
    assert again.explanation.ineligible == (Ineligible("m", "one", "another is retried"),)


@pytest.mark.parametrize(
    ("host", "plugins", "request_"),
    [
        ("gone", plugged(), HI),
        ("one", plugged(veto=Veto()), HI),
        ("two", plugged(), evolve(HI, hosts=frozenset({"one"}))),
    ],
)
def test_what_may_not_serve_any_more_is_not_repeated(
    host: str, plugins: Plugins, request_: ModelRequest
) -> None:
    """It may be gone, vetoed or out of bounds by now."""
    fleet = a_fleet(a_deployment(), a_deployment(host="two"))
    assert repeat(plugins, request_, fleet, ModelSelection("m"), host) is None


def test_an_estimate_without_a_measure_is_no_number() -> None:
    """A candidate without deployments would never finish."""
    assert Candidate(a_deployment().info, ()).completion_seconds(1, 1) == math.inf
