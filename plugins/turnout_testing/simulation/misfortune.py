"""What goes wrong: models and connections fail, hosts go, people meddle, clocks jump."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from turnout_testing.clock import VirtualLoop
from turnout_testing.errors import OverflowForm
from turnout_testing.faults import (
    CannedAnswer,
    ConnectionLost,
    Crash,
    EmptyContent,
    EngineFault,
    Evicted,
    Fault,
    FetchFailed,
    GuardrailRefusal,
    HangBeforeHeaders,
    HangBetweenChunks,
    NoModelsLoaded,
    Overflow,
    SlowHost,
    TruncatedStream,
    WrongModel,
    html_500,
)
from turnout_testing.simulation.scene import Scene

CHAT = "/v1/chat/completions"
RELOADED = "Model reloaded"
"""What a generation ends with when a person takes its model: other words than a load of ours would leave."""

FAULTS: Sequence[Callable[[Random], Fault]] = (
    lambda r: Crash(times=r.randint(1, 2)),
    lambda r: Crash(times=1, after_chunks=r.randint(1, 6), delivery=r.choice(["event", "data", "empty"])),
    lambda _: HangBeforeHeaders(route=CHAT, times=1),
    lambda r: HangBeforeHeaders(
        route=r.choice([CHAT, None]), times=r.randint(1, 3), seconds=r.uniform(1, 20)
    ),
    lambda r: HangBetweenChunks(times=1, after_chunks=r.randint(0, 5)),
    lambda r: HangBetweenChunks(times=2, seconds=r.uniform(1, 10)),
    lambda r: Overflow(form=r.choice([f for f in OverflowForm if f is not OverflowForm.GARBAGE]), times=1),
    lambda r: Overflow(times=1, stream=True, delivery=r.choice(["event", "data", "empty"])),
    lambda r: GuardrailRefusal(times=r.randint(1, 3)),
    lambda _: Evicted(text=RELOADED, times=1),
    lambda r: Evicted(text=RELOADED, times=1, after_chunks=r.randint(1, 6)),
    lambda r: EmptyContent(times=r.randint(1, 2)),
    lambda r: html_500(times=r.randint(1, 3)),
    lambda r: html_500(route="/api/v1/models", times=r.randint(1, 2)),
    lambda r: FetchFailed(times=r.randint(1, 2)),
    lambda r: EngineFault(text="terminated", times=1, after_chunks=r.randint(1, 4)),
    lambda r: ConnectionLost(route=CHAT, times=r.randint(1, 2)),
    lambda r: ConnectionLost(
        route=CHAT, times=1, after_chunks=r.randint(0, 5), how=r.choice(["reset", "close"])
    ),
    lambda r: TruncatedStream(times=1, after_chunks=r.randint(1, 6)),
    lambda _: WrongModel(times=1),
    lambda r: NoModelsLoaded(times=r.randint(1, 2)),
    lambda r: SlowHost(times=3, seconds=r.uniform(0.5, 5)),
    lambda r: CannedAnswer(status=r.choice([502, 503]), body="bad gateway", times=1),
)


async def misfortune(scene: Scene, random: Random, seconds: float) -> None:
    """Let up to eight things go wrong, one after the other, in about *seconds*."""
    for _ in range(random.randint(1, 8)):
        await asyncio.sleep(random.uniform(0, seconds / 4))
        name = random.choice([*scene.emulators])
        kind: Callable[[Scene, str, Random], Awaitable[None]] = random.choices(
            (_fault, _outage, _person, _jump), (0.7, 0.15, 0.1, 0.05)
        )[0]
        await kind(scene, name, random)


async def _fault(scene: Scene, name: str, random: Random) -> None:
    scene.emulators[name].inject(random.choice(FAULTS)(random))


async def _outage(scene: Scene, name: str, random: Random) -> None:
    """Let a host refuse connections for a while, and perhaps lose those that it had."""
    scene.take_down(name, cut=random.random() < 0.7)
    seconds = random.uniform(0, 5)
    await asyncio.sleep(seconds)
    scene.away += seconds
    scene.bring_up(name)


async def _person(scene: Scene, name: str, random: Random) -> None:
    """Let a person unload a model, whatever it does, or load one for good."""
    emulator = scene.emulators[name]
    if emulator.resident and random.random() < 0.6:
        emulator.unload(random.choice(emulator.resident).id, text=RELOADED)
        return
    there = [*emulator.resident, *(load.instance for load in emulator.loading)]
    known = {instance.model.key for instance in there}
    absent = [model.key for model in emulator.models if model.key not in known]
    if absent:
        emulator.load(random.choice(absent))


async def _jump(scene: Scene, name: str, random: Random) -> None:
    """Let the machine sleep: all that was due meanwhile is due at once."""
    del name
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    seconds = random.uniform(1, 90)
    loop.jump(seconds)
    scene.jumped += seconds
