"""Loads and makespan where requests for several models share two hosts, beside what others do.

Two emulated LM Studio hosts, each with one model that a request loaded, so that any other load evicts it.
A load takes 0.5 s, an answer 0.1 s, and there are 4 slots; 8 clients ask 20 times each, one request after
the other, for a model at random. Everything runs on the virtual clock, except litellm.

The others send a request on as soon as it comes. An LM Studio host then ends what it generates to load
another model, and the client asks again; so each of them is also measured with a gate in front of every
host that lets a load wait for what is running there, and whoever asks for the loaded model go first (as
llama-swap does). The better of the two counts, and the mean of twenty draws of the models: that of five
varies by 4 %.

Run: ``python benchmarks/swaps.py``. Bars: 2 models: at most 3 loads, and 1.15 × the makespan of
resident-first; 4 models: 0.5 × the makespan of random, and no wait above the bound on starvation.
Where ``pip install litellm`` was done, ``litellm.Router`` takes part over loopback sockets in real time,
which takes some minutes. ``benchmarks/eight_models.py`` has more models, and a planner who knows everything.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from importlib import import_module
from importlib.util import find_spec
from random import Random
from statistics import mean

from attrs import define, field
from loguru import logger

from turnout import ModelRequest
from turnout.errors import LLMError
from turnout_pool import PoolSettings
from turnout_testing import EmulatedModel, Emulator, virtual_loop_factory
from turnout_testing.serve import serving
from turnout_testing.simulation.gate import Gate
from turnout_testing.simulation.policies import POLICIES
from turnout_testing.simulation.strategies import DEFAULT, GATED, Strategy

LOAD, ANSWER, SLOTS, TOKENS = 0.5, 0.1, 4, 10
CLIENTS, REQUESTS, HOSTS = 8, 20, 2
SEEDS, SEEDS_WITH_ERRORS = range(20), range(2)
TIMEOUT = 600.0
TRIES, FIRST_PAUSE, LONGEST_PAUSE = 8, 0.5, 8.0
"""How a client takes an error: it asks again after seconds that double, as the openai package does."""
LITELLM = ("simple-shuffle", "least-busy")

WAYS = (DEFAULT, *(f"{gate}{name}" for name in POLICIES for gate in ("", GATED)))

Ask = Callable[[str, str], Awaitable[object]]
"""Asks, under an id, a model; raises an error that the client answers by asking again."""


@define
class Run:
    """What came of it; seconds. Of the ``errors`` that clients saw, the ``lost`` ones were their last."""

    loads: int = 0
    lost: int = 0
    makespan: float = 0.0
    errors: int = 0
    waits: list[float] = field(factory=list)


def keys(models: int) -> list[str]:
    return [f"acme/model{n}-8b" for n in range(models)]


def hosts(models: int) -> dict[str, Emulator]:
    made = [
        EmulatedModel(
            key,
            load_seconds=LOAD,
            prefill_rate=1e9,
            decode_rate=TOKENS / ANSWER,
            parallel=SLOTS,
            reply="one two " * (TOKENS // 2),
        )
        for key in keys(models)
    ]
    return {f"host{n}": Emulator(made, tokens_per_chunk=TOKENS) for n in range(HOSTS)}


async def simulated(way: str, models: int, seed: int) -> Run:
    emulators = hosts(models)
    async with Strategy(way).router(emulators) as router:

        async def ask(name: str, model: str) -> None:
            await router.ask(ModelRequest("Go.", id=name, explicit_model=model, timeout=TIMEOUT))

        for key, name in zip(keys(models), emulators, strict=False):
            await router.ask(ModelRequest("Ready?", id=name, explicit_model=key, hosts={name}))
        return await measured(ask, emulators.values(), models, seed)


async def measured(ask: Ask, emulators: Collection[Emulator], models: int, seed: int) -> Run:
    """Let all clients ask, each until it has its answers."""
    before = sum(len(one.loads) for one in emulators)
    done, loop = Run(), asyncio.get_running_loop()
    began = loop.time()

    async def client(number: int) -> None:
        random, jitter = Random(f"{seed}-{number}"), Random(f"{seed}-{number}-jitter")
        for turn in range(REQUESTS):
            since, model = loop.time(), random.choice(keys(models))
            for tried in range(TRIES):
                if await answered(ask(f"{seed}-{number}-{turn}-{tried}", model)):
                    done.waits.append(loop.time() - since)
                    break
                done.errors += 1
                await asyncio.sleep(min(FIRST_PAUSE * 2**tried, LONGEST_PAUSE) * jitter.uniform(0.75, 1))

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    done.makespan = loop.time() - began
    done.lost = CLIENTS * REQUESTS - len(done.waits)
    done.loads = sum(len(one.loads) for one in emulators) - before
    return done


async def answered(answer: Awaitable[object]) -> bool:
    try:
        await answer
    except LLMError:
        return False
    return True


async def with_litellm(strategy: str, gated: bool, models: int, seed: int) -> Run:
    """Run ``litellm.Router`` as its documentation shows it: every model a group of both hosts."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # it would fetch a list of prices
    litellm, errors = import_module("litellm"), import_module("openai").OpenAIError
    vars(litellm)["suppress_debug_info"] = True
    emulators = hosts(models)
    async with AsyncExitStack() as stack:
        apps = [Gate(one) if gated else one for one in emulators.values()]
        urls = [await stack.enter_async_context(serving(app)) for app in apps]
        router = litellm.Router(
            [deployment(key, url) for key in keys(models) for url in urls],
            routing_strategy=strategy,
            num_retries=0,
            disable_cooldowns=True,
        )

        async def ask(name: str, model: str) -> None:
            try:
                await router.acompletion(model, [{"role": "user", "content": name}], timeout=TIMEOUT)
            except errors as error:
                raise LLMError(str(error)) from error

        for emulator, key in zip(emulators.values(), keys(models), strict=False):
            emulator.jit_race = not gated
            emulator.load(key)
            emulator.resident[0].jit = True
        return await measured(ask, emulators.values(), models, seed)


def deployment(key: str, url: str) -> dict[str, object]:
    return {
        "model_name": key,
        "litellm_params": {"model": f"openai/{key}", "api_base": f"{url}/v1", "api_key": "none"},
    }


def starvation_bound(models: int) -> float:
    """Return the seconds after which nobody waits any more, by the pool's settings.

    Every other model may have its turn before; each lasts no longer than the patience, one load that it
    may spare itself by serving its last ones, the load, and the last answers.
    """
    pool = PoolSettings()
    turn = max(pool.patience_seconds, pool.patience_loads * LOAD)
    return (models - 1) * (turn + 2 * LOAD + ANSWER) + LOAD + ANSWER


def row(name: str, runs: Sequence[Run], base: float) -> None:
    span = mean(one.makespan for one in runs)
    loads = "–".join(str(f(one.loads for one in runs)) for f in (min, max))
    longest = max(max(one.waits) for one in runs)
    errors, lost = mean(one.errors for one in runs), mean(one.lost for one in runs)
    print(f"{name:<32}{loads:>9}{span:>10.2f}{span / base:>8.2f}{longest:>10.2f}{errors:>8.1f}{lost:>6.1f}")


def table(models: int) -> None:
    runs = {way: [virtual(simulated(way, models, seed)) for seed in seeds(way)] for way in WAYS}
    if find_spec("litellm"):
        for strategy in LITELLM:
            for gated in (False, True):
                name = f"{GATED if gated else ''}litellm {strategy}"
                runs[name] = [asyncio.run(with_litellm(strategy, gated, models, seed=0))]
    base = mean(one.makespan for one in runs[DEFAULT])
    heads = f"{'loads':>9}{'makespan':>10}{'ratio':>8}{'max wait':>10}{'errors':>8}{'lost':>6}"
    print(f"\n{f'{models} models':<32}{heads}")
    for name, found in runs.items():
        row(name, found, base)
    verdict(models, runs)


def seeds(way: str) -> range:
    return SEEDS if way == DEFAULT or way.startswith(GATED) else SEEDS_WITH_ERRORS


def verdict(models: int, runs: Mapping[str, Sequence[Run]]) -> None:
    ours = runs[DEFAULT]
    peer, bar = ("resident-first", 1.15) if models == 2 else ("random", 0.5)
    whole = [runs[name] for name in (peer, f"{GATED}{peer}") if not any(run.lost for run in runs[name])]
    best = min(mean(run.makespan for run in found) for found in whole)
    ratio = mean(run.makespan for run in ours) / best
    print(f"turnout / {peer}: {ratio:.2f} (bar {bar}); most loads: {max(run.loads for run in ours)}")
    longest, bound = max(max(run.waits) for run in ours), starvation_bound(models)
    print(f"longest wait {longest:.2f} s, the bound on starvation is {bound:.2f} s")


def virtual(work: Coroutine[None, None, Run]) -> Run:
    with asyncio.Runner(loop_factory=virtual_loop_factory) as runner:
        return runner.run(work)


def main() -> None:
    logger.disable("turnout")
    for models in (2, 4):
        table(models)
    if not find_spec("litellm"):
        print("\nlitellm is not installed; `pip install litellm` adds its rows")


if __name__ == "__main__":
    main()
