"""Emulated hosts, a router over them, and clients of whom each knows the one true answer."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from attrs import define, frozen

from turnout import Config, ModelRequest, Reply, Router
from turnout.errors import LLMError
from turnout.events import Text
from turnout_testing.emulator import Emulator
from turnout_testing.fleet import EmulatedHosts, emulated_router, url_of
from turnout_testing.prompt import Prompt
from turnout_testing.simulation.witness import Witness


def echo(prompt: Prompt) -> str:
    """Say what only this prompt can have led to, or the rest of it where the prompt has the beginning."""
    *before, last = prompt.messages
    if last.role != "assistant":
        return _answer(last.text)
    return _answer(before[-1].text).removeprefix(last.text)


def expected(request: ModelRequest) -> str:
    """Return the one true answer to *request*, of a model that replies by `echo`."""
    return _answer(request.task)


def _answer(prompt: str) -> str:
    return f"<{prompt}> was asked, and no other."


@define(eq=False)
class Scene:
    """Emulated hosts by name, the way to them, and the router.

    ``jumped``: seconds that the clock lost; ``away``: seconds that hosts refused connections, added up.
    """

    emulators: Mapping[str, Emulator]
    hosts: EmulatedHosts
    router: Router
    witness: Witness
    jumped: float = 0.0
    away: float = 0.0

    def take_down(self, name: str, *, cut: bool = True) -> None:
        """Let a host refuse connections."""
        self.hosts.transport.take_down(url_of(name), cut=cut)

    def bring_up(self, name: str) -> None:
        """Let a host take connections again."""
        self.hosts.transport.bring_up(url_of(name))

    def heal(self) -> None:
        """Undo whatever was done to the hosts."""
        for name, emulator in self.emulators.items():
            emulator.clear_faults()
            self.bring_up(name)


@asynccontextmanager
async def opened(
    emulators: Mapping[str, Emulator],
    config: Config | None = None,
    plugins: Mapping[str, object] | None = None,
) -> AsyncIterator[Scene]:
    """Open a router over *emulators*."""
    hosts = EmulatedHosts(emulators)
    witness = Witness()
    added = {"witness": witness, **(plugins or {}), "emulated_hosts": hosts}
    async with emulated_router(emulators, config=config, plugins=added) as router:
        yield Scene(emulators, hosts, router, witness)


@frozen
class Outcome:
    """How one request ended, as its client saw it; ``heard`` is the text that a stream had given."""

    request: ModelRequest
    end: Reply | LLMError | asyncio.CancelledError
    seconds: float
    heard: str = ""


async def asked(scene: Scene, request: ModelRequest) -> Outcome:
    """Ask, and return how it ended, and nothing else: any other exception is a defect."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    heard: list[str] = []
    end: Reply | LLMError | asyncio.CancelledError
    try:
        if request.streaming:
            end = await _streamed(scene, request, heard)
        else:
            end = await scene.router.ask(request)
    except (LLMError, asyncio.CancelledError) as error:
        end = error
    return Outcome(request, end, loop.time() - began, "".join(heard))


async def _streamed(scene: Scene, request: ModelRequest, heard: list[str]) -> Reply:
    stream = scene.router.open_stream(request)
    try:
        async for event in stream:
            if isinstance(event, Text):
                heard.append(event.text)  # noqa: PERF401  what was heard before an error counts
    finally:
        await stream.aclose()
    return stream.reply
