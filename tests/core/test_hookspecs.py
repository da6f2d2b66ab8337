"""Every hook is a promise: written down, typed, with an example that runs."""

import ast
import contextlib
import inspect
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import get_type_hints

import httpx
import pytest
from docs import hooks as page
from tests.core.inline import a_deployment, a_fleet

import turnout
from turnout import (
    After,
    Attempt,
    Candidate,
    Config,
    Discovery,
    ExecutionMetrics,
    Feedback,
    HostSettings,
    Instance,
    Lease,
    LoadOptions,
    ModelRequest,
    ModelSelection,
    NextStep,
    Quality,
    Router,
    Signals,
    TaskType,
    Vetoes,
    hookspecs,
)
from turnout.loading import Found
from turnout.markers import NAME
from turnout.plugins import Plugins

HOOKS = {name: spec for name, spec in vars(hookspecs).items() if hasattr(spec, f"{NAME}_spec")}
WHO = re.compile(r"(?i)the first answer wins|everybody is (asked|called|told)|all answers are joined")
every_hook = pytest.mark.parametrize("name", HOOKS)


def options(name: str) -> Mapping[str, bool]:
    found: Mapping[str, bool] = getattr(HOOKS[name], f"{NAME}_spec")
    return found


@every_hook
def test_a_hook_says_who_wins(name: str) -> None:
    """Each docstring tells whether the first answer counts or everybody's, as the hook is declared."""
    text = " ".join((inspect.getdoc(HOOKS[name]) or "").split())
    assert WHO.search(text), text
    assert ("the first answer wins" in text.lower()) == options(name)["firstresult"] or name == "select_model"


@every_hook
def test_a_hook_says_what_an_error_does(name: str) -> None:
    """Whoever writes a plugin knows what its failure costs."""
    text = (inspect.getdoc(HOOKS[name]) or "").partition("Example::")[0]
    assert re.search(r"(?i)\berrors?\b|\braises\b", text), text


@every_hook
def test_a_hook_is_typed(name: str) -> None:
    """Each argument and the answer have a type that can be looked up."""
    names = {"httpx": httpx, "Router": Router, "Config": Config}
    hints = get_type_hints(HOOKS[name], localns=names)
    assert set(hints) == {*inspect.signature(HOOKS[name]).parameters, "return"}


@every_hook
def test_a_hook_is_a_plain_def_without_defaults(name: str) -> None:
    """What implementations may not be, the specification is not either."""
    assert not inspect.iscoroutinefunction(HOOKS[name])
    parameters = inspect.signature(HOOKS[name]).parameters.values()
    assert all(p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)


@every_hook
def test_a_hook_is_exercised_by_a_test_that_names_it(name: str) -> None:
    """Some test of the core has a plugin that implements it."""
    others = (path for path in Path(__file__).parent.rglob("*.py") if path != Path(__file__))
    defined = {
        node.name
        for path in others
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.decorator_list
    }
    assert name in defined


def test_every_hook_has_a_method_of_its_name_that_calls_it() -> None:
    """Nobody has to call a hook by hand; strategies are called one by one, through `strategies`."""
    assert set(HOOKS) - set(dir(Plugins)) == {"select_model"}


def test_the_page_in_the_documentation_is_the_generated_one() -> None:
    """`python docs/hooks.py` has been run after the last change to the specifications."""
    assert page.PAGE.read_text(encoding="utf-8") == page.page()


def test_the_page_shows_every_hook_with_its_signature() -> None:
    """A hook that is not in the documentation does not exist."""
    shown = page.PAGE.read_text(encoding="utf-8")
    assert [hook.name for hook in page.hooks()] == list(HOOKS)
    assert all(f"### `{hook.name}`" in shown and hook.signature in shown for hook in page.hooks())


# --- the examples run -------------------------------------------------------------------------------


class Mine:
    """What the examples that are methods find on their plugin."""

    in_flight = 2
    scores: Mapping[str, list[float]] = defaultdict(list)
    learned: Mapping[tuple[str, str], turnout.Estimate] = {("one", "m"): turnout.Estimate(queue_seconds=7)}

    async def list_models(self, host: turnout.Host) -> list[turnout.Deployment]:
        return [a_deployment(host=host)]

    async def load(self, deployment: turnout.Deployment, _: LoadOptions) -> Instance:
        return Instance(f"{deployment.model}:2")

    async def unload(self, deployment: turnout.Deployment, instance: Instance) -> None:
        pass

    async def run(self, request: ModelRequest, _: turnout.Deployment) -> Iterable[str]:
        return [request.task]

    @property
    def store(self) -> "Mine":
        return self

    async def close(self) -> None:
        self.closed = True


def example(name: str) -> Plugins:
    """Register the example of a hook in a plugin of its own, and return the hooks."""
    [code] = [hook.example for hook in page.hooks() if hook.name == name]
    names: dict[str, object] = {}
    exec(page.IMPORTS + code, names)
    plugin = type("Example", (Mine,), {name: names[name] if "(self" in code else staticmethod(names[name])})  # type: ignore[arg-type]
    plugins = Plugins([Found("example", "docs", plugin=plugin())])
    assert [found.error for found in plugins.found] == [""]
    assert plugins.found[0].hooks == (name,)
    return plugins


MINE = turnout.Host("one", "http://one", "mine")
HERE = a_deployment(host=MINE)
REQUEST = ModelRequest("diff --git a/x b/x")


@every_hook
def test_every_example_is_a_valid_plugin(name: str) -> None:
    """What the documentation shows can be pasted and registered."""
    example(name)


@pytest.mark.anyio
async def test_the_examples_of_life_run() -> None:
    """A plugin is started and stopped, its work awaited."""
    router = Router(Config(), discover_plugins=False)
    started, stopped = example("startup"), example("shutdown")
    await started.startup(router)
    await stopped.shutdown(router)
    assert vars(started._hooks.get_plugin("example"))["router"] is router
    assert vars(stopped._hooks.get_plugin("example"))["closed"] is True
    assert isinstance(example("open_transport").open_transport(MINE), httpx.AsyncHTTPTransport)


@pytest.mark.anyio
async def test_the_examples_of_discovery_run() -> None:
    """A backend offers its hosts, loads on them and unloads."""
    config = Config(hosts={"one": HostSettings("http://one", "mine"), "two": HostSettings("http://two")})
    [offer] = example("discover_models").discover_models(config)
    assert isinstance(offer, Discovery)
    assert [d.key for d in await offer.run()] == [("one", "m")]
    large = a_deployment("gpt-oss-20b")
    filled = example("describe_models").describe_models([HERE, large])
    assert {d.model: info.active_parameters for d, info in filled.items()} == {"gpt-oss-20b": 3_600_000_000}
    load = example("load_model").load_model(HERE, LoadOptions())
    assert load is not None
    assert await load == Instance("m:2")
    unload = example("unload_model").unload_model(HERE, Instance("m"))
    assert unload is not None
    await unload
    assert example("load_model").load_model(a_deployment(), LoadOptions()) is None
    assert example("unload_model").unload_model(a_deployment(), Instance("m")) is None


@pytest.mark.anyio
async def test_the_examples_of_selection_run(log: list[str]) -> None:
    """Signals, vetoes, estimates, a choice and its record come out as the examples say."""
    laptop = a_deployment(host="laptop")
    assert await example("classify_request").classify_request(REQUEST) == [
        Signals(task_type=TaskType.CODE_REVIEW, confidence=0.9)
    ]
    vetoes = example("veto_deployments").veto_deployments
    assert vetoes(REQUEST, [HERE, laptop]) == Vetoes({laptop: "on battery (example)"})
    assert vetoes(REQUEST, [laptop]) == Vetoes(notes="the battery pays for this (example)")
    assert example("estimate").estimate(REQUEST, [HERE, laptop])[HERE].queue_seconds == 7
    [(_, strategy)] = example("select_model").strategies
    models = [Candidate(d.info, (d,)) for d in (a_deployment("b"), a_deployment("a"))]
    assert strategy(request=REQUEST, candidates=models) == ModelSelection("a", "first in the alphabet")
    assert strategy(request=REQUEST, candidates=[]) is None
    coder = a_deployment("some-coder")
    [assessed] = example("assess_models").assess_models(REQUEST, {"some-coder": [coder], "m": [HERE]})
    assert assessed == {"some-coder": {TaskType.CODE_GENERATION: Quality(0.8, weight=2)}}
    example("record_selection").record_selection(REQUEST, ModelSelection("a"), models)
    assert log[-1].endswith(f"{REQUEST.id} -> a")


@pytest.mark.anyio
async def test_the_examples_of_execution_run() -> None:
    """A lease, a run and a verdict come out as the examples say."""
    place = example("place_request").place_request(REQUEST, ModelSelection("m"), a_fleet(HERE))
    assert place is not None
    lease = await place
    assert isinstance(lease, Lease)
    assert lease.deployment is HERE
    run = example("execute_request").execute_request(REQUEST, HERE)
    assert isinstance(run, partial)
    assert run.args == (REQUEST, HERE)
    failed = Attempt("m", "one", turnout.LLMError("no"))
    assert example("on_failure").on_failure(REQUEST, [failed]) is None
    assert example("on_failure").on_failure(REQUEST, [failed] * 6) is NextStep.STOP
    crashed = Attempt("m", "one", turnout.ModelCrashedError("no"))
    assert example("on_failure").on_failure(REQUEST, [crashed]) == After(NextStep.RETRY, 10)


def test_the_examples_of_metrics_run() -> None:
    """An execution is seen, and numbers are told."""
    metrics = ExecutionMetrics("m", "one", 1.0, True, tokens_per_second=9)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        example("record_execution").record_execution(metrics)
    assert out.getvalue() == "m 9\n"
    example("record_feedback").record_feedback(Feedback("id", 0.5, "m"))
    assert Mine.scores["m"] == [0.5]
    assert example("report_stats").report_stats() == {"example": {"in_flight": 2}}


def test_an_example_that_returns_work_is_not_itself_async() -> None:
    """Decide now, work later: no example is an `async def`."""
    assert not any("async def" in hook.example.partition("\n")[2].partition("\n")[0] for hook in page.hooks())
