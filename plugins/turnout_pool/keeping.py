"""Models that are to stay loaded: what is missing of them is wanted, though nobody waits for it."""

from collections.abc import Iterator, Mapping
from math import inf

from turnout.fleet import Deployment, Fleet
from turnout_pool.settings import PoolSettings
from turnout_pool.situation import Want


class Keeping:
    """What ``keep`` and ``keep_on`` ask for."""

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._put_off: dict[str, float] = {}

    def put_off(self, model: str, until: float) -> None:
        """Do not ask for *model* before that time."""
        self._put_off[model] = until

    def deployments(self, fleet: Fleet) -> Iterator[Deployment]:
        """Yield what may be kept."""
        for model in self._settings.keep:
            yield from fleet.models.get(model, ())
        for host, models in self._settings.keep_on.items():
            found = (fleet.find(host, model) for model in models)
            yield from (deployment for deployment in found if deployment is not None)

    def missing(self, there: Mapping[str, Mapping[str, bool]], now: float) -> Iterator[Want]:
        """Yield a want for each model that is not *there*, by model and host that may load it."""
        for model in self._settings.keep:
            hosts = there.get(model, {})
            if hosts and not any(hosts.values()):
                yield from self._want(model, frozenset(hosts), now)
        for host, models in self._settings.keep_on.items():
            for model in models:
                if there.get(model, {}).get(host) is False:
                    yield from self._want(model, frozenset({host}), now)

    def _want(self, model: str, hosts: frozenset[str], now: float) -> Iterator[Want]:
        if now >= self._put_off.get(model, -inf):
            yield Want(model, hosts, 0, now)
