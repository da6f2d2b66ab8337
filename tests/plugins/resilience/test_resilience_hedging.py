"""A second copy where the first is slow: seldom, idle, and never both answers."""

import asyncio

import anyio
import pytest
from tests.plugins.resilience.scene import (
    ANSWER,
    CHAT,
    OWL,
    Scene,
    ask,
    heard,
    host,
    now,
    opened,
    owl,
    pair,
    route,
)

from turnout import ModelRequest, Reply
from turnout.events import Progress
from turnout_resilience import ResilienceSettings
from turnout_resilience.budget import FLOOR
from turnout_testing import (
    Crash,
    EmulatedModel,
    Emulator,
    FetchFailed,
    HangBeforeHeaders,
    NoModelsLoaded,
    Prompt,
    SlowHost,
)

pytestmark = pytest.mark.anyio


def pinned(*, streaming: bool = True, **options: object) -> ModelRequest:
    return ModelRequest("hello", explicit_model=OWL, timeout=120, streaming=streaming, **options)  # type: ignore[arg-type]


def hedges(scene: Scene) -> tuple[int, int]:
    sent, won = scene.told("hedges", "sent"), scene.told("hedges", "won")
    assert isinstance(sent, int)
    assert isinstance(won, int)
    return sent, won


def sent(emulator: Emulator, since: float) -> int:
    return sum(r.path == CHAT and r.at >= since for r in emulator.requests)


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_slow_first_output_is_overtaken(streaming: bool) -> None:
    """The other host answers soon after the time that the first has nearly always needed."""
    async with opened(pair()) as scene:
        slow, fast = await scene.favourite(streaming=streaming)
        usual = scene.seen.executions[-1].duration_seconds
        scene.emulators[slow].inject(HangBeforeHeaders(route=CHAT))
        began = now()
        reply = await ask(scene.router, pinned(streaming=streaming))
        assert (reply.host, reply.text) == (fast, ANSWER)
        assert now() - began < 3 * usual + 1
        assert route(reply.attempts) == [(slow, "LLMTimeoutError"), (fast, None)]
        assert f"and {fast} was faster" in str(reply.attempts[0].error)
        assert hedges(scene) == (1, 1)


async def test_the_loser_is_stopped_at_once_and_its_slot_is_free() -> None:
    """Before the winner has ended, the other host has nothing to do any more."""
    async with opened(pair()) as scene:
        slow, _ = await scene.favourite()
        scene.emulators[slow].inject(HangBeforeHeaders(route=CHAT, times=1))
        async for event in scene.router.stream(pinned()):
            if not isinstance(event, Progress):
                assert scene.told(slow, "in_flight", of="pool") == 0
        for name in scene.emulators:
            assert scene.told(name, "in_flight", of="pool") == 0


async def test_the_speed_that_is_learned_is_the_winners_own() -> None:
    """The wait for the first host is nobody's time to the first token, and being slow is no failure."""
    async with opened(pair()) as scene:
        slow, fast = await scene.favourite()
        usual = next(e.time_to_first_token for e in scene.seen.executions[::-1] if e.host == fast)
        scene.emulators[slow].inject(HangBeforeHeaders(route=CHAT))
        await ask(scene.router, pinned())
        lost, won = scene.seen.executions[-2:]
        assert (lost.host, lost.error) == (slow, "CancelledError")
        assert (won.host, won.error) == (fast, None)
        assert won.time_to_first_token == pytest.approx(usual)


async def test_the_first_may_still_win() -> None:
    """Then the second is stopped, and nothing of it is seen."""
    async with opened(pair()) as scene:
        slow, fast = await scene.favourite()
        scene.emulators[slow].inject(SlowHost(seconds=0.3, route=CHAT))
        scene.emulators[fast].inject(SlowHost(seconds=30, route=CHAT))
        reply = await ask(scene.router, pinned())
        assert route(reply.attempts) == [(slow, None)]
        assert hedges(scene) == (1, 0)


async def test_a_second_copy_that_fails_is_no_failure_of_the_request() -> None:
    """It is told to the learning plugins, and the first goes on."""
    async with opened(pair()) as scene:
        slow, fast = await scene.favourite()
        scene.emulators[slow].inject(SlowHost(seconds=1, route=CHAT))
        scene.emulators[fast].inject(FetchFailed())
        reply = await ask(scene.router, pinned())
        assert route(reply.attempts) == [(slow, None)]
        assert ("ModelCrashedError", fast) in [(e.error, e.host) for e in scene.seen.executions]


async def test_a_first_that_fails_while_the_second_runs_is_told_too() -> None:
    """The second one answers, and the first one's error is in the attempts."""
    async with opened(pair()) as scene:
        slow, fast = await scene.favourite()
        scene.emulators[slow].inject(SlowHost(seconds=0.5, route=CHAT), Crash())
        scene.emulators[fast].inject(SlowHost(seconds=1, route=CHAT))
        reply = await ask(scene.router, pinned())
        assert route(reply.attempts) == [(slow, "ModelCrashedError"), (fast, None)]


async def test_where_both_fail_the_request_goes_on_as_ever() -> None:
    """Both attempts count, and what follows is decided from both."""
    async with opened(pair()) as scene:
        slow, fast = await scene.favourite()
        for name, seconds in ((slow, 0.5), (fast, 1.0)):
            scene.emulators[name].inject(SlowHost(seconds=seconds, route=CHAT), Crash(times=1))
        reply = await ask(scene.router, pinned())
        assert [error for _, error in route(reply.attempts)][:2] == ["ModelCrashedError"] * 2
        assert reply.text == ANSWER


async def test_looking_for_a_second_host_holds_nothing_up() -> None:
    """A host that lets the look hang is no reason to keep the first one's output from the caller."""
    async with opened({**pair(), "third": host(owl())}) as scene:
        for name in ("desk", "attic"):
            for _ in range(12):
                await ask(scene.router, pinned(hosts=[name]))
        scene.emulators["desk"].inject(SlowHost(seconds=1, route=CHAT))
        await scene.router.fleet(refresh=True)
        began = now()
        asking = asyncio.create_task(ask(scene.router, pinned(hosts=["desk", "attic"])))
        await asyncio.sleep(0.05)
        scene.emulators["third"].inject(HangBeforeHeaders(route="/api/v1/models"))
        scene.router.forget_fleet()
        assert route((await asking).attempts) == [("desk", None)]
        assert now() - began < 3
        assert hedges(scene) == (0, 0)


async def test_a_caller_that_is_cancelled_more_than_once_leaves_no_slot_behind() -> None:
    """A cancel scope cancels again and again while its work ends: both copies stop all the same."""
    async with opened(pair()) as scene:
        for name in await scene.favourite():
            scene.emulators[name].inject(SlowHost(seconds=30, route=CHAT))
        with anyio.move_on_after(5) as scope:
            await heard(scene.router, pinned())
        assert scope.cancelled_caught
        assert hedges(scene) == (1, 0)
        await asyncio.sleep(1)
        for name in scene.emulators:
            assert scene.told(name, "in_flight", of="pool") == 0
            assert not any(instance.in_flight for instance in scene.emulators[name].instances)


# --- when not ---------------------------------------------------------------------------------------


async def lonely(scene: Scene, request: ModelRequest) -> None:
    """Check that a slow request is waited for."""
    slow, fast = await scene.favourite(streaming=request.streaming)
    scene.emulators[slow].inject(SlowHost(seconds=5, route=CHAT))
    began = now()
    reply = await ask(scene.router, request)
    assert reply.host == slow
    assert sent(scene.emulators[fast], began) == 0
    assert hedges(scene) == (0, 0)


async def test_it_can_be_switched_off() -> None:
    """Then a slow host is waited for."""
    async with opened(pair(), ResilienceSettings(hedging=False)) as scene:
        await lonely(scene, pinned())


async def test_without_a_budget_there_is_no_second_copy() -> None:
    """A share of nothing is nothing."""
    async with opened(pair(), ResilienceSettings(hedge_share=0.0)) as scene:
        await lonely(scene, pinned())


async def test_what_the_server_keeps_runs_once() -> None:
    """A conversation that the server stores would be stored twice."""
    async with opened(pair()) as scene:
        slow, fast = await scene.favourite()
        for name in (slow, fast):
            scene.emulators[name].inject(SlowHost(seconds=5, route="/v1/responses"))
        reply = await ask(scene.router, pinned(store=True))
        assert len(reply.attempts) == 1
        assert hedges(scene) == (0, 0)


async def test_embeddings_run_once() -> None:
    """They are read as fast as they can be, and a second copy would cost as much again."""
    key = "text-embedding-acme"
    models = (owl(), EmulatedModel(key, kind="embedding"))
    hosts = {name: Emulator(models, loaded=(OWL, key)) for name in ("desk", "attic")}
    async with opened(hosts) as scene:
        for _ in range(12):
            await scene.router.embed(["a"], model=key)
        for emulator in hosts.values():
            emulator.inject(SlowHost(seconds=5, route="/v1/embeddings"))
        assert isinstance(await scene.router.embed(["a"], model=key), Reply)
        assert hedges(scene) == (0, 0)


def talkative(prompt: Prompt) -> str:
    return "on and on " * 500 if prompt.last_text == "much" else ANSWER


@pytest.mark.parametrize("busy", [True, False])
async def test_only_an_idle_host_is_asked(busy: bool) -> None:
    """One request there is reason enough to leave it alone."""
    hosts = pair(reply=talkative)
    async with opened(hosts) as scene:
        slow, fast = await scene.favourite()
        much = ModelRequest("much", explicit_model=OWL, hosts=[fast], timeout=300)
        running = asyncio.create_task(ask(scene.router, much)) if busy else None
        await asyncio.sleep(1)
        hosts[slow].inject(SlowHost(seconds=5, route=CHAT, times=1))
        await ask(scene.router, pinned())
        assert hedges(scene) == ((0, 0) if busy else (1, 1))
        if running is not None:
            await running


async def test_a_host_that_would_have_to_load_is_not_asked() -> None:
    """A load takes longer than what it would save."""
    hosts = {"desk": host(), "attic": host(loaded=())}
    async with opened(hosts) as scene:
        for _ in range(12):
            await ask(scene.router, pinned(hosts=["desk"]))
        hosts["desk"].inject(SlowHost(seconds=5, route=CHAT))
        reply = await ask(scene.router, pinned())
        assert reply.host == "desk"
        assert hosts["attic"].loads == []


async def test_a_host_that_tells_of_its_progress_is_trusted() -> None:
    """It loads, or reads, and says so: a second copy would only be more work."""
    async with opened(pair()) as scene:
        slow, _ = await scene.favourite()
        scene.emulators[slow].inject(
            NoModelsLoaded(times=1), SlowHost(seconds=3, route="/api/v1/models", times=1)
        )
        reply = await ask(scene.router, pinned())
        assert reply.host == slow
        assert hedges(scene) == (0, 0)


async def test_the_budget_bounds_the_second_copies() -> None:
    """However slow a host is, they are a small share of the requests and a few more."""
    settings = ResilienceSettings(hedge_share=0.05, first_output_floor=1000)
    async with opened(pair(), settings) as scene:
        slow, _ = await scene.favourite()
        scene.emulators[slow].inject(SlowHost(seconds=2, route=CHAT))
        before = now()
        for _ in range(40):
            await heard(scene.router, pinned(hosts=[slow, *scene.emulators]))
        bound = FLOOR + 0.05 * len(scene.seen.executions) + (now() - before) / 10
        assert 0 < hedges(scene)[0] <= bound
