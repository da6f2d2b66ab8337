"""Load: many requests a second through one router, for a while, without an error and without growth.

Emulated LM Studio hosts, each a process of its own on a loopback socket, have the same model loaded and
answer at once. Requests come at fixed times, whether earlier ones are answered or not; a share of them is
streamed. All installed plugins take part, with their SQLite files in a directory of their own. A first tenth,
which is not counted, fills what has a bound: connections, caches, and the plugins' memory of the newest
requests.

Run: ``python benchmarks/load.py [--seconds 60] [--rate 500] [--hosts 2] [--streamed 0.25]``. Bars: no error,
the rate is kept, and at the end at most 1.1 × the memory and the tracked objects of the start.
``benchmarks/pool_queue.py`` has the queue of 10,000 requests, by time and memory.
"""

import argparse
import asyncio
import gc
import subprocess
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from attrs import define, field, frozen
from loguru import logger

from turnout import Config, HostSettings, Router
from turnout.errors import LLMError
from turnout_testing import EmulatedModel, Emulator
from turnout_testing.serve import serving

MODEL = "acme/owl-8b"
PROMPT = "Where does a siding end?"
REPLY = "At a buffer stop, or where the next track begins."
KEEPING = ("calibration", "decisions", "metrics")
"""The plugins that have a file."""
GROWTH = 1.1
KEPT = 0.98
"""The share of the rate that has to be reached."""


@frozen
class Load:
    """What is asked: ``rate`` in requests a second, ``streamed`` as a share of them."""

    seconds: float
    rate: float
    hosts: int
    streamed: float


@frozen
class State:
    """The process at one moment: resident memory in MiB, objects that the garbage collector tracks."""

    memory: float
    objects: int


@define
class Tally:
    """What came of the requests; ``seconds`` count from when each was due, ``late`` is the worst start."""

    seconds: "array[float]" = field(factory=lambda: array("d"))
    errors: Counter[str] = field(factory=Counter)
    hosts: Counter[str] = field(factory=Counter)
    late: float = 0.0


async def serve() -> None:
    """Serve an emulator that answers at once, until stdin closes."""
    model = EmulatedModel(MODEL, load_seconds=0, prefill_rate=1e9, decode_rate=1e9, parallel=64, reply=REPLY)
    emulator = Emulator(models=(model,))
    emulator.load(MODEL)
    async with serving(emulator) as url:
        print(url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


@contextmanager
def emulated() -> Iterator[str]:
    command = [sys.executable, __file__, "serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


async def one(router: Router, due: float, streamed: bool, tally: Tally) -> None:
    loop = asyncio.get_running_loop()
    tally.late = max(tally.late, loop.time() - due)
    try:
        if streamed:
            stream = router.open_stream(PROMPT, model=MODEL)
            async for _ in stream:
                pass
            reply = stream.reply
        else:
            reply = await router.ask(PROMPT, model=MODEL)
    except LLMError as error:
        tally.errors[type(error).__name__] += 1
        return
    tally.errors["wrong answer"] += reply.text != REPLY
    tally.hosts[reply.host] += 1
    tally.seconds.append(loop.time() - due)


async def requests(router: Router, load: Load, seconds: float) -> Tally:
    """Ask for some *seconds* at the rate, and wait for the last answer."""
    loop, tally = asyncio.get_running_loop(), Tally()
    began, share = loop.time(), 0.0
    async with asyncio.TaskGroup() as group:
        for number in range(int(seconds * load.rate)):
            due = began + number / load.rate
            if (pause := due - loop.time()) > 0:
                await asyncio.sleep(pause)
            share += load.streamed
            group.create_task(one(router, due, share >= 1, tally))
            share -= share >= 1
    return tally


def state() -> State:
    gc.collect()
    return State(psutil.Process().memory_info().rss / 2**20, len(gc.get_objects()))


async def drive(urls: Sequence[str], load: Load, directory: Path) -> bool:
    config = Config(
        hosts={f"host{number}": HostSettings(url, "lmstudio") for number, url in enumerate(urls)},
        tables={name: {"path": str(directory / f"{name}.db")} for name in KEEPING},
    )
    async with Router(config) as router:
        await requests(router, load, load.seconds / 10)
        states, tallies, cpu = [state()], list[Tally](), time.process_time()
        began = time.perf_counter()
        for _ in range(2):
            tallies.append(await requests(router, load, load.seconds / 2))
            states.append(state())
        spent, cpu = time.perf_counter() - began, time.process_time() - cpu
        return report(load, tallies, states, spent, cpu)


def report(load: Load, tallies: Sequence[Tally], states: Sequence[State], spent: float, cpu: float) -> bool:
    took = sorted(seconds for tally in tallies for seconds in tally.seconds)
    errors = sum((tally.errors for tally in tallies), Counter[str]())
    hosts = sum((tally.hosts for tally in tallies), Counter[str]())
    rate = len(took) / spent
    asked = f"{rate:.0f}/s of {load.rate:g}/s"
    print(f"{len(took):,} answers in {spent:.1f} s: {asked}, errors: {dict(errors) or 0}")
    p50, p99 = (took[int(len(took) * share)] * 1000 for share in (0.5, 0.99))
    late = max(tally.late for tally in tallies) * 1000
    print(f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {took[-1] * 1000:.1f} ms; latest start {late:.1f} ms")
    print(f"CPU {cpu / len(took) * 1000:.2f} ms per request; by host: {dict(sorted(hosts.items()))}")
    for name, now in zip(("start", "middle", "end"), states, strict=True):
        print(f"{name:<8}{now.memory:>8.1f} MiB{now.objects:>10,} objects")
    first, last = states[0], states[-1]
    memory, objects = last.memory / first.memory, last.objects / first.objects
    kept = not errors.total() and rate >= KEPT * load.rate and max(memory, objects) <= GROWTH
    verdict = "kept" if kept else "MISSED"
    print(f"growth: memory {memory:.2f} ×, objects {objects:.2f} × (bar {GROWTH} ×); bars: {verdict}")
    return kept


def parsed() -> Load:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=500.0)
    parser.add_argument("--hosts", type=int, default=2)
    parser.add_argument("--streamed", type=float, default=0.25)
    return Load(**vars(parser.parse_args()))


def main() -> None:
    load = parsed()
    logger.remove()
    with ExitStack() as stack, TemporaryDirectory() as directory:
        urls = [stack.enter_context(emulated()) for _ in range(load.hosts)]
        kept = asyncio.run(drive(urls, load, Path(directory)))
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
    else:
        main()
