"""The breaker alone: a state machine that is told the time."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from turnout_resilience.breaker import FULL_STRENGTH, LAPSE_SECONDS, Breaker, Policy, State

POLICY = Policy(failures=3, cooldown=5.0, longest=60.0)


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(POLICY)
    breaker.failed(at, at, "it burns", at_once=True)
    return breaker


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    """A success in between starts the count anew."""
    breaker = Breaker(POLICY)
    for now in (1.0, 2.0):
        breaker.failed(now, now, "crash")
    breaker.succeeded(3.0)
    for now in (4.0, 5.0):
        breaker.failed(now, now, "crash")
    assert breaker.state(5.0) is State.CLOSED
    breaker.failed(6.0, 6.0, "crash")
    assert (breaker.state(6.0), breaker.reason) == (State.OPEN, "crash")


def test_the_cool_down_doubles_up_to_its_bound() -> None:
    """Each failed probe waits twice as long as the one before it."""
    breaker, now, pauses = Breaker(POLICY), 0.0, []
    for _ in range(6):
        breaker.failed(now, now, "no memory", at_once=True)
        pauses.append(breaker.until - now)
        now = breaker.until
    assert pauses == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]


def test_half_open_admits_one_at_a_time() -> None:
    """While the probe is out nobody else passes, and when it gives up the next one may."""
    breaker = opened()
    assert not breaker.admits("a", 4.9)
    breaker.admit("a", 5.0)
    assert breaker.admits("a", 5.1)
    assert not breaker.admits("b", 5.1)
    breaker.gave_up("b")
    assert not breaker.admits("b", 5.1)
    breaker.gave_up("a")
    assert breaker.admits("b", 5.1)


def test_a_probe_that_went_elsewhere_blocks_nobody_for_long() -> None:
    """A request that was admitted may still be sent to another place."""
    breaker = opened()
    breaker.admit("a", 5.0)
    assert not breaker.admits("b", 5.0 + LAPSE_SECONDS - 0.1)
    assert breaker.admits("b", 5.0 + LAPSE_SECONDS)


def test_old_news_changes_nothing() -> None:
    """What began before it opened neither closes it nor opens it again."""
    breaker = opened(at=10.0)
    breaker.succeeded(9.0)
    breaker.failed(9.0, 12.0, "late")
    assert (breaker.state(12.0), breaker.until, breaker.reason) == (State.OPEN, 15.0, "it burns")


def test_a_recovery_admits_one_more_for_each_answer() -> None:
    """After the probe one more request at a time is let in, until it is at full strength."""
    breaker, allowed = opened(), []
    for answer in range(FULL_STRENGTH):
        allowed.append(breaker.allowance())
        breaker.succeeded(6.0 + answer)
    assert allowed == [1, *range(2, FULL_STRENGTH + 1)]
    assert breaker.allowance() is None
    assert breaker.recovered


def test_a_relapse_opens_at_once_and_for_longer() -> None:
    """Who has just recovered has no further failures to give."""
    breaker = opened()
    breaker.succeeded(6.0)
    breaker.failed(7.0, 7.0, "again")
    assert (breaker.state(7.0), breaker.until) == (State.OPEN, 17.0)


def test_a_breaker_that_never_tripped_limits_nobody() -> None:
    """A single failure is no reason to be gentle."""
    breaker = Breaker(POLICY)
    breaker.failed(1.0, 1.0, "crash")
    assert breaker.allowance() is None
    assert not breaker.recovered


class BreakerMachine(RuleBasedStateMachine):
    """Any history of requests, against the rules of a breaker."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(POLICY)
        self.now = 0.0
        self.under_way: list[float] = []
        self.probe: str | None = None
        self.probed_at = 0.0
        self.in_a_row = 0
        self.was_open_until = -1.0

    @rule(seconds=st.floats(0.0, 40.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(who=st.sampled_from("abc"))
    def somebody_comes(self, who: str) -> None:
        state, admitted = self.breaker.state(self.now), self.breaker.admits(who, self.now)
        if state is State.CLOSED:
            assert admitted
        if state is State.OPEN:
            assert not admitted
        if not admitted:
            return
        if state is State.HALF_OPEN:
            fresh = self.now - self.probed_at < LAPSE_SECONDS
            assert self.probe in (None, who) or not fresh, "two probes at once"
            self.probe, self.probed_at = who, self.now
        self.breaker.admit(who, self.now)
        self.under_way.append(self.now)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 5), at_once=st.booleans())
    def it_fails(self, which: int, at_once: bool) -> None:
        began = self.under_way.pop(which % len(self.under_way))
        before = self.breaker.until
        self.breaker.failed(began, self.now, "broken", at_once=at_once)
        if self.breaker.until != before:
            self.probe = None
            assert self.breaker.state(self.now) is State.OPEN
            assert POLICY.cooldown <= self.breaker.until - self.now + 1e-6 <= POLICY.longest + 1e-5

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 5))
    def it_answers(self, which: int) -> None:
        began = self.under_way.pop(which % len(self.under_way))
        self.breaker.succeeded(began)
        if began > self.breaker.began:
            self.probe = None
            assert self.breaker.state(self.now) is State.CLOSED

    @rule(who=st.sampled_from("abc"))
    def it_gives_up(self, who: str) -> None:
        self.breaker.gave_up(who)
        if self.probe == who:
            self.probe = None

    @invariant()
    def what_is_open_ends(self) -> None:
        assert self.breaker.until <= self.now + POLICY.longest
        later = self.now + POLICY.longest
        assert self.breaker.state(later) is not State.OPEN

    @invariant()
    def somebody_may_always_pass_in_the_end(self) -> None:
        assert self.breaker.admits("z", self.now + POLICY.longest + LAPSE_SECONDS)

    @invariant()
    def a_limit_is_a_number_of_requests(self) -> None:
        allowance = self.breaker.allowance()
        assert allowance is None or 1 <= allowance <= FULL_STRENGTH
        if self.breaker.recovered:
            assert allowance is None


TestBreaker = BreakerMachine.TestCase
