"""The yardsticks of the planner's benchmark: nobody beats the bound, and the schedule can be done."""

from collections.abc import Iterator
from itertools import product
from math import inf

import pytest
from attrs import evolve, frozen
from benchmarks import clairvoyant
from benchmarks.clairvoyant import Job, Problem, achieved, bound, least_loads, paging
from hypothesis import given, settings
from hypothesis import strategies as st


@frozen
class Machine:
    """One host at a moment: what is there, until when it loads, and when what runs will end."""

    model: int | None = None
    until: float = 0.0
    ends: tuple[float, ...] = ()


@frozen
class Moment:
    """Where all stand. ``done`` counts what has begun of each chain, ``ready`` is when the next may begin."""

    now: float
    machines: tuple[Machine, ...]
    done: tuple[int, ...]
    ready: tuple[float, ...]


def optimum(problem: Problem) -> float:
    """Return the least makespan of all schedules that there are, by trying them."""
    chains = len(problem.chains)
    first = Moment(0.0, (Machine(),) * len(problem.speeds), (0,) * chains, (0.0,) * chains)
    best, seen, ahead = inf, {first}, [first]
    while ahead:
        moment = ahead.pop()
        if all(done == len(chain) for done, chain in zip(moment.done, problem.chains, strict=True)):
            best = min(best, max(moment.ready))
        elif moment.now < best:
            # All that begins can begin when something ends: earlier it could not, and later is no better.
            new = {*starts(problem, moment), *loads(problem, moment), *later(moment)} - seen
            seen |= new
            ahead += sorted(new, key=lambda one: one.now, reverse=True)
    return best


def changed(machines: tuple[Machine, ...], at: int, machine: Machine) -> tuple[Machine, ...]:
    return (*machines[:at], machine, *machines[at + 1 :])


def starts(problem: Problem, moment: Moment) -> Iterator[Moment]:
    """Yield all ways to begin one request."""
    for number, chain in enumerate(problem.chains):
        done = moment.done[number]
        if done == len(chain) or moment.ready[number] > moment.now:
            continue
        for at, machine in enumerate(moment.machines):
            free = len(machine.ends) < problem.slots and machine.until <= moment.now
            if free and machine.model == chain[done].model:
                end = moment.now + chain[done].seconds / problem.speeds[at]
                busy = evolve(machine, ends=tuple(sorted((*machine.ends, end))))
                yield evolve(
                    moment,
                    machines=changed(moment.machines, at, busy),
                    done=(*moment.done[:number], done + 1, *moment.done[number + 1 :]),
                    ready=(*moment.ready[:number], end, *moment.ready[number + 1 :]),
                )


def loads(problem: Problem, moment: Moment) -> Iterator[Moment]:
    """Yield all ways to begin one load."""
    for at, machine in enumerate(moment.machines):
        if machine.ends or machine.until > moment.now:
            continue
        for model in problem.asked - {machine.model}:
            end = moment.now + problem.loads[model] / problem.speeds[at]
            yield evolve(moment, machines=changed(moment.machines, at, Machine(model, end)))


def later(moment: Moment) -> Iterator[Moment]:
    """Yield the moment when something ends next."""
    times = [time for machine in moment.machines for time in (machine.until, *machine.ends)]
    now = min((time for time in times if time > moment.now), default=None)
    if now is not None:
        left = [evolve(m, ends=tuple(end for end in m.ends if end > now)) for m in moment.machines]
        yield evolve(moment, now=now, machines=tuple(left))


jobs = st.builds(Job, st.integers(0, 2), st.sampled_from([1.0, 2.0, 3.0]))
problems = st.builds(
    Problem,
    st.lists(st.sampled_from([1.0, 2.0, 4.0]), min_size=3, max_size=3).map(tuple),
    st.sampled_from([(1.0,), (2.0, 1.0), (1.0, 1.0)]),
    st.integers(1, 2),
    st.lists(st.lists(jobs, min_size=1, max_size=3), min_size=1, max_size=3).filter(
        lambda chains: sum(map(len, chains)) <= 3
    ),
)


@given(problems)
@settings(max_examples=200, deadline=None)
def test_no_schedule_beats_the_bound_and_the_one_that_is_found_is_one(problem: Problem) -> None:
    """The best of all schedules lies between the bound and what the search has achieved."""
    best = optimum(problem)
    assert bound(problem) <= best + 1e-9
    assert best <= achieved(problem, steps=50) + 1e-9


row = st.lists(st.integers(0, 3), min_size=1, max_size=4).map(tuple)


@given(st.lists(row, min_size=1, max_size=2), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_paging_is_as_cheap_as_it_can_be(rows: list[tuple[int, ...]], room: int) -> None:
    """No order of loads, and no choice of what goes, serves the rows for less."""
    prices = (1.0, 2.0, 3.0, 5.0)
    found = paging(prices, rows, room)
    assert found == min(price for price in all_pagings(prices, rows, room))


def all_pagings(prices: tuple[float, ...], rows: list[tuple[int, ...]], room: int) -> Iterator[float]:
    """Yield the prices of pagings with rising price, the cheapest way to come to each state once."""
    states = {((0,) * len(rows), frozenset[int]()): 0.0}
    for _ in range(sum(map(len, rows))):
        for (at, resident), paid in list(states.items()):
            for model, gone in product(range(len(prices)), [None, *resident]):
                left = (resident - {gone}) | {model}
                if model in resident or len(left) > room:
                    continue
                there = tuple(served(row, done, left) for row, done in zip(rows, at, strict=True))
                cost = paid + prices[model]
                states[there, left] = min(cost, states.get((there, left), inf))
    ends = tuple(map(len, rows))
    yield from (paid for (at, _), paid in states.items() if at == ends)


def served(row: tuple[int, ...], done: int, resident: frozenset[int]) -> int:
    while done < len(row) and row[done] in resident:
        done += 1
    return done


def test_a_search_that_grows_too_large_leaves_the_plain_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each model is loaded once, whatever the chains are."""
    chain = [Job(number % 3, 1.0) for number in range(9)]
    problem = Problem((1.0, 2.0, 4.0), (1.0, 1.0), 4, [chain, chain[::-1]])
    assert least_loads(problem) > 7.0
    monkeypatch.setattr(clairvoyant, "STATES", 0)
    assert least_loads(problem) == 7.0
