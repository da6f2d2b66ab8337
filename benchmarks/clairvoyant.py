"""What a planner who knows all requests beforehand could do: a bound that nobody beats, and a schedule.

The hosts start empty, have room for one model each, and take `slots` requests at once of the model that is
there. A load of model m takes loads[m] / speed seconds, in which the host does nothing else; a request takes
its seconds / speed. Each chain is served in its order, one request after the other.

**The bound.** Within a makespan T, host h has speed[h] T seconds (on a host of speed 1) for its loads and for
its part of the work, of which it does at most `slots` seconds in one. Added up over the hosts,

    T  >=  (D + W / slots) / (sum of all speeds),

where W are the seconds of all requests together, and D those of all loads, or anything that they are not less
than. Two things hold for D, whatever the schedule is:

- Every model that is asked for is loaded at least once.
- Take some of the chains alone, and the loads of their models alone. At any time no more models are resident
  than there are hosts, and each request of these chains is served while its model is resident. So the loads,
  in the order of their begin, are also a way to serve these chains in which serving takes no time and any
  resident model may go for the next: paging, with as many pages as there are hosts and a price for each.
  Its least price is found exactly (`paging`), and what other models are asked for comes on top. Any choice of
  chains gives a bound, so the best of those that were tried is one.

Besides, no chain is done before a load of its first model and all of its requests, on the fastest host.

**The schedule** (`achieved`) is a list of models for each host: it loads the next when nothing runs there and
nobody waits for what it has. The lists are found by simulated annealing, from the lists of an online rule;
what they do not say is done by that rule. So it is no optimum, but it can be done, by who knows everything.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import count
from math import exp, inf
from random import Random
from typing import TypeAlias

from attrs import define, field, frozen

Lists: TypeAlias = Sequence[Sequence[int]]
"""For each host, the fastest first, the models that it loads one after the other."""
Positions: TypeAlias = tuple[int, ...]

CHAINS = 3
"""Chains whose loads are counted together; a fourth adds 2 % to the bound, and minutes."""
STATES = 60_000
"""States of the paging that are looked at for one choice of chains; a harder one is given up."""
STEPS = 40_000
HEAT = 0.015
"""By what part of the makespan a step may be worse, in the beginning of the search."""


@frozen
class Job:
    """A request for a model, by its number; seconds on a host of speed 1."""

    model: int
    seconds: float


@frozen
class Problem:
    """What is to be done, and with what."""

    loads: Sequence[float]
    speeds: Sequence[float]
    slots: int
    chains: Sequence[Sequence[Job]]

    @property
    def asked(self) -> frozenset[int]:
        """The models that are asked for."""
        return frozenset(job.model for chain in self.chains for job in chain)


# --- the bound --------------------------------------------------------------------------------------


def bound(problem: Problem) -> float:
    """Return seconds that no schedule does with less than."""
    work = sum(job.seconds for chain in problem.chains for job in chain)
    least = (least_loads(problem) + work / problem.slots) / sum(problem.speeds)
    firsts = [problem.loads[chain[0].model] + sum(job.seconds for job in chain) for chain in problem.chains]
    return max(least, max(firsts) / max(problem.speeds))


def least_loads(problem: Problem) -> float:
    """Return seconds of loads that no schedule does with less than.

    The chains that it goes by are chosen one by one, each the one that makes the most of those before.
    """
    rows = sorted({_models(chain) for chain in problem.chains})
    best, chosen = sum(problem.loads[model] for model in problem.asked), list[Positions]()
    for _ in range(min(CHAINS, len(rows))):
        found, row = max((_priced(problem, [*chosen, row]), row) for row in rows)
        best, chosen = max(best, found), [*chosen, row]
    return best


def _models(chain: Sequence[Job]) -> Positions:
    """Return the models of a chain; one after itself costs nothing."""
    models = [job.model for job in chain]
    return tuple(model for model, before in zip(models, [None, *models], strict=False) if model != before)


def _priced(problem: Problem, rows: Sequence[Positions]) -> float:
    priced = paging(problem.loads, rows, len(problem.speeds))
    others = problem.asked - {model for row in rows for model in row}
    return 0.0 if priced is None else priced + sum(problem.loads[model] for model in others)


def paging(prices: Sequence[float], rows: Sequence[Positions], room: int) -> float | None:
    """Return the least price to serve *rows* of models, each in its order, with *room* of them at a time.

    None where more than ``STATES`` states were needed. (A* search; what is still asked for and not resident
    has to be paid at least once more.)
    """

    def missing(at: Positions, resident: frozenset[int]) -> float:
        ahead = {model for row, done in zip(rows, at, strict=True) for model in row[done:]}
        return sum(prices[model] for model in ahead - resident)

    numbers, start = count(), (0,) * len(rows)
    heap = [(missing(start, frozenset()), next(numbers), 0.0, start, frozenset[int]())]
    seen: set[tuple[Positions, frozenset[int]]] = set()
    while heap and len(seen) < STATES:
        _, _, paid, at, resident = heappop(heap)
        if all(done == len(row) for row, done in zip(rows, at, strict=True)):
            return paid
        if (at, resident) in seen:
            continue
        seen.add((at, resident))
        for model in {row[done] for row, done in zip(rows, at, strict=True) if done < len(row)}:
            for left in _after(resident, model, room):
                there, cost = _served(rows, at, left), paid + prices[model]
                heappush(heap, (cost + missing(there, left), next(numbers), cost, there, left))
    return None


def _after(resident: frozenset[int], model: int, room: int) -> Iterator[frozenset[int]]:
    if len(resident) < room:
        yield resident | {model}
    else:
        for gone in resident:
            yield resident - {gone} | {model}


def _served(rows: Sequence[Positions], at: Positions, resident: frozenset[int]) -> Positions:
    there = list(at)
    for number, row in enumerate(rows):
        while there[number] < len(row) and row[there[number]] in resident:
            there[number] += 1
    return tuple(there)


# --- a schedule -------------------------------------------------------------------------------------


def achieved(problem: Problem, seed: int = 0, steps: int = STEPS) -> float:
    """Return the makespan of a good schedule that knows everything."""
    random = Random(seed)
    play = Play(problem, [[] for _ in problem.speeds])
    least = now = play.run()
    for step in range(steps):
        heat = HEAT * least * (1 - step / steps)
        tried = Play(problem, _changed(play.begun, len(problem.loads), random))
        span = tried.run(now + 5 * heat)
        if span <= now or random.random() < exp((now - span) / heat):
            now, play = span, tried
        least = min(least, span)
    return least


def _changed(lists: Lists, models: int, random: Random) -> list[list[int]]:
    """Return *lists* with one load more, or less, or another one, or at another place."""
    new = [list(loads) for loads in lists]
    one, other = random.choice(new), random.choice(new)
    way = random.random()
    if way < 0.3 or not one:
        one.insert(random.randint(0, len(one)), random.randrange(models))
        return new
    at = random.randrange(len(one))
    if way < 0.6:
        one[at] = random.randrange(models)
        return new
    moved = one.pop(at)
    if way < 0.75:
        other.insert(random.randint(0, len(other)), moved)
    return new


@define(eq=False)
class Host:
    """What one host is about; ``ahead`` are the loads still on its list, ``begun`` those that were done."""

    speed: float
    ahead: deque[int]
    begun: list[int] = field(factory=list)
    model: int | None = None
    running: int = 0
    loading: bool = False


@define(eq=False)
class Play:
    """One schedule, played out."""

    problem: Problem
    lists: Lists
    _hosts: list[Host] = field(factory=list)
    _waiting: list[deque[int]] = field(factory=list)
    _done: list[int] = field(factory=list)
    _events: list[tuple[float, int, Host, int | None]] = field(factory=list)
    _numbers: Iterator[int] = field(factory=count)
    _now: float = 0.0

    def run(self, limit: float = inf) -> float:
        """Return the makespan; infinite when it is more than *limit*."""
        self._prepare()
        left = sum(map(len, self.problem.chains))
        while left and self._now <= limit:
            self._start()
            self._load()
            self._now, _, host, chain = heappop(self._events)
            left -= self._end(host, chain)
        return self._now if not left else inf

    @property
    def begun(self) -> Lists:
        """The loads that were really done on each host, the fastest host first."""
        return [host.begun for host in self._hosts]

    def _prepare(self) -> None:
        speeds = sorted(self.problem.speeds, reverse=True)
        self._hosts = [Host(speed, deque(models)) for speed, models in zip(speeds, self.lists, strict=True)]
        self._waiting = [deque() for _ in self.problem.loads]
        self._done = [0] * len(self.problem.chains)
        # Of chains of one request the longest goes first: then the slots end at about the same time.
        for number in sorted(range(len(self._done)), key=lambda n: -self.problem.chains[n][0].seconds):
            self._wait(number)

    def _wait(self, chain: int) -> None:
        jobs = self.problem.chains[chain]
        if self._done[chain] < len(jobs):
            self._waiting[jobs[self._done[chain]].model].append(chain)

    def _start(self) -> None:
        for host in self._hosts:
            if host.model is None or host.loading:
                continue
            waiting = self._waiting[host.model]
            while waiting and host.running < self.problem.slots:
                chain = waiting.popleft()
                host.running += 1
                seconds = self.problem.chains[chain][self._done[chain]].seconds
                self._later(seconds / host.speed, host, chain)

    def _load(self) -> None:
        for host in self._hosts:
            if host.running or host.loading:
                continue
            model = self._next(host)
            if model is not None:
                host.model, host.loading = model, True
                host.begun.append(model)
                self._later(self.problem.loads[model] / host.speed, host, None)

    def _next(self, host: Host) -> int | None:
        while host.ahead:
            model = host.ahead.popleft()
            if model != host.model:
                return model
        there = {host.model for host in self._hosts}
        asked = [m for m, waiting in enumerate(self._waiting) if waiting and m not in there]
        return max(asked, key=lambda m: len(self._waiting[m]) / self.problem.loads[m], default=None)

    def _later(self, seconds: float, host: Host, chain: int | None) -> None:
        heappush(self._events, (self._now + seconds, next(self._numbers), host, chain))

    def _end(self, host: Host, chain: int | None) -> bool:
        """Let a load end, or a request; tell whether it was a request."""
        if chain is None:
            host.loading = False
            return False
        host.running -= 1
        self._done[chain] += 1
        self._wait(chain)
        return True
