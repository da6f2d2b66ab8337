"""One request, from its first attempt to its reply: the loop around select, place and execute."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from attrs import evolve
from loguru import logger

from turnout.attempt import HandedOver, OpenAttempt, is_output
from turnout.errors import Fault, LLMError, LLMRateLimitError, PluginError, Where
from turnout.events import Event, Progress
from turnout.fleet import Fleet
from turnout.rating import Rater
from turnout.selection import decide, repeat
from turnout.types import (
    NEXT_STEP_BY_FAULT,
    After,
    Attempt,
    Lease,
    ModelRequest,
    ModelSelection,
    NextStep,
    Reply,
    failed_models,
)

if TYPE_CHECKING:
    from turnout.router import Router


class Execution:
    """Runs one prepared request; :meth:`events` may be iterated once.

    Until the first output nothing but progress is passed on, so an attempt that fails before it is
    never seen; after it, a failure is the caller's to know.
    """

    def __init__(self, router: "Router", request: ModelRequest, deadline: float = math.inf) -> None:
        self._router = router
        self.request = request
        self.selection: ModelSelection | None = None
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._committed = False
        self._attempt: OpenAttempt | None = None
        self._placing_since: float | None = None
        self._again: Attempt | None = None

    @property
    def partial(self) -> str:
        """The text that has come in the attempt under way."""
        return "" if self._attempt is None else self._attempt.builder.text

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield the request's events; raises the ``LLMError`` that ends it."""
        while True:
            try:
                with await self._lease() as lease:
                    self._attempt = attempt = OpenAttempt(self._loop, lease)
                    try:
                        async with aclosing(self._run(attempt)) as events:
                            async for event in events:
                                yield event
                    except LLMError as error:
                        self._record(attempt, type(error).__name__)
                        raise
                    except (asyncio.CancelledError, GeneratorExit):
                        self._record(attempt, self._given_up(attempt))
                        raise
                    self._record(attempt, None)
            except LLMError as error:
                pause, why = self._after(error), error.message
            else:
                return
            if pause > 0:
                detail = f"trying again in {pause:.1f} s: {why}"
                yield Progress(stage="pause", expected_seconds=pause, detail=detail)
            await asyncio.sleep(pause)

    async def _lease(self) -> Lease:
        """Select a model, and wait for a slot of it."""
        fleet = await self._router.fleet()
        selection = self.selection = self._same(fleet) or self._choose(fleet)
        self._placing_since = self._loop.time()
        lease = await self._place(selection, fleet)
        self._placing_since = None
        return lease

    def _choose(self, fleet: Fleet) -> ModelSelection:
        decision = decide(self._router.plugins, self.request, fleet, self._router.config)
        selection = decision.chosen()
        self.request = decision.request
        self._router.plugins.record_selection(self.request, selection, decision.candidates)
        return selection

    def _same(self, fleet: Fleet) -> ModelSelection | None:
        """Return the last selection for the deployment that is to be retried, if it still may serve."""
        again, self._again = self._again, None
        if again is None or self.selection is None:
            return None
        return repeat(self._router.plugins, self.request, fleet, self.selection, again.host)

    def _given_up(self, attempt: OpenAttempt) -> str | None:
        if attempt.builder.done is not None:
            return None
        # A timer may fire a clock tick early.
        late = self._loop.time() >= self._deadline - 1e-3
        return "DeadlineExceededError" if late else "CancelledError"

    async def _place(self, selection: ModelSelection, fleet: Fleet) -> Lease:
        try:
            work = self._router.plugins.place_request(self.request, selection, fleet)
            if work is not None:
                return await work
        except LLMError:
            raise
        except Exception as error:
            message = f"placing the request failed: {type(error).__name__}: {error}"
            raise PluginError(message, error, model=selection.model) from error
        out = {(i.model, i.host) for i in selection.explanation.ineligible}
        able = [d for d in fleet.models[selection.model] if (d.model, d.host.name) not in out]
        return Lease(next((d for d in able if d.resident), able[0]))

    async def _run(self, attempt: OpenAttempt) -> AsyncGenerator[Event, None]:
        deployment = attempt.lease.deployment
        if not deployment.resident:
            yield Progress(stage="load", expected_seconds=attempt.lease.expected_load_seconds)
        held: list[Event] = []
        try:
            events = self._router.plugins.execute_request(self.request, deployment)()
            try:
                async for event in events:
                    if isinstance(event, HandedOver):
                        self._record(attempt, event.recorded_as)
                        attempt.hand_over(event)
                        continue
                    attempt.see(event)
                    if self._committed or isinstance(event, Progress):
                        yield event
                        continue
                    held.append(event)
                    if is_output(event):
                        self._committed = True
                        for one in held:
                            yield one
            finally:
                await _close(events)
        except LLMError:
            raise
        except Exception as error:
            # A backend is a plugin: what it did not foresee must not look like the caller's own error.
            failed = attempt.deployment
            message = f"the backend {failed.host.backend!r} failed: {type(error).__name__}: {error}"
            where: Where = {"host": failed.host.name, "model": failed.model, "fault": Fault.DEPLOYMENT}
            raise PluginError(message, error, **where) from error
        attempt.check()

    def _after(self, error: LLMError) -> float:
        """Return the seconds to wait before the next attempt, or raise *error* where there is none."""
        failed = self._failed(error)
        if not failed:
            raise error
        self.request = evolve(self.request, attempts=(*self.request.attempts, *failed))
        self._router.forget_fleet()
        if self._committed:
            raise error
        attempts = self.request.attempts
        wanted = self._router.plugins.on_failure(self.request, attempts) or _default_step(attempts)
        step = wanted.step if isinstance(wanted, After) else wanted
        if step is NextStep.STOP or len(attempts) >= self._router.config.router.max_attempts:
            raise error
        logger.info("attempt {} failed: {}", len(attempts), error)
        self._again = failed[-1] if step is NextStep.RETRY else None
        pause = self._pause(wanted, attempts)
        if self._loop.time() + pause > self._deadline:
            raise error
        if pause > 0:
            paused = evolve(attempts[-1], pause_seconds=pause)
            self.request = evolve(self.request, attempts=(*attempts[:-1], paused))
        return pause

    def _failed(self, error: LLMError) -> tuple[Attempt, ...]:
        """Return the attempts that ended in *error*; none where there is nothing to leave out."""
        attempt, self._attempt = self._attempt, None
        since, self._placing_since = self._placing_since, None
        if attempt is not None:
            error.partial = error.partial or attempt.builder.text
            where = attempt.deployment
            last = Attempt(where.model, where.host.name, error, attempt.lease.waited, attempt.seconds)
            return (*attempt.before, last)
        if since is None or self.selection is None or error.host is None:
            return ()
        return (Attempt(self.selection.model, error.host, error, self._loop.time() - since),)

    def _pause(self, wanted: NextStep | After, attempts: Sequence[Attempt]) -> float:
        if isinstance(wanted, After):
            return wanted.seconds
        if wanted is NextStep.RETRY:
            return usual_pause(attempts, self._router.config.router.backoff)
        return 0.0

    def _record(self, attempt: OpenAttempt, error: str | None) -> None:
        metrics = attempt.metrics(self.request, self.selection, error)
        if error is None and not attempt.deployment.resident:
            self._router.forget_fleet()
        self._router.plugins.record_execution(metrics)

    def reply(self) -> Reply:
        """Build the reply, after :meth:`events` has ended well."""
        attempt = self._attempt
        if attempt is None or attempt.builder.done is None:
            message = "there is no reply yet"
            raise RuntimeError(message)
        total = self._loop.time() - self._began
        rater = Rater(self._router.plugins, self.request, self._router.record_feedback)
        return attempt.reply(self.request, self.selection, total, rater)


def usual_pause(attempts: Sequence[Attempt], backoff: float) -> float:
    """Return the seconds to wait after *attempts* before the same is tried again.

    That is as long as the server asked for, else *backoff*, doubled with each attempt.
    """
    error = attempts[-1].error
    if isinstance(error, LLMRateLimitError) and error.retry_after is not None:
        return error.retry_after
    return backoff * float(2 ** (len(attempts) - 1))


def _default_step(attempts: Sequence[Attempt]) -> NextStep:
    """Return what the last error's fault asks for; what fails twice in passing is not tried a third time."""
    *before, last = attempts
    step = NextStep.STOP if last.error is None else NEXT_STEP_BY_FAULT[last.error.fault]
    failed = failed_models(before)
    return NextStep.CHOOSE_AGAIN if step is NextStep.RETRY and (last.host, last.model) in failed else step


async def _close(events: AsyncIterator[Event]) -> None:
    """Close *events*, if that is something that can be closed."""
    close = getattr(events, "aclose", None)
    if close is not None:
        await close()
