"""CPU of one chat completion in the client's process: turnout's whole way beside bare clients and its peers.

The upstream is another process on a loopback socket that always gives the same answer; only this process's
CPU counts, its threads included. All ways take turns in rounds, so that all of them meet the same weather,
and the best round of each counts. Ratios are to bare httpcore connections, the most recently used one first.

``turnout``: all that is installed, with its SQLite files in a directory of its own, for a model that is asked
for by name, as the others are. ``choosing``: the same where it is left to turnout, which reads the prompt.
``needed only``: what a request cannot do without. One fleet is kept for the whole run, so that no look at the
host is in it.

Then 10,000 calls must leave memory flat.

Run: ``python benchmarks/overhead.py [rounds]``. Bars: turnout at most 1.3 × at 1, 16 and 64 calls at once,
and flat. The openai SDK and litellm take part where ``pip install openai litellm`` was done.
"""

import asyncio
import gc
import json
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import aiohttp
import httpcore
import httpx
from loguru import logger

from turnout import Config, HostSettings, Router, RouterSettings
from turnout.messages import JSON

CONCURRENCY = (1, 16, 64)
CALLS = 512
LONG_RUN = 10_000
SETTLE_SECONDS, MOST_LOOKS = 3.0, 10
BAR = 1.3
MODEL = "acme/owl-8b"
PROMPT = "Where does a siding end? " * 20
BODY = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": PROMPT}]}).encode()
HEADERS = {"content-type": "application/json"}
TEXT = "At a buffer stop. " * 20
ANSWER: JSON = {
    "id": "chatcmpl-benchmark",
    "object": "chat.completion",
    "created": 1_767_225_600,
    "model": MODEL,
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 120, "completion_tokens": 100, "total_tokens": 220},
}
INSTANCE: JSON = {"id": MODEL, "config": {"context_length": 131_072, "parallel": 128}}
MODELS: JSON = {
    "models": [{"type": "llm", "key": MODEL, "max_context_length": 131_072, "loaded_instances": [INSTANCE]}]
}

Call: TypeAlias = Callable[[], Awaitable[str]]
Way: TypeAlias = Callable[[str], AbstractAsyncContextManager[Call]]


def packed(value: JSON) -> bytes:
    """Return an HTTP answer as LM Studio's server sends it."""
    content = json.dumps(value).encode()
    head = (
        "HTTP/1.1 200 OK\r\nX-Powered-By: Express\r\nContent-Type: application/json; charset=utf-8\r\n"
        f'Content-Length: {len(content)}\r\nETag: W/"12e-x"\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n'
        "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n"
    )
    return head.encode() + content


class Upstream(asyncio.Protocol):
    """Answers a POST with the answer and a GET with the list of models, as cheaply as asyncio can."""

    answer, models = packed(ANSWER), packed(MODELS)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            head = self.received[:end].lower()
            _, _, length = head.partition(b"content-length:")
            whole = end + 4 + int(length.split(b"\r\n", 1)[0] or b"0")
            if len(self.received) < whole:
                return
            self.received = self.received[whole:]
            self.transport.write(self.models if head.startswith(b"get") else self.answer)


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


@contextmanager
def upstream() -> Iterator[str]:
    command = [sys.executable, __file__, "serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


def text_of(content: bytes) -> str:
    text: str = json.loads(content)["choices"][0]["message"]["content"]
    return text


@asynccontextmanager
async def bare_httpcore(url: str) -> AsyncIterator[Call]:
    target = httpcore.URL(f"{url}/v1/chat/completions")
    headers = [
        (b"Host", target.host),
        (b"Content-Type", b"application/json"),
        (b"Content-Length", str(len(BODY)).encode()),
    ]
    idle: list[httpcore.AsyncHTTPConnection] = []

    async def call() -> str:
        connection = idle.pop() if idle else httpcore.AsyncHTTPConnection(target.origin)
        request = httpcore.Request("POST", target, headers=headers, content=BODY)
        response = await connection.handle_async_request(request)
        content = await response.aread()
        await response.aclose()
        idle.append(connection)
        return text_of(content)

    yield call
    for connection in idle:
        await connection.aclose()


@asynccontextmanager
async def bare_aiohttp(url: str) -> AsyncIterator[Call]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

        async def call() -> str:
            async with http.post(f"{url}/v1/chat/completions", data=BODY, headers=HEADERS) as response:
                return text_of(await response.read())

        yield call


@asynccontextmanager
async def stock_httpx(url: str) -> AsyncIterator[Call]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(limits=limits) as http:

        async def call() -> str:
            answer = await http.post(f"{url}/v1/chat/completions", content=BODY, headers=HEADERS)
            return text_of(answer.content)

        yield call


@asynccontextmanager
async def turnout(
    url: str, only: frozenset[str] | None = None, model: str | None = MODEL
) -> AsyncIterator[Call]:
    with TemporaryDirectory() as directory:
        async with Router(config(url, Path(directory)), only_plugins=only) as router:

            async def call() -> str:
                return (await router.ask(PROMPT, model=model)).text

            yield call


def config(url: str, directory: Path) -> Config:
    return Config(
        hosts={"desk": HostSettings(url, "lmstudio")},
        router=RouterSettings(fleet_ttl=1e9),
        tables={name: {"path": str(directory / f"{name}.db")} for name in KEEPING},
    )


@asynccontextmanager
async def openai_sdk(url: str) -> AsyncIterator[Call]:
    async with import_module("openai").AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:

        async def call() -> str:
            answer = await client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": PROMPT}]
            )
            return str(answer.choices[0].message.content)

        yield call


@asynccontextmanager
async def litellm_acompletion(url: str) -> AsyncIterator[Call]:
    litellm = import_module("litellm")

    async def call() -> str:
        answer = await litellm.acompletion(
            f"openai/{MODEL}",
            [{"role": "user", "content": PROMPT}],
            api_base=f"{url}/v1",
            api_key="none",
        )
        return str(answer.choices[0].message.content)

    yield call


@asynccontextmanager
async def litellm_router(url: str) -> AsyncIterator[Call]:
    place = {"model": f"openai/{MODEL}", "api_base": f"{url}/v1", "api_key": "none"}
    router = import_module("litellm").Router([{"model_name": MODEL, "litellm_params": place}])

    async def call() -> str:
        answer = await router.acompletion(MODEL, [{"role": "user", "content": PROMPT}])
        return str(answer.choices[0].message.content)

    yield call


KEEPING = ("calibration", "decisions", "metrics")
"""The plugins that have a file."""
BASELINE, OURS = "bare httpcore, LIFO", "turnout"
NEEDED = frozenset({"explicit", "lmstudio", "pool"})
WAYS: Mapping[str, Way] = {
    OURS: turnout,
    "turnout, choosing": lambda url: turnout(url, model=None),
    "turnout, needed only": lambda url: turnout(url, NEEDED),
    BASELINE: bare_httpcore,
    "bare aiohttp": bare_aiohttp,
    "httpx.AsyncClient": stock_httpx,
}
PEERS: Mapping[str, tuple[str, Way]] = {
    "openai.AsyncOpenAI": ("openai", openai_sdk),
    "litellm.acompletion": ("litellm", litellm_acompletion),
    "litellm.Router": ("litellm", litellm_router),
}


def ways() -> dict[str, Way]:
    """Return the ways that can be measured here, and say what is missing."""
    found = dict(WAYS)
    for name, (library, way) in PEERS.items():
        if find_spec(library):
            found[name] = way
        else:
            print(f"{name} is left out: pip install {library}")
    if find_spec("litellm"):
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # it would fetch a list of prices
        vars(import_module("litellm"))["suppress_debug_info"] = True
    return found


async def repeat(call: Call, times: int) -> None:
    for _ in range(times):
        assert await call() == TEXT


async def cpu_milliseconds(call: Call, concurrency: int, calls: int = CALLS) -> float:
    """Return the process's CPU per call, after one call on each connection to warm up."""
    await asyncio.gather(*(repeat(call, 1) for _ in range(concurrency)))
    each = calls // concurrency
    start = time.process_time()
    await asyncio.gather(*(repeat(call, each) for _ in range(concurrency)))
    return (time.process_time() - start) * 1000 / (each * concurrency)


async def measure(url: str, rounds: int) -> None:
    best: dict[str, list[float]] = {}
    async with AsyncExitStack() as stack:
        calls = {name: await stack.enter_async_context(way(url)) for name, way in ways().items()}
        for _ in range(rounds):
            for name, call in calls.items():
                spent = [await cpu_milliseconds(call, concurrency) for concurrency in CONCURRENCY]
                best[name] = list(map(min, spent, best.get(name, spent)))
        report(best)
        await memory(calls[OURS])


def report(best: Mapping[str, list[float]]) -> None:
    print(f"{'CPU per call, calls at once':<28}" + "".join(f"{n:>21}" for n in CONCURRENCY))
    for name, row in best.items():
        pairs = zip(row, best[BASELINE], strict=True)
        cells = (f"{own:>10.3f} ms {own / base:>5.2f} ×" for own, base in pairs)
        print(f"{name:<28}" + " ".join(cells))
    for name in (OURS, "turnout, needed only"):
        ratios = [own / base for own, base in zip(best[name], best[BASELINE], strict=True)]
        verdict = "kept" if max(ratios) <= BAR else "MISSED"
        print(f"{name}: at most {max(ratios):.2f} × the baseline (bar {BAR} ×: {verdict}),", end=" ")
        print(f"{max(best[name]) / best[name][0]:.2f} × its own cost of one call at a time")


async def memory(call: Call) -> None:
    tracemalloc.start()
    before = await traced(call, LONG_RUN // 10)
    grown = await traced(call, LONG_RUN) - before
    tracemalloc.stop()
    each = grown / LONG_RUN
    print(f"memory after {LONG_RUN:,} more calls: {grown / 1024:+.0f} KiB ({each:+.1f} bytes per call)")


async def traced(call: Call, calls: int) -> int:
    """Return the bytes in use after some *calls*, when what they left to the writers is written.

    How long that takes is up to the disk, so the lowest of some looks counts.
    """
    await cpu_milliseconds(call, 16, calls)
    looks: list[int] = []
    while len(looks) < 2 or (looks[-1] < 0.99 * looks[-2] and len(looks) < MOST_LOOKS):
        await asyncio.sleep(SETTLE_SECONDS)
        gc.collect()
        looks.append(tracemalloc.get_traced_memory()[0])
    return min(looks)


def main() -> None:
    logger.remove()
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with upstream() as url:
        asyncio.run(measure(url, rounds))


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
    else:
        main()
