"""How long silence may last: by what was learned, and never by the clock alone."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.plugins.resilience.scene import (
    ANSWER,
    CHAT,
    OWL,
    deployment,
    failure,
    heard,
    host,
    now,
    opened,
    owl,
)

from turnout import Deployment, LLMTimeoutError, ModelRequest, Signals, Tool
from turnout.errors import Fault
from turnout.events import Event, Progress, Started, Text
from turnout_resilience import ResilienceSettings
from turnout_resilience.concurrency import Concurrency
from turnout_resilience.copy import Watched, straight
from turnout_resilience.learned import Learned, Limits, Sample
from turnout_resilience.observed import Observed
from turnout_resilience.traffic import Traffic
from turnout_testing import HangBeforeHeaders, HangBetweenChunks

pytestmark = pytest.mark.anyio
SETTINGS = ResilienceSettings()
LOAD_TIMEOUT = 600.0


def request(tokens: int = 100, *, streaming: bool = True, **options: object) -> ModelRequest:
    signals = Signals(prompt_tokens=tokens)
    return ModelRequest("x", streaming=streaming, signals=signals, **options)  # type: ignore[arg-type]


def learned(*samples: Sample, streaming: bool = True, where: Deployment | None = None) -> Learned:
    made = Learned(SETTINGS)
    for sample in samples:
        made.took(request(streaming=streaming), where or deployment(), sample)
    return made


# --- the limits -------------------------------------------------------------------------------------


def test_a_long_prompt_may_be_read_for_as_long_as_it_takes() -> None:
    """The limit grows with the prompt, from the slowest that was seen."""
    known = learned(*[Sample(100, 5.0, 9.0, 0.1)] * 5)
    assert known.limits(request(100), deployment(), LOAD_TIMEOUT).first == 5.0 * SETTINGS.patience
    longer = known.limits(request(10_000), deployment(), LOAD_TIMEOUT).first
    assert longer == pytest.approx(500.0 * SETTINGS.patience, rel=1 / 16)
    assert known.limits(request(1), deployment(), LOAD_TIMEOUT).first == 5.0 * SETTINGS.patience


def test_a_fast_deployment_still_has_its_floor() -> None:
    """A hiccup of a few seconds is no failure."""
    limits = learned(*[Sample(100, 0.1, 1.0, 0.01)] * 5).limits(request(), deployment(), LOAD_TIMEOUT)
    assert limits == Limits(SETTINGS.first_output_floor, SETTINGS.gap_floor)


def test_pieces_may_come_as_slowly_as_they_do_there() -> None:
    """A machine that writes a word in 4 s is given 20."""
    assert learned(*[Sample(100, 1.0, 50.0, 4.0)] * 5).limits(request(), deployment(), 1.0).gap == 20.0


def test_what_is_not_known_is_not_hurried() -> None:
    """Without five successes there is a wide limit, wider still for a long prompt."""
    known = learned(*[Sample(100, 0.1, 1.0, 0.01)] * 4)
    assert known.limits(request(100), deployment(), LOAD_TIMEOUT) == Limits(125.0, 120.0)
    assert known.limits(request(100_000), deployment(), LOAD_TIMEOUT).first == 5120.0


def test_a_tool_call_may_be_written_in_silence() -> None:
    """Servers show it only when it is complete (bt#1881); and so with a schema."""
    known = learned(*[Sample(100, 0.1, 1.0, 0.01)] * 5)
    for asked in (request(tools=(Tool("look"),)), request(schema={"type": "object"})):
        assert known.limits(asked, deployment(), LOAD_TIMEOUT).gap == SETTINGS.unknown_floor


def test_a_whole_answer_may_be_as_long_as_it_can() -> None:
    """It shows nothing before its end, so its limit is that of the longest answer that it could be."""
    known = learned(*[Sample(100, 2.0, 2.0, 0.0, tokens=100)] * 5, streaming=False)
    plain = known.limits(request(streaming=False, max_tokens=1000), deployment(), LOAD_TIMEOUT)
    assert plain.first == pytest.approx(0.02 * 1000 * SETTINGS.patience)
    free = known.limits(request(streaming=False), deployment(), LOAD_TIMEOUT)
    assert free.first == pytest.approx(0.02 * (4096 - 100) * SETTINGS.patience)


def test_a_load_has_its_own_time() -> None:
    """As long as the router allows, until it is known how long it takes."""
    cold = deployment(resident=False)
    warm = [Sample(100, 0.1, 1.0, 0.01)] * 5
    unknown = learned(*warm)
    assert unknown.limits(request(), cold, LOAD_TIMEOUT).first == SETTINGS.first_output_floor + LOAD_TIMEOUT
    for _ in range(2):
        unknown.took(request(), cold, Sample(100, 30.0, 40.0, 0.01))
        unknown.took(request(streaming=False), cold, Sample(100, 90.0, 90.0, 0.01))
    assert unknown.limits(request(), cold, LOAD_TIMEOUT).first == SETTINGS.first_output_floor + 150.0


# --- through a router -------------------------------------------------------------------------------


async def test_a_host_that_falls_silent_before_the_answer_is_given_up() -> None:
    """It is the deployment's failure, and says how long it was."""
    async with opened({"desk": host()}) as scene:
        await scene.warm_up()
        scene.emulators["desk"].inject(HangBeforeHeaders(route=CHAT))
        began = now()
        error = await failure(scene.router, ModelRequest("hello", explicit_model=OWL, streaming=True))
        assert type(error) is LLMTimeoutError
        assert error.fault is Fault.DEPLOYMENT
        assert now() - began == pytest.approx(SETTINGS.first_output_floor, abs=0.1)
        assert "no output for 20.0 s" in str(error)
        assert scene.seen.executions[-1].error == "LLMTimeoutError"


async def test_a_stream_that_stands_still_ends_with_what_was_said() -> None:
    """The caller gets the beginning, an error of a known kind, and the beginning in the error too."""
    async with opened({"desk": host()}) as scene:
        await scene.warm_up()
        scene.emulators["desk"].inject(HangBetweenChunks(after_chunks=3))
        began = now()
        end = await heard(scene.router, ModelRequest("hello", explicit_model=OWL))
        assert type(end.error) is LLMTimeoutError
        assert now() - began < SETTINGS.gap_floor + 1
        assert end.text
        assert ANSWER.startswith(end.text)
        assert getattr(end.error, "partial", None) == end.text


async def test_a_plain_answer_that_never_comes_is_given_up_too() -> None:
    """Its limit is that of the longest answer that was allowed."""
    async with opened({"desk": host()}) as scene:
        await scene.warm_up(streaming=False)
        scene.emulators["desk"].inject(HangBeforeHeaders(route=CHAT))
        error = await failure(scene.router, ModelRequest("hello", explicit_model=OWL, max_tokens=100))
        assert type(error) is LLMTimeoutError
        assert now() < 60


async def test_a_slow_prefill_is_no_failure_and_the_caller_is_kept_company() -> None:
    """Minutes of reading are fine, and a word comes every five seconds meanwhile."""
    slow = host(owl(prefill_rate=20.0), default_context=32_768)
    async with opened({"desk": slow}) as scene:
        await scene.warm_up()
        end = await heard(scene.router, ModelRequest("word " * 4000, explicit_model=OWL, timeout=3600))
        assert end.reply().text == ANSWER
        signs = [event for event in end.events if isinstance(event, Progress)]
        assert len(signs) > 20
        assert {event.stage for event in signs} == {"prefill"}
        assert signs[0].detail == "waiting for 5 s"
        assert signs[0].expected_seconds is not None


async def test_whoever_waits_for_a_load_hears_of_the_load() -> None:
    """The sign of life says what is waited for."""
    async with opened({"desk": host(owl(load_seconds=12.0), loaded=())}) as scene:
        end = await heard(scene.router, ModelRequest("hello", explicit_model=OWL))
        assert [event.stage for event in end.events if isinstance(event, Progress)] == ["load"] * 3


@pytest.mark.parametrize("streaming", [False, True])
async def test_it_can_be_switched_off(streaming: bool) -> None:
    """Then only the request's own deadline ends the waiting."""
    off = ResilienceSettings(time_limits=False, hedging=False)
    async with opened({"desk": host()}, off) as scene:
        await scene.warm_up()
        scene.emulators["desk"].inject(HangBeforeHeaders(route=CHAT))
        asking = ModelRequest("hello", explicit_model=OWL, timeout=500, streaming=streaming)
        assert type(await failure(scene.router, asking)).__name__ == "DeadlineExceededError"


# --- in the caller's own task -----------------------------------------------------------------------


class Backend:
    """Events with pauses, and whether it was closed."""

    def __init__(self, *pauses: float, error: Exception | None = None) -> None:
        self.pauses = pauses
        self.error = error
        self.closed = False

    async def __call__(self) -> AsyncIterator[Event]:
        try:
            yield Started(host="desk", model=OWL)
            for pause in self.pauses:
                await asyncio.sleep(pause)
                yield Text(text="x")
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


def observed() -> Observed:
    return Observed(
        deployment(),
        Traffic(),
        Concurrency(),
        loaded=lambda _: None,
        met=lambda *_: None,
        freed=lambda: None,
    )


async def test_a_whole_answer_is_limited_up_to_its_first_output() -> None:
    """The limit begins anew with each sign; what has begun to come is all there, and only that is learned."""
    backend, learned = Backend(9.0, 400.0), list[Watched]()
    watched = Watched(request(), deployment(), Limits(10.0, 5.0), now())
    assert len([event async for event in straight(backend, watched, observed(), learned.append)]) == 3
    late = Backend(11.0)
    late_one = Watched(request(), deployment(), Limits(10.0, 5.0), now())
    events = straight(late, late_one, observed(), learned.append)
    with pytest.raises(LLMTimeoutError, match=r"no output for 10\.0 s"):
        await anext(events)
    assert (backend.closed, late.closed) == (True, True)
    assert learned == [watched]


async def test_a_backends_own_time_out_is_its_own() -> None:
    """An error that only looks like ours passes as it is."""
    watched = Watched(request(), deployment(), Limits(10.0, 5.0), now())
    with pytest.raises(TimeoutError, match="mine"):
        async for _ in straight(Backend(error=TimeoutError("mine")), watched, observed(), lambda _: None):
            pass
