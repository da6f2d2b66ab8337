"""Every fault, plain and streamed, on one host and on two: what the caller sees."""

from typing import TypeAlias

import pytest
from attrs import frozen
from tests.integration.world import OWL, echoing

from turnout import ModelRequest, Reply
from turnout.errors import (
    AuthenticationError,
    ContextOverflowError,
    DeadlineExceededError,
    EmptyReplyError,
    InsufficientMemoryError,
    LLMConnectionError,
    LLMError,
    LLMResponseError,
    ModelCrashedError,
    ModelLoadError,
    ModelNotLoadedError,
    StreamInterruptedError,
    WrongModelError,
)
from turnout_testing import (
    CannedAnswer,
    ConnectionLost,
    Crash,
    EmptyChoices,
    EmptyContent,
    Emulator,
    EngineFault,
    Evicted,
    Fault,
    FetchFailed,
    Forbidden,
    GuardrailRefusal,
    HangBeforeHeaders,
    HangBetweenChunks,
    InvalidJson,
    LoadFails,
    NoModelsLoaded,
    Overflow,
    OverflowForm,
    SlowHost,
    TruncatedStream,
    Unauthorized,
    WrongModel,
    html_500,
)
from turnout_testing.simulation.invariants import check_idle, check_outcome
from turnout_testing.simulation.scene import asked, opened

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"
SECONDS = 30.0
End: TypeAlias = type[LLMError] | type[Reply]
OK = Reply


@frozen
class Case:
    """A fault for ever, and the outcome's class: plain and streamed on one host, then on two.

    With two hosts only one of them is ill, the one that is asked first.
    """

    name: str
    fault: Fault
    plain: End
    stream: End
    plain_of_two: End = OK
    stream_of_two: End = OK
    cold: bool = False


CASES = (
    Case("slow", SlowHost(seconds=2), OK, OK),
    Case("crash", Crash(), ModelCrashedError, ModelCrashedError),
    Case("crash-once", Crash(times=1), OK, OK),
    Case(
        "crash-in-stream", Crash(after_chunks=3), ModelCrashedError, ModelCrashedError, OK, ModelCrashedError
    ),
    Case(
        "crash-in-stream-data",
        Crash(after_chunks=3, delivery="data"),
        ModelCrashedError,
        ModelCrashedError,
        OK,
        ModelCrashedError,
    ),
    Case(
        "crash-in-stream-silent",
        Crash(after_chunks=3, delivery="empty"),
        ModelCrashedError,
        StreamInterruptedError,
        OK,
        StreamInterruptedError,
    ),
    Case("crash-before-output", Crash(after_chunks=0), ModelCrashedError, ModelCrashedError),
    Case(
        "crash-before-output-silent",
        Crash(after_chunks=0, delivery="empty"),
        ModelCrashedError,
        StreamInterruptedError,
    ),
    Case(
        "hang-before-headers",
        HangBeforeHeaders(route=CHAT),
        DeadlineExceededError,
        DeadlineExceededError,
        DeadlineExceededError,
        DeadlineExceededError,
    ),
    Case(
        "hang-between-chunks",
        HangBetweenChunks(after_chunks=2),
        DeadlineExceededError,
        DeadlineExceededError,
        DeadlineExceededError,
        DeadlineExceededError,
    ),
    Case("short-hang", HangBetweenChunks(after_chunks=2, seconds=5), OK, OK),
    Case(
        "overflow-keep_first",
        Overflow(form=OverflowForm.KEEP_FIRST),
        ContextOverflowError,
        ContextOverflowError,
        ContextOverflowError,
        ContextOverflowError,
    ),
    Case(
        "overflow-n_keep",
        Overflow(form=OverflowForm.N_KEEP),
        ContextOverflowError,
        ContextOverflowError,
        ContextOverflowError,
        ContextOverflowError,
    ),
    Case(
        "overflow-tokens_to_keep",
        Overflow(form=OverflowForm.TOKENS_TO_KEEP),
        ContextOverflowError,
        ContextOverflowError,
        ContextOverflowError,
        ContextOverflowError,
    ),
    Case(
        "overflow-initial_prompt",
        Overflow(form=OverflowForm.INITIAL_PROMPT),
        ContextOverflowError,
        ContextOverflowError,
        ContextOverflowError,
        ContextOverflowError,
    ),
    Case(
        "overflow-engine_protocol",
        Overflow(form=OverflowForm.ENGINE_PROTOCOL),
        ContextOverflowError,
        ContextOverflowError,
        ContextOverflowError,
        ContextOverflowError,
    ),
    Case(
        "overflow-mid_generation",
        Overflow(form=OverflowForm.MID_GENERATION),
        ContextOverflowError,
        ContextOverflowError,
    ),
    Case("overflow-crash", Overflow(form=OverflowForm.CRASH), ModelCrashedError, ModelCrashedError),
    Case(
        "overflow-in-stream",
        Overflow(stream=True),
        ContextOverflowError,
        ContextOverflowError,
        ContextOverflowError,
        ContextOverflowError,
    ),
    Case(
        "overflow-in-stream-data",
        Overflow(stream=True, delivery="data"),
        ContextOverflowError,
        ContextOverflowError,
        ContextOverflowError,
        ContextOverflowError,
    ),
    Case(
        "overflow-empty-stream",
        Overflow(stream=True, delivery="empty"),
        ContextOverflowError,
        StreamInterruptedError,
        ContextOverflowError,
    ),
    Case("overflow-length", Overflow(form=OverflowForm.LENGTH), OK, OK),
    Case("guardrail", GuardrailRefusal(), InsufficientMemoryError, InsufficientMemoryError, cold=True),
    Case("load-fails", LoadFails(reason="cannot mmap"), ModelLoadError, ModelLoadError, cold=True),
    Case("load-cancelled", LoadFails(), ModelLoadError, ModelLoadError, cold=True),
    Case("load-cancelled-once", LoadFails(times=1), OK, OK, cold=True),
    Case("not-loaded-in-spite-of-jit", NoModelsLoaded(), ModelNotLoadedError, ModelNotLoadedError, cold=True),
    Case("evicted", Evicted(), ModelCrashedError, ModelCrashedError),
    Case(
        "evicted-in-stream",
        Evicted(after_chunks=3),
        ModelCrashedError,
        ModelCrashedError,
        OK,
        ModelCrashedError,
    ),
    Case("empty-content", EmptyContent(), OK, OK),
    Case("empty-choices", EmptyChoices(), LLMResponseError, EmptyReplyError),
    Case("html-500", html_500(route=CHAT), LLMResponseError, LLMResponseError),
    Case("html-500-once", html_500(route=CHAT, times=1), OK, OK),
    Case(
        "bad-gateway",
        CannedAnswer(status=502, body="bad gateway", route=CHAT),
        LLMResponseError,
        LLMResponseError,
    ),
    Case("fetch-failed", FetchFailed(), ModelCrashedError, ModelCrashedError),
    Case("fetch-failed-once", FetchFailed(times=1), OK, OK),
    Case(
        "terminated-in-stream",
        EngineFault(text="terminated", after_chunks=3),
        ModelCrashedError,
        ModelCrashedError,
        OK,
        ModelCrashedError,
    ),
    Case("reset", ConnectionLost(route=CHAT), LLMConnectionError, LLMConnectionError),
    Case("reset-once", ConnectionLost(route=CHAT, times=1), OK, OK),
    Case(
        "reset-in-answer",
        ConnectionLost(route=CHAT, after_chunks=1),
        LLMConnectionError,
        StreamInterruptedError,
        OK,
        StreamInterruptedError,
    ),
    Case(
        "closed-in-answer",
        ConnectionLost(route=CHAT, after_chunks=1, how="close"),
        LLMConnectionError,
        StreamInterruptedError,
        OK,
        StreamInterruptedError,
    ),
    Case("truncated-stream-at-once", TruncatedStream(after_chunks=1), OK, StreamInterruptedError),
    Case(
        "truncated-stream",
        TruncatedStream(after_chunks=4),
        OK,
        StreamInterruptedError,
        OK,
        StreamInterruptedError,
    ),
    Case("invalid-json", InvalidJson(route=CHAT), LLMResponseError, LLMResponseError),
    Case("wrong-model", WrongModel(), WrongModelError, WrongModelError),
    Case("unauthorized", Unauthorized(), AuthenticationError, AuthenticationError),
    Case("unauthorized-chat", Unauthorized(route=CHAT), AuthenticationError, AuthenticationError),
    Case("forbidden-chat", Forbidden(route=CHAT), AuthenticationError, AuthenticationError),
)


@pytest.mark.parametrize("streaming", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("hosts", [1, 2], ids=["one", "two"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_every_fault_has_its_outcome(case: Case, hosts: int, streaming: bool) -> None:
    """One host ends in the error of the fault's own class, and a second one answers in its place."""
    loaded = () if case.cold else (OWL,)
    emulators = {f"host{n}": Emulator((echoing(OWL),), loaded=loaded) for n in range(hosts)}
    asking = ModelRequest(
        "how far is it", id="same", explicit_model=OWL, timeout=SECONDS, streaming=streaming
    )
    async with opened(emulators) as world:
        first = await asked(world, asking)
        assert isinstance(first.end, Reply)
        for name, emulator in emulators.items():
            if case.cold:
                for instance in emulator.instances:
                    emulator.unload(instance.id)
            if name == first.end.host:
                emulator.inject(case.fault)
        world.router.forget_fleet()
        outcome = await asked(world, asking)
        check_outcome(outcome)
        check_idle(world)
        world.heal()
    expected = {
        (False, 1): case.plain,
        (True, 1): case.stream,
        (False, 2): case.plain_of_two,
        (True, 2): case.stream_of_two,
    }
    assert type(outcome.end) is expected[streaming, hosts], outcome.end
    if isinstance(outcome.end, LLMError):
        assert str(outcome.end)
