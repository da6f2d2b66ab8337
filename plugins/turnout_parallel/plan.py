"""What is sent next: all that is loaded, then model by model, so that each residency is used once.

A host belongs to the models that are loaded there for as long as something waits for them. Only then a
model that must be loaded takes its place, the one that most waits for first. A host with nothing to do takes
a further copy of a model where that saves more time than its load takes. Never more is in flight than there
are slots: whatever waits in the router's own queue would make it load copies for its sake.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil

from attrs import define, field, frozen

from turnout.fleet import Deployment, Fleet
from turnout.names import matches
from turnout_parallel.source import Need

UNKNOWN = ""
UNKNOWN_ROOM = 8
"""Requests at once for a model that no host is known to have: they will end soon."""
MOST_UNKNOWN = 64
"""Names that nobody knows of which each has a batch."""
LEARNING = 0.1
"""How much the last answer counts in the mean of what an answer takes."""
LOAD_SECONDS = 30.0
"""What a load is taken to cost before one was seen."""


@frozen
class Key:
    """What the requests of one batch share. ``free`` ones are expected to go to ``model``, unpinned."""

    model: str
    hosts: frozenset[str] | None = None
    free: bool = False


@define(eq=False)
class Batch:
    """The requests for one model: numbers that wait, and how many are in flight.

    ``cap`` bounds the latter after a refusal, and nothing is sent before ``paused_until`` (loop's seconds).
    ``seconds`` is what an answer takes, without queue and load; 0 before the first.
    """

    key: Key
    waiting: deque[int] = field(factory=deque)
    in_flight: int = 0
    begun: bool = False
    cap: int | None = None
    paused_until: float = 0.0
    seconds: float = 0.0

    def take(self) -> int:
        """Take the next."""
        self.begun = True
        self.in_flight += 1
        return self.waiting.popleft()

    def served(self, seconds: float | None = None) -> None:
        """Learn that one was served, in so many *seconds*: there is room again."""
        self.in_flight -= 1
        if seconds is not None:
            self.seconds += (seconds - self.seconds) * (LEARNING if self.seconds else 1.0)
        self.paused_until = 0.0
        if self.cap is not None:
            self.cap += 1

    def refused(self, number: int, until: float) -> None:
        """Take back one that was refused, and send nothing before *until*, then fewer at once."""
        self.in_flight -= 1
        self.waiting.appendleft(number)
        self.paused_until = until
        self.cap = max(1, self.in_flight)


class Plan:
    """All batches. ``unplaced`` requests name no model, and nobody has asked yet where they would go."""

    def __init__(self, aliases: Mapping[str, str]) -> None:
        self._aliases = aliases
        self._batches: dict[Key, Batch] = {}
        self.unplaced: deque[tuple[int, Need]] = deque()
        self.load_seconds = LOAD_SECONDS
        self._unknown: set[str] = set()

    def add(self, number: int, need: Need, fleet: Fleet) -> None:
        """Add a request."""
        if need.model is None:
            self.unplaced.append((number, need))
        else:
            self._batch(Key(self._resolved(need.model, fleet), need.hosts)).waiting.append(number)

    def place(self, number: int, need: Need, model: str | None) -> None:
        """Add a request of which it is known now where it would go; None where nobody could tell."""
        self._batch(Key(model or UNKNOWN, need.hosts, free=True)).waiting.append(number)

    @property
    def placed(self) -> int:
        """How many of those that name no model wait with a place."""
        return sum(len(batch.waiting) for key, batch in self._batches.items() if key.free)

    def _batch(self, key: Key) -> Batch:
        return self._batches.setdefault(key, Batch(key))

    def _resolved(self, name: str, fleet: Fleet) -> str:
        found = matches(name, fleet.models, self._aliases)
        if len(found) == 1:
            return found[0]
        # Its host may only be away. But however many names nobody ever knew, they make few batches.
        if len(self._unknown) < MOST_UNKNOWN:
            self._unknown.add(name)
        return name if name in self._unknown else UNKNOWN

    def rooms(self, fleet: Fleet) -> Iterator[tuple[Batch, int]]:
        """Yield, in the order in which to send, each batch and how many of it may be in flight."""
        places = {batch: self._places(batch, fleet) for batch in self._batches.values() if batch.waiting}
        order = sorted(places, key=lambda batch: _urgency(batch, places[batch]))
        shares = self._shares(order, places)
        everywhere = _slots(d for d in fleet.deployments if _ready(d))
        for batch in order:
            room = self._room(batch, shares[batch]) if places[batch] else UNKNOWN_ROOM
            if room and batch.key.free:
                room = max(room, everywhere)
            yield batch, room if batch.cap is None else min(room, batch.cap)

    def _places(self, batch: Batch, fleet: Fleet) -> Sequence[Deployment]:
        model, hosts = batch.key.model, batch.key.hosts
        if model not in fleet.models and model in self._unknown:
            model = self._resolved(model, fleet)
        found = fleet.models.get(model, ())
        return [one for one in found if hosts is None or one.host.name in hosts]

    def _room(self, batch: Batch, share: Sequence[Deployment]) -> int:
        room, ready = _slots(share), _slots(one for one in share if _ready(one))
        if not ready or ready == room or not batch.seconds:
            return room
        # A copy is loaded only for those whose wait would be longer than the load.
        return room + ceil(2 * self.load_seconds * ready / batch.seconds)

    def _shares(
        self, order: Sequence[Batch], places: Mapping[Batch, Sequence[Deployment]]
    ) -> Mapping[Batch, Sequence[Deployment]]:
        """Return where each batch runs: where its model is, else on one free host; then further copies."""
        shares = {batch: [one for one in places[batch] if _ready(one)] for batch in order}
        taken = {one.host.name for share in shares.values() for one in share}
        for must in (True, False):
            for batch in order:
                for one in places[batch]:
                    wanted = not shares[batch] if must else self._worth_a_copy(batch, shares[batch])
                    if wanted and one.host.name not in taken:
                        shares[batch].append(one)
                        taken.add(one.host.name)
        return shares

    def _worth_a_copy(self, batch: Batch, share: Sequence[Deployment]) -> bool:
        """Whether what waits takes twice as long on *share* as the load of a further copy."""
        slots = _slots(share)
        return slots > 0 and len(batch.waiting) * batch.seconds > 2 * self.load_seconds * slots


def _urgency(batch: Batch, places: Sequence[Deployment]) -> tuple[bool, bool, int]:
    return not any(map(_ready, places)), not batch.begun, -len(batch.waiting)


def _ready(deployment: Deployment) -> bool:
    """Whether it answers without a load."""
    return deployment.resident or not deployment.loadable


def _slots(deployments: Iterable[Deployment]) -> int:
    return sum(one.slots or one.default_parallel for one in deployments)
