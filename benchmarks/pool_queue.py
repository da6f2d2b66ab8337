"""CPU and memory of a long queue: what each of 1,000, 3,000 and 10,000 waiting requests costs.

All come at once for two models on two hosts that hold one each, from 50 clients of three
priorities; a tenth gives up while it waits. Everything runs on the virtual clock, with the dispatcher alone.

Run: ``python benchmarks/pool_queue.py``. The bar is linear time: the last row's µs per request at most 1.5
times the first's; and no memory is left behind.
"""

import asyncio
import gc
import time
import tracemalloc

from turnout.fleet import Deployment, Fleet, Host, Instance, ModelInfo
from turnout.types import ModelRequest, ModelSelection
from turnout_pool import PoolSettings
from turnout_pool.dispatch import Dispatcher
from turnout_testing import virtual_loop_factory

SIZES = (1_000, 3_000, 10_000)
CLIENTS, PRIORITIES, MODELS, HOSTS, SLOTS = 50, 3, ("a", "b"), ("desk", "attic"), 4
ANSWER = 0.1


def fleet() -> Fleet:
    places = [Host(name, f"http://{name}:1234", "lmstudio") for name in HOSTS]
    return Fleet(
        tuple(
            Deployment(ModelInfo(model), host, (Instance(model, parallel=SLOTS),) if at == n else ())
            for n, host in enumerate(places)
            for at, model in enumerate(MODELS)
        )
    )


async def one(dispatcher: Dispatcher, snapshot: Fleet, number: int) -> None:
    request = ModelRequest(
        "hello", id=str(number), client=f"c{number % CLIENTS}", priority=number % PRIORITIES
    )
    try:
        async with asyncio.timeout(1.0 if number % 10 == 0 else None):
            with await dispatcher.place(request, ModelSelection(MODELS[number % 2]), snapshot):
                await asyncio.sleep(ANSWER)
    except TimeoutError:
        pass


async def burst(size: int) -> None:
    dispatcher, snapshot = Dispatcher(PoolSettings(queue=size)), fleet()
    await asyncio.gather(*(one(dispatcher, snapshot, number) for number in range(size)))


def run(size: int) -> None:
    with asyncio.Runner(loop_factory=virtual_loop_factory) as runner:
        runner.run(burst(size))


def main() -> None:
    run(SIZES[0])
    print(f"{'requests':>10}{'µs each':>10}{'ratio':>8}{'peak, kB each':>16}{'left, kB':>10}")
    base = None
    for size in SIZES:
        gc.collect()
        began = time.process_time()
        run(size)
        each = (time.process_time() - began) * 1e6 / size
        base = base or each
        tracemalloc.start()
        run(size)
        gc.collect()
        left, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        print(f"{size:>10}{each:>10.1f}{each / base:>8.2f}{peak / 1e3 / size:>16.1f}{left / 1e3:>10.1f}")


if __name__ == "__main__":
    main()
