"""What becomes of a request under every fault of the emulator, with the plugin ``resilience``.

Run: ``python benchmarks/faults.py``. One host, then two of which the one that is asked first is ill; each
plain and streamed. The model is pinned and has been asked often enough to be known. A cell is the outcome,
the attempts and the virtual seconds; the request's own deadline is 120 s. What stands in ``CASES`` is what
is specified, and a test holds every cell to it: ``tests/plugins/resilience/test_resilience_faults.py``.
"""

import asyncio
from collections.abc import Iterable
from itertools import product
from typing import Literal, TypeAlias

from attrs import evolve, field, frozen
from loguru import logger

from turnout import Config, JSONObject, LLMError, ModelRequest, Reply, Router, Tool, hookimpl
from turnout.config import PluginsSettings
from turnout_resilience import Resilience, ResilienceSettings
from turnout_testing import (
    CannedAnswer,
    ConnectionLost,
    CorruptedArguments,
    Crash,
    DuplicateKeys,
    EmptyChoices,
    EmptyContent,
    EmptyToolId,
    EmulatedModel,
    Emulator,
    EngineFault,
    Evicted,
    Fault,
    FetchFailed,
    Forbidden,
    GuardrailRefusal,
    HangBeforeHeaders,
    HangBetweenChunks,
    HtmlDiscovery,
    InvalidJson,
    LoadFails,
    NoModelsLoaded,
    Overflow,
    OverflowForm,
    ReasoningIn,
    SchemaInReasoning,
    SlowHost,
    ToolCall,
    ToolCallAsText,
    TruncatedStream,
    Unauthorized,
    WrongModel,
    emulated_router,
    html_500,
    virtual_loop_factory,
)

OWL = "acme/owl-8b"
CHAT = "/v1/chat/completions"
ANSWER = "It is twelve signals to the bridge, and the line is clear all the way."
SECONDS = 120.0
WARM = 12
KNOWN = ResilienceSettings()
TOOL = Tool("look", parameters={"type": "object", "properties": {"where": {"type": "string"}}})
SCHEMA: JSONObject = {"type": "object", "properties": {"far": {"type": "integer"}}, "required": ["far"]}

Kind: TypeAlias = Literal["chat", "tool", "schema"]
Loaded: TypeAlias = Literal["by hand", "by us", "not"]
MODELS: dict[Kind, EmulatedModel] = {
    "chat": EmulatedModel(OWL, reply=ANSWER, reasoning="Let me count."),
    "tool": EmulatedModel(OWL, tool_calls=(ToolCall(name="look", arguments='{"where": "there"}'),)),
    "schema": EmulatedModel(OWL, reply='{"far": 12}'),
}


@frozen
class Cell:
    """An outcome (``ok``, or an error's class name) after so many attempts."""

    outcome: str
    attempts: int


def _cell(text: str) -> Cell:
    outcome, _, attempts = text.partition(" ")
    return Cell(outcome, int(attempts or 1))


def _cells(texts: tuple[str, ...]) -> tuple[Cell, ...]:
    found = tuple(map(_cell, texts))
    return found * (4 // len(found))


@frozen
class Case:
    """A fault, and what is specified of it: plain and streamed on one host, then on two.

    One text stands for all four, two for both numbers of hosts. ``loaded`` says whether the model is, and by
    whom: what turnout has loaded itself it may load again.
    """

    name: str
    fault: Fault
    expected: tuple[Cell, ...] = field(converter=_cells)
    loaded: Loaded = "by hand"
    asks: Kind = "chat"


PROMPT_TOO_LONG = (
    OverflowForm.KEEP_FIRST,
    OverflowForm.N_KEEP,
    OverflowForm.TOKENS_TO_KEEP,
    OverflowForm.INITIAL_PROMPT,
    OverflowForm.ENGINE_PROTOCOL,
)

CASES: tuple[Case, ...] = (
    Case("healthy", SlowHost(seconds=0), ("ok",)),
    Case("slow host", SlowHost(seconds=2), ("ok", "ok", "ok 2", "ok 2")),
    Case(
        "hang before headers",
        HangBeforeHeaders(route=CHAT),
        ("DeadlineExceededError", "LLMTimeoutError", "ok 2", "ok 2"),
    ),
    Case(
        "hang before headers, once",
        HangBeforeHeaders(route=CHAT, times=1),
        ("DeadlineExceededError", "LLMTimeoutError", "ok 2", "ok 2"),
    ),
    Case(
        "hang in listing",
        HangBeforeHeaders(route="/api/v1/models"),
        ("LLMConnectionError 0", "LLMConnectionError 0", "ok", "ok"),
    ),
    Case(
        "hang between chunks",
        HangBetweenChunks(after_chunks=4),
        ("DeadlineExceededError", "LLMTimeoutError", "ok 2", "LLMTimeoutError"),
    ),
    Case("pause between chunks", HangBetweenChunks(after_chunks=4, seconds=5), ("ok", "ok", "ok 2", "ok")),
    Case("crash", Crash(), ("ModelCrashedError 3", "ModelCrashedError 3", "ok 2", "ok 2")),
    Case("crash, once", Crash(times=1), ("ok 2",)),
    Case(
        "crash before output",
        Crash(after_chunks=0),
        ("ModelCrashedError 3", "ModelCrashedError 3", "ok 2", "ok 2"),
    ),
    Case(
        "crash before output, silent",
        Crash(after_chunks=0, delivery="empty"),
        ("ModelCrashedError 3", "StreamInterruptedError 3", "ok 2", "ok 2"),
    ),
    Case(
        "crash in stream",
        Crash(after_chunks=6),
        ("ModelCrashedError 3", "ModelCrashedError", "ok 2", "ModelCrashedError"),
    ),
    Case(
        "crash in stream, bare",
        Crash(after_chunks=6, delivery="data"),
        ("ModelCrashedError 3", "ModelCrashedError", "ok 2", "ModelCrashedError"),
    ),
    Case(
        "crash in stream, silent",
        Crash(after_chunks=6, delivery="empty"),
        ("ModelCrashedError 3", "StreamInterruptedError", "ok 2", "StreamInterruptedError"),
    ),
    Case("evicted", Evicted(), ("ModelCrashedError 3", "ModelCrashedError 3", "ok 2", "ok 2")),
    Case(
        "evicted in stream",
        Evicted(after_chunks=6),
        ("ModelCrashedError 3", "ModelCrashedError", "ok 2", "ModelCrashedError"),
    ),
    Case("fetch failed", FetchFailed(), ("ModelCrashedError 3", "ModelCrashedError 3", "ok 2", "ok 2")),
    Case("fetch failed, once", FetchFailed(times=1), ("ok 2",)),
    Case(
        "terminated in stream",
        EngineFault(text="terminated", after_chunks=6),
        ("ModelCrashedError 3", "ModelCrashedError", "ok 2", "ModelCrashedError"),
    ),
    *(
        Case(f"overflow {form.name.lower()}", Overflow(form=form), ("ContextOverflowError",))
        for form in PROMPT_TOO_LONG
    ),
    Case(
        "overflow mid_generation",
        Overflow(form=OverflowForm.MID_GENERATION),
        ("ContextOverflowError 3", "ContextOverflowError 3", "ok 2", "ok 2"),
    ),
    Case(
        "overflow crash",
        Overflow(form=OverflowForm.CRASH),
        ("ModelCrashedError 3", "ModelCrashedError 3", "ok 2", "ok 2"),
    ),
    Case("overflow of ours", Overflow(times=1), ("ok 2",), loaded="by us"),
    Case("overflow of ours, in stream", Overflow(times=1, stream=True), ("ok 2",), loaded="by us"),
    Case("overflow in stream", Overflow(stream=True), ("ContextOverflowError",)),
    Case("overflow in stream, bare", Overflow(stream=True, delivery="data"), ("ContextOverflowError",)),
    Case(
        "overflow in stream, silent",
        Overflow(stream=True, delivery="empty"),
        ("ContextOverflowError", "StreamInterruptedError 3", "ContextOverflowError", "ok 2"),
    ),
    Case("overflow as length", Overflow(form=OverflowForm.LENGTH), ("ok",)),
    Case(
        "guardrail",
        GuardrailRefusal(),
        ("InsufficientMemoryError", "InsufficientMemoryError", "ok 2", "ok 2"),
        loaded="not",
    ),
    Case(
        "load fails",
        LoadFails(reason="cannot mmap"),
        ("ModelLoadError", "ModelLoadError", "ok 2", "ok 2"),
        loaded="not",
    ),
    Case(
        "load cancelled", LoadFails(), ("ModelLoadError 3", "ModelLoadError 3", "ok 3", "ok 3"), loaded="not"
    ),
    Case("load cancelled, once", LoadFails(times=1), ("ok 2",), loaded="not"),
    Case(
        "not loaded in spite of JIT",
        NoModelsLoaded(),
        ("ModelNotLoadedError 3", "ModelNotLoadedError 3", "ok 3", "ok 3"),
        loaded="not",
    ),
    Case(
        "reset", ConnectionLost(route=CHAT), ("LLMConnectionError 3", "LLMConnectionError 3", "ok 2", "ok 2")
    ),
    Case("reset, once", ConnectionLost(route=CHAT, times=1), ("ok 2",)),
    Case(
        "reset in answer",
        ConnectionLost(route=CHAT, after_chunks=6),
        ("LLMConnectionError 3", "StreamInterruptedError", "ok 2", "StreamInterruptedError"),
    ),
    Case(
        "reset in listing",
        ConnectionLost(route="/api/v1/models"),
        ("LLMConnectionError 0", "LLMConnectionError 0", "ok", "ok"),
    ),
    Case(
        "closed in answer",
        ConnectionLost(route=CHAT, after_chunks=6, how="close"),
        ("LLMConnectionError 3", "StreamInterruptedError", "ok 2", "StreamInterruptedError"),
    ),
    Case(
        "truncated before output",
        TruncatedStream(after_chunks=1),
        ("ok", "StreamInterruptedError 3", "ok", "ok 2"),
    ),
    Case("truncated", TruncatedStream(after_chunks=7), ("ok", "StreamInterruptedError")),
    Case("invalid JSON", InvalidJson(route=CHAT), ("LLMResponseError", "LLMResponseError", "ok 2", "ok 2")),
    Case("HTML 500", html_500(route=CHAT), ("LLMResponseError 3", "LLMResponseError 3", "ok 2", "ok 2")),
    Case("HTML 500, once", html_500(route=CHAT, times=1), ("ok 2",)),
    Case(
        "bad gateway",
        CannedAnswer(status=502, body="bad gateway", route=CHAT),
        ("LLMResponseError 3", "LLMResponseError 3", "ok 2", "ok 2"),
    ),
    Case(
        "busy (429)",
        CannedAnswer(status=429, body='{"error": "busy"}', route=CHAT),
        ("LLMRateLimitError 3", "LLMRateLimitError 3", "ok 2", "ok 2"),
    ),
    Case(
        "busy (429), once", CannedAnswer(status=429, body='{"error": "busy"}', route=CHAT, times=1), ("ok 2",)
    ),
    Case(
        "invalid request",
        CannedAnswer(status=400, body='{"error": "no"}', route=CHAT),
        ("LLMValidationError",),
    ),
    Case("HTML listing", HtmlDiscovery(), ("LLMConnectionError 0", "LLMConnectionError 0", "ok", "ok")),
    Case("duplicate keys", DuplicateKeys(), ("ok",)),
    Case("unauthorized", Unauthorized(), ("AuthenticationError 0", "AuthenticationError 0", "ok", "ok")),
    Case(
        "unauthorized chat",
        Unauthorized(route=CHAT),
        ("AuthenticationError", "AuthenticationError", "ok 2", "ok 2"),
    ),
    Case(
        "forbidden chat",
        Forbidden(route=CHAT),
        ("AuthenticationError", "AuthenticationError", "ok 2", "ok 2"),
    ),
    Case("wrong model", WrongModel(), ("WrongModelError", "WrongModelError", "ok 2", "ok 2")),
    Case("empty choices", EmptyChoices(), ("LLMResponseError", "EmptyReplyError", "ok 2", "ok 2")),
    Case("empty content", EmptyContent(), ("ok",)),
    Case("reasoning in content", ReasoningIn(), ("ok",)),
    Case("schema in reasoning", SchemaInReasoning(), ("ok",), asks="schema"),
    Case("tool call as text", ToolCallAsText(), ("ok",), asks="tool"),
    Case("empty tool id", EmptyToolId(), ("ok",), asks="tool"),
    Case("corrupted arguments", CorruptedArguments(), ("ok",), asks="tool"),
)


@frozen
class Seen:
    """What became of a request; ``heard`` is a failed stream's beginning, which is the error's partial."""

    cell: Cell
    seconds: float
    heard: bool = False

    def __str__(self) -> str:
        partial = "+text" if self.heard else ""
        return f"{self.cell.outcome}{partial} ×{self.cell.attempts} {self.seconds:.1f}s"


def asking(case: Case, *, streaming: bool, name: str) -> ModelRequest:
    """Return the request: its name makes that everybody asks the same host first."""
    plain = ModelRequest("How far is it?", explicit_model=OWL, timeout=SECONDS, streaming=streaming, id=name)
    if case.asks == "tool":
        return evolve(plain, tools=(TOOL,))
    return evolve(plain, schema=SCHEMA) if case.asks == "schema" else plain


async def run(case: Case, *, hosts: int, streaming: bool) -> Seen:
    """Return what becomes of one request under the fault."""
    emulators = {
        f"host{n}": Emulator(
            (MODELS[case.asks],), loaded=() if case.loaded == "by us" else OWL, default_context=4096
        )
        for n in range(hosts)
    }
    config = Config(plugins=PluginsSettings(disabled=("resilience",)))
    async with emulated_router(emulators, config=config, plugins={"resilience": Resilience(KNOWN)}) as router:
        for name in emulators:
            warm = evolve(asking(case, streaming=streaming, name="warm"), hosts=frozenset({name}))
            for _ in range(WARM):
                await ask(router, warm)
        asked = asking(case, streaming=streaming, name="same")
        if case.loaded == "not":
            unload(router, emulators.values())
        first = (await ask(router, asked)).host
        if case.loaded == "not":
            unload(router, emulators.values())
        emulators[first].inject(case.fault)
        router.forget_fleet()
        return await seen(router, asked)


def unload(router: Router, emulators: Iterable[Emulator]) -> None:
    """Leave nothing loaded anywhere."""
    for emulator in emulators:
        for instance in emulator.instances:
            emulator.unload(instance.id)
    router.forget_fleet()


async def ask(router: Router, request: ModelRequest) -> Reply:
    """Return the reply, streamed where the request wants it."""
    if not request.streaming:
        return await router.ask(request)
    stream = router.open_stream(request)
    async for _ in stream:
        pass
    return stream.reply


async def seen(router: Router, request: ModelRequest) -> Seen:
    """Ask, and say how it ended."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    tried = Tried()
    router.plugins.add("tried", tried)
    try:
        reply = await ask(router, request)
    except LLMError as error:
        heard = bool(getattr(error, "partial", ""))
        return Seen(Cell(type(error).__name__, tried.count), loop.time() - began, heard)
    return Seen(Cell("ok", len(reply.attempts)), loop.time() - began)


class Tried:
    """A plugin that counts executions, also those of a request that fails in the end."""

    def __init__(self) -> None:
        self.count = 0

    @hookimpl
    def record_execution(self) -> None:
        """Count one."""
        self.count += 1


CELLS = tuple(product((1, 2), (False, True)))
"""The columns: the number of hosts, and whether it is a stream."""


def play(case: Case, hosts: int, streaming: bool) -> Seen:
    """Run a cell on a virtual clock of its own."""
    with asyncio.Runner(loop_factory=virtual_loop_factory) as runner:
        return runner.run(run(case, hosts=hosts, streaming=streaming))


def line(name: str, *cells: str) -> str:
    return f"{name:<28}" + "".join(f"{cell:<36}" for cell in cells).rstrip()


def main() -> None:
    logger.remove()
    columns = ("one host, plain", "one host, stream", "two hosts, plain", "two hosts, stream")
    print(line("fault", *columns))
    wrong = 0
    for case in CASES:
        found = [play(case, hosts, streaming) for hosts, streaming in CELLS]
        wrong += sum(one.cell != wanted for one, wanted in zip(found, case.expected, strict=True))
        print(line(case.name, *map(str, found)))
    print(f"{4 * len(CASES) - wrong} of {4 * len(CASES)} as specified")


if __name__ == "__main__":
    main()
