"""What others do to spread requests over hosts, each in a few lines: what a strategy is compared with.

A policy sends a request on as soon as it comes, and leaves queues and loads to the host. It takes the place
of the pool, and chooses a model too where a request names none.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from itertools import count
from random import Random
from types import MappingProxyType
from typing import Protocol

from attrs import define, field

from turnout import Candidate, Deployment, Fleet, Lease, ModelRequest, ModelSelection, hookimpl


class Policy(Protocol):
    """Chooses one of some deployments, of one model or of several."""

    def choose(self, deployments: Sequence[Deployment], traffic: "Traffic", random: Random) -> Deployment:
        """Return one of *deployments*, of which there is at least one."""


@define
class Traffic:
    """What a policy knows: how much is in flight on each host, and which model was sent there last."""

    in_flight: dict[str, int] = field(factory=dict)
    last: dict[str, str] = field(factory=dict)

    def on(self, deployment: Deployment) -> int:
        """Return the requests in flight on the deployment's host."""
        return self.in_flight.get(deployment.host.name, 0)

    def has(self, deployment: Deployment) -> bool:
        """Whether the model is resident, as far as one can know who looks now and then."""
        last = self.last.get(deployment.host.name)
        return deployment.resident if last is None else last == deployment.model

    def lease(self, deployment: Deployment) -> Lease:
        """Count one more on the deployment's host until it is released."""
        host = deployment.host.name
        self.in_flight[host] = self.in_flight.get(host, 0) + 1
        self.last[host] = deployment.model
        return Lease(deployment, partial(self._end, host))

    def _end(self, host: str) -> None:
        self.in_flight[host] -= 1


class Chance:
    """Any deployment, with the same chance for each."""

    def choose(self, deployments: Sequence[Deployment], traffic: Traffic, random: Random) -> Deployment:
        """Draw one."""
        del traffic
        return random.choice(deployments)


class RoundRobin:
    """Each model's deployments in turn."""

    def __init__(self) -> None:
        self._turns: dict[tuple[tuple[str, str], ...], count[int]] = {}

    def choose(self, deployments: Sequence[Deployment], traffic: Traffic, random: Random) -> Deployment:
        """Return the next one."""
        del traffic, random
        ordered = sorted(deployments, key=lambda d: d.key)
        turn = self._turns.setdefault(tuple(d.key for d in ordered), count())
        return ordered[next(turn) % len(ordered)]


class LeastInFlight:
    """The host with the fewest requests in flight; chance among equals."""

    def choose(self, deployments: Sequence[Deployment], traffic: Traffic, random: Random) -> Deployment:
        """Return one on the least busy host."""
        least = min(map(traffic.on, deployments))
        return random.choice([d for d in deployments if traffic.on(d) == least])


class ResidentFirst:
    """The least busy of the hosts that have the model loaded, else of all."""

    def choose(self, deployments: Sequence[Deployment], traffic: Traffic, random: Random) -> Deployment:
        """Return a resident one, if there is any."""
        resident = [d for d in deployments if traffic.has(d)]
        return LeastInFlight().choose(resident or deployments, traffic, random)


class Static:
    """Each model always on the same host, the models dealt out to the hosts in the order they come."""

    def __init__(self) -> None:
        self._homes: dict[str, int] = {}

    def choose(self, deployments: Sequence[Deployment], traffic: Traffic, random: Random) -> Deployment:
        """Return the one at home."""
        del traffic, random
        first = min(deployments, key=lambda d: d.model).model
        ordered = sorted((d for d in deployments if d.model == first), key=lambda d: d.host.name)
        home = self._homes.setdefault(first, len(self._homes))
        return ordered[home % len(ordered)]


POLICIES: Mapping[str, Callable[[], Policy]] = MappingProxyType({
    "random": Chance,
    "round-robin": RoundRobin,
    "least-in-flight": LeastInFlight,
    "resident-first": ResidentFirst,
    "static": Static,
})  # fmt: skip
"""The reference policies by name."""


class ReferencePolicy:
    """A policy as a plugin, in the place of the pool and of the strategies."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.traffic = Traffic()

    @hookimpl
    def select_model(
        self, request: ModelRequest, candidates: Sequence[Candidate]
    ) -> ModelSelection | None:
        """Choose the model of the deployment that the policy chooses; a named model is left to others."""
        if request.explicit_model is not None or not candidates:
            return None
        deployments = [d for candidate in candidates for d in candidate.deployments]
        return ModelSelection(self._choose(request, deployments).model, "by policy")

    @hookimpl
    def place_request(
        self, request: ModelRequest, selection: ModelSelection, fleet: Fleet
    ) -> Coroutine[None, None, Lease]:
        """Send the request on at once."""
        return self._place(request, selection, fleet)

    async def _place(self, request: ModelRequest, selection: ModelSelection, fleet: Fleet) -> Lease:
        out = {(left.model, left.host) for left in selection.explanation.ineligible}
        able = [d for d in fleet.models[selection.model] if (d.model, d.host.name) not in out]
        return self.traffic.lease(self._choose(request, able))

    def _choose(self, request: ModelRequest, deployments: Sequence[Deployment]) -> Deployment:
        return self.policy.choose(deployments, self.traffic, request.rng)
