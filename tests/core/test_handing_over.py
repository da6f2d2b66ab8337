"""Another deployment may go on with an attempt, when whoever wraps its execution says so to the core."""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from functools import partial
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.inline import Inline, Step, a_deployment, a_router, an_answer
from tests.core.recorder import BROKEN, PASSING, Recorder

from turnout import (
    Attempt,
    DeadlineExceededError,
    Deployment,
    EmptyReplyError,
    Event,
    LLMError,
    LLMResponseError,
    Router,
    Started,
    StreamInterruptedError,
    Text,
    Usage,
    Used,
    hookimpl,
)
from turnout.attempt import HandedOver
from turnout_testing.clock import virtual_loop_factory

pytestmark = pytest.mark.anyio
Run: TypeAlias = Callable[[], AsyncIterator[Event]]
ONE, TWO, THREE = a_deployment(), a_deployment(host="two"), a_deployment(host="three")


class Relay:
    """Wraps the first run: it hands over to each of *to* in turn, and goes on with what each has to say."""

    def __init__(self, *to: tuple[Deployment, Sequence[Step]], before: Sequence[Step] = ()) -> None:
        self.to = to
        self.before = before
        self.wrapped = 0

    @hookimpl(wrapper=True)
    def execute_request(self, deployment: Deployment) -> Generator[None, Run, Run]:
        run = yield
        self.wrapped += 1
        return partial(self.run, deployment) if self.wrapped == 1 else run

    async def run(self, first: Deployment) -> AsyncIterator[Event]:
        loop, place = asyncio.get_running_loop(), first
        began = loop.time()
        async for event in said(self.before, first):
            yield event
        for deployment, steps in self.to:
            failed = Attempt(place.model, place.host.name, BROKEN, 0.0, loop.time() - began)
            began = loop.time()
            yield HandedOver(deployment=deployment, attempt=failed, recorded_as="Overtaken", began=began)
            place = deployment
            async for event in said(steps, deployment):
                yield event


async def said(steps: Sequence[Step], deployment: Deployment) -> AsyncIterator[Event]:
    """Do what an inline host does."""
    inline = Inline(deployment)
    inline.tell(steps, host=deployment.host.name)
    async for event in inline._run(None, deployment):  # type: ignore[arg-type]
        yield event


def relayed(relay: Relay, recorder: Recorder, *deployments: Deployment) -> Router:
    return a_router(*(deployments or (ONE,)), plugins={"recorder": recorder, "relay": relay})


async def test_the_reply_is_that_of_who_answered_in_the_end(recorder: Recorder) -> None:
    """Its host and model are the second's, and the attempts tell of both."""
    relay = Relay((TWO, [3.0, *an_answer()]), before=[2.0])
    async with relayed(relay, recorder) as router:
        reply = await router.ask("hi")
    assert (reply.text, reply.host) == ("hello", "two")
    assert reply.attempts == (Attempt("m", "one", BROKEN, 0.0, 2.0), Attempt("m", "two", None, 0.5, 3.0))


async def test_the_reply_names_the_model_that_the_second_serves(recorder: Recorder) -> None:
    """What the first said of itself counts no longer."""
    other = a_deployment("n", "two")
    relay = Relay((other, an_answer()), before=[1.0])
    async with relayed(relay, recorder) as router:
        reply = await router.ask("hi")
    assert (reply.model, reply.attempts[-1].model) == ("n", "n")


async def test_the_text_of_both_is_one_answer(recorder: Recorder) -> None:
    """What the caller has heard stays; the second goes on from there."""
    relay = Relay((TWO, an_answer("lo")), before=[Text(text="hel")])
    async with relayed(relay, recorder) as router:
        stream = router.open_stream("hi")
        heard = [event async for event in stream]
    assert "".join(event.text for event in heard if isinstance(event, Text)) == "hello"
    assert stream.reply.text == "hello"


async def test_the_caller_does_not_see_the_event(recorder: Recorder) -> None:
    """It is between the wrapper and the core."""
    relay = Relay((TWO, an_answer()), (THREE, an_answer()))
    async with relayed(relay, recorder) as router:
        seen = [event async for event in router.stream("hi")]
    assert not any(isinstance(event, HandedOver) for event in seen)
    assert any(isinstance(event, Started) and event.host == "three" for event in seen)


async def test_the_slot_of_the_first_is_free_from_then_on(recorder: Recorder) -> None:
    """It is given back when the other takes over, and not when that one has ended; and only once."""
    relay = Relay((TWO, [5.0, *an_answer()]), before=[1.0])
    async with relayed(relay, recorder) as router:
        asking = asyncio.create_task(router.ask("hi"))
        await asyncio.sleep(0.5)
        assert recorder.leases == 1
        await asyncio.sleep(1)
        assert recorder.leases == 0
        await asking
    assert recorder.leases == 0


async def test_each_is_recorded_as_it_ended(recorder: Recorder) -> None:
    """The first under the name that the wrapper gives, the second as what it was, each in its own time."""
    relay = Relay((TWO, [3.0, Text(text="hello"), Used(usage=Usage(7, 4)), *an_answer("")]), before=[2.0])
    async with relayed(relay, recorder) as router:
        await router.ask("hi")
    seen = [(one.host, one.error, one.success, one.duration_seconds) for one in recorder.executions]
    assert seen == [("one", "Overtaken", False, 2.0), ("two", None, True, 3.0)]
    second = recorder.executions[1]
    assert (second.prompt_tokens, second.tokens_generated) == (7, 4)


async def test_the_time_to_the_first_output_is_the_seconds_own(recorder: Recorder) -> None:
    """It counts from when it was asked, whatever the first had said before."""
    relay = Relay((TWO, [3.0, *an_answer("lo")]), before=[1.0, Text(text="hel"), 4.0])
    async with relayed(relay, recorder) as router:
        stream = router.open_stream("hi")
        async for _ in stream:
            pass
    assert [seen.time_to_first_token for seen in recorder.executions] == [1.0, 3.0]
    assert stream.reply.timings.time_to_first_token == 3.0
    assert stream.reply.timings.total == 8.0


@pytest.mark.parametrize(
    ("end", "error"),
    [
        ([LLMResponseError("no", host="two")], "LLMResponseError"),
        ([Text(text="lo")], "StreamInterruptedError"),
        ([OSError()], "PluginError"),
    ],
)
async def test_a_failure_after_it_is_the_seconds(
    end: Sequence[Step], error: str, recorder: Recorder
) -> None:
    """The error that the caller gets names it, and its part is all that he has heard."""
    relay = Relay((TWO, end), before=[Text(text="hel")])
    async with relayed(relay, recorder) as router:
        with pytest.raises(LLMError) as caught:
            await router.ask("hi")
    assert [(seen.host, seen.error) for seen in recorder.executions] == [("one", "Overtaken"), ("two", error)]
    assert caught.value.partial == ("hello" if error == "StreamInterruptedError" else "hel")
    assert caught.value.host == "two"


async def test_an_end_without_anything_in_it_is_the_seconds_fault(recorder: Recorder) -> None:
    """Neither a stream without an end nor an empty answer is blamed on the first."""
    for steps, kind in (([], StreamInterruptedError), (an_answer(""), EmptyReplyError)):
        async with relayed(Relay((TWO, steps)), Recorder()) as router:
            with pytest.raises(kind) as caught:
                await router.ask("hi")
        assert (caught.value.host, caught.value.model) == ("two", "m")


async def test_where_nothing_was_heard_a_third_is_chosen_without_either(recorder: Recorder) -> None:
    """Both have failed in this request, and the pause and the choice are those of any failure."""
    relay = Relay((TWO, [BROKEN]), before=[1.0])
    async with relayed(relay, recorder, ONE, TWO, THREE) as router:
        reply = await router.ask("hi")
    assert [(a.host, a.error is None) for a in reply.attempts] == [
        ("one", False),
        ("two", False),
        ("three", True),
    ]
    assert recorder.placed == [("one", "m"), ("three", "m")]
    assert [seen.host for seen in recorder.executions] == ["one", "two", "three"]


async def test_what_passes_is_tried_again_where_it_failed_last(recorder: Recorder) -> None:
    """The deployment that is retried is the second, which had the request, and not the first."""
    relay = Relay((TWO, [PASSING]))
    async with relayed(relay, recorder, ONE, TWO) as router:
        reply = await router.ask("hi")
    assert recorder.placed == [("one", "m"), ("two", "m")]
    assert [a.host for a in reply.attempts] == ["one", "two", "two"]


async def test_both_count_against_the_number_of_attempts(recorder: Recorder) -> None:
    """Whoever hands over has had his attempt."""
    relay = Relay((TWO, []), (THREE, []), (ONE, [BROKEN]))
    async with relayed(relay, recorder, ONE, TWO, THREE) as router:
        with pytest.raises(LLMError):
            await router.ask("hi")
    assert len(recorder.placed) == 1


@pytest.mark.parametrize("how", ["late", "cancelled"])
async def test_giving_up_after_it_is_recorded_for_the_second(how: str, recorder: Recorder) -> None:
    """The first has ended already."""
    relay = Relay((TWO, [Text(text="lo"), 100.0]), before=[1.0, Text(text="hel")])
    async with relayed(relay, recorder) as router:
        asking = asyncio.create_task(router.ask("hi", timeout=4))
        if how == "late":
            with pytest.raises(DeadlineExceededError) as caught:
                await asking
            assert caught.value.partial == "hello"
        else:
            await asyncio.sleep(2)
            asking.cancel()
            await asyncio.wait([asking])
    name = "DeadlineExceededError" if how == "late" else "CancelledError"
    assert [(seen.host, seen.error) for seen in recorder.executions] == [("one", "Overtaken"), ("two", name)]
    assert recorder.leases == 0


step = st.sampled_from([Text(text="a"), Text(text=""), 1.0, BROKEN, PASSING])
steps = st.lists(step, max_size=3)


@given(steps, st.lists(st.tuples(st.sampled_from([TWO, THREE, ONE]), steps), max_size=4), st.booleans())
def test_however_often_it_changes_hands_every_try_is_recorded_once(
    before: list[Step], to: list[tuple[Deployment, list[Step]]], ends_well: bool
) -> None:
    """One execution for each attempt that was begun, in order; no slot is left, and no time is negative."""
    if to and ends_well:
        to[-1] = (to[-1][0], [*to[-1][1], *an_answer()])
    relay, recorder = Relay(*to, before=before), Recorder()

    async def run() -> None:
        async with relayed(relay, recorder, ONE, TWO, THREE) as router:
            try:
                reply = await router.ask("hi", timeout=50)
            except LLMError:
                return
            assert [a.host for a in reply.attempts] == [seen.host for seen in recorder.executions]

    with asyncio.Runner(loop_factory=virtual_loop_factory) as runner:
        runner.run(run())
    assert recorder.leases == 0
    assert all(seen.duration_seconds >= 0 for seen in recorder.executions)
