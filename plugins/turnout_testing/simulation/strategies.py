"""What a simulation compares: turnout as it comes, an installed strategy by name, or a reference policy."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from importlib.metadata import entry_points

from attrs import evolve, frozen

from turnout import Config, Router
from turnout.config import PluginsSettings, SelectionSettings
from turnout.errors import ConfigError
from turnout_testing.emulator import Emulator
from turnout_testing.fleet import emulated_router
from turnout_testing.simulation.gate import GatedHosts
from turnout_testing.simulation.policies import POLICIES, ReferencePolicy

GROUP = "turnout"
"""The entry points in which plugins are found."""
DEFAULT = "turnout"
"""The strategies of the distribution that weigh no quality, in their default order."""
GATED = "gated-"
"""Before a policy's name: every host stands behind a gate, as behind llama-swap."""
OWN = ("pool", "resilience")
"""What others do not have: queues and placement, and what is done about failures."""


@frozen
class Strategy:
    """One of those compared."""

    name: str

    @property
    def policy(self) -> str | None:
        """The reference policy's name; None for turnout and its strategies."""
        plain = self.name.removeprefix(GATED)
        return plain if plain in POLICIES else None

    @property
    def gated(self) -> bool:
        """Whether the hosts stand behind gates."""
        return self.policy is not None and self.name.startswith(GATED)

    def router(
        self,
        emulators: Mapping[str, Emulator],
        config: Config | None = None,
        plugins: Mapping[str, object] | None = None,
    ) -> AbstractAsyncContextManager[Router]:
        """Open a router over *emulators* that decides in this way.

        Raises ``ConfigError`` where no installed plugin is a strategy of that name.
        """
        base = Config() if config is None else config
        added = dict(plugins or {})
        if self.policy is None:
            self._check_known()
            return self._strategy_router(emulators, base, added)
        if self.gated:
            added["emulated_hosts"] = GatedHosts(emulators)
        added["policy"] = ReferencePolicy(POLICIES[self.policy]())
        return emulated_router(emulators, config=_as_others(base), plugins=added)

    def _check_known(self) -> None:
        installed = entry_points(group=GROUP).names
        if self.name not in (DEFAULT, *installed):
            policies = ", ".join(POLICIES)
            message = (
                f"there is no strategy {self.name!r}: name {DEFAULT}, an installed strategy, or a reference "
                f"policy ({policies}; also with {GATED} before it)"
            )
            raise ConfigError(message)

    def _strategy_router(
        self, emulators: Mapping[str, Emulator], base: Config, plugins: Mapping[str, object]
    ) -> AbstractAsyncContextManager[Router]:
        if self.name == DEFAULT:
            return emulated_router(emulators, config=base, plugins=plugins)
        order = tuple(dict.fromkeys(("explicit", self.name, "fallback")))
        config = evolve(base, selection=SelectionSettings(order))
        return emulated_router(emulators, config=config, plugins=plugins, installed=[self.name])


def _as_others(base: Config) -> Config:
    """Return the settings under which only the policy decides: without what is turnout's, asked once."""
    return evolve(
        base,
        plugins=PluginsSettings(disabled=OWN),
        router=evolve(base.router, max_attempts=1),
        selection=SelectionSettings(("explicit", "policy")),
        tables={name: table for name, table in base.tables.items() if name not in OWN},
    )


