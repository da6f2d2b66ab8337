"""Whether a load of ours has cut off what was generating, or it was somebody else's doing."""

from collections.abc import Iterator

from turnout_testing.emulator import Emulator
from turnout_testing.errors import CANCELED
from turnout_testing.records import LoadRecord, UnloadRecord
from turnout_testing.simulation.scene import Scene
from turnout_testing.simulation.witness import Sending

TOLERANCE = 1e-6
OURS = frozenset({"auto-evict", "request"})
"""Why a model goes that the router has sent away: by a load, or because it said so."""
MISFORTUNES = frozenset({"crash", "evicted", "person"})
"""Why a model goes that no load and no call of ours has sent away."""


def evictions(scene: Scene) -> list[str]:
    """Return what our loads have cut off: generations, and loads that somebody waited for.

    A request that went to a loaded model, and whose model was gone when it arrived, makes the host load.
    Nobody could know that, so it is not counted: where the model was taken by misfortune, after the request
    had been sent, and no request was under way there that was meant to load it.
    """
    return [
        f"{taken.instance_id} on {name} at {taken.at:g}"
        for name, emulator in scene.emulators.items()
        for taken in _taken(scene, name, emulator)
        if not _unforeseen(scene, name, emulator, taken.at)
    ]


def _taken(scene: Scene, host: str, emulator: Emulator) -> Iterator[UnloadRecord | LoadRecord]:
    ended: list[UnloadRecord | LoadRecord] = [
        *(unload for unload in emulator.unloads if unload.reason in OURS and unload.killed),
        *(load for load in emulator.loads if load.failure == CANCELED),
    ]
    for taken in ended:
        # A client that has gone in that very moment has lost nothing, though the host may not know it yet.
        if any(sending.failed for sending in _under_way(scene, host, taken.model, taken.at)):
            yield taken


def _unforeseen(scene: Scene, host: str, emulator: Emulator, moment: float) -> bool:
    """Whether each load that began at that *moment* was the arrival of a request at a model that had gone."""
    begun = _begun(emulator, moment)
    return bool(begun) and all(_arrived_late(scene, host, emulator, model, moment) for model in begun)


def _begun(emulator: Emulator, moment: float) -> set[str]:
    begun = {load.model for load in emulator.loads if load.jit and _same(load.at - load.seconds, moment)}
    return begun | {one.instance.model.key for one in emulator.loading if _same(one.begun, moment)}


def _arrived_late(scene: Scene, host: str, emulator: Emulator, model: str, moment: float) -> bool:
    on_their_way = _under_way(scene, host, model, moment)
    if not on_their_way or not all(sending.resident for sending in on_their_way):
        return False
    sent = min(sending.began for sending in on_their_way)
    return any(
        gone.model == model and gone.reason in MISFORTUNES and sent <= gone.at <= moment
        for gone in emulator.unloads
    )


def _under_way(scene: Scene, host: str, model: str, moment: float) -> list[Sending]:
    return [
        sending
        for sending in scene.witness.sendings
        if (sending.host, sending.model) == (host, model) and sending.covers(moment)
    ]


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= TOLERANCE
