"""From a selection to a lease: choose a deployment, take its slot or wait for one."""

import asyncio
from collections.abc import Mapping, Sequence
from math import inf, nextafter
from typing import TypeAlias

from turnout.errors import Fault, OverloadedError, Where
from turnout.fleet import UNKNOWN, Deployment, Estimate, Fleet, Instance
from turnout.types import Lease, ModelRequest, ModelSelection
from turnout_pool.affinity import Affinity, beginning
from turnout_pool.line import Line
from turnout_pool.placement import Option, Work, best, eligible, load_seconds, work_of
from turnout_pool.queue import Waiter
from turnout_pool.schedule import Schedule
from turnout_pool.settings import PoolSettings
from turnout_pool.yard import Yard

Estimates: TypeAlias = Mapping[Deployment, Estimate]


class Dispatcher:
    """Where requests get their leases. Must be used from one event loop; times are its seconds.

    ``estimates`` are what was last predicted of each deployment, its queue aside.
    """

    def __init__(self, settings: PoolSettings) -> None:
        self.settings = settings
        self.yard = Yard(settings)
        self.schedules = self.yard.schedules
        self.estimates: Estimates = {}
        self._affinity = Affinity()
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
        if fleet is not self.yard.fleet:
            self.yard.show(fleet, now)
        self.yard.survey.asked(selection.model, now)
        allowed = eligible(request, selection, fleet)
        key = None
        deployment = allowed[0]
        if len(allowed) > 1:
            key = beginning(request)
            deployment = self._choose(request, allowed, key, now)
        schedule, line, work = self._expect(request, deployment)
        if self._may_start(request, schedule, line, work, now):
            lease = schedule.start(line, work, now)
        else:
            hosts = frozenset(d.host.name for d in allowed)
            future = asyncio.get_running_loop().create_future()
            waiter = Waiter(request, now, hosts, work, future)
            lease = await self._wait(request, waiter, schedule, line)
        if key is not None:
            self._affinity.note(selection.model, key, lease.deployment.host.name)
        return lease

    def find(self, deployment: Deployment) -> tuple[Schedule, Line] | None:
        """Return the schedule and the line of a deployment that has been asked for."""
        schedule = self.schedules.get(deployment.host.name)
        line = None if schedule is None else schedule.lines.get(deployment.model)
        return None if schedule is None or line is None else (schedule, line)

    def loaded(self, deployment: Deployment, parallel: int | None = None) -> bool:
        """Learn that a leased deployment has given output; tell whether that ended its load.

        Until a snapshot tells, its instance takes *parallel* requests at once.
        """
        found = self.find(deployment)
        instance = Instance(deployment.model, parallel=parallel)
        now = asyncio.get_running_loop().time()
        return found is not None and found[0].loaded(deployment.model, now, instance)

    def claim(self, deployment: Deployment, instance: Instance) -> None:
        """Learn that a plugin has loaded *instance* because requests need it: it is ours to unload."""
        _, line = self.yard.line(deployment)
        if line.load is None:
            line.claim(asyncio.get_running_loop().time(), instance)

    def crashed(self, host: str, model: str) -> None:
        """Learn that a model crashed: whoever is next would load it."""
        schedule = self.schedules.get(host)
        if schedule is not None and model in schedule.lines:
            schedule.lines[model].gone(asyncio.get_running_loop().time())

    def suspect(self, host: str, model: str) -> bool:
        """Learn that an answer broke off, and nobody said why; tell whether that leaves residency open.

        Until somebody knows, one request goes there, as one does that loads.
        """
        schedule = self.schedules.get(host)
        line = None if schedule is None else schedule.lines.get(model)
        return line is not None and line.suspect(asyncio.get_running_loop().time())

    def lost(self, host: str) -> bool:
        """Learn that a connection to *host* failed; tell whether that leaves open what it has.

        Until somebody knows, those who wait go elsewhere, if they can.
        """
        schedule = self.schedules.get(host)
        if schedule is None:
            return False
        now = asyncio.get_running_loop().time()
        news = [line.lost(now) for line in schedule.lines.values()]
        return any(news)

    def abandon(self, deployment: Deployment) -> None:
        """Learn that nobody waits for the answer behind a load any more: the host goes on with it."""
        found = self.find(deployment)
        if found is not None and found[1].load is not None:
            found[1].load.abandoned = asyncio.get_running_loop().time()

    def seen(self, fleet: Fleet) -> None:
        """Go by a snapshot that was asked for after all that is known, if in the same tick of the clock."""
        later = Fleet(fleet.deployments, fleet.hosts, nextafter(fleet.taken_at, inf))
        self.yard.show(later, asyncio.get_running_loop().time())

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
            if schedule is not None and line is not None and (line.slots.in_flight or line.queued):
                plain = estimates.get(deployment, UNKNOWN)
                found[deployment] = _with_queue(request, schedule, line, plain, now)
        return found

    def close(self) -> None:
        """Refuse those that wait, and all that come."""
        self._closed = True
        self.yard.refuse_all(closing)

    def _may_start(
        self, request: ModelRequest, schedule: Schedule, line: Line, work: Work, now: float
    ) -> bool:
        if self.yard.waiting and self.yard.next_for(line.model, schedule.host) is not None:
            return False
        return schedule.may_start(line, now, work.tokens, request.priority)

    async def _wait(self, request: ModelRequest, waiter: Waiter, schedule: Schedule, line: Line) -> Lease:
        loop = asyncio.get_running_loop()
        expected = self._refuse_in_vain(request, waiter, schedule, line)
        self.yard.join(line.model, waiter, schedule, loop.time())
        limit = self.settings.queue_timeout
        try:
            async with asyncio.timeout(limit):
                return await waiter.lease()
        except TimeoutError as error:
            line.refused += 1
            message = f"no slot within {limit:g} s, the bound that is set"
            raise OverloadedError(message, expected, error, **_where(line)) from error
        finally:
            self.yard.leave(line.model, waiter, loop.time())

    def _refuse_in_vain(self, request: ModelRequest, waiter: Waiter, schedule: Schedule, line: Line) -> float:
        """Return the expected wait; raise if it is in vain. Only measured times count against a timeout."""
        estimate = self.estimates.get(line.slots.deployment, UNKNOWN)
        left, queue = _seconds_left(request), self.yard.queue(line.model)
        wait = schedule.expected_wait(line, waiter.arrived, waiter.work.seconds, line.queue_seconds(estimate))
        wait += schedule.loading_takes(line) if line.needs_load else 0.0
        measured = line.queue_seconds(estimate, pace=None)
        loads = line.needs_load and not len(queue)  # the one who has it loaded waits behind nobody
        if queue.full and not loads:
            message = f"{len(queue)} requests wait already, the bound that is set"
        elif left is not None and measured > left:
            message = f"a slot is expected in {measured:.1f} s, and {left:.1f} s are left"
        else:
            return wait
        line.refused += 1
        raise OverloadedError(message, wait, **_where(line))

    def _choose(
        self, request: ModelRequest, allowed: Sequence[Deployment], key: str | None, now: float
    ) -> Deployment:
        last = None if key is None else self._affinity.host(allowed[0].model, key)
        return best([self._option(request, deployment, last, now) for deployment in allowed], request)

    def _expect(self, request: ModelRequest, deployment: Deployment) -> tuple[Schedule, Line, Work]:
        """Predict what *request* takes on *deployment*, and note it for those who plan."""
        schedule, line = self.yard.line(deployment)
        estimate = self.estimates.get(deployment, UNKNOWN)
        work = work_of(request, estimate)
        line.usual_service = work.seconds
        if not deployment.instances:
            line.usual_load = load_seconds(deployment, estimate)
        return schedule, line, work

    def _option(self, request: ModelRequest, deployment: Deployment, last: str | None, now: float) -> Option:
        schedule, line, work = self._expect(request, deployment)
        ready = self._may_start(request, schedule, line, work, now)
        seconds = work.seconds
        if last == schedule.host:
            seconds -= self._known_already(deployment, work)
        if not ready or line.slots.in_flight:
            estimate = self.estimates.get(deployment, UNKNOWN)
            seconds += schedule.expected_wait(line, now, work.seconds, line.queue_seconds(estimate))
        if line.needs_load:
            seconds += schedule.loading_takes(line)
        return Option(
            deployment,
            ready=ready,
            full=not ready and self.yard.queue(line.model).full,
            seconds=seconds,
            share=line.slots.in_flight / line.slots.size,
            home=last == schedule.host,
            measured=self.estimates.get(deployment, UNKNOWN).measured,
        )

    def _known_already(self, deployment: Deployment, work: Work) -> float:
        """Predict the seconds that a host saves which has read the beginning of the prompt before."""
        estimate = self.estimates.get(deployment, UNKNOWN)
        return min(work.prompt * estimate.prefill_seconds_per_token, self.settings.affinity_seconds)


def closing(model: str) -> OverloadedError:
    """Make the error of a request that comes while the router goes."""
    return OverloadedError("the router is closing", model=model, fault=Fault.REQUEST, advice="Open it again.")


def _with_queue(
    request: ModelRequest, schedule: Schedule, line: Line, plain: Estimate, now: float
) -> Estimate:
    own, queue = work_of(request, plain).seconds, line.queue_seconds(plain)
    return Estimate(
        plain.prefill_seconds_per_token,
        plain.decode_seconds_per_token,
        load_seconds=plain.load_seconds if line.needs_load else 0.0,
        queue_seconds=schedule.expected_wait(line, now, own, queue),
        success_rate=plain.success_rate,
        in_flight=line.slots.in_flight,
        queued=line.queued,
        measured=plain.measured,
        output_factor=plain.output_factor,
    )


def _seconds_left(request: ModelRequest) -> float | None:
    if request.timeout is None:
        return None
    spent = sum(a.queue_seconds + a.duration_seconds + a.pause_seconds for a in request.attempts)
    return request.timeout - spent


def _where(line: Line) -> Where:
    deployment = line.slots.deployment
    return {"host": deployment.host.name, "model": deployment.model}
