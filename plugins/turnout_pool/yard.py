"""All hosts' schedules and all models' queues: what waits meets what is free."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf

from turnout import eligibility
from turnout.fleet import Deployment, Fleet
from turnout.types import ModelRequest
from turnout_pool.keeping import Keeping
from turnout_pool.line import Line
from turnout_pool.planner import Stay, plan
from turnout_pool.queue import Queue, Waiter
from turnout_pool.schedule import Schedule
from turnout_pool.settings import PoolSettings
from turnout_pool.situation import Loading, Move, Want
from turnout_pool.survey import Survey

Vetoes = Callable[[ModelRequest, Sequence[Deployment]], Mapping[Deployment, str]]
"""Who may not have which deployments, and why."""
Loader = Callable[[Schedule, Line, list[Line]], None]
"""Begins to load a model explicitly, and to unload others before."""


class Yard:
    """Serves those who wait from whichever host may start them first. Times are the loop's seconds.

    ``loader`` does explicit loads; without one every load is left to the request that needs it. ``vetoes``
    says where a request may not go.
    """

    def __init__(self, settings: PoolSettings) -> None:
        self.settings = settings
        self.schedules: dict[str, Schedule] = {}
        self.queues: dict[str, Queue] = {}
        self.survey = Survey(self.schedules, settings)
        self.fleet = Fleet(taken_at=-inf)
        self.loader: Loader | None = None
        self.vetoes: Vetoes = lambda *_: {}
        self.moves: tuple[Move, ...] = ()
        self.stay = Stay(settings.min_residence_seconds, settings.linger)
        self._absent: list[Want] = []
        self._keeping = Keeping(settings)
        self._wanted: list[Line] = []
        self._copies = False
        self._alarm: asyncio.TimerHandle | None = None
        self.waiting = 0
        self._busy = False
        self._closed = False

    # --- what is there ------------------------------------------------------------------------------

    def line(self, deployment: Deployment) -> tuple[Schedule, Line]:
        """Return the schedule and the line of a deployment of the present fleet."""
        host = deployment.host
        schedule = self.schedules.get(host.name)
        if schedule is None:
            schedule = Schedule(host.name, self._loading(host.name, host.backend), self.settings, self.pump)
            self.schedules[host.name] = schedule
        return schedule, schedule.line(deployment, self.fleet.taken_at)

    def _loading(self, host: str, backend: str) -> Loading:
        if backend not in self.settings.exclusive_backends:
            return Loading.ADDS
        managed = self.loader is not None and self.settings.manages(host)
        return Loading.MANAGED if managed else Loading.EVICTS

    def adopt(self, fleet: Fleet, now: float) -> bool:
        """Go by a snapshot, if it is newer; tell whether it is. Nothing starts."""
        if fleet is self.fleet or fleet.taken_at < self.fleet.taken_at:
            return False
        known, self.fleet = self._listed(), fleet
        for schedule in self.schedules.values():
            schedule.show(fleet, now)
        for deployment in fleet.deployments:
            if deployment.instances and self.settings.manages(deployment.host.name):
                self.line(deployment)  # it takes memory, though nobody has asked for it here
        self._absent = self._missing(now)
        for model, queue in self.queues.items():
            new = [d for d in fleet.models.get(model, ()) if (d.host.name, model) not in known]
            if queue and new:
                self._extend(queue, fleet.models[model], {d.host.name for d in new})
        return True

    def _listed(self) -> set[tuple[str, str]]:
        return {deployment.key for deployment in self.fleet.deployments}

    def _extend(self, queue: Queue, group: Sequence[Deployment], new: set[str]) -> None:
        """Let those who wait go to hosts that were not there when they came, if they may."""

        def more(waiter: Waiter) -> frozenset[str]:
            able, _ = eligibility.eligible(eligibility.needs_of(waiter.request), group)
            vetoed = self.vetoes(waiter.request, able)
            found = [d for d in able if d.host.name in new and d not in vetoed]
            for deployment in found:
                _, line = self.line(deployment)
                line.usual_service = line.usual_service or waiter.work.seconds
            return frozenset(d.host.name for d in found)

        queue.extend(more)

    def show(self, fleet: Fleet, now: float) -> None:
        """Go by a snapshot, if it is newer, and start what may start by it."""
        if self.adopt(fleet, now):
            self.pump(now)

    def put_off(self, model: str, until: float) -> None:
        """Do not load *model* only to keep it before that time."""
        self._keeping.put_off(model, until)
        self._absent = [want for want in self._absent if want.model != model]

    def _missing(self, now: float) -> list[Want]:
        there: dict[str, dict[str, bool]] = {}
        for deployment in self._keeping.deployments(self.fleet):
            schedule, line = self.line(deployment)
            if schedule.loading is Loading.MANAGED:
                there.setdefault(line.model, {})[schedule.host] = not line.needs_load
        return list(self._keeping.missing(there, now))

    # --- waiting ------------------------------------------------------------------------------------

    def next_for(self, model: str, host: str) -> Waiter | None:
        """Return who of those that wait for *model* is the next that *host* serves."""
        queue = self.queues.get(model)
        return queue.first(host) if queue else None

    def queue(self, model: str) -> Queue:
        """Return the queue of *model*."""
        queue = self.queues.get(model)
        if queue is None:
            queue = self.queues[model] = Queue(self.settings.queue)
        return queue

    def join(self, model: str, waiter: Waiter, home: Schedule, now: float) -> None:
        """Let *waiter* wait for *model*; *home* is where it is expected to be served."""
        self.queue(model).join(waiter)
        self.waiting += 1
        waiter.home = home.host
        line = home.lines[model]
        home.waiting += 1
        line.queued += 1
        line.expect(waiter.work)
        self.pump(now)

    def leave(self, model: str, waiter: Waiter, now: float) -> None:
        """Let *waiter* go unserved; others may start then."""
        if self.queue(model).leave(waiter):
            self._left(model, waiter)
            self.pump(now)

    def refuse_first(self, model: str, host: str, error: Exception) -> None:
        """Give an error to who would have been the next that *host* serves."""
        waiter = self.next_for(model, host)
        if waiter is not None:
            self.queue(model).leave(waiter)
            self._left(model, waiter)
            waiter.refuse(error)

    def refuse_all(self, error: Callable[[str], Exception]) -> None:
        """Give everybody that waits an error, made from the model's name, and start nothing any more."""
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        for model, queue in self.queues.items():
            for waiter in queue.drain():
                self._left(model, waiter)
                waiter.refuse(error(model))

    def _left(self, model: str, waiter: Waiter) -> None:
        self.waiting -= 1
        home = self.schedules[waiter.home]
        home.waiting -= 1
        line = home.lines[model]
        line.queued -= 1
        line.settle(waiter.work)

    # --- starting -----------------------------------------------------------------------------------

    def pump(self, now: float) -> None:
        """Start all that may start: what is resident first, then the loads that are next."""
        if self._busy or self._closed:  # what starts may free others on the way
            return
        if not (self.waiting or self._copies or self._absent):
            return
        self._busy = True
        try:
            self.replan(now)
            while self._serve(now) or self._begin_loads(now):
                self.replan(now)
        finally:
            self._busy = False

    def _serve(self, now: float) -> bool:
        """Start what needs no load; tell whether anything has started."""
        before = self.waiting
        for model, queue in self.queues.items():
            if queue:
                for schedule in self._by_share(model):
                    self._serve_on(schedule, schedule.lines[model], queue, now)
        return self.waiting < before

    def _by_share(self, model: str) -> list[Schedule]:
        """Return the hosts that those who wait may go to, the idlest first."""
        found = [s for s in self.schedules.values() if model in s.lines and s.lines[model].resident]
        if len(found) > 1:
            found.sort(key=lambda s: s.lines[model].slots.in_flight / s.lines[model].slots.size)
        return found

    def _serve_on(self, schedule: Schedule, line: Line, queue: Queue, now: float) -> None:
        host = schedule.host
        while line.slots.free > 0 and (waiter := queue.first(host)) is not None:
            # Who goes before others of a higher priority goes by that: it is their turn that it takes.
            if not schedule.may_start(line, now, waiter.work.tokens, queue.priority(host)):
                return
            if host not in self._open_to(line.model, waiter.hosts):
                return
            self._start(waiter, schedule, line, queue, now)

    def _start(self, waiter: Waiter, schedule: Schedule, line: Line, queue: Queue, now: float) -> None:
        queue.take(waiter, schedule.host)
        self._left(line.model, waiter)
        if not waiter.gone:
            waiter.serve(schedule.start(line, waiter.work, now, now - waiter.arrived))

    # --- loading ------------------------------------------------------------------------------------

    def _begin_loads(self, now: float) -> bool:
        """Begin the loads that nothing stands in the way of; tell whether one has begun."""
        begun = [self._begin(move, now) for move in self.moves if move.ready]
        return any(begun)

    def replan(self, now: float) -> None:
        """Decide anew which host loads what next."""
        wants = list(self.wants(now))
        self.moves = ()
        if self._copies:
            self.moves = plan(self.survey.places(wants, now), wants, now, self.stay)
        planned = {move.host: move for move in self.moves}
        for name, schedule in self.schedules.items():
            schedule.next = planned.get(name)
        self._set_alarm(now)

    def _begin(self, move: Move, now: float) -> bool:
        schedule = self.schedules[move.host]
        line = schedule.lines[move.model]
        evicted = [schedule.lines[model] for model in move.evicts]
        # The server lets what was loaded explicitly stay: what is ours of that, we unload ourselves.
        explicit = schedule.loading is Loading.MANAGED or any(one.ours for one in evicted)
        if explicit and self.loader is not None:
            self.loader(schedule, line, evicted)
            return True
        queue = self.queues[move.model]
        waiter = queue.first(move.host)
        if waiter is not None:
            self._start(waiter, schedule, line, queue, now)
        return waiter is not None

    def wants(self, now: float) -> Iterator[Want]:
        """Yield what is waited for, and what is to be kept and is missing."""
        before, self._wanted, self._copies = self._wanted, [], False
        for model, queue in self.queues.items():
            for hosts, group in queue.groups.items():
                oldest = group.oldest()
                if oldest is None:
                    continue
                known = self._open_to(model, hosts)
                self._want(model, known, now)
                yield Want(model, known, len(group.live), oldest.arrived, group.priority)
        for want in self._absent:
            self._want(want.model, want.hosts, now)
            yield want
        for line in before:
            if line not in self._wanted:
                line.turn = None

    def _open_to(self, model: str, hosts: frozenset[str]) -> frozenset[str]:
        """Return those of *hosts* that list *model*; all that are known where none does.

        A host that is down ends what it gets at once, and so would take everybody who waits.
        """
        known = frozenset(host for host in hosts if host in self.schedules)
        return frozenset(host for host in known if self.schedules[host].lines[model].listed) or known

    def _want(self, model: str, hosts: frozenset[str], now: float) -> None:
        """Note who waits for a load. Where one of *hosts* has the model, a copy is nobody's turn."""
        lines = [(self.schedules[host], self.schedules[host].lines[model]) for host in hosts]
        self._copies |= any(line.needs_load for _, line in lines)
        if all(line.needs_load for _, line in lines):
            for schedule, line in lines:
                schedule.want(line, now)
                self._wanted.append(line)

    def _set_alarm(self, now: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        until = min((move.not_before for move in self.moves if move.not_before > now), default=None)
        if until is not None:
            loop = asyncio.get_running_loop()
            # A timer may fire a clock tick early.
            self._alarm = loop.call_at(until, lambda: self.pump(max(loop.time(), until)))
