"""What fails is tried again or elsewhere, until the first output has been seen."""

import asyncio
from collections.abc import Sequence

import pytest
from tests.core.inline import Inline, Step, a_deployment, a_router
from tests.core.recorder import BROKEN, DOWN, FATAL, PASSING, Recorder, ask, two_hosts

from turnout import (
    After,
    Attempt,
    Config,
    ContextOverflowError,
    DeadlineExceededError,
    Done,
    Embeddings,
    EmptyReplyError,
    Event,
    ExecutionMetrics,
    Fault,
    LLMError,
    LLMRateLimitError,
    LLMResponseError,
    ModelSelection,
    NextStep,
    Other,
    PluginError,
    Progress,
    Reasoning,
    Router,
    RouterSettings,
    Started,
    StreamInterruptedError,
    Text,
    ToolCallDelta,
    Usage,
    Used,
    hookimpl,
)

pytestmark = pytest.mark.anyio

# --- what is tried again ----------------------------------------------------------------------------


async def test_a_deployment_that_fails_is_left_out(recorder: Recorder) -> None:
    """The request goes elsewhere, and the reply tells every attempt."""
    backend = two_hosts([2.0, BROKEN])
    reply = await ask(backend, recorder)
    assert backend.ran == [("one", "m"), ("two", "m")]
    assert reply.attempts == (Attempt("m", "one", BROKEN, 0.5, 2.0), Attempt("m", "two", None, 0.5, 0.0))
    assert [(seen.success, seen.error) for seen in recorder.executions] == [
        (False, "LLMResponseError"),
        (True, None),
    ]
    assert (recorder.leases, backend.running) == (0, 0)
    assert backend.requests[1].attempts == reply.attempts[:1]


async def test_what_a_backend_did_not_foresee_goes_elsewhere(recorder: Recorder) -> None:
    """An error of its own making is the deployment's fault, named with its kind, and not the request's."""
    reply = await ask(two_hosts([RuntimeError("surprise")]), recorder)
    failed = reply.attempts[0].error
    assert isinstance(failed, PluginError)
    assert failed.fault is Fault.DEPLOYMENT
    assert "RuntimeError: surprise" in str(failed)
    assert reply.host == "two"
    assert (recorder.leases, recorder.executions[0].error) == (0, "PluginError")


async def test_a_host_that_fails_is_left_out_with_all_its_models(recorder: Recorder) -> None:
    """Nothing else is tried on a host that does not answer."""
    backend = Inline(a_deployment(), a_deployment("n"), a_deployment("n", "two"))
    backend.tell([DOWN])
    backend.tell([DOWN], model="n")
    await ask(backend, recorder)
    assert len(backend.ran) == 2
    assert backend.ran[0][0] == "one"
    assert backend.ran[1] == ("two", "n")


async def test_a_request_that_is_wrong_is_tried_nowhere_else(recorder: Recorder) -> None:
    """It would fail everywhere."""
    backend = two_hosts([FATAL])
    with pytest.raises(LLMError) as caught:
        await ask(backend, recorder)
    assert caught.value is FATAL
    assert backend.ran == [("one", "m")]
    assert recorder.leases == 0


async def test_what_passes_is_tried_once_more_on_the_same_deployment(recorder: Recorder) -> None:
    """The same deployment is asked after a pause, without a new choice, and then it is left out."""
    backend = two_hosts([PASSING], [PASSING])
    began = asyncio.get_running_loop().time()
    reply = await ask(backend, recorder)
    assert backend.ran == [("one", "m"), ("one", "m"), ("two", "m")]
    assert asyncio.get_running_loop().time() - began == 1.0
    assert len(recorder.selections) == 2
    assert [attempt.host for attempt in reply.attempts] == ["one", "one", "two"]


class Fickle:
    """A strategy that never chooses twice the same."""

    def __init__(self) -> None:
        self.asked = 0

    @hookimpl
    def select_model(self, candidates: Sequence[object]) -> ModelSelection:
        self.asked += 1
        return ModelSelection("mn"[self.asked - 1])


async def test_what_passes_is_tried_where_it_was_whatever_a_strategy_would_say(recorder: Recorder) -> None:
    """Trying again is no new choice."""
    backend = Inline(a_deployment(), a_deployment("n"))
    backend.tell([PASSING])
    fickle = Fickle()
    await ask(backend, recorder, fickle=fickle)
    assert backend.ran == [("one", "m"), ("one", "m")]
    assert fickle.asked == 1


async def test_what_is_gone_by_then_is_chosen_again(recorder: Recorder) -> None:
    """A deployment that a crash has taken with it is not waited for."""
    backend = two_hosts([PASSING])
    backend.looks = {"one": []}

    class Crash:
        """Takes the deployment out of the listing."""

        @hookimpl
        def record_execution(self, metrics: ExecutionMetrics) -> None:
            if not metrics.success:
                del backend.deployments[0]

    await ask(backend, recorder, crash=Crash())
    assert backend.ran == [("one", "m"), ("two", "m")]


@pytest.mark.parametrize(("retry_after", "pause"), [(None, 1.0), (7.0, 7.0), (0.0, 0.0)])
async def test_a_server_says_when_to_come_back(
    retry_after: float | None, pause: float, recorder: Recorder
) -> None:
    """Its own time counts, else the configured pause."""
    backend = Inline(a_deployment())
    backend.tell([LLMRateLimitError("later", retry_after)])
    began = asyncio.get_running_loop().time()
    await ask(backend, recorder)
    assert asyncio.get_running_loop().time() - began == pause


async def test_attempts_are_bounded_over_all_deployments(recorder: Recorder) -> None:
    """The last error is told when the bound is reached."""
    hosts = [f"h{number}" for number in range(9)]
    backend = Inline(*(a_deployment(host=host) for host in hosts))
    for host in hosts:
        backend.tell([LLMResponseError(host)], host=host)
    with pytest.raises(LLMResponseError) as caught:
        await ask(backend, recorder, Config(router=RouterSettings(max_attempts=3)))
    assert [host for host, _ in backend.ran] == ["h0", "h1", "h2"]
    assert caught.value.message == "h2"


async def test_when_nobody_is_left_the_last_failure_is_told(recorder: Recorder) -> None:
    """What happened is more use than that nothing is left."""
    last = LLMResponseError("the second")
    backend = two_hosts([BROKEN])
    backend.tell([last], host="two")
    with pytest.raises(LLMResponseError) as caught:
        await ask(backend, recorder)
    assert caught.value is last


async def test_an_overflow_is_tried_where_there_is_more_room(recorder: Recorder) -> None:
    """A context that is no larger is not tried."""
    backend = Inline(a_deployment(), a_deployment(host="two"), a_deployment(host="three", loaded=32_000))
    backend.tell([ContextOverflowError("too long", 9000, 8192)])
    await ask(backend, recorder)
    assert backend.ran == [("one", "m"), ("three", "m")]


FAULTS = {
    Fault.REQUEST: [("one", "m")],
    Fault.DEPLOYMENT: [("one", "m"), ("two", "m")],
    Fault.HOST: [("one", "m"), ("two", "m")],
    Fault.PASSING: [("one", "m"), ("one", "m")],
}


@pytest.mark.parametrize("fault", Fault)
async def test_the_fault_decides_what_follows(fault: Fault, recorder: Recorder) -> None:
    """Unless a plugin says otherwise."""
    backend = two_hosts([LLMError("no", fault=fault)])
    if fault is Fault.REQUEST:
        with pytest.raises(LLMError):
            await ask(backend, recorder)
    else:
        await ask(backend, recorder)
    assert backend.ran == FAULTS[fault]


class Verdicts:
    """Decides what follows a failure."""

    def __init__(self, *steps: NextStep | After | None) -> None:
        self.steps = list(steps)
        self.attempts: list[Sequence[Attempt]] = []

    @hookimpl
    def on_failure(self, attempts: Sequence[Attempt]) -> NextStep | After | None:
        self.attempts.append(attempts)
        return self.steps.pop(0)


@pytest.mark.parametrize(
    ("error", "step", "ran"),
    [
        (FATAL, NextStep.RETRY, [("one", "m"), ("one", "m")]),
        (BROKEN, NextStep.RETRY, [("one", "m"), ("one", "m")]),
        (BROKEN, NextStep.STOP, [("one", "m")]),
        (PASSING, NextStep.STOP, [("one", "m")]),
        (PASSING, None, [("one", "m"), ("one", "m")]),
    ],
)
async def test_a_plugin_may_decide_otherwise(
    error: LLMError, step: NextStep | None, ran: list[object], recorder: Recorder
) -> None:
    """Its word counts more than the error's own fault, and None leaves it to that."""
    backend = two_hosts([error])
    verdicts = Verdicts(step)
    if step is NextStep.STOP:
        with pytest.raises(LLMError):
            await ask(backend, recorder, verdicts=verdicts)
    else:
        await ask(backend, recorder, verdicts=verdicts)
    assert backend.ran == ran
    assert [[attempt.error for attempt in attempts] for attempts in verdicts.attempts] == [[error]]


async def test_a_plugin_may_ask_for_many_tries_within_the_bound(recorder: Recorder) -> None:
    """The bound over all attempts holds for it too."""
    backend = two_hosts(*[[BROKEN]] * 9)
    with pytest.raises(LLMResponseError):
        await ask(backend, recorder, verdicts=Verdicts(*[NextStep.RETRY] * 9))
    assert backend.ran == [("one", "m")] * 4


async def test_each_pause_is_twice_the_one_before(recorder: Recorder) -> None:
    """A server in trouble is given more and more time."""
    backend = two_hosts([BROKEN], [BROKEN], [BROKEN])
    await ask(backend, recorder, verdicts=Verdicts(*[NextStep.RETRY] * 3))
    assert asyncio.get_running_loop().time() == 1 + 2 + 4


@pytest.mark.parametrize("step", [NextStep.RETRY, NextStep.CHOOSE_AGAIN])
async def test_a_plugin_may_say_how_long_the_pause_is(step: NextStep, recorder: Recorder) -> None:
    """It counts instead of the core's own, before either step, and stands in the attempt that it follows."""
    backend = two_hosts([2.0, BROKEN])
    reply = await ask(backend, recorder, verdicts=Verdicts(After(step, 7.0)))
    assert asyncio.get_running_loop().time() == 2 + 7
    assert backend.ran == [("one", "m"), ("one" if step is NextStep.RETRY else "two", "m")]
    assert [attempt.pause_seconds for attempt in reply.attempts] == [7.0, 0.0]
    assert (recorder.leases, reply.attempts[0].duration_seconds) == (0, 2.0)


async def test_a_plugin_that_says_no_pause_gets_none(recorder: Recorder) -> None:
    """After nothing at all it is tried again at once."""
    await ask(two_hosts([BROKEN]), recorder, verdicts=Verdicts(After(NextStep.RETRY, 0.0)))
    assert asyncio.get_running_loop().time() == 0


async def test_stopping_needs_no_pause(recorder: Recorder) -> None:
    """Who is not to be tried again need not wait for that."""
    with pytest.raises(LLMResponseError):
        await ask(two_hosts([BROKEN]), recorder, verdicts=Verdicts(After(NextStep.STOP, 9.0)))
    assert asyncio.get_running_loop().time() == 0


async def test_a_stream_shows_the_pause(recorder: Recorder) -> None:
    """Its caller learns why he waits, and for how long, before he does."""
    backend = two_hosts([PASSING])
    plugins = {"recorder": recorder, "verdicts": Verdicts(After(NextStep.RETRY, 7.0))}
    async with a_router(backend=backend, plugins=plugins) as router:
        seen = [(asyncio.get_running_loop().time(), event) async for event in router.stream("hi")]
    why = "trying again in 7.0 s: crashed"
    assert seen[0] == (0.0, Progress(stage="pause", expected_seconds=7.0, detail=why))
    assert {at for at, _ in seen[1:]} == {7.0}


@pytest.mark.parametrize(("seconds", "ends"), [(3.0, 0.0), (1.0, 2.0)])
async def test_a_plugins_pause_counts_against_the_deadline(
    seconds: float, ends: float, recorder: Recorder
) -> None:
    """One that would outlast it is not begun; what comes after a shorter one has the rest."""
    backend = two_hosts([BROKEN], [100.0])
    plugins = {"recorder": recorder, "verdicts": Verdicts(After(NextStep.RETRY, seconds))}
    async with a_router(backend=backend, plugins=plugins) as router:
        with pytest.raises(LLMResponseError if ends == 0 else DeadlineExceededError):
            await router.ask("hi", timeout=2)
    assert asyncio.get_running_loop().time() == ends
    assert (recorder.leases, backend.running) == (0, 0)


async def test_who_leaves_during_a_pause_leaves_nothing_behind(recorder: Recorder) -> None:
    """No slot, no second attempt, and the first is recorded once."""
    backend = two_hosts([BROKEN])
    plugins = {"recorder": recorder, "verdicts": Verdicts(After(NextStep.RETRY, 7.0))}
    async with a_router(backend=backend, plugins=plugins) as router:
        leaving = asyncio.create_task(router.ask("hi"))
        await asyncio.sleep(3)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
    assert (recorder.leases, backend.ran) == (0, [("one", "m")])
    assert [seen.error for seen in recorder.executions] == ["LLMResponseError"]


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_a_pause_is_a_number_of_seconds(seconds: float) -> None:
    """Neither a negative one nor what is no number."""
    with pytest.raises(ValueError, match="seconds"):
        After(NextStep.RETRY, seconds)


# --- before and after the first output --------------------------------------------------------------


async def events_of(router: Router) -> list[Event]:
    return [event async for event in router.stream("hi")]


async def test_what_a_failed_attempt_said_before_its_output_is_never_seen() -> None:
    """Nothing but progress comes from an attempt that fails before it has said anything."""
    backend = two_hosts(
        [
            Progress(stage="prefill", fraction=0.5),
            Other(raw=b"one"),
            Text(text=""),
            Reasoning(text=""),
            BROKEN,
        ]
    )
    async with a_router(backend=backend) as router:
        seen = await events_of(router)
    assert seen == [
        Progress(stage="prefill", fraction=0.5),
        Started(host="two", model="m"),
        Text(text="hello"),
        Done(),
    ]


async def test_an_answer_comes_event_by_event() -> None:
    """What was held back before the first output comes with it, and then each as it comes."""
    backend = Inline(a_deployment())
    backend.tell([Other(raw=b"x"), 1.0, Text(text="a"), 1.0, Used(usage=Usage(1, 1)), Done()])
    async with a_router(backend=backend) as router:
        seen = [(asyncio.get_running_loop().time(), type(event)) async for event in router.stream("hi")]
    assert seen == [(1.0, Started), (1.0, Other), (1.0, Text), (2.0, Used), (2.0, Done)]


async def test_a_cold_model_announces_its_load() -> None:
    """Who waits knows what for."""
    async with a_router(a_deployment(loaded=None)) as router:
        seen = await events_of(router)
    assert seen[0] == Progress(stage="load")


OUTPUTS: list[Event] = [
    Text(text="a"),
    Reasoning(text="a"),
    ToolCallDelta(index=0, id="1"),
    Embeddings(vectors=((1.0,),)),
]


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("error", [BROKEN, PASSING, DOWN])
async def test_nothing_is_tried_again_after_the_first_output(
    output: Event, error: LLMError, recorder: Recorder
) -> None:
    """A caller cannot un-see it, so that the failure is his to know."""
    backend = two_hosts([output, error])
    with pytest.raises(LLMError) as caught:
        await ask(backend, recorder)
    assert caught.value is error
    assert backend.ran == [("one", "m")]
    assert (recorder.leases, backend.running, recorder.executions[0].success) == (0, 0, False)


@pytest.mark.parametrize("end", [[StreamInterruptedError("cut")], []], ids=["error", "silence"])
async def test_a_stream_that_breaks_keeps_what_had_come(end: list[Step], recorder: Recorder) -> None:
    """An answer that stops without its end is no answer, and its part is in the error."""
    backend = two_hosts([Text(text="half an "), Text(text="answer"), *end])
    with pytest.raises(StreamInterruptedError) as caught:
        await ask(backend, recorder)
    assert caught.value.partial == "half an answer"
    assert recorder.executions[0].error == "StreamInterruptedError"


async def test_a_broken_stream_may_know_its_part_itself(recorder: Recorder) -> None:
    """What the backend has put into the error stays."""
    backend = two_hosts([Text(text="half"), StreamInterruptedError("cut", partial="more than half")])
    with pytest.raises(StreamInterruptedError) as caught:
        await ask(backend, recorder)
    assert caught.value.partial == "more than half"


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ([], "StreamInterruptedError"),
        ([Progress(stage="prefill")], "StreamInterruptedError"),
        ([Done()], "EmptyReplyError"),
        ([Text(text=""), Reasoning(text=""), Done()], "EmptyReplyError"),
        ([Embeddings(vectors=()), Done()], "EmptyReplyError"),
    ],
)
async def test_an_answer_with_nothing_in_it_is_tried_elsewhere(
    steps: list[Step], error: str, recorder: Recorder
) -> None:
    """Neither an end without an answer nor a stream without an end is success."""
    backend = two_hosts(steps)
    reply = await ask(backend, recorder)
    assert reply.host == "two"
    assert recorder.executions[0].error == error


async def test_an_empty_answer_is_told_where_nobody_else_can() -> None:
    """The error says where and what to do."""
    backend = Inline(a_deployment())
    backend.tell([Done()])
    async with a_router(backend=backend) as router:
        with pytest.raises(EmptyReplyError) as caught:
            await router.ask("hi")
    assert str(caught.value) == (
        "the answer is empty (m on one). Raise max_tokens, or lower the reasoning effort."
    )
