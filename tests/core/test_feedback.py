"""What people think of an answer reaches the plugins that learn from it."""

import sys
from collections.abc import Awaitable

import pytest
from attrs import evolve
from tests.core.inline import Inline, a_deployment, a_router
from tests.core.installing import OURS, Install

import turnout
from turnout import (
    Attempt,
    Config,
    Feedback,
    LLMError,
    ModelRequest,
    Reply,
    Signals,
    TaskType,
    hookimpl,
)
from turnout.config import PluginsSettings


class Listener:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.heard: list[Feedback] = []

    @hookimpl
    def record_feedback(self, feedback: Feedback) -> None:
        self.heard.append(feedback)


class Deaf:
    @hookimpl
    def record_feedback(self) -> None:
        raise OSError("deaf")


class Reviewer:
    @hookimpl
    def classify_request(self) -> Signals:
        return Signals(TaskType.CODE_REVIEW, 0.9)


@pytest.mark.anyio
async def test_a_rating_names_the_request_its_model_and_its_task(log: list[str]) -> None:
    """Everybody is told; one that fails costs the others nothing."""
    listener = Listener()
    plugins = {"deaf": Deaf(), "listener": listener, "reviewer": Reviewer()}
    async with a_router(a_deployment(), plugins=plugins) as router:
        reply = await router.ask("hi")
        reply.rate(True, "just right")
    [heard] = listener.heard
    assert (heard.request_id, heard.model, heard.host) == (reply.request_id, "m", "one")
    assert (heard.score, heard.comment, heard.task_type) == (1.0, "just right", TaskType.CODE_REVIEW)
    assert any("'deaf' failed in record_feedback" in line for line in log)


@pytest.mark.anyio
async def test_a_rating_that_cannot_be_kept_is_refused() -> None:
    """After the router has closed, without one, and outside 0 to 1."""
    async with a_router(a_deployment()) as router:
        reply = await router.ask("hi")
        with pytest.raises(ValueError, match="'score' must be between 0 and 1, not 7"):
            reply.rate(7)
    with pytest.raises(RuntimeError, match="turnout rate"):
        reply.rate(1)
    with pytest.raises(RuntimeError, match="comes from no router"):
        Reply("hi", "m", "one").rate(1)


def test_the_deployment_is_rated_and_not_what_the_server_calls_itself() -> None:
    """A server may answer under the name of a copy or a variant."""
    listener = Listener()
    attempts = (Attempt("n", "two", LLMError("no")), Attempt("m", "one"))
    Reply("hi", "m:2", "one", attempts=attempts, recorder=listener.record_feedback).rate(0)
    assert [(heard.model, heard.score, heard.task_type) for heard in listener.heard] == [("m", 0.0, None)]


SOURCE = """
from tests.core.inline import Inline, a_deployment
from tests.core.worlds import last
from tests.core.test_feedback import Listener
backend, strategy, listener = Inline(a_deployment()), last(), Listener()
"""


def test_a_script_rates_after_its_router_has_closed(install: Install) -> None:
    """`turnout.ask` closes its router; the rating opens another."""
    for name in ("backend", "strategy", "listener"):
        install(name, f"zz_{name}", SOURCE, value=f"zz_{name}:{name}")
    reply = turnout.ask("hi", Config(plugins=PluginsSettings(tuple(OURS))))
    reply.rate(0.5)
    [heard] = sys.modules["zz_listener"].listener.heard
    assert (heard.request_id, heard.score) == (reply.request_id, 0.5)
    assert isinstance(sys.modules["zz_backend"].backend, Inline)


class Chooser:
    """Reads a prompt only where a model has to be chosen."""

    @hookimpl
    def classify_request(self, request: ModelRequest) -> Signals | None:
        return Signals(TaskType.PLANNING, 0.9) if request.explicit_model is None else None


class Slow:
    """Says everything later, and thus nothing to those who cannot wait."""

    @hookimpl
    def classify_request(self) -> Awaitable[Signals]:
        return self._later()

    async def _later(self) -> Signals:
        return Signals(TaskType.ANALYSIS, 1.0)


@pytest.mark.anyio
async def test_a_rating_asks_what_the_work_was_where_nobody_had_to_choose() -> None:
    """A model that is asked for by name needs no classification; its rating does, and waits for none."""
    listener = Listener()
    plugins = {"listener": listener, "slow": Slow(), "chooser": Chooser()}
    async with a_router(a_deployment(), plugins=plugins) as router:
        pinned = await router.ask("hi", model="m")
        assert pinned.selection is not None
        assert pinned.selection.explanation.signals.task_type is TaskType.ANALYSIS
        stated = await router.ask("hi", model="m", task_type=TaskType.CODE_REVIEW)
        for reply in (evolve(pinned, selection=None), evolve(stated, selection=None)):
            reply.rate(1)
    assert [heard.task_type for heard in listener.heard] == [TaskType.PLANNING, TaskType.CODE_REVIEW]


@pytest.mark.anyio
async def test_a_rating_may_be_of_unknown_work() -> None:
    """Nobody knows, or nobody knows at once."""
    listener = Listener()
    async with a_router(a_deployment(), plugins={"listener": listener, "slow": Slow()}) as router:
        evolve(await router.ask("hi", model="m"), selection=None).rate(1)
        evolve(await router.ask("hi"), selection=None).rate(1)
    assert [heard.task_type for heard in listener.heard] == [None, None]
