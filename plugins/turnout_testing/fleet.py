"""A router over emulated hosts, in this process: what a plugin's author tests against."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from attrs import evolve

from turnout import Config, Host, HostSettings, JSONObject, Router, hookimpl
from turnout_testing.emulator import Emulator
from turnout_testing.transport import InProcessTransport

BUNDLED = frozenset(
    {"explicit", "fallback", "lmstudio", "metrics", "openai", "performance", "pool", "resilience"}
)
"""The plugins that a router over emulated hosts has: no embedded model, no faces, no strangers.

What is done about failures belongs to it, as for users; whoever tests without it disables ``resilience``. Of
the strategies it has those that weigh no quality, so that nobody's opinion mixes with what a test sets.
"""


class EmulatedHosts:
    """A plugin that opens the way to emulators instead of the network; ``transport`` can take them down."""

    def __init__(self, emulators: Mapping[str, Emulator]) -> None:
        self.emulators = emulators
        self.transport = InProcessTransport({url_of(name): app for name, app in emulators.items()})

    @hookimpl
    def open_transport(self, host: Host) -> InProcessTransport | None:
        """Answer for emulated hosts; every other host keeps its way."""
        return self.transport if host.name in self.emulators else None


def url_of(name: str) -> str:
    """Return the address at which the emulated host *name* is."""
    return f"http://{name}:1234"


@asynccontextmanager
async def emulated_router(
    emulators: Mapping[str, Emulator],
    *,
    config: Config | None = None,
    plugins: Mapping[str, object] | None = None,
    installed: Iterable[str] = (),
) -> AsyncIterator[Router]:
    """Open a router whose hosts are *emulators*, by name, with the bundled plugins and *plugins*.

    Of other plugins that are *installed*, it has those that are named.

    Nothing touches the network, the disk or the user's settings. What *config* says of hosts is kept
    beside the emulated ones; measurements stay in memory. ::

        async with emulated_router({"desk": Emulator(models=(EmulatedModel("acme/owl-8b"),))}) as router:
            reply = await router.ask("Hello")
    """
    base = Config() if config is None else config
    hosts = {name: HostSettings(url_of(name), "lmstudio") for name in emulators}
    tables: dict[str, JSONObject] = {"metrics": {"path": ":memory:"}, **base.tables}
    made = evolve(base, hosts={**hosts, **base.hosts}, tables=tables)
    added = {"emulated_hosts": EmulatedHosts(emulators), **(plugins or {})}
    async with Router(made, plugins=added, only_plugins=BUNDLED.union(installed)) as router:
        yield router
