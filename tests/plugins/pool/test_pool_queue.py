"""Who is next: by priority, in fair shares, nobody never, and nobody lost."""

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from turnout.types import Lease, ModelRequest
from turnout_pool.placement import Work
from turnout_pool.queue import MOST_PASSES, SPARE, Queue, Waiter
from turnout_testing.clock import virtual_loop_factory

HOSTS = ("desk", "attic")
BOTH = frozenset(HOSTS)


class Line:
    """A queue, those who wait in it, and a loop for their futures."""

    def __init__(self) -> None:
        self.queue = Queue(1_000_000)
        self.loop = virtual_loop_factory()
        self.arrived = 0

    def join(
        self, client: str = "", priority: int = 0, tokens: float = 100.0, hosts: frozenset[str] = BOTH
    ) -> Waiter:
        request = ModelRequest("hello", client=client, priority=priority)
        future: asyncio.Future[Lease] = self.loop.create_future()
        waiter = Waiter(request, self.arrived, hosts, Work(0.0, tokens, 1.0), future)
        self.arrived += 1
        self.queue.join(waiter)
        return waiter

    def serve(self, host: str = "desk") -> Waiter | None:
        waiter = self.queue.first(host)
        if waiter is not None:
            self.queue.take(waiter, host)
        return waiter

    def serve_all(self, count: int) -> list[Waiter]:
        found = [self.serve() for _ in range(count)]
        return [waiter for waiter in found if waiter is not None]


@pytest.fixture(name="line")
def _line() -> Iterator[Line]:
    line = Line()
    yield line
    line.loop.close()


def test_one_client_is_served_in_the_order_of_arrival(line: Line) -> None:
    """However much each of its requests takes."""
    waiters = [line.join(tokens=tokens) for tokens in (900.0, 1.0, 50.0, 0.0)]
    assert line.serve_all(4) == waiters


def test_clients_get_equal_shares_of_tokens(line: Line) -> None:
    """One who asks for much at once does not hold up one who asks for little."""
    for _ in range(40):
        line.join("greedy", tokens=400.0)
    for _ in range(40):
        line.join("modest", tokens=100.0)
    spent: Counter[str] = Counter()
    for waiter in line.serve_all(30):
        spent[waiter.client] += int(waiter.work.tokens)
    assert abs(spent["greedy"] - spent["modest"]) <= 400


def test_who_comes_late_gets_a_share_and_no_arrears(line: Line) -> None:
    """What others had before one came is not made up for."""
    for _ in range(40):
        line.join("early")
    line.serve_all(20)
    for _ in range(20):
        line.join("late")
    assert Counter(waiter.client for waiter in line.serve_all(10)) == {"early": 5, "late": 5}


def test_what_was_given_up_counts_against_nobody(line: Line) -> None:
    """A client that cancels a hundred requests is not behind for it."""
    for waiter in [line.join("fickle") for _ in range(100)]:
        line.queue.leave(waiter)
    line.join("other")
    fickle = line.join("fickle")
    line.join("other")
    assert line.serve_all(2)[1] is fickle


def test_a_higher_priority_goes_first(line: Line) -> None:
    """Also when it comes last."""
    low, high = line.join(priority=0), line.join(priority=2)
    assert line.serve_all(2) == [high, low]


def test_a_low_priority_is_passed_by_no_more_than_the_bound(line: Line) -> None:
    """In an endless stream of important requests the unimportant one still gets its turn."""
    low = line.join(priority=0)
    for _ in range(50):
        line.join(priority=1)
    served = line.serve_all(MOST_PASSES + 1)
    assert served[-1] is low


def test_a_host_is_given_only_what_it_may_serve(line: Line) -> None:
    """Requests that are fenced wait for their own hosts, and hold nobody else up."""
    fenced = line.join(hosts=frozenset({"attic"}))
    free = line.join()
    assert line.serve("desk") is free
    assert line.serve("desk") is None
    assert line.serve("attic") is fenced


def test_those_who_left_leave_no_memory_behind(line: Line) -> None:
    """A queue that many join and leave keeps about as many entries as there are waiting."""
    line.join("stays")
    for number in range(1000):
        line.queue.leave(line.join(f"client {number}"))
    (group,) = line.queue.groups.values()
    assert max(len(group._arrivals), len(group._order), len(group._flows)) <= 2 * SPARE + 4


def flow(waiter: Waiter) -> tuple[str, int, frozenset[str]]:
    return waiter.client, waiter.priority, waiter.hosts


class QueueMachine(RuleBasedStateMachine):
    """A queue beside the plain set of those who ought to be in it."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Line()
        self.waiting: list[Waiter] = []
        self.passed: Counter[Waiter] = Counter()

    @rule(
        client=st.sampled_from("abc"),
        priority=st.integers(0, 2),
        tokens=st.sampled_from([0.0, 10.0, 500.0]),
        hosts=st.sampled_from([BOTH, frozenset({"desk"}), frozenset({"attic"})]),
    )
    def join(self, client: str, priority: int, tokens: float, hosts: frozenset[str]) -> None:
        self.waiting.append(self.line.join(client, priority, tokens, hosts))

    @rule(host=st.sampled_from(HOSTS))
    def serve(self, host: str) -> None:
        able = [waiter for waiter in self.waiting if host in waiter.hosts]
        oldest = self.line.queue.oldest(host)
        served = self.line.serve(host)
        if not able:
            assert served is oldest is None
            return
        assert served in able
        assert oldest is able[0]
        self.waiting.remove(served)
        own = [w for w in able if flow(w) == flow(served)]
        assert own[0] is served, "a client's requests keep their order"

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        waiter = data.draw(st.sampled_from(self.waiting))
        assert self.line.queue.leave(waiter)
        assert not self.line.queue.leave(waiter)
        self.waiting.remove(waiter)

    @invariant()
    def nobody_is_lost(self) -> None:
        assert len(self.line.queue) == len(self.waiting)
        live = [waiter for group in self.line.queue.groups.values() for waiter in group.live]
        assert set(live) == set(self.waiting)

    def teardown(self) -> None:
        while any(self.line.serve(host) for host in HOSTS):
            pass
        assert len(self.line.queue) == 0
        self.line.loop.close()


QueueMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestQueueMachine = QueueMachine.TestCase
