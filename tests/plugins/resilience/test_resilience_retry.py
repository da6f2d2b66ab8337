"""What follows a failure, and how often."""

import asyncio
from random import Random

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.plugins.resilience.scene import (
    CHAT,
    OWL,
    ask,
    deployment,
    failure,
    host,
    now,
    opened,
    owl,
    pair,
    route,
)

from turnout import Attempt, LLMError, ModelRequest, NextStep, RouterSettings
from turnout.errors import (
    ContextOverflowError,
    Fault,
    LLMConnectionError,
    LLMRateLimitError,
    LLMResponseError,
    LLMValidationError,
    ModelCrashedError,
)
from turnout.fleet import Deployment, Fleet
from turnout_resilience import ResilienceSettings
from turnout_resilience.breakers import Outcome
from turnout_resilience.budget import FLOOR, MOST, REFILL_SECONDS, Budget
from turnout_resilience.retry import LONGEST_JITTER, Retries, jitter
from turnout_resilience.verdict import Verdict
from turnout_testing import CannedAnswer, ConnectionLost, Crash, Evicted, FetchFailed, html_500

pytestmark = pytest.mark.anyio
CRASH = ModelCrashedError("crash", host="desk", model=OWL)
RESET = LLMConnectionError("connection reset", host="desk", model=OWL)
ALONE = Fleet((deployment("desk"),))
PAIR = Fleet((deployment("desk"), deployment("attic")))


def pinned(streaming: bool = False) -> ModelRequest:
    return ModelRequest("hello", explicit_model=OWL, timeout=60, streaming=streaming)


def step(
    *errors: LLMError,
    fleet: Fleet = ALONE,
    settings: ResilienceSettings | None = None,
    request: ModelRequest | None = None,
) -> NextStep | None:
    attempts = [Attempt(OWL, "desk", error) for error in errors]
    made = Retries(settings or ResilienceSettings())
    return made.next_step(request or pinned(), attempts, fleet, 0.0)


# --- the policy -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [CRASH, LLMRateLimitError("later", 3.0), RESET])
def test_what_may_pass_is_tried_again_where_there_is_no_other_place(error: LLMError) -> None:
    """Twice, and then the request has failed."""
    assert step(error) is NextStep.RETRY
    assert step(error, error) is NextStep.RETRY
    assert step(error, error, error) is NextStep.STOP


@pytest.mark.parametrize("error", [CRASH, LLMRateLimitError("later", 3.0), RESET])
def test_another_place_is_better_than_the_same_one(error: LLMError) -> None:
    """Nobody waits for a crashed model, or for a Retry-After, where another can answer now."""
    assert step(error, fleet=PAIR) is NextStep.CHOOSE_AGAIN


def test_a_model_that_would_have_to_be_loaded_elsewhere_can_wait() -> None:
    """One try at the same place is cheaper than a load; a second one is not."""
    fleet = Fleet((deployment("desk"), deployment("attic", resident=False)))
    assert step(CRASH, fleet=fleet) is NextStep.RETRY
    assert step(CRASH, CRASH, fleet=fleet) is NextStep.CHOOSE_AGAIN


@pytest.mark.parametrize(
    "error",
    [
        LLMValidationError("bad", host="desk"),
        ContextOverflowError("too long", 9000, 4096, host="desk"),
        LLMResponseError("no answer", host="desk"),
        LLMConnectionError("refused", httpx.ConnectError("refused"), host="desk"),
    ],
)
def test_what_will_not_pass_is_left_to_its_fault(error: LLMError) -> None:
    """A request that is wrong, a prompt that is too long, a host that is not there."""
    assert step(error) is None


async def test_what_has_an_open_circuit_is_not_tried_again_where_there_is_another() -> None:
    """Though the other would have to load first: to fail there once more helps nobody."""
    async with opened({"desk": host(), "attic": host(loaded=())}) as scene:
        await scene.router.fleet()
        for number in range(2):
            where, at = ("desk", OWL), now() + number / 10
            scene.plugin.breakers.learn(Outcome(where, "x", at, at, Verdict.DEPLOYMENT))
        await asyncio.sleep(1)
        scene.emulators["desk"].inject(FetchFailed())
        reply = await ask(scene.router, pinned())
        assert route(reply.attempts) == [("desk", "ModelCrashedError"), ("attic", None)]
        assert scene.told("breakers", "last_resorts") == 0


async def test_all_that_a_crash_ends_are_tried_again() -> None:
    """The budget is no smaller than what runs on a host at once, for it was one failure."""
    async with opened({"desk": host()}) as scene:
        scene.emulators["desk"].inject(Crash(times=1))
        replies = await asyncio.gather(*(ask(scene.router, pinned()) for _ in range(4)))
        assert [len(reply.attempts) for reply in replies] == [2] * 4


def test_a_pin_is_never_replaced() -> None:
    """Another model is no other place for it, but it is one for who does not mind."""
    fleet = Fleet((deployment("desk"), deployment("attic", "acme/another")))
    assert step(CRASH, fleet=fleet) is NextStep.RETRY
    assert step(CRASH, fleet=fleet, request=ModelRequest("hello")) is NextStep.CHOOSE_AGAIN


def test_a_host_that_may_not_be_used_is_no_other_place() -> None:
    """Neither one that the request excludes, nor the last resort."""
    elsewhere = ModelRequest("hello", explicit_model=OWL, hosts=["desk"])
    assert step(CRASH, fleet=PAIR, request=elsewhere) is NextStep.RETRY
    attic = deployment("attic")
    resort = Deployment(attic.info, type(attic.host)("attic", "x", "embedded", last_resort=True))
    assert step(CRASH, fleet=Fleet((deployment("desk"), resort))) is NextStep.RETRY


def test_without_a_budget_nothing_is_tried_again() -> None:
    """A host that fails everybody gets no more than its share of retries."""
    assert step(CRASH, settings=ResilienceSettings(retry_share=0.0)) is NextStep.STOP
    made = Retries(ResilienceSettings())
    steps = [
        made.next_step(pinned(), [Attempt(OWL, "desk", CRASH)], ALONE, 0.0) for _ in range(int(FLOOR) + 2)
    ]
    assert steps == [NextStep.RETRY] * int(FLOOR) + [NextStep.STOP] * 2
    for _ in range(5):
        made.earn("desk")
    assert made.next_step(pinned(), [Attempt(OWL, "desk", CRASH)], ALONE, 0.0) is NextStep.RETRY


# --- the budget -------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.sampled_from(["request", "retry"]), st.floats(0.0, 5.0)), max_size=200),
    st.floats(0.01, 1.0),
)
def test_retries_are_a_share_of_the_requests_and_a_few_more(
    events: list[tuple[str, float]], share: float
) -> None:
    """Whatever the order, no more is spent than was earned, the floor, and what came back with time."""
    budget, now, earned, spent = Budget(share), 0.0, 0.0, 0
    for kind, pause in events:
        now += pause
        if kind == "request":
            budget.earn()
            earned += share
        else:
            spent += budget.spend(now)
        assert spent <= earned + FLOOR + now / REFILL_SECONDS + 1e-6
        assert 0.0 <= budget.tokens <= MOST + 1e-6


# --- the pause --------------------------------------------------------------------------------------


@given(st.integers(0, 1000), st.integers(1, 12))
def test_the_pause_is_random_bounded_and_the_same_in_a_replay(seed: int, attempts: int) -> None:
    """It grows with the attempts up to its bound, and depends on nothing but the request."""
    failed = tuple(Attempt(OWL, "desk", CRASH) for _ in range(attempts))
    request = ModelRequest("hello", id=f"r{Random(seed).random()}", attempts=failed)
    pause = jitter(request)
    assert 0.0 <= pause <= min(0.25 * 2 ** (attempts - 1), LONGEST_JITTER)
    assert jitter(request) == pause


async def test_those_that_failed_together_do_not_come_back_together() -> None:
    """Each waits the core's pause and a part of its own."""
    async with opened({"desk": host()}, router=RouterSettings(backoff=1.0)) as scene:
        scene.emulators["desk"].inject(FetchFailed(times=1), FetchFailed(times=1), FetchFailed(times=1))
        arrivals = set()
        for number in range(3):
            scene.emulators["desk"].clear_faults()
            scene.emulators["desk"].inject(FetchFailed(times=1))
            began = now()
            await scene.router.ask(ModelRequest("hello", id=f"r{number}", timeout=60))
            asked = [
                r.at - began for r in scene.emulators["desk"].requests if r.path == CHAT and r.at >= began
            ]
            assert 1.0 <= asked[1] <= 1.25 + 1e-6
            arrivals.add(round(asked[1], 6))
        assert len(arrivals) == 3


async def test_who_leaves_during_the_pause_leaves_nothing_behind() -> None:
    """The slot that was to be asked for is not taken, and nothing is sent."""
    async with opened({"desk": host()}, router=RouterSettings(backoff=1.0)) as scene:
        scene.emulators["desk"].inject(FetchFailed(times=1))
        leaving = asyncio.create_task(scene.router.ask(ModelRequest("hello", id="r1", timeout=60)))
        await asyncio.sleep(
            1.0 + jitter(ModelRequest("x", id="r1", attempts=(Attempt(OWL, "desk", CRASH),))) / 2
        )
        leaving.cancel()
        await asyncio.wait([leaving])
        assert scene.told("desk", "in_flight", of="pool") == 0
        assert len([r for r in scene.emulators["desk"].requests if r.path == CHAT]) == 1


# --- through a router -------------------------------------------------------------------------------


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        Crash(times=2),
        FetchFailed(times=2),
        ConnectionLost(route=CHAT, times=2),
        html_500(route=CHAT, times=2),
    ],
)
async def test_the_only_host_is_tried_three_times(
    fault: Crash | FetchFailed | ConnectionLost | CannedAnswer, streaming: bool
) -> None:
    """What passes within two retries is never seen by the caller, and every attempt is told."""
    async with opened({"desk": host()}) as scene:
        scene.emulators["desk"].inject(fault)
        reply = await ask(scene.router, pinned(streaming))
        assert len(reply.attempts) == 3
        assert reply.attempts[-1].error is None
        faults = {a.error.fault for a in reply.attempts[:2] if a.error is not None}
        assert faults <= {Fault.PASSING, Fault.HOST}


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_crash_goes_to_the_other_host_at_once(streaming: bool) -> None:
    """Without a pause, and without a second look at the first."""
    async with opened(pair()) as scene:
        ill, _ = await scene.favourite()
        scene.emulators[ill].inject(Evicted(times=1))
        began = now()
        reply = await ask(scene.router, pinned(streaming))
        assert [place for place, _ in route(reply.attempts)] == [ill, reply.host]
        assert reply.host != ill
        assert now() - began == pytest.approx(reply.attempts[-1].duration_seconds)


async def test_a_retry_after_is_honoured_where_nobody_else_can_serve() -> None:
    """The server's own pause counts, and not ours."""
    busy = CannedAnswer(status=429, body='{"error": "busy"}', route=CHAT, times=1)
    async with opened({"desk": host()}) as scene:
        scene.emulators["desk"].inject(busy)
        reply = await ask(scene.router, pinned())
        assert route(reply.attempts) == [("desk", "LLMRateLimitError"), ("desk", None)]


async def test_it_can_be_switched_off() -> None:
    """Then the fault alone decides, as in a router without the plugin."""
    async with opened({"desk": host(owl())}, ResilienceSettings(retries=False)) as scene:
        scene.emulators["desk"].inject(ConnectionLost(route=CHAT, times=1))
        assert isinstance(await failure(scene.router, pinned()), LLMConnectionError)
