"""The plugin: a selection reads where a conversation is at home, and only an answer writes it."""

import asyncio
import math
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from attrs import evolve

from turnout import (
    Candidate,
    Deployment,
    Done,
    Estimate,
    Event,
    ExecutionMetrics,
    JSONObject,
    ModelRequest,
    ModelSelection,
    NoSuitableModelError,
    Operation,
    hookimpl,
)
from turnout_sticky.conversation import in_tool_loop, response_key, thread_of
from turnout_sticky.margin import Comparison, StickySettings, compare
from turnout_sticky.memory import Home, Memory

Estimates: TypeAlias = Mapping[Deployment, Estimate]
Run: TypeAlias = Callable[[], AsyncIterator[Event]]
UNDER_WAY = 1024
"""Requests that may be under way at once and still be remembered."""


def loop_time() -> float:
    """Return the running loop's time, in seconds."""
    return asyncio.get_running_loop().time()


class Sticky:
    """Keeps each conversation on its model, and tells everybody how much of it the host still holds.

    The memory of conversations is state: two routers, or one before and after, may decide differently. A
    selection only reads it, and is a pure function of its arguments, that memory and the age of what is in it
    by *clock*.
    """

    def __init__(self, settings: StickySettings, clock: Callable[[], float] = loop_time) -> None:
        self.settings = settings
        self._homes = Memory(settings.conversations, settings.ttl, clock)
        self._kept = Memory(settings.conversations, math.inf, clock)
        self._under_way: OrderedDict[str, bytes] = OrderedDict()

    # --- selection: reads only ------------------------------------------------------------------------

    @hookimpl
    def select_model(
        self, request: ModelRequest, candidates: Sequence[Candidate]
    ) -> ModelSelection | None:
        """Choose the model of the conversation that *request* goes on with; abstain where it begins.

        Declines, with the reason, where that model may not answer or another is better by both margins.
        """
        kept = self._kept_by_server(request)
        home = kept or self._home(request)
        if home is None or not candidates:
            return None
        names = [candidate.id for candidate in candidates]
        if home.model not in names:
            message = f"this conversation's model {home.model} cannot take the request"
            raise NoSuitableModelError(message, names)
        found = compare(home.model, request, candidates)
        bound = kept is not None or in_tool_loop(request)
        if not bound and found.worth_a_switch(self.settings):
            raise NoSuitableModelError(_moves(home.model, found), names)
        return ModelSelection(
            home.model,
            _stays(found, _bond(kept, request)),
            found.ranking,
            estimated_duration=found.home if found.home < math.inf else None,
        )

    @hookimpl
    def veto_deployments(
        self, request: ModelRequest, deployments: Sequence[Deployment]
    ) -> Mapping[Deployment, str] | None:
        """Forbid all hosts but the one that keeps the conversation: no other has its earlier turns."""
        kept = self._kept_by_server(request)
        if kept is None:
            return None
        reason = f"this conversation is kept on {kept.host}"
        return {d: reason for d in deployments if d.host.name != kept.host}

    # Last, so that the pool's wrapper, which places by what comes from here, is around it.
    @hookimpl(wrapper=True, trylast=True)
    def estimate(
        self, request: ModelRequest, deployments: Sequence[Deployment]
    ) -> Generator[None, Estimates | None, Estimates | None]:
        """Leave the prefix that the conversation's host still holds out of the prompt to be read."""
        estimates = yield
        if not isinstance(estimates, Mapping):
            return estimates
        home, prompt = self._home(request), request.signals.prompt_tokens
        if home is None or not prompt:
            return estimates
        missing = max(1.0 - home.tokens / prompt, 0.0)
        held = [d for d in deployments if d.key == (home.host, home.model) and d.resident and d in estimates]
        return {**estimates, **{d: _shortened(estimates[d], missing) for d in held}}

    def _home(self, request: ModelRequest) -> Home | None:
        if request.operation is not Operation.CHAT or not len(self._homes):
            return None
        return self._homes.find(thread_of(request).earlier)

    def _kept_by_server(self, request: ModelRequest) -> Home | None:
        previous = request.previous_response_id
        return None if previous is None else self._kept.find([response_key(previous)])

    # --- what was answered: writes --------------------------------------------------------------------

    @hookimpl
    def record_selection(self, request: ModelRequest) -> None:
        """Note which conversation the request belongs to, whoever chose the model."""
        if request.operation is Operation.CHAT:
            self._under_way[request.id] = thread_of(request).own
            while len(self._under_way) > UNDER_WAY:
                self._under_way.popitem(last=False)

    @hookimpl
    def record_execution(self, metrics: ExecutionMetrics) -> None:
        """Remember who answered; a failure changes nothing."""
        if not metrics.success:
            return
        own = self._under_way.pop(metrics.request_id, None)
        if own is not None:
            tokens = metrics.prompt_tokens + metrics.tokens_generated
            self._homes.keep(own, metrics.model_id, metrics.host, tokens)

    @hookimpl(wrapper=True)
    def execute_request(
        self, request: ModelRequest, deployment: Deployment
    ) -> Generator[None, Run | None, Run | None]:
        """Watch a conversation that the server keeps for the id under which it does."""
        run = yield
        return run if run is None or not request.stateful else partial(self._watch, run, deployment)

    async def _watch(self, run: Run, deployment: Deployment) -> AsyncIterator[Event]:
        events = run()
        try:
            async for event in events:
                if isinstance(event, Done) and event.response_id:
                    self._kept.keep(response_key(event.response_id), deployment.model, deployment.host.name)
                yield event
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()

    @hookimpl
    def report_stats(self) -> JSONObject:
        """Say how many turns are remembered, and how many responses that servers keep."""
        return {"remembered": len(self._homes), "kept_by_servers": len(self._kept)}


def _shortened(estimate: Estimate, missing: float) -> Estimate:
    return evolve(estimate, prefill_seconds_per_token=estimate.prefill_seconds_per_token * missing)


def _bond(kept: Home | None, request: ModelRequest) -> str:
    if kept is not None:
        return f"{kept.host} keeps this conversation"
    return "its tools are at work" if in_tool_loop(request) else "this conversation is here"


def _stays(found: Comparison, bond: str) -> str:
    if found.fastest is None:
        return f"{bond}, and there is no other"
    return f"{bond}: {_seconds(found.home)}, and the fastest other needs {_seconds(found.fastest)}"


def _moves(model: str, found: Comparison) -> str:
    fastest = f"{found.ranking[0]} needs {_seconds(found.fastest)}"
    return f"this conversation leaves {model} ({_seconds(found.home)}): {fastest}"


def _seconds(seconds: float | None) -> str:
    known = seconds is not None and seconds < math.inf
    return f"about {seconds:.1f} s" if known else "an unknown time"
