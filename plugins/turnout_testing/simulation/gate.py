"""What llama-swap does for a server: a load waits until nothing else generates there."""

import asyncio
import json
from collections.abc import Mapping

from turnout import Host, hookimpl
from turnout_testing.emulator import Emulator
from turnout_testing.fleet import url_of
from turnout_testing.http import ASGIApp, AsgiMessage, Receive, Scope, Send
from turnout_testing.transport import InProcessTransport


class Gate:
    """An ASGI application before another one, which lets requests for one model at a time pass.

    When nothing runs any more, the model changes to the one that has been waited for the longest; until
    then, who asks for the present one need not wait.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._model = ""
        self._running = 0
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, when it is its turn."""
        if scope.get("method") != "POST":
            return await self._app(scope, receive, send)
        first = await receive()
        await self._enter(str(json.loads(first["body"])["model"]))
        try:
            await self._pass(scope, first, receive, send)
        finally:
            self._leave()
        return None

    async def _enter(self, model: str) -> None:
        entry = asyncio.get_running_loop().create_future()
        self._waiting.append((model, entry))
        self._admit()
        try:
            await entry
        except asyncio.CancelledError:
            if not entry.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        self._running -= 1
        self._admit()

    def _admit(self) -> None:
        waiting = [(model, entry) for model, entry in self._waiting if not entry.done()]
        if waiting and not self._running:
            self._model = waiting[0][0]
        self._waiting = [(model, entry) for model, entry in waiting if model != self._model]
        for model, entry in waiting:
            if model == self._model:
                self._running += 1
                entry.set_result(None)

    async def _pass(self, scope: Scope, first: AsgiMessage, receive: Receive, send: Send) -> None:
        again = [first]

        async def replayed() -> AsgiMessage:
            return again.pop() if again else await receive()

        await self._app(scope, replayed, send)


class GatedHosts:
    """The ways to emulated hosts that stand behind gates, as a plugin; each model is loaded once."""

    def __init__(self, emulators: Mapping[str, Emulator]) -> None:
        for emulator in emulators.values():
            emulator.jit_race = False
        gates = {url_of(name): Gate(emulator) for name, emulator in emulators.items()}
        self.transport = InProcessTransport(gates)

    @hookimpl
    def open_transport(self, host: Host) -> InProcessTransport:
        """Lead through the gate."""
        del host
        return self.transport
