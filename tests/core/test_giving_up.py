"""A request ends in time, or when nobody wants it any more, and leaves nothing behind."""

import asyncio
from collections.abc import Awaitable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.inline import Step, a_router, an_answer
from tests.core.recorder import BROKEN, DOWN, FATAL, PASSING, Recorder, ask, two_hosts

from turnout import (
    Config,
    DeadlineExceededError,
    Done,
    Lease,
    LLMError,
    LLMRateLimitError,
    Reasoning,
    Router,
    RouterSettings,
    Started,
    Text,
    hookimpl,
)
from turnout_testing.clock import virtual_loop_factory

pytestmark = pytest.mark.anyio


async def test_one_deadline_is_over_everything(recorder: Recorder) -> None:
    """Attempts, pauses and answers together may not take longer."""
    backend = two_hosts([3.0, BROKEN])
    backend.tell([3.0, *an_answer()], host="two")
    async with a_router(backend=backend, plugins={"recorder": recorder}) as router:
        with pytest.raises(DeadlineExceededError) as caught:
            await router.ask("hi", timeout=5)
        assert asyncio.get_running_loop().time() == 5
    assert str(caught.value) == (
        "no answer within 5 s. Give it more time with `timeout`, or ask for fewer tokens."
    )
    assert (recorder.leases, backend.running) == (0, 0)
    assert [seen.error for seen in recorder.executions] == ["LLMResponseError", "DeadlineExceededError"]
    assert recorder.executions[1].duration_seconds == 2


async def test_a_pause_that_would_outlast_the_deadline_is_not_begun(recorder: Recorder) -> None:
    """The server said when to come back: the caller learns that at once, and not that time is up."""
    backend = two_hosts([LLMRateLimitError("later", 100)])
    async with a_router(backend=backend, plugins={"recorder": recorder}) as router:
        with pytest.raises(LLMRateLimitError) as caught:
            await router.ask("hi", timeout=2)
        assert asyncio.get_running_loop().time() == 0
    assert caught.value.retry_after == 100
    assert (recorder.leases, backend.running) == (0, 0)


@pytest.mark.parametrize("where", ["discovery", "classification", "queue", "stream"])
async def test_the_deadline_is_over_every_wait(where: str, recorder: Recorder) -> None:
    """Wherever a request waits, it ends in time, with the same error."""
    backend = two_hosts(an_answer())
    backend.looks = {"one": [2.5]} if where == "discovery" else {}
    if where == "stream":
        backend.script = {("one", "m"): [[Text(text="a"), 100.0]]}

    class Slow:
        """Takes its time before the request is sent."""

        @hookimpl
        def classify_request(self) -> Awaitable[None] | None:
            return asyncio.sleep(100) if where == "classification" else None

        @hookimpl(tryfirst=True)
        def place_request(self) -> Awaitable[Lease] | None:
            return asyncio.sleep(100) if where == "queue" else None  # type: ignore[return-value]

    async with a_router(backend=backend, plugins={"slow": Slow(), "recorder": recorder}) as router:
        with pytest.raises(DeadlineExceededError):
            await router.ask("hi", timeout=2)
        assert asyncio.get_running_loop().time() == 2
    assert (recorder.leases, backend.running) == (0, 0)


@pytest.mark.parametrize("streaming", [False, True])
async def test_the_deadline_keeps_what_had_come(recorder: Recorder, streaming: bool) -> None:
    """Who runs out of time in the middle of an answer has its beginning in the error."""
    backend = two_hosts([Reasoning(text="well"), Text(text="half an "), 1.0, Text(text="answer"), 100.0])
    async with a_router(backend=backend, plugins={"recorder": recorder}) as router:
        with pytest.raises(DeadlineExceededError) as caught:
            await (listened(router) if streaming else router.ask("hi", timeout=2))
    assert caught.value.partial == "half an answer"
    assert recorder.executions[0].error == "DeadlineExceededError"


async def listened(router: Router) -> None:
    async for _ in router.stream("hi", timeout=2):
        pass


async def test_the_deadline_keeps_nothing_of_an_attempt_that_failed(recorder: Recorder) -> None:
    """The text of an earlier attempt was never the caller's: in a pause there is none."""
    backend = two_hosts([Started(host="one", model="m"), BROKEN])
    backend.tell([100.0], host="two")
    async with a_router(backend=backend, plugins={"recorder": recorder}) as router:
        with pytest.raises(DeadlineExceededError) as caught:
            await router.ask("hi", timeout=2)
    assert caught.value.partial == ""


@pytest.mark.parametrize("error", [PASSING, BROKEN, DOWN], ids=lambda error: type(error).__name__)
async def test_every_error_after_output_keeps_what_had_come(recorder: Recorder, error: LLMError) -> None:
    """A crash, a broken answer and a lost host alike: `partial` is what the caller has heard."""
    backend = two_hosts([Text(text="half"), type(error)("it ends")])
    async with a_router(backend=backend, plugins={"recorder": recorder}) as router:
        with pytest.raises(type(error)) as caught:
            await listened(router)
    assert caught.value.partial == "half"


async def test_the_configured_timeout_is_the_default(recorder: Recorder) -> None:
    """Every request has a deadline."""
    with pytest.raises(DeadlineExceededError, match=r"^no answer within 7 s\."):
        await ask(two_hosts([100.0]), recorder, Config(router=RouterSettings(timeout=7)))


async def test_cancelling_stops_the_generation(recorder: Recorder) -> None:
    """The backend's generator is closed, the slot is given back, and the attempt is recorded as given up."""
    backend = two_hosts([Text(text="a"), 100.0])
    async with a_router(backend=backend, plugins={"recorder": recorder}) as router:
        task = asyncio.create_task(router.ask("hi"))
        await asyncio.sleep(1)
        assert (backend.running, recorder.leases) == (1, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (backend.running, recorder.leases) == (0, 0)
    [seen] = recorder.executions
    assert (seen.success, seen.error, seen.duration_seconds) == (False, "CancelledError", 1.0)


@given(
    st.lists(
        st.lists(
            st.sampled_from(
                [
                    Text(text="a"),
                    Text(text=""),
                    Reasoning(text="a"),
                    Done(),
                    1.0,
                    BROKEN,
                    PASSING,
                    DOWN,
                    FATAL,
                ]
            ),
            max_size=4,
        ),
        max_size=6,
    ),
    st.sampled_from([0.5, 1.5, 50.0]),
)
def test_whatever_happens_no_slot_and_no_run_is_left(runs: list[list[Step]], timeout: float) -> None:
    """Every way in which a request can go ends all that it has begun, and records each attempt once."""
    backend, recorder = two_hosts(*runs), Recorder()
    backend.tell(*runs[::-1], host="two")

    async def run() -> None:
        async with a_router(backend=backend, plugins={"recorder": recorder}) as router:
            try:
                reply = await router.ask("hi", timeout=timeout)
            except LLMError:
                return
            assert reply.text or reply.reasoning
            assert len(reply.attempts) == len(backend.ran)

    with asyncio.Runner(loop_factory=virtual_loop_factory) as runner:
        runner.run(run())
    assert (recorder.leases, backend.running) == (0, 0)
    assert len(recorder.executions) == len(backend.ran) <= 4
    assert all(backend.requests[0].id == request.id for request in backend.requests)
