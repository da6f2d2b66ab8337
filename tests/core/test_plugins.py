"""The hooks as methods: what one plugin does wrong costs nobody else."""

from collections.abc import Iterator, Mapping
from typing import NoReturn

import pytest
from tests.core.inline import a_deployment, a_host

from turnout import (
    Attempt,
    Config,
    Deployment,
    Discovery,
    Estimate,
    ExecutionMetrics,
    LLMError,
    LoadOptions,
    ModelRequest,
    ModelSelection,
    NextStep,
    PluginError,
    Signals,
    TaskType,
    Vetoes,
    hookimpl,
)
from turnout.plugins import Plugins

HERE = a_deployment()
REQUEST = ModelRequest("hi")
METRICS = ExecutionMetrics("m", "one", 1.0, True)


def fail() -> NoReturn:
    message = "no"
    raise OSError(message)


class Broken:
    """Fails in every hook that is isolated."""

    @hookimpl
    def classify_request(self) -> Signals:
        fail()

    @hookimpl
    def veto_deployments(self) -> Mapping[Deployment, str]:
        fail()

    @hookimpl
    def estimate(self) -> Mapping[Deployment, Estimate]:
        fail()

    @hookimpl
    def record_selection(self) -> None:
        fail()

    @hookimpl
    def record_execution(self) -> None:
        fail()

    @hookimpl
    def report_stats(self) -> Mapping[str, int]:
        fail()

    @hookimpl
    def on_failure(self) -> NextStep:
        message = "an error here is no answer"
        raise LLMError(message)

    @hookimpl
    def discover_models(self) -> Iterator[Discovery]:
        yield Discovery(a_host("found-before"), self.nothing)
        fail()

    async def nothing(self) -> list[Deployment]:
        return []


class Nonsense:
    """Answers every hook with what it may not."""

    @hookimpl
    def classify_request(self) -> str:
        return "code"

    @hookimpl
    def veto_deployments(self) -> list[Deployment]:
        return [HERE]

    @hookimpl
    def estimate(self) -> Mapping[Deployment, float]:
        return {HERE: 3.0}

    @hookimpl
    def on_failure(self) -> str:
        return "retry"

    @hookimpl
    def discover_models(self) -> int:
        return 3


class Good:
    """Answers as it should."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    @hookimpl
    def classify_request(self) -> Signals:
        return Signals(task_type=TaskType.OTHER)

    @hookimpl
    def veto_deployments(self) -> Mapping[Deployment, str]:
        return {HERE: "on battery"}

    @hookimpl
    def record_selection(self, selection: ModelSelection) -> None:
        self.seen.append(selection)

    @hookimpl
    def record_execution(self, metrics: ExecutionMetrics) -> None:
        self.seen.append(metrics)

    @hookimpl
    def report_stats(self) -> Mapping[str, int]:
        return {"seen": len(self.seen)}

    @hookimpl
    def discover_models(self) -> list[Discovery]:
        return [Discovery(a_host("found-before"), self.nothing), Discovery(a_host("one"), self.nothing)]

    async def nothing(self) -> list[Deployment]:
        return []


@pytest.fixture(name="good")
def _good() -> Good:
    return Good()


@pytest.fixture(name="plugins")
def _plugins(good: Good) -> Plugins:
    """Return hooks of which the broken ones are asked first."""
    plugins = Plugins()
    plugins.add("good", good)
    plugins.add("nonsense", Nonsense())
    plugins.add("broken", Broken())
    return plugins


@pytest.mark.anyio
async def test_signals_of_the_others_count(plugins: Plugins, log: list[str]) -> None:
    """A classifier that fails, or says what is no signal, is logged by name and left out."""
    assert await plugins.classify_request(REQUEST) == [Signals(task_type=TaskType.OTHER)]
    assert log == [
        "WARNING plugin 'broken' failed in classify_request: OSError: no",
        "WARNING plugin 'nonsense' failed in classify_request: TypeError: returned 'code', not Signals",
    ]


class Slow:
    """Needs time to classify."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    @hookimpl
    def classify_request(self) -> object:
        return self.think()

    async def think(self) -> Signals | None:
        if self.error is not None:
            raise self.error
        return None


@pytest.mark.anyio
async def test_signals_may_take_work(good: Good, log: list[str]) -> None:
    """An awaitable is awaited, may come to nothing, and may fail like any other."""
    plugins = Plugins()
    plugins.add("good", good)
    plugins.add("slow", Slow())
    plugins.add("slow and broken", Slow(OSError("no")))
    assert await plugins.classify_request(REQUEST) == [Signals(task_type=TaskType.OTHER)]
    assert log == ["WARNING plugin 'slow and broken' failed in classify_request: OSError: no"]


def test_vetoes_of_the_others_count(plugins: Plugins, log: list[str]) -> None:
    """Each reason carries the name of who vetoed, and what is no mapping forbids nothing."""
    assert plugins.veto_deployments(REQUEST, [HERE]) == Vetoes({HERE: "on battery (good)"})
    assert [line.partition(":")[0] for line in log] == [
        "WARNING plugin 'broken' failed in veto_deployments",
        "WARNING plugin 'nonsense' failed in veto_deployments",
    ]


class OnFire:
    """Vetoes too."""

    @hookimpl
    def veto_deployments(self) -> Mapping[Deployment, str]:
        return {HERE: "on fire"}


def test_of_two_vetoes_the_first_reason_counts(plugins: Plugins) -> None:
    """One veto is enough, and the first who is asked explains it."""
    plugins.add("fire", OnFire())
    assert plugins.veto_deployments(REQUEST, [HERE]).reasons == {HERE: "on fire (fire)"}


class Remarks:
    """Forbids nothing, and has something to say; or both."""

    def __init__(self, vetoes: Vetoes) -> None:
        self.vetoes = vetoes

    @hookimpl
    def veto_deployments(self) -> Vetoes:
        return self.vetoes


def test_everybodys_notes_are_kept(plugins: Plugins) -> None:
    """Each carries the name of who made it, whether he forbids anything or not."""
    plugins.add("first", Remarks(Vetoes(notes=("all are tired", "mind the gap"))))
    plugins.add("second", Remarks(Vetoes({HERE: "on fire"}, "so be it")))
    vetoes = plugins.veto_deployments(REQUEST, [HERE])
    assert set(vetoes.notes) == {"all are tired (first)", "mind the gap (first)", "so be it (second)"}
    assert vetoes.reasons == {HERE: "on fire (second)"}


@pytest.mark.parametrize("plugin", [Broken, Nonsense])
def test_estimates_that_fail_leave_priors(plugin: type, log: list[str]) -> None:
    """The strategies see no predictions, rather than none of them running."""
    plugins = Plugins()
    plugins.add("one", plugin())
    assert plugins.estimate(REQUEST, [HERE]) == {}
    assert len(log) == 1
    assert "failed in estimate" in log[0]


def test_without_an_estimator_there_are_no_estimates(good: Good) -> None:
    """Nobody has to predict."""
    plugins = Plugins()
    plugins.add("good", good)
    assert plugins.estimate(REQUEST, [HERE]) == {}


def test_everybody_sees_every_record(plugins: Plugins, good: Good, log: list[str]) -> None:
    """An observer that fails blinds no other."""
    plugins.record_selection(REQUEST, ModelSelection("m"), ())
    plugins.record_execution(METRICS)
    assert good.seen == [ModelSelection("m"), METRICS]
    assert [line.partition(":")[0] for line in log] == [
        "WARNING plugin 'broken' failed in record_selection",
        "WARNING plugin 'broken' failed in record_execution",
    ]


def test_numbers_of_the_others_are_told(plugins: Plugins, log: list[str]) -> None:
    """A plugin that fails to tell its numbers is left out of them."""
    assert plugins.report_stats() == {"good": {"seen": 0}}
    assert log == ["WARNING plugin 'broken' failed in report_stats: OSError: no"]


@pytest.mark.parametrize("plugin", [Broken, Nonsense])
def test_a_verdict_that_fails_is_none(plugin: type) -> None:
    """What raises, or answers what is no step, leaves the decision to the error itself."""
    plugins = Plugins()
    plugins.add("one", plugin())
    assert plugins.on_failure(REQUEST, [Attempt("m", "one", LLMError("no"))]) is None


def test_of_two_hosts_with_one_name_the_first_counts(plugins: Plugins, log: list[str]) -> None:
    """What a backend offered before it failed is kept, and no name is offered twice."""
    assert [offer.host.name for offer in plugins.discover_models(Config())] == ["found-before", "one"]
    assert [line.partition(":")[0] for line in log] == [
        "WARNING plugin 'broken' failed in discover_models",
        "WARNING plugin 'nonsense' failed in discover_models",
    ]


# --- backends ---------------------------------------------------------------------------------------


def test_a_host_without_a_backend_is_an_error_that_says_what_to_do() -> None:
    """Nobody executes, nobody opens a transport: the error names the host and the plugin to enable."""
    plugins = Plugins()
    with pytest.raises(
        PluginError, match=r"no plugin executes on 'inline' hosts \(one\)\. Enable the plugin 'in"
    ):
        plugins.execute_request(REQUEST, HERE)
    with pytest.raises(
        PluginError, match=r"no plugin opens a transport to inline://one\. Enable the plugin `pool`"
    ):
        plugins.open_transport(HERE.host)


def test_a_host_that_cannot_load_answers_nothing() -> None:
    """Loading and unloading are for those that can."""
    plugins = Plugins()
    assert plugins.load_model(HERE, LoadOptions()) is None
    assert plugins.unload_model(HERE, HERE.instances[0]) is None
