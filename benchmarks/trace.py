"""An hour of real traffic on unequal hosts, beside what others do with it.

The requests are those of Azure's published trace of a code assistant (2023-11-16, 8819 requests in 58
minutes, most with prompts of thousands of tokens and answers of a few dozen; AzureLLMInferenceTrace in
https://github.com/Azure/AzurePublicDataset, CC BY 4.0, from Patel et al., Splitwise, ISCA 2024); which of
four models each of them asks for is drawn by seed. Three emulated LM Studio hosts serve them, in virtual
time. The others are measured with a gate before every host, as behind llama-swap, and without one, where a
load ends what is being generated. The ratio is that of the 95th percentiles, where nothing was lost.

A static placement is as good as its luck: it deals the models out to the hosts as they come, so one seed
says little of it. With several (``--seeds N``) the quantiles are means over them, and ``worst`` is the
largest 95th percentile.

Run: ``python benchmarks/trace.py [TRACE.csv] [--limit N] [--scale S] [--seeds N] [--plot FILE.svg]``. Without
a path it is that in ``$TURNOUT_TRACE``, else ``data/code.csv``. An hour takes some ten seconds for each way.
"""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from loguru import logger

from turnout_testing.simulation.fleet_file import SimulatedFleet, SimulatedHost, SimulatedModel
from turnout_testing.simulation.plot import plot
from turnout_testing.simulation.policies import POLICIES
from turnout_testing.simulation.result import Result, quantile
from turnout_testing.simulation.run import Simulation
from turnout_testing.simulation.strategies import DEFAULT, GATED
from turnout_testing.simulation.trace import read_trace

MODELS = {
    "acme/wren-1b": SimulatedModel(load_seconds=3, prefill=10_000, decode=150, size_gb=1),
    "acme/owl-8b": SimulatedModel(load_seconds=8, prefill=4_000, decode=60, size_gb=5),
    "acme/hawk-14b": SimulatedModel(load_seconds=14, prefill=2_500, decode=40, size_gb=9),
    "acme/crow-24b": SimulatedModel(load_seconds=20, prefill=2_000, decode=30, size_gb=14),
}
MIX = {"acme/wren-1b": 4, "acme/owl-8b": 3, "acme/hawk-14b": 2, "acme/crow-24b": 1}
HOSTS = {
    "workstation": SimulatedHost(speed=2.0, memory_gb=24),
    "desk": SimulatedHost(speed=1.0, memory_gb=24),
    "laptop": SimulatedHost(speed=0.6, memory_gb=12, models=("acme/wren-1b", "acme/owl-8b")),
}
WAYS = (DEFAULT, *(f"{gate}{name}" for name in POLICIES for gate in (GATED, "")))


def show(runs: Sequence[Result], base: Sequence[Result], seconds: float) -> None:
    times = [mean(quantile(run.latencies, share) for run in runs) for share in (0.5, 0.95, 0.99)]
    cells = "".join(f"{value:>8.1f}" for value in times)
    errors = sum(len(run.samples) - len(run.answered) for run in runs)
    ratio = "–" if errors else f"{times[1] / mean(quantile(run.latencies, 0.95) for run in base):.2f}"
    worst = max(quantile(run.latencies, 0.95) for run in runs)
    loads, swaps = mean(run.loads for run in runs), mean(run.swaps for run in runs)
    rate, span = mean(run.tokens_per_second for run in runs), mean(run.makespan for run in runs)
    counts = f"{loads:>8.0f}{swaps:>8.0f}{rate:>8.1f}{errors:>8}"
    print(f"{runs[0].strategy:<24}{cells}{ratio:>8}{worst:>8.1f}{counts}{span:>10.0f}{seconds:>8.1f}")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("trace", nargs="?", default=os.environ.get("TURNOUT_TRACE", "data/code.csv"))
    parser.add_argument("--limit", type=int)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    if not Path(given.trace).exists():
        parser.error(f"{given.trace} is not there: name the file, which Azure's repository has for download")
    return given


def simulation(given: argparse.Namespace, seed: int) -> Simulation:
    arrivals = read_trace(Path(given.trace), mix=MIX, seed=seed, scale=given.scale, limit=given.limit)
    return Simulation(SimulatedFleet(HOSTS, MODELS), arrivals, seed)


def main() -> None:
    logger.disable("turnout")
    given = options()
    simulations = [simulation(given, given.seed + n) for n in range(given.seeds)]
    results: list[Sequence[Result]] = []
    heads = ("p50", "p95", "p99", "ratio", "worst", "loads", "swaps", "tok/s", "errors")
    count = len(simulations[0].arrivals)
    columns = "".join(f"{head:>8}" for head in heads)
    print(f"{f'{count} requests; latency, s':<24}{columns}{'makespan':>10}{'CPU, s':>8}")
    for way in WAYS:
        began = time.process_time()
        results.append([one.run(way) for one in simulations])
        show(results[-1], results[0], time.process_time() - began)
    if given.plot:
        given.plot.write_text(plot([runs[0] for runs in results]), encoding="utf-8")


if __name__ == "__main__":
    main()
