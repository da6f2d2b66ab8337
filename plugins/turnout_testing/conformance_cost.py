"""What a decision costs: CPU time against a plain loop that is measured in the same run."""

import gc
from collections.abc import Callable
from time import thread_time

from turnout import (
    Deployment,
    Estimate,
    Host,
    Instance,
    ModelCapability,
    ModelInfo,
    ModelRequest,
    Quality,
    Signals,
    TaskType,
)
from turnout_testing.example import World, candidates_of

PROMPT, OUTPUT = 120, 400
BATCH_SECONDS = 0.002
ROUNDS = 5
PER_MODEL = 4


def crowd(models: int, hosts: int = 1) -> World:
    """Return a chat with *models* candidates, each on *hosts* hosts, with all that can be known of them."""
    names = [f"maker{number % 7}/model-{number}-{number % 70 + 1}b" for number in range(models)]
    places = [Host(f"host-{number}", f"http://host-{number}:1234", "lmstudio") for number in range(hosts)]
    groups = [tuple(_deployment(name, place) for place in places) for name in names]
    every = (deployment for group in groups for deployment in group)
    estimates = {d: _estimate(number) for number, d in enumerate(every)}
    known = {name: _assessment(number) for number, name in enumerate(names)}
    return World(_request(), candidates_of(groups, estimates, [known]))


def _deployment(name: str, host: Host) -> Deployment:
    info = ModelInfo(name, context_length=32_768, parameters=8_000_000_000, quantization="Q4_K_M")
    return Deployment(info, host, (Instance(name, 32_768, 4),) if len(name) % 2 else ())


def _estimate(number: int) -> Estimate:
    return Estimate(decode_seconds_per_token=0.01 + number % 97 / 1000, measured=number % 5)


def _assessment(number: int) -> dict[TaskType | ModelCapability, Quality]:
    score = number % 11 / 10
    return {TaskType.CODE_GENERATION: Quality(score, 5), ModelCapability.CODING: Quality(1 - score, 20)}


def _request() -> ModelRequest:
    signals = Signals(TaskType.CODE_GENERATION, 0.9, PROMPT, OUTPUT)
    return ModelRequest("Write a function that sorts a list of dates. " * 10, id="crowd", signals=signals)


def reference(world: World) -> object:
    """Do what any strategy has to: predict each candidate's completion, and sort by it."""
    return sorted((one.completion_seconds(PROMPT, OUTPUT), one.id) for one in world.candidates)


def seconds(*works: Callable[[], object]) -> tuple[float, ...]:
    """Return the CPU seconds that one call of each of *works* takes, the best of several rounds in turn."""
    times = [_repeats(work) for work in works]
    gc.collect()
    rounds = [[_batch(work, n) / n for work, n in zip(works, times, strict=True)] for _ in range(ROUNDS)]
    return tuple(min(column) for column in zip(*rounds, strict=True))


def _repeats(work: Callable[[], object]) -> int:
    times = 1
    while _batch(work, times) < BATCH_SECONDS and times < 2**16:
        times *= 2
    return times


def _batch(work: Callable[[], object], times: int) -> float:
    began = thread_time()
    for _ in range(times):
        work()
    return thread_time() - began
