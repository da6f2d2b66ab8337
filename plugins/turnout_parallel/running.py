"""One run over many requests: what is read, what is sent when, and what has ended."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from math import inf
from typing import TypeAlias

from attrs import evolve, field, frozen, validators
from loguru import logger

from turnout.errors import (
    DeadlineExceededError,
    Fault,
    LLMError,
    LLMRateLimitError,
    OverloadedError,
)
from turnout.fleet import Fleet
from turnout.router import Router
from turnout.types import ModelRequest, Reply
from turnout_parallel.plan import UNKNOWN, Batch, Plan
from turnout_parallel.source import Source

Result: TypeAlias = Reply | LLMError
WINDOW = 1024
AHEAD = 64
"""Requests without a model of which the router is asked ahead where they would go."""
MOST_UNSEEN = 256
"""Results that may wait to be taken before nothing more is sent."""
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 60.0

_positive = validators.optional(validators.gt(0))


@frozen
class Limits:
    """Bounds of a run: ``timeout`` in seconds over all, ``max_in_flight`` and ``window`` in requests.

    ``patience``: hosts that have answered may be away for so many seconds before their failures count.
    """

    timeout: float | None = field(default=None, validator=_positive)
    max_in_flight: int | None = field(default=None, validator=_positive)
    window: int = field(default=WINDOW, validator=validators.ge(1))
    ordered: bool = False
    patience: float = 0.0


class Run:
    """One run over one source; :meth:`results` may be iterated once."""

    def __init__(self, router: Router, source: Source, limits: Limits) -> None:
        self._router = router
        self._source = source
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._due = inf if limits.timeout is None else self._loop.time() + limits.timeout
        self._plan = Plan(router.config.selection.aliases)
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: dict[int, None] = {}
        self._done: dict[int, Result] = {}
        self._refusals: dict[int, tuple[int, float]] = {}
        self._read = 0
        self._given = 0
        self._settled = not source.eager
        self._failure: BaseException | None = None
        self._answered_at, self._away = -inf, False
        self._wake, self._news, self._space = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def results(self) -> AsyncGenerator[tuple[int, Result], None]:
        """Yield each number with its result."""
        pump = asyncio.create_task(self._pump())
        pump.add_done_callback(lambda _: self._news.set())
        try:
            while True:
                self._news.clear()
                ended = pump.done()
                while (number := self._next()) is not None:
                    yield number, self._done.pop(number)
                    self._give()
                if ended:
                    break
                await self._news.wait()
            pump.result()
            for number in self._left():
                yield number, self._done.pop(number) if number in self._done else self._late()
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)

    def _next(self) -> int | None:
        if self._limits.ordered:
            return self._given if self._given in self._done else None
        return next(iter(self._done), None)

    def _give(self) -> None:
        self._given += 1
        self._space.set()
        self._wake.set()

    def _left(self) -> Iterator[int]:
        """Yield what has not been given when time is up, in order."""
        rest = range(self._read, self._read if self._source.total is None else self._source.total)
        yield from sorted({*self._open, *self._done})
        yield from rest

    def _late(self, error: LLMError | None = None) -> DeadlineExceededError:
        return DeadlineExceededError(f"not answered within the {self._limits.timeout:g} s for all", error)

    def _is_late(self, error: LLMError) -> bool:
        # A timer may fire a clock tick early.
        return isinstance(error, DeadlineExceededError) and self._loop.time() >= self._due - 1e-3

    # --- reading ahead --------------------------------------------------------------------------------

    async def _read_ahead(self) -> None:
        limits = self._limits
        window = limits.window if limits.ordered or self._source.total is None else inf
        async for need in self._source.needs():
            number, self._read = self._read, self._read + 1
            self._open[number] = None
            self._plan.add(number, need, await self._router.fleet())
            self._wake.set()
            while self._read - self._given >= window:
                self._settled = True
                self._space.clear()
                await self._space.wait()
        self._settled = True
        self._wake.set()

    async def _place_some(self, fleet: Fleet) -> None:
        """Ask the router where requests without a model would go, so that those of one model go together."""
        while self._plan.unplaced and self._plan.placed < AHEAD:
            number, need = self._plan.unplaced.popleft()
            try:
                model = (await self._router.route(self._source.request(number))).model
            except LLMError:  # which the request will meet itself
                model = None
            self._plan.place(number, need, model if model in fleet.models else UNKNOWN)

    # --- sending --------------------------------------------------------------------------------------

    async def _pump(self) -> None:
        """Send until all has ended or time is up; what is then under way is stopped."""
        reader = asyncio.create_task(self._read_ahead())
        reader.add_done_callback(self._ended)
        try:
            async with asyncio.timeout_at(None if self._due == inf else self._due) as deadline:
                while self._failure is None and not (reader.done() and not self._open):
                    self._wake.clear()
                    if self._settled:
                        await self._round()
                    await self._wake.wait()
        except TimeoutError:
            if not deadline.expired():
                raise
        finally:
            under_way = [reader, *self._tasks]
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        if self._failure is not None:
            raise self._failure

    async def _round(self) -> None:
        """Send what may be sent now."""
        fleet = await self._router.fleet()
        await self._place_some(fleet)
        for batch, room in self._plan.rooms(fleet):
            while self._may_send(batch, room):
                task = self._loop.create_task(self._answer(batch, batch.take()))
                self._tasks.add(task)
                task.add_done_callback(self._ended)

    def _may_send(self, batch: Batch, room: int) -> bool:
        # In order, the window bounds the results that nobody has taken yet.
        heard = self._limits.ordered or len(self._done) < MOST_UNSEEN
        free = batch.in_flight < room and len(self._tasks) < (self._limits.max_in_flight or inf)
        # A timer may fire a clock tick early.
        paused = batch.paused_until > self._loop.time() + 1e-3
        return bool(batch.waiting) and heard and free and not paused

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
        self._wake.set()

    async def _answer(self, batch: Batch, number: int) -> None:
        result: Result
        try:
            result = await self._router.ask(self._timed(self._source.request(number)))
        except LLMError as error:
            after = self._comes_back(number, error)
            if after is not None:
                until = self._loop.time() + min(max(after, SHORTEST_PAUSE), LONGEST_PAUSE)
                batch.refused(number, until)
                self._loop.call_at(until, self._wake.set)
                return
            result = self._late(error) if self._is_late(error) else error
        batch.served(self._took(result))
        self._finish(number, result)

    def _comes_back(self, number: int, error: LLMError) -> float | None:
        """Return the seconds after which to ask once more; None where *error* is the result.

        Our own queue is waited for as long as it takes, a server that says later for the request's timeout.
        """
        now = self._loop.time()
        times, since = self._refusals.get(number, (0, now))
        self._refusals[number] = times + 1, since
        if isinstance(error, LLMRateLimitError):
            ours = isinstance(error, OverloadedError)
            limit = self._source.request(number).timeout or self._router.config.router.timeout
            waits = error.fault is not Fault.REQUEST and (ours or now - since < limit)
            return error.retry_after if waits else None
        if error.fault is not Fault.HOST or now - self._answered_at >= self._limits.patience:
            return None
        if not self._away:
            self._away = True
            logger.warning("{}; asking again for up to {:g} s", error.message, self._limits.patience)
        return 2.0 ** min(times, 5)

    def _took(self, result: Result) -> float | None:
        """Return the seconds that an answer took without queue and load, and note what a load takes."""
        if not isinstance(result, Reply):
            return None
        self._answered_at, self._away = self._loop.time(), False
        timings = result.timings
        if timings.load:
            self._plan.load_seconds = timings.load
        return max(timings.total - timings.queue - (timings.load or 0.0), 0.0)

    def _timed(self, request: ModelRequest) -> ModelRequest:
        left = self._due - self._loop.time()
        if left == inf:
            return request
        if left <= 0:
            raise self._late()
        return evolve(request, timeout=min(left, request.timeout or inf))

    def _finish(self, number: int, result: Result) -> None:
        del self._open[number]
        self._refusals.pop(number, None)
        self._source.drop(number)
        self._done[number] = result
        self._news.set()
