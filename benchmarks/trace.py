"""An hour of real traffic on unequal hosts, beside what others do with it.

The requests are those of Azure's published trace of a code assistant (2023-11-16, 8819 requests in 58
minutes, most with prompts of thousands of tokens and answers of a few dozen; AzureLLMInferenceTrace in
https://github.com/Azure/AzurePublicDataset, CC BY 4.0, from Patel et al., Splitwise, ISCA 2024); which of
four models each of them asks for is drawn by seed. Three emulated LM Studio hosts serve them, in virtual
time. The others are measured with a gate before every host, as behind llama-swap, and without one, where a
load ends what is being generated. The ratio is that of the 95th percentiles, where nothing was lost.

Run: ``python benchmarks/trace.py [TRACE.csv] [--limit N] [--scale S] [--plot FILE.svg]``. Without a path
it is that in ``$TURNOUT_TRACE``, else ``data/code.csv``. An hour takes some ten seconds for each way.
"""

import argparse
import os
import time
from pathlib import Path

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


def show(result: Result, base: Result, seconds: float) -> None:
    times = [*(quantile(result.latencies, share) for share in (0.5, 0.95, 0.99))]
    cells = "".join(f"{value:>8.1f}" for value in times)
    errors = len(result.samples) - len(result.answered)
    ratio = "–" if errors else f"{times[1] / quantile(base.latencies, 0.95):.2f}"
    swaps = f"{result.loads:>8}{result.swaps:>8}{result.tokens_per_second:>8.1f}{errors:>8}"
    print(f"{result.strategy:<24}{cells}{ratio:>8}{swaps}{result.makespan:>10.0f}{seconds:>8.1f}")


def main() -> None:
    logger.disable("turnout")
    parser = argparse.ArgumentParser()
    parser.add_argument("trace", nargs="?", default=os.environ.get("TURNOUT_TRACE", "data/code.csv"))
    parser.add_argument("--limit", type=int)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    path = Path(given.trace)
    if not path.exists():
        parser.error(f"{path} is not there: name the file, which Azure's repository offers for download")
    arrivals = read_trace(path, mix=MIX, seed=given.seed, scale=given.scale, limit=given.limit)
    simulation = Simulation(SimulatedFleet(HOSTS, MODELS), arrivals, given.seed)
    results: list[Result] = []
    heads = f"{'p50':>8}{'p95':>8}{'p99':>8}{'ratio':>8}{'loads':>8}{'swaps':>8}{'tok/s':>8}{'errors':>8}"
    print(f"{f'{len(arrivals)} requests; latency, s':<24}{heads}{'makespan':>10}{'CPU, s':>8}")
    for way in WAYS:
        began = time.process_time()
        results.append(simulation.run(way))
        show(results[-1], results[0], time.process_time() - began)
    if given.plot:
        given.plot.write_text(plot(results), encoding="utf-8")


if __name__ == "__main__":
    main()
