"""The pool's bound on starvation (docs/explanation/residency.md), worked out for what happened on a host.

Where *n* models share a host, the first request of a model's queue starts within *n* - 1 turns of the
others, each of them the patience, a load of its own to serve those who are left, the longest answer and the
load; then the answers that run when it comes, and its own load. One that has others before it waits for as
many such rounds as its own turns do not suffice for.

What fails costs more, and is added. A turn, and the time for which a load is believed that nobody sees: for
each attempt that failed, each load that its request left unseen, and each model that was taken away. The
seconds themselves: for a host that is away, and for a clock that jumps. Answers count as long as they took,
whatever made them long. So the bound holds whatever goes wrong; where nothing does, it is the pool's own.
"""

from math import ceil, inf

from attrs import frozen

from turnout.errors import LLMTimeoutError
from turnout_testing.simulation.evictions import MISFORTUNES
from turnout_testing.simulation.invariants import TOLERANCE, require
from turnout_testing.simulation.scene import Scene
from turnout_testing.simulation.witness import Sending

BELIEVED = 20.0
"""Seconds: above twice the longest load, and twice what the models' size makes the pool expect."""
TAKEN = MISFORTUNES | {"request"}
"""Why a model goes that is wanted: by misfortune, or for a reload with a larger context."""


@frozen
class Terms:
    """What the bound is made of, on one host. Seconds; ``slots``: requests at once, at the least.

    ``troubles``: how often something went wrong that may cost a turn; ``lost``: seconds in which nothing
    could go on.
    """

    models: int
    slots: int
    patience: float
    answer: float
    load: float
    troubles: int = 0
    lost: float = 0.0

    @property
    def turn(self) -> float:
        """The seconds for which one model holds up the others, at the most."""
        return self.patience + self.load + self.answer + self.load

    def bound(self, ahead: int) -> float:
        """Return how long somebody waits before whom *ahead* others are served, at the most."""
        in_a_row = max(int(self.patience / max(self.answer, TOLERANCE)), 1)
        rounds, rest = divmod(ahead, in_a_row * self.slots)
        first = (self.models - 1) * self.turn + self.answer + self.load
        queue = rounds * self.models * self.turn + ceil(rest / self.slots) * self.answer
        return first + queue + self.troubles * (self.turn + BELIEVED) + self.lost


def check_waits(scene: Scene, patience: float, *, calm: bool) -> None:
    """Nobody has waited longer than the bound; where all was *calm*, that is the pool's own."""
    by_host = {name: terms(scene, name, patience, calm=calm) for name in scene.emulators}
    for wait in scene.witness.waits:
        ahead = sum(wait.beside(other) for other in scene.witness.waits) - 1
        bound = max((by_host[host].bound(ahead) for host in wait.hosts), default=inf)
        waited = wait.ended - wait.began
        require(waited <= bound + TOLERANCE, "a request has waited too long", waited, bound, wait)


def terms(scene: Scene, host: str, patience: float, *, calm: bool) -> Terms:
    """Return what happened on *host*."""
    emulator = scene.emulators[host]
    load = max(model.load_seconds for model in emulator.models) / emulator.speed
    sent = [sending for sending in scene.witness.sendings if sending.host == host]
    troubles = _troubles(scene, host, sent, calm=calm)
    return Terms(
        models=len(emulator.models),
        slots=1 if troubles else min(model.parallel for model in emulator.models),
        patience=patience,
        answer=max((one.seconds - (0.0 if one.resident else load) for one in sent), default=0.0),
        load=load,
        troubles=troubles,
        lost=scene.jumped + scene.away,
    )


def _troubles(scene: Scene, host: str, sent: list[Sending], *, calm: bool) -> int:
    failed = sum(one.failed or (one.left and not one.resident and not calm) for one in sent)
    stalled = sum(isinstance(error, LLMTimeoutError) and error.host == host for error in scene.witness.errors)
    taken = sum(gone.reason in TAKEN for gone in scene.emulators[host].unloads)
    return failed + stalled + taken
