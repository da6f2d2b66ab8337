"""What came of a simulation: one sample for each request, and what the hosts did meanwhile."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from attrs import define, frozen

from turnout_testing.emulator import Emulator

QUANTILES = (0.5, 0.95, 0.99)


@frozen
class Sample:
    """One request as its client saw it. Seconds; ``at`` is when it came.

    ``wait`` is all that passed before its prompt was read: queue, load, attempts that failed.
    ``first_token`` and ``latency`` are from its coming too. ``error`` is the class of what ended it, None
    for an answer.
    """

    at: float
    latency: float
    wait: float = math.nan
    first_token: float = math.nan
    model: str = ""
    host: str = ""
    output_tokens: int = 0
    error: str | None = None


@frozen
class Stay:
    """A model in a host's memory, from the begin of its load (``load_began``) until it goes."""

    host: str
    model: str
    load_began: float
    begins: float
    ends: float


@frozen
class HostDoings:
    """What one host did: the shares of the time in which it generated and loaded, and its loads.

    ``swaps`` are the models that went so that another could come, ``killed`` what generated on them.
    """

    name: str
    busy: float
    loading: float
    loads: int
    swaps: int
    killed: int


@define(eq=False, slots=False)
class Result:
    """One strategy's run; times are in seconds since the first request came."""

    strategy: str
    samples: Sequence[Sample]
    hosts: Sequence[HostDoings]
    stays: Sequence[Stay]

    @cached_property
    def answered(self) -> Sequence[Sample]:
        """The samples of the requests that were answered."""
        return [sample for sample in self.samples if sample.error is None]

    @property
    def makespan(self) -> float:
        """From the first request to the last end."""
        return max((sample.at + sample.latency for sample in self.samples), default=0.0)

    @property
    def loads(self) -> int:
        """Loads on all hosts, failed ones too."""
        return sum(host.loads for host in self.hosts)

    @property
    def swaps(self) -> int:
        """Loads that another model had to go for."""
        return sum(host.swaps for host in self.hosts)

    @property
    def tokens_per_second(self) -> float:
        """Answered tokens in the whole time."""
        tokens = sum(sample.output_tokens for sample in self.answered)
        return tokens / self.makespan if self.makespan else 0.0

    @property
    def errors(self) -> Mapping[str, int]:
        """How many requests ended in which error."""
        return Counter(sample.error for sample in self.samples if sample.error is not None)

    @cached_property
    def waits(self) -> Sequence[float]:
        """Seconds that answered requests waited, in order of size."""
        return sorted(sample.wait for sample in self.answered)

    @cached_property
    def first_tokens(self) -> Sequence[float]:
        """Seconds to the first token, in order of size."""
        return sorted(sample.first_token for sample in self.answered)

    @cached_property
    def latencies(self) -> Sequence[float]:
        """Seconds to the end, in order of size."""
        return sorted(sample.latency for sample in self.answered)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the least value that *share* of the *ordered* ones do not exceed; NaN for none."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else math.nan


def doings(name: str, emulator: Emulator, since: float, until: float) -> HostDoings:
    """Sum up what a host did between two loop times."""
    span = max(until - since, 1e-9)
    generated = [(g.started_at, g.ended_at) for g in emulator.generations if g.started_at is not None]
    loads = [load for load in emulator.loads if load.at > since]
    return HostDoings(
        name,
        busy=covered(generated, since, until) / span,
        loading=covered([(load.at - load.seconds, load.at) for load in loads], since, until) / span,
        loads=len(loads),
        swaps=sum(gone.reason in {"auto-evict", "request"} for gone in emulator.unloads),
        killed=emulator.evicted_while_generating,
    )


def covered(spans: Iterable[tuple[float, float]], since: float, until: float) -> float:
    """Return how much of a stretch of time is covered by *spans*, which may overlap."""
    total, reached = 0.0, since
    for begins, ends in sorted(spans):
        new = min(ends, until) - max(begins, reached)
        if new > 0:
            total += new
            reached = min(ends, until)
    return total


def stays(name: str, emulator: Emulator, since: float, until: float) -> list[Stay]:
    """Return what was in a host's memory when, in seconds after *since*."""
    gone: dict[str, list[float]] = {}
    for unload in emulator.unloads:
        gone.setdefault(unload.instance_id, []).append(unload.at)
    found = []
    for load in emulator.loads:
        ends = min((at for at in gone.get(load.instance_id, ()) if at >= load.at), default=until)
        if load.failure is None and ends > since:
            found.append(
                Stay(
                    name,
                    load.model,
                    max(load.at - load.seconds - since, 0.0),
                    max(load.at - since, 0.0),
                    ends - since,
                )
            )
    return found
