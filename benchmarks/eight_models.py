"""Eight models on three unequal hosts, beside a planner who knows everything.

Every host has room for one model at a time, and starts empty; a load takes 5 to 30 s on a host of speed 1,
and an answer 1 to 8 s. All requests come at once (``burst``), or 32 clients ask one after the other
(``clients``), for models of which some are wanted more than others.

Two yardsticks, both for one who knows all requests beforehand; ``benchmarks/clairvoyant.py`` has them, with
the argument. The bound is what nobody beats: in the burst it is tight, for a schedule within 3 % of it is
found; for clients it is loose, because it counts the loads that any three of them make necessary, and the
others make more. So the second column is what was really achieved, by a long search for a good schedule: no
optimum, but it can be done.

Run: ``python -m benchmarks.eight_models [--steps N]``, with N steps of that search (40,000; with more
it finds shorter schedules for clients). Bar: burst within 1.25 of the bound.
"""

import argparse
import asyncio
from collections.abc import Sequence
from random import Random
from statistics import mean
from typing import Literal

from attrs import frozen
from benchmarks.clairvoyant import STEPS, Job, Problem, achieved, bound
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


def problem(seed: int, kind: Kind) -> Problem:
    """Return what is to be done, for one who knows it."""
    numbers = {key: number for number, key in enumerate(keys())}
    jobs = [Job(numbers[str(a.model)], a.output_tokens / DECODE) for a in requests(seed)]
    return Problem(LOADS, tuple(SPEEDS.values()), SLOTS, [jobs[n :: step(kind)] for n in range(step(kind))])


def step(kind: Kind) -> int:
    """Return how many ask beside each other."""
    return REQUESTS if kind == "burst" else CLIENTS


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

        waits = await asyncio.gather(*(client(range(n, REQUESTS, step(kind))) for n in range(step(kind))))
        span = loop.time() - began
    loads = sum(len(one.loads) for one in emulators.values())
    return Run(span, loads, max(map(max, waits)))


def virtual(way: str, kind: Kind, seed: int) -> Run:
    with asyncio.Runner(loop_factory=virtual_loop_factory) as runner:
        return runner.run(simulated(way, kind, seed))


def table(kind: Kind, steps: int) -> None:
    least = mean(bound(problem(seed, kind)) for seed in SEEDS)
    best = mean(achieved(problem(seed, kind), seed, steps) for seed in SEEDS)
    heads = f"{'loads':>9}{'makespan':>10}{'/ bound':>10}{'/ achieved':>12}{'max wait':>10}"
    print(f"{kind:<24}{heads}")
    print(f"{'bound':<24}{'':>9}{least:>10.1f}{1.0:>10.2f}{least / best:>12.2f}")
    print(f"{'achieved, knowing all':<24}{'':>9}{best:>10.1f}{best / least:>10.2f}{1.0:>12.2f}")
    for way in WAYS:
        runs = [virtual(way, kind, seed) for seed in SEEDS]
        loads = "–".join(str(f(run.loads for run in runs)) for f in (min, max))
        span, longest = mean(run.makespan for run in runs), max(run.longest for run in runs)
        ratios = f"{span / least:>10.2f}{span / best:>12.2f}"
        print(f"{way:<24}{loads:>9}{span:>10.1f}{ratios}{longest:>10.1f}")
    print()


def main() -> None:
    logger.disable("turnout")
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=STEPS)
    given = parser.parse_args()
    for kind in KINDS:
        table(kind, given.steps)


if __name__ == "__main__":
    main()
