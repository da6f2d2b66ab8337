"""The emulator on a real loopback socket: in a thread with a loop of its own, or in the running loop."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from turnout_testing.http import ASGIApp

KEEP_ALIVE_SECONDS = 5.0


@contextmanager
def serve(app: "ASGIApp", *, port: int = 0, keep_alive: float = KEEP_ALIVE_SECONDS) -> Iterator[str]:
    """Run `app` in a thread; gives the base URL, such as `http://127.0.0.1:49152`.

    Port 0 takes a free one. Idle connections are closed after `keep_alive` seconds, as Node does after 5.
    Raises `OSError` when the port is taken.
    """
    started: SimpleQueue[tuple[str, asyncio.AbstractEventLoop, asyncio.Event] | OSError] = SimpleQueue()

    async def main() -> None:
        stop = asyncio.Event()
        try:
            async with serving(app, port=port, keep_alive=keep_alive) as url:
                started.put((url, asyncio.get_running_loop(), stop))
                await stop.wait()
        except OSError as error:
            started.put(error)

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="turnout-emulator", daemon=True)
    thread.start()
    outcome = started.get()
    if isinstance(outcome, OSError):
        thread.join()
        raise outcome
    url, loop, stop = outcome
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


@asynccontextmanager
async def serving(
    app: "ASGIApp", *, port: int = 0, keep_alive: float = KEEP_ALIVE_SECONDS
) -> AsyncIterator[str]:
    """Do as `serve` does, in the running loop; on leaving, open connections are cut."""
    from turnout_testing.connection import Connection

    connections: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(Connection(app, reader, writer, keep_alive).run())
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in [*connections]:
            task.cancel()
        if connections:
            await asyncio.wait([*connections])
        await server.wait_closed()
