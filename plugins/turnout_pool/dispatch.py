"""From a selection to a lease: choose a deployment, take its slot or wait for it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from math import inf, nextafter
from typing import TypeAlias

from turnout.errors import Fault, OverloadedError, Where
from turnout.fleet import UNKNOWN, Deployment, Estimate, Fleet
from turnout.types import Lease, ModelRequest, ModelSelection
from turnout_pool.line import Line
from turnout_pool.placement import Option, best, eligible, generation_seconds, load_seconds
from turnout_pool.queue import Waiter
from turnout_pool.schedule import Schedule
from turnout_pool.settings import PoolSettings

Estimates: TypeAlias = Mapping[Deployment, Estimate]


class Dispatcher:
    """All hosts' schedules. Must be used from one event loop; times are its seconds.

    ``estimates`` are what was last predicted of each deployment, its queue aside.
    """

    def __init__(self, settings: PoolSettings) -> None:
        self.settings = settings
        self.schedules: dict[str, Schedule] = {}
        self.estimates: Estimates = {}
        self._fleet = Fleet(taken_at=float("-inf"))
        self._closed = False

    async def place(self, request: ModelRequest, selection: ModelSelection, fleet: Fleet) -> Lease:
        """Return a lease as soon as there is a slot for *request*.

        Raises ``OverloadedError`` when the queue is full, when waiting would outlast the request's
        timeout, and when it has waited for ``queue_timeout``; ``ModelNotFoundError`` when no
        deployment of the selected model is eligible.
        """
        if self._closed:
            raise closing(selection.model)
        now = asyncio.get_running_loop().time()
        self._show(fleet, now)
        allowed = eligible(request, selection, fleet)
        deployment = allowed[0] if len(allowed) == 1 else self._choose(request, allowed, now)
        schedule, line = self._line(deployment)
        estimate = self.estimates.get(deployment, UNKNOWN)
        loading = line.load_seconds.value or load_seconds(deployment, estimate)
        if not line.queue and schedule.may_start(line, now):
            return schedule.start(line, now, loading)
        wait = schedule.expected_wait(line, now, generation_seconds(request, estimate))
        _refuse_in_vain(request, line, wait + (loading if line.needs_load else 0.0))
        hosts = frozenset(d.host.name for d in allowed)
        return await self._wait(Waiter(now, loading, hosts), schedule, line, wait)

    def loaded(self, deployment: Deployment, parallel: int | None = None) -> None:
        """Learn that a leased deployment has given output, so that it is resident.

        Until a snapshot tells, its instance takes *parallel* requests at once.
        """
        schedule = self.schedules.get(deployment.host.name)
        if schedule is not None:
            schedule.loaded(deployment.model, asyncio.get_running_loop().time(), parallel)

    def crashed(self, host: str, model: str) -> None:
        """Learn that a model crashed: whoever is next would load it."""
        schedule = self.schedules.get(host)
        if schedule is not None and model in schedule.lines:
            schedule.lines[model].doubt(asyncio.get_running_loop().time())

    def abandon(self, deployment: Deployment) -> Callable[[], bool] | None:
        """Learn that nobody waits for the load any more; return what says whether it still has to be watched.

        It is watched until a snapshot shows the model, and for twice the time that it should take.
        """
        schedule = self.schedules[deployment.host.name]
        line, now = schedule.lines[deployment.model], asyncio.get_running_loop().time()
        load = line.load
        if load is None:
            return None
        load.abandoned = True
        until = now + 2 * load.expected

        def goes_on() -> bool:
            now = asyncio.get_running_loop().time()
            if line.load is load and now >= until:
                schedule.give_up(load, now)
            return line.load is load

        return goes_on

    def seen(self, fleet: Fleet) -> None:
        """Go by a snapshot that was asked for after all that is known, if in the same tick of the clock."""
        later = Fleet(fleet.deployments, fleet.hosts, nextafter(fleet.taken_at, inf))
        self._show(later, asyncio.get_running_loop().time())

    def busy_estimates(
        self, request: ModelRequest, deployments: Sequence[Deployment], estimates: Estimates
    ) -> dict[Deployment, Estimate]:
        """Return the estimates of those *deployments* that have something to do, with their queue."""
        busy = {name: s for name, s in self.schedules.items() if s.in_flight or s.waiting}
        if not busy:
            return {}
        now = asyncio.get_running_loop().time()
        found: dict[Deployment, Estimate] = {}
        for deployment in deployments:
            schedule = busy.get(deployment.host.name)
            line = schedule.lines.get(deployment.info.id) if schedule is not None else None
            if schedule is not None and line is not None and (line.slots.in_flight or line.queue):
                plain = estimates.get(deployment, UNKNOWN)
                found[deployment] = Estimate(
                    plain.prefill_seconds_per_token,
                    plain.decode_seconds_per_token,
                    load_seconds=plain.load_seconds if line.needs_load else 0.0,
                    queue_seconds=schedule.expected_wait(line, now, generation_seconds(request, plain)),
                    success_rate=plain.success_rate,
                    in_flight=line.slots.in_flight,
                    queued=len(line.queue),
                    measured=plain.measured,
                    output_factor=plain.output_factor,
                )
        return found

    def close(self) -> None:
        """Refuse those that wait, and all that come."""
        self._closed = True
        for schedule in self.schedules.values():
            schedule.refuse_all(closing)

    async def _wait(self, waiter: Waiter, schedule: Schedule, line: Line, expected: float) -> Lease:
        loop = asyncio.get_running_loop()
        schedule.join(line, waiter, loop.time())
        limit = self.settings.queue_timeout
        try:
            async with asyncio.timeout(limit):
                return await waiter.lease()
        except TimeoutError as error:
            line.queue.refused += 1
            message = f"no slot within {limit:g} s, the bound that is set"
            raise OverloadedError(message, expected, error, **_where(line)) from error
        finally:
            schedule.leave(line, waiter, loop.time())

    def _show(self, fleet: Fleet, now: float) -> None:
        if fleet is not self._fleet and fleet.taken_at >= self._fleet.taken_at:
            self._fleet = fleet
            for schedule in self.schedules.values():
                schedule.show(fleet, now)

    def _line(self, deployment: Deployment) -> tuple[Schedule, Line]:
        host = deployment.host
        schedule = self.schedules.get(host.name)
        if schedule is None:
            exclusive = host.backend in self.settings.exclusive_backends
            schedule = Schedule(host.name, exclusive=exclusive, settings=self.settings, freed=self._relieve)
            self.schedules[host.name] = schedule
        return schedule, schedule.line(deployment, self._fleet.taken_at)

    def _choose(self, request: ModelRequest, allowed: Sequence[Deployment], now: float) -> Deployment:
        return best([self._option(request, deployment, now) for deployment in allowed], request)

    def _option(self, request: ModelRequest, deployment: Deployment, now: float) -> Option:
        schedule, line = self._line(deployment)
        estimate = self.estimates.get(deployment, UNKNOWN)
        generation = generation_seconds(request, estimate)
        loading = line.load_seconds.value or load_seconds(deployment, estimate) if line.needs_load else 0.0
        may_start = not line.queue and schedule.may_start(line, now)
        return Option(
            deployment,
            ready=may_start and line.resident,
            full=not may_start and line.queue.full,
            seconds=schedule.expected_wait(line, now, generation) + loading + generation,
            share=line.slots.in_flight / line.slots.size,
        )

    def _relieve(self, schedule: Schedule, line: Line, now: float) -> None:
        """Let a free slot serve those who wait for the same model on other hosts, the longest first."""
        while line.resident and not line.queue and schedule.may_start(line, now):
            waiting = [
                (waiter.arrived, name, waiter)
                for name, other in self.schedules.items()
                if other.waiting and other is not schedule and line.model in other.lines
                if (waiter := other.lines[line.model].queue.first_for(schedule.host)) is not None
            ]
            if not waiting:
                return
            _, name, waiter = min(waiting, key=lambda entry: entry[:2])
            schedule.serve(waiter, line, now)
            self.schedules[name].leave(self.schedules[name].lines[line.model], waiter, now)


def closing(model: str) -> OverloadedError:
    """Make the error of a request that comes while the router goes."""
    return OverloadedError("the router is closing", model=model, fault=Fault.REQUEST, advice="Open it again.")


def _refuse_in_vain(request: ModelRequest, line: Line, retry_after: float) -> None:
    """Raise if *request* cannot be served by waiting. Only measured times count against its timeout."""
    left = _seconds_left(request)
    measured = line.queue_seconds(line.service.value or 0.0)
    if line.queue.full:
        message = f"{len(line.queue)} requests wait already, the bound that is set"
    elif left is not None and measured > left:
        message = f"a slot is expected in {measured:.1f} s, and {left:.1f} s are left"
    else:
        return
    line.queue.refused += 1
    raise OverloadedError(message, retry_after, **_where(line))


def _seconds_left(request: ModelRequest) -> float | None:
    if request.timeout is None:
        return None
    return request.timeout - sum(a.queue_seconds + a.duration_seconds for a in request.attempts)


def _where(line: Line) -> Where:
    deployment = line.slots.deployment
    return {"host": deployment.host.name, "model": deployment.model}
