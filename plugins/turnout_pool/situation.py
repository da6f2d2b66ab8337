"""What the planner sees of hosts and queues, and what it says: values only."""

import enum
from collections.abc import Mapping
from math import inf
from typing import TypeAlias

from attrs import frozen

MEMORY_FACTOR = 1.2
"""Memory that a loaded model takes for each byte of its file: the rest is its context."""


class Loading(enum.Enum):
    """What a load does to the other models of its host."""

    EVICTS = "evicts"
    """It may unload them: LM Studio keeps one model that a request has loaded."""
    MANAGED = "managed"
    """We load and unload one by one, within the memory that the settings grant."""
    ADDS = "adds"
    """They stay."""


@frozen
class Spot:
    """One model on one host. Seconds, bytes, and requests per second.

    ``loading``: what is left of its load, if one is under way. ``since``: when it became resident;
    ``used``: when an answer of it ended last. ``wanted``: since when its load is waited for; ``overdue``:
    that was overtaken as long or as often as the settings allow; ``due``: since when, -inf where nobody may
    overtake it any more. ``ours``: we loaded it explicitly.
    ``rate``: of all requests for the model.
    """

    model: str
    resident: bool = False
    running: int = 0
    slots: int = 1
    load_seconds: float = 20.0
    service_seconds: float = 1.0
    loading: float | None = None
    size: int | None = None
    since: float = -inf
    used: float = -inf
    wanted: float = inf
    overdue: bool = False
    due: float = -inf
    ours: bool = False
    kept: bool = False
    rate: float = 0.0

    @property
    def there(self) -> bool:
        """Whether it is resident, or will be without another load."""
        return self.resident or self.loading is not None

    @property
    def need(self) -> float:
        """Bytes of memory that it takes; infinite when unknown."""
        return inf if self.size is None else self.size * MEMORY_FACTOR


@frozen
class Place:
    """One host: its spots by model, and the bytes of memory that models may take; None is unknown."""

    host: str
    loading: Loading
    spots: Mapping[str, Spot]
    memory: float | None = None

    @property
    def occupied(self) -> bool:
        """Whether a load is under way that another one would disturb."""
        return self.loading is not Loading.ADDS and any(s.loading is not None for s in self.spots.values())


@frozen
class Want:
    """Requests that wait for a model and may go to any of ``hosts``; the ``oldest`` came at that time."""

    model: str
    hosts: frozenset[str]
    waiting: int
    oldest: float
    priority: int = 0


@frozen
class Cost:
    """Seconds: until the host has drained, the load, and what it costs others that a model goes.

    The last is what those wait who will ask for that model, shared out among those who wait for this one.
    """

    drain: float
    load: float
    others: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.drain + self.load + self.others


@frozen
class Move:
    """A load that comes next on its host.

    ``evicts``: the models that go for it, and not before the time ``not_before``. ``ready``: nothing stands
    in its way. ``finishing``: models that may serve on although its turn has come.
    """

    host: str
    model: str
    evicts: tuple[str, ...]
    ready: bool
    cost: Cost
    want: Want
    overdue: bool = False
    not_before: float = -inf
    finishing: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """Say why, as a person reads it."""
        waiting = self.want.waiting
        count = f"{waiting} {'waits' if waiting == 1 else 'wait'} for it"
        parts = [count if waiting else "it is to be kept", f"load {self.cost.load:.1f} s"]
        if self.overdue:
            parts.insert(1, "its turn has come")
        if self.cost.drain:
            parts.append(f"the host is busy for {self.cost.drain:.1f} s")
        if self.evicts:
            parts.append(f"takes the place of {', '.join(self.evicts)}")
        return "; ".join(parts)


Places: TypeAlias = Mapping[str, Place]
