"""CPU of one decision: the default chain over 50 and 2,000 deployments, beside a plain scan of them.

For each strategy a request that it decides. Nothing that is done per request is left out but the fleet, which
is looked at once, and the classification of the prompt, which is printed by itself. All bundled plugins take
part; every other deployment has been measured, and the catalogue knows a third of the models.

Run: ``python benchmarks/route.py``. Bars: ≤ 150 µs median over 50 deployments, ≤ 1 ms over 2,000, and ≤ 1 ms
for the classification.
"""

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator

from attrs import evolve
from loguru import logger

from turnout import (
    Config,
    Decision,
    Deployment,
    Discovery,
    ExecutionMetrics,
    Fleet,
    Host,
    Instance,
    JSONObject,
    LLMError,
    ModelInfo,
    ModelRequest,
    Router,
    RouterSettings,
    TaskType,
    hookimpl,
)
from turnout.selection import decide, prepare
from turnout.types import Attempt
from turnout_task_based.signals import signals_of

ROUNDS = 2_000
KEEPERS = ("metrics", "decisions", "calibration")
FAMILIES = ("qwen/qwen3-coder-{}b", "acme/model-{}b", "publisher/model-{}")
PLAIN = ModelRequest("What is the capital of France?")
REQUESTS = {
    "explicit": ModelRequest("x", explicit_model="publisher/model-2"),
    "task_based": ModelRequest("x", task_type=TaskType.CODE_GENERATION),
    "capability": ModelRequest("yes"),
    "performance": ModelRequest("x", prefer_fast=True, task_type=TaskType.CODE_GENERATION),
    "fallback": ModelRequest("x", attempts=(Attempt("gone", "gone", LLMError("no")),)),
}
PROMPTS = {"a line": PLAIN.task, "10 kB": "Explain this log. " + "word " * 2_000, "100 kB": "word, " * 17_000}


class StaticFleet:
    """A backend whose models are simply there."""

    def __init__(self, hosts: int, models: int) -> None:
        self._hosts, self._models = hosts, models

    @hookimpl
    def discover_models(self) -> Iterator[Discovery]:
        for number in range(self._hosts):
            host = Host(f"host-{number}", f"http://host-{number}:1234", "static")

            async def run(host: Host = host) -> list[Deployment]:
                return [self._deployment(host, model) for model in range(self._models)]

            yield Discovery(host, run)

    def _deployment(self, host: Host, number: int) -> Deployment:
        key = FAMILIES[number % 3].format(number)
        loaded = (Instance(key, 8192, 4),) if number % 3 == 0 else ()
        return Deployment(ModelInfo(key, context_length=32768, vision=False, tools=True), host, loaded)


def scan(fleet: Fleet, text: str) -> int:
    """Do the least that any choice must: look at each deployment once."""
    return sum(1 for d in fleet.deployments if d.info.context_length and len(text) < d.info.context_length)


def learn(router: Router, fleet: Fleet) -> None:
    """Teach the router one execution on every other deployment."""
    for deployment in fleet.deployments[::2]:
        host, model = deployment.key
        router.record_metrics(
            ExecutionMetrics(model, host, 2.0, success=True, tokens_generated=100, tokens_per_second=60.0)
        )


def median(work: Callable[[], object], rounds: int) -> float:
    """Return the median CPU of *work*, in microseconds."""
    times = []
    for _ in range(rounds):
        begin = time.process_time_ns()
        work()
        times.append(time.process_time_ns() - begin)
    return statistics.median(times) / 1000


async def measure(hosts: int, models: int) -> None:
    """Print what each strategy's own request takes over so many hosts with so many models each."""
    quiet: dict[str, JSONObject] = {name: {"path": ":memory:"} for name in KEEPERS}
    config = Config(router=RouterSettings(fleet_ttl=1e9), tables=quiet)
    rounds = ROUNDS if hosts * models < 1000 else ROUNDS // 10
    async with Router(config, plugins={"static": StaticFleet(hosts, models)}) as router:
        fleet = await router.fleet()
        learn(router, fleet)
        plain = median(lambda: scan(fleet, PLAIN.task), rounds)
        for name, request in REQUESTS.items():
            prepared = await prepare(router.plugins, request, router.config)

            def work(prepared: ModelRequest = prepared) -> Decision:
                return decide(router.plugins, evolve(prepared), fleet, router.config)

            chosen = work().chosen()
            assert chosen.strategy_used == name, (name, chosen)
            took = median(work, rounds)
            ratio = f"{took / plain:5.1f} × a plain scan"
            print(f"{hosts * models:5} deployments, {name:11}: {took:7.1f} µs, {ratio}")


def classification() -> None:
    """Print what the classification of a prompt takes."""
    for name, text in PROMPTS.items():
        request = ModelRequest(text)
        signals_of(request)
        print(f"classification of {name:7}: {median(lambda r=request: signals_of(r), 200):7.1f} µs")  # type: ignore[misc]


def main() -> None:
    logger.remove()
    for hosts, models in ((5, 10), (20, 100)):
        asyncio.run(measure(hosts, models))
    classification()


if __name__ == "__main__":
    main()
