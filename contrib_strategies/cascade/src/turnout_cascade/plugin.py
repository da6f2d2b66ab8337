"""The plugin: chooses the rung, holds its answer until that is known to hold, and escalates."""

import asyncio
import math
from collections import Counter, OrderedDict, defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeAlias

from attrs import frozen
from loguru import logger

from turnout import (
    Candidate,
    Deployment,
    Event,
    ExecutionMetrics,
    JSONObject,
    LLMError,
    ModelRequest,
    ModelSelection,
    Operation,
    Progress,
    Router,
    StreamInterruptedError,
    Text,
    hookimpl,
)
from turnout_cascade.held import Held
from turnout_cascade.ladder import Step, step_of
from turnout_cascade.rejected import AnswerRejectedError
from turnout_cascade.self_check import question, verdict
from turnout_cascade.settings import CascadeSettings
from turnout_cascade.validity import Flaw, flaw_of

Run: TypeAlias = Callable[[], AsyncIterator[Event]]
UNDER_WAY = 1024
"""Requests that may be under way at once and still be checked."""
CIRCLES = Flaw("repetition", "it goes round in circles")
WRONG = Flaw("self_check", "the model itself says that it is not right")


@frozen
class Noted:
    """A request that stands on a rung; ``began`` is when it stood on its first, in the loop's seconds."""

    step: Step
    began: float


class Cascade:
    """Asks a small model first, checks its answer, and asks a larger one where it does not hold."""

    def __init__(self, settings: CascadeSettings) -> None:
        self.settings = settings
        self._router: Router | None = None
        self._noted: OrderedDict[str, Noted] = OrderedDict()
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)

    @property
    def under_way(self) -> frozenset[str]:
        """The ids of the requests that stand on a rung."""
        return frozenset(self._noted)

    @hookimpl
    def startup(self, router: Router) -> None:
        """Remember how many attempts there are, and through whom to ask a model again."""
        self._router = router

    @hookimpl
    def select_model(
        self, request: ModelRequest, candidates: Sequence[Candidate]
    ) -> ModelSelection | None:
        """Choose the cheapest rung above all that failed; abstain where there is no ladder to climb."""
        step = self._step(request, candidates)
        if step is None:
            return None
        seconds = step.seconds if step.seconds < math.inf else None
        return ModelSelection(step.model, step.reason, step.above, estimated_duration=seconds)

    def _step(self, request: ModelRequest, candidates: Sequence[Candidate]) -> Step | None:
        if request.operation is not Operation.CHAT:
            return None
        return step_of(self.settings, request, candidates)

    @hookimpl
    def record_selection(
        self, request: ModelRequest, selection: ModelSelection, candidates: Sequence[Candidate]
    ) -> None:
        """Note the requests that stand on a rung; those that others chose a model for are left alone."""
        before = self._noted.pop(request.id, None)
        step = self._step(request, candidates)
        if step is None or selection.reason != step.reason:
            return
        now = asyncio.get_running_loop().time()
        self._noted[request.id] = Noted(step, now if before is None else before.began)
        while len(self._noted) > UNDER_WAY:
            self._noted.popitem(last=False)

    @hookimpl
    def record_execution(self, metrics: ExecutionMetrics) -> None:
        """Forget a request that has been answered."""
        if metrics.success:
            self._noted.pop(metrics.request_id, None)

    @hookimpl(wrapper=True)
    def execute_request(
        self, request: ModelRequest, deployment: Deployment
    ) -> Generator[None, Run | None, Run | None]:
        """Hold and check the answer of every rung but the last, which streams as ever."""
        run = yield
        noted = self._noted.get(request.id)
        if run is None or noted is None or noted.step.model != deployment.model or not noted.step.above:
            return run
        if self._router is None or len(request.attempts) + 1 >= self._router.config.router.max_attempts:
            return run  # no attempt is left in which another could do better
        return partial(self._checked, run, request, deployment, noted, self._router)

    async def _checked(
        self, run: Run, request: ModelRequest, deployment: Deployment, noted: Noted, router: Router
    ) -> AsyncGenerator[Event, None]:
        held = Held()
        async with _closing(run) as events:
            async for event in events:
                if isinstance(event, Progress):
                    yield event
                    continue
                held.take(event)
                if held.circles and self._in_time(request, noted, router):
                    raise self._rejected(CIRCLES, held, deployment, noted.step)
        if held.answer.done is None:
            raise _interrupted(held, deployment)
        flaw = flaw_of(request, held.answer) or await self._self_check(request, held, deployment, router)
        if flaw is not None and self._in_time(request, noted, router):
            raise self._rejected(flaw, held, deployment, noted.step)
        self._counts[deployment.model]["unheld" if flaw else "passed"] += 1
        for event in held.release(streamed=request.streaming):
            yield event

    def _in_time(self, request: ModelRequest, noted: Noted, router: Router) -> bool:
        """Whether another rung can answer before the deadline: a doubtful answer is better than none."""
        limit = router.config.router.timeout if request.timeout is None else request.timeout
        left = limit - (asyncio.get_running_loop().time() - noted.began)
        return left > 0 and (noted.step.next_seconds == math.inf or noted.step.next_seconds < left)

    def _rejected(
        self, flaw: Flaw, held: Held, deployment: Deployment, step: Step
    ) -> AnswerRejectedError:
        self._counts[deployment.model][flaw.kind] += 1
        return AnswerRejectedError(
            f"the answer does not hold: {flaw.words}",
            answer=held.answer.text,
            above=step.above,
            host=deployment.host.name,
            model=deployment.model,
        )

    async def _self_check(
        self, request: ModelRequest, held: Held, deployment: Deployment, router: Router
    ) -> Flaw | None:
        """Ask the same deployment, within the same lease, whether its answer is right."""
        if not self.settings.self_check or held.answer.tool_calls:
            return None
        asked = question(request, held.answer.text, deployment, self.settings.self_check_tokens)
        try:
            said = await _first_word(router.plugins.execute_request(asked, deployment))
        except LLMError as error:
            logger.debug("{} could not check its answer: {}", deployment.model, error)
            return None
        return WRONG if said is False else None

    @hookimpl
    def report_stats(self) -> JSONObject:
        """Say of each model how many answers passed, and how many failed at which check.

        ``unheld`` counts those that were passed on with a flaw, because no time was left.
        """
        return {model: dict(counts) for model, counts in sorted(self._counts.items())}


def _interrupted(held: Held, deployment: Deployment) -> StreamInterruptedError:
    message, text = "the answer has no end", held.answer.text
    return StreamInterruptedError(message, partial=text, host=deployment.host.name, model=deployment.model)


async def _first_word(run: Run) -> bool | None:
    """Return the verdict as soon as it is said; what follows is not waited for."""
    said = ""
    async with _closing(run) as events:
        async for event in events:
            said += event.text if isinstance(event, Text) else ""
            if said[-1:].isalnum():
                continue  # the word may go on
            found = verdict(said)
            if found is not None:
                return found
    return verdict(said)


@asynccontextmanager
async def _closing(run: Run) -> AsyncIterator[AsyncIterator[Event]]:
    """Run, and close what runs at the end, which stops the generation upstream."""
    events = run()
    try:
        yield events
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()
