"""Eight models on three unequal hosts, beside a planner who knows everything.

Every host has room for one model at a time, and starts empty; a load takes 5 to 30 s on a host of speed 1,
and an answer 1 to 8 s. All requests come at once (``burst``), or 32 clients ask one after the other
(``clients``), for models of which some are wanted more than others.

The bound that nobody can beat, not even who knows all requests beforehand: while a host loads it cannot
generate, for there is room for one model, and then it has as many slots as that model. So within a makespan
T, host h of speed v[h] has time for loads y[h,m] of L[m] seconds each, and for the share x[h,m] of the W[m]
seconds of work on model m in P slots, where

    sum over m of (y[h,m] L[m] + x[h,m] W[m] / P) <= v[h] T      for every h.

Every model is loaded at least once (the sum of y[h,m] over h is at least 1), and all work is done (that of
x[h,m] is 1). Added up over the hosts, T is at least the sum of L[m] + W[m] / P over all models, divided by
the sum of all v[h]. The bound forgets that requests cannot be split, that a load cannot be shared, and that
slots cannot always be full. With clients T is besides at least what the longest client needs on the fastest
host; that forgets that who waits for one model cannot ask for another, and is far below what can be reached.

Run: ``python benchmarks/eight_models.py``. Bar: burst within 1.25.
"""

import asyncio
from collections.abc import Sequence
from random import Random
from statistics import mean
from typing import Literal

from attrs import frozen
from loguru import logger

from turnout import Config, RouterSettings
from turnout_testing import virtual_loop_factory
from turnout_testing.simulation.fleet_file import SimulatedFleet, SimulatedHost, SimulatedModel
from turnout_testing.simulation.policies import POLICIES
from turnout_testing.simulation.strategies import DEFAULT, GATED, Strategy
from turnout_testing.simulation.trace import Arrival
from turnout_testing.simulation.traffic import Traffic, visit

SPEEDS = {"workstation": 1.6, "desk": 1.0, "laptop": 0.7}
LOADS = (5.0, 8.0, 12.0, 15.0, 18.0, 22.0, 26.0, 30.0)
SLOTS, DECODE = 4, 50.0
REQUESTS, CLIENTS, TURNS = 480, 32, 15
SEEDS = range(3)
TIMEOUT = 36_000.0
WAYS = (DEFAULT, *(f"{GATED}{name}" for name in POLICIES))

Kind = Literal["burst", "clients"]
KINDS: tuple[Kind, ...] = ("burst", "clients")


@frozen
class Run:
    """Seconds and loads of one run."""

    makespan: float
    loads: int
    longest: float


def keys() -> list[str]:
    return [f"acme/model{n}" for n in range(len(LOADS))]


def fleet() -> SimulatedFleet:
    models = {
        key: SimulatedModel(load_seconds=load, prefill=1e9, decode=DECODE, parallel=SLOTS, size_gb=10)
        for key, load in zip(keys(), LOADS, strict=True)
    }
    hosts = {name: SimulatedHost(speed=speed, memory_gb=16) for name, speed in SPEEDS.items()}
    return SimulatedFleet(hosts, models)


def requests(seed: int) -> list[Arrival]:
    """Draw the requests; the n-th model in a random order is wanted with the weight 1/n."""
    random = Random(seed)
    order = random.sample(keys(), len(LOADS))
    chosen = random.choices(order, [1 / (n + 1) for n in range(len(order))], k=REQUESTS)
    return [Arrival(0.0, 10, int(DECODE * random.uniform(1, 8)), model) for model in chosen]


def bound(arrivals: Sequence[Arrival], kind: Kind) -> float:
    """Return the seconds that nobody can do with less than."""
    work = sum(a.output_tokens for a in arrivals) / DECODE
    least = (sum(LOADS) + work / SLOTS) / sum(SPEEDS.values())
    if kind == "clients":
        chains = [sum(a.output_tokens for a in arrivals[n::CLIENTS]) / DECODE for n in range(CLIENTS)]
        least = max(least, max(chains) / max(SPEEDS.values()))
    return least


async def simulated(way: str, kind: Kind, seed: int) -> Run:
    arrivals = requests(seed)
    traffic = Traffic(arrivals, seed, TIMEOUT)
    emulators = fleet().emulators(traffic.reply, seed)
    config = Config(
        router=RouterSettings(load_timeout=TIMEOUT),
        tables={"pool": {"queue": REQUESTS}} if way == DEFAULT else {},
    )
    loop = asyncio.get_running_loop()
    async with Strategy(way).router(emulators, config) as router:
        began = loop.time()

        async def client(numbers: Sequence[int]) -> list[float]:
            samples = [await visit(router, traffic, number, emulators) for number in numbers]
            assert not [sample.error for sample in samples if sample.error], samples
            return [sample.wait for sample in samples]

        step = REQUESTS if kind == "burst" else CLIENTS
        waits = await asyncio.gather(*(client(range(n, REQUESTS, step)) for n in range(step)))
        span = loop.time() - began
    loads = sum(len(one.loads) for one in emulators.values())
    return Run(span, loads, max(map(max, waits)))


def virtual(way: str, kind: Kind, seed: int) -> Run:
    with asyncio.Runner(loop_factory=virtual_loop_factory) as runner:
        return runner.run(simulated(way, kind, seed))


def main() -> None:
    logger.disable("turnout")
    for kind in KINDS:
        least = mean(bound(requests(seed), kind) for seed in SEEDS)
        heads = f"{'loads':>9}{'makespan':>10}{'bound':>8}{'ratio':>7}{'max wait':>10}"
        print(f"{kind:<24}{heads}")
        for way in WAYS:
            runs = [virtual(way, kind, seed) for seed in SEEDS]
            loads = "–".join(str(f(run.loads for run in runs)) for f in (min, max))
            span, longest = mean(run.makespan for run in runs), max(run.longest for run in runs)
            print(f"{way:<24}{loads:>9}{span:>10.1f}{least:>8.1f}{span / least:>7.2f}{longest:>10.1f}")
        print()


if __name__ == "__main__":
    main()
