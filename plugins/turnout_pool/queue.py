"""Who waits for one model, and who is next: by priority, in fair shares, and nobody never.

Of one priority, clients get equal shares of tokens, each in the order of arrival: start-time fair queueing
(Goyal, Vin and Cheng 1997), where only what was served counts against a client. Above that a higher
priority goes first, but after ``MOST_PASSES`` who passed one of lower priority, the longest waiting goes.
All steps cost O(log n) or less, whoever leaves in between.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf

from attrs import define, field

from turnout.types import Lease, ModelRequest
from turnout_pool.placement import Work

MOST_PASSES = 7
SPARE = 64
"""Entries of those that left which are kept at most beside as many as there are live ones."""


class Waiter:
    """A request that waits for its lease.

    ``arrived`` is in the loop's seconds; ``hosts`` may serve it; ``work`` is what it takes on its ``home``,
    the host that was predicted to serve it.
    """

    __slots__ = ("_future", "arrived", "home", "hosts", "request", "work")

    def __init__(
        self,
        request: ModelRequest,
        arrived: float,
        hosts: frozenset[str],
        work: Work,
        future: "asyncio.Future[Lease]",
    ) -> None:
        self.arrived = arrived
        self.hosts = hosts
        self.work = work
        self.request = request
        self.home = ""
        self._future = future

    @property
    def priority(self) -> int:
        """Who has a higher one goes first."""
        return self.request.priority

    @property
    def client(self) -> str:
        """Whose request it is."""
        return self.request.client

    @property
    def gone(self) -> bool:
        """Whether it waits no more: served, refused or cancelled."""
        return self._future.done()

    @property
    def served(self) -> bool:
        """Whether it has its lease."""
        return self.gone and not self._future.cancelled() and self._future.exception() is None

    def serve(self, lease: Lease) -> None:
        """End the waiting."""
        self._future.set_result(lease)

    def refuse(self, error: Exception) -> None:
        """End the waiting with an error, unless it has ended."""
        if not self.gone:
            self._future.set_exception(error)

    async def lease(self) -> Lease:
        """Wait. A lease that comes in the moment of a cancellation is released, not lost."""
        try:
            return await self._future
        except asyncio.CancelledError:
            if self.served:
                self._future.result().release()
            raise


@define(eq=False)
class Flow:
    """The requests of one client and priority, in the order of arrival; ``start`` is the first one's tag."""

    client: str
    priority: int
    start: float = 0.0
    waiting: deque[Waiter] = field(factory=deque)


class Group:
    """Those who may be served by the same hosts."""

    def __init__(self) -> None:
        self.live: dict[Waiter, None] = {}
        self._flows: dict[tuple[int, str], Flow] = {}
        self._order: list[tuple[int, float, int, Flow]] = []
        self._arrivals: deque[Waiter] = deque()
        self._numbers = count()

    def join(self, waiter: Waiter, start: float) -> None:
        """Let *waiter* wait; *start* is its tag if it is the first of its flow."""
        key = waiter.priority, waiter.client
        flow = self._flows.setdefault(key, Flow(waiter.client, waiter.priority))
        if self._head(flow) is None:
            self._enter(flow, start)
        flow.waiting.append(waiter)
        self._arrivals.append(waiter)
        self.live[waiter] = None

    def leave(self, waiter: Waiter) -> None:
        """Forget *waiter*, wherever it stands."""
        del self.live[waiter]
        if len(self._arrivals) > 2 * len(self.live) + SPARE:
            self._tidy()

    def take(self, waiter: Waiter, start: float) -> None:
        """Let *waiter*, the first of its flow, go; *start* is the tag of the one behind it."""
        self.leave(waiter)
        flow = self._flows.get((waiter.priority, waiter.client))
        if flow is not None and self._head(flow) is not None:
            self._enter(flow, start)

    def first(self) -> tuple[int, float, Waiter] | None:
        """Return who is next, with minus its priority and its tag."""
        while self._order:
            priority, start, _, flow = self._order[0]
            waiter = self._head(flow) if start == flow.start else None
            if waiter is not None:
                return priority, start, waiter
            heappop(self._order)
            self._forget(flow)
        return None

    @property
    def priority(self) -> int:
        """The highest priority of all who wait."""
        first = self.first()
        return 0 if first is None else -first[0]

    def oldest(self) -> Waiter | None:
        """Return who has waited the longest."""
        arrivals = self._arrivals
        while arrivals and arrivals[0] not in self.live:
            arrivals.popleft()
        return arrivals[0] if arrivals else None

    def _enter(self, flow: Flow, start: float) -> None:
        flow.start = start
        heappush(self._order, (-flow.priority, start, next(self._numbers), flow))

    def _head(self, flow: Flow) -> Waiter | None:
        waiting = flow.waiting
        while waiting and waiting[0] not in self.live:
            waiting.popleft()
        return waiting[0] if waiting else None

    def _forget(self, flow: Flow) -> None:
        key = flow.priority, flow.client
        if self._flows.get(key) is flow and self._head(flow) is None:
            del self._flows[key]

    def _tidy(self) -> None:
        self._arrivals = deque(waiter for waiter in self._arrivals if waiter in self.live)
        for flow in list(self._flows.values()):
            flow.waiting = deque(waiter for waiter in flow.waiting if waiter in self.live)
            self._forget(flow)
        self._order = [entry for entry in self._order if entry[3].waiting and entry[1] == entry[3].start]
        heapify(self._order)


class Queue:
    """All who wait for one model; no more than ``limit``."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.groups: dict[frozenset[str], Group] = {}
        self._count = 0
        self._passes = 0
        self._clock = 0.0
        self._finished: dict[str, float] = {}

    def __len__(self) -> int:
        return self._count

    @property
    def full(self) -> bool:
        """Whether nobody else may join."""
        return self._count >= self.limit

    def join(self, waiter: Waiter) -> None:
        """Let *waiter* wait."""
        self._enter(waiter)
        self._count += 1

    def _enter(self, waiter: Waiter) -> None:
        group = self.groups.get(waiter.hosts)
        if group is None:
            group = self.groups[waiter.hosts] = Group()
        group.join(waiter, self._start(waiter.client))

    def extend(self, more: Callable[[Waiter], frozenset[str]]) -> None:
        """Let each who waits go to the hosts that *more* says, too; the order of arrival stays."""
        moving = [(waiter, hosts) for waiter in self._all() if (hosts := more(waiter) - waiter.hosts)]
        for waiter, hosts in sorted(moving, key=lambda one: one[0].arrived):
            group = self.groups[waiter.hosts]
            group.leave(waiter)
            if not group.live:
                del self.groups[waiter.hosts]
            waiter.hosts |= hosts
            self._enter(waiter)

    def _all(self) -> list[Waiter]:
        return [waiter for group in self.groups.values() for waiter in group.live]

    def leave(self, waiter: Waiter) -> bool:
        """Step out unserved, from wherever one stands; False when one stands here no more."""
        group = self.groups.get(waiter.hosts)
        if group is None or waiter not in group.live:
            return False
        group.leave(waiter)
        self._left(waiter, group)
        return True

    def first(self, host: str) -> Waiter | None:
        """Return who is the next that *host* serves."""
        found = [first for group in self._groups(host) if (first := group.first()) is not None]
        if not found:
            return None
        priority, _, waiter = min(found, key=lambda one: (one[0], one[1], one[2].arrived))
        if self._passes >= MOST_PASSES:
            oldest = self.oldest(host)
            if oldest is not None and oldest.priority < -priority:
                return oldest
        return waiter

    def priority(self, host: str) -> int:
        """Return the highest priority of those that *host* may serve; 0 when there are none."""
        return max((group.priority for group in self._groups(host)), default=0)

    def take(self, waiter: Waiter, host: str) -> None:
        """Let *waiter*, whom :meth:`first` has named, go to *host*."""
        oldest = self.oldest(host)
        passes = oldest is not None and oldest.priority < waiter.priority
        self._passes = self._passes + 1 if passes else 0
        start = self._start(waiter.client)
        self._clock = max(self._clock, start)
        self._finished[waiter.client] = start + max(waiter.work.tokens, 1.0)
        group = self.groups[waiter.hosts]
        group.take(waiter, self._finished[waiter.client])
        self._left(waiter, group)

    def oldest(self, host: str) -> Waiter | None:
        """Return who of those that *host* may serve has waited the longest."""
        found = [oldest for group in self._groups(host) if (oldest := group.oldest()) is not None]
        return min(found, key=lambda waiter: waiter.arrived, default=None)

    def drain(self) -> list[Waiter]:
        """Send everybody away, and return them."""
        gone = self._all()
        for waiter in gone:
            self.leave(waiter)
        return gone

    def _groups(self, host: str) -> Iterable[Group]:
        if len(self.groups) == 1:
            (hosts,) = self.groups
            return self.groups.values() if host in hosts else ()
        return self._several(host)

    def _several(self, host: str) -> Iterator[Group]:
        return (group for hosts, group in self.groups.items() if host in hosts)

    def _start(self, client: str) -> float:
        return max(self._clock, self._finished.get(client, -inf))

    def _left(self, waiter: Waiter, group: Group) -> None:
        self._count -= 1
        if not group.live:
            del self.groups[waiter.hosts]
        if not self._count:
            self._passes, self._clock = 0, 0.0
            self._finished.clear()
        elif len(self._finished) > self._count + SPARE:
            self._finished = {client: at for client, at in self._finished.items() if at > self._clock}
