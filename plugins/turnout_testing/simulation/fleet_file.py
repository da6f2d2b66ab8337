"""A fleet that does not exist, in a TOML file: hosts, and the models that they have."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen
from attrs.validators import ge, gt, optional

from turnout.errors import ConfigError
from turnout.structure import structure
from turnout_testing.emulator import Emulator
from turnout_testing.models import Behaviour, EmulatedModel

CHUNK_TOKENS = 256
"""Tokens in a streamed chunk, from the second one on: few events make a long answer fast to simulate."""
_GB = 10**9


@frozen
class SimulatedModel:
    """``[models."KEY"]``: speeds in tokens per second on a host of speed 1, sizes in GB.

    ``parallel``: requests at once, which share a context of ``context`` tokens. ``batching_cost`` is how
    much longer a token takes for each further request at the same time.
    """

    load_seconds: float = field(default=10.0, validator=ge(0))
    prefill: float = field(default=1000.0, validator=gt(0))
    decode: float = field(default=50.0, validator=gt(0))
    parallel: int = field(default=4, validator=ge(1))
    context: int = field(default=32_768, validator=gt(0))
    size_gb: float = field(default=5.0, validator=ge(0))
    batching_cost: float = field(default=0.0, validator=ge(0))


@frozen
class SimulatedHost:
    """``[hosts.NAME]``: ``models`` lists keys, and nothing means all; ``loaded`` ones a person has loaded.

    ``memory_gb`` bounds what is loaded at once. ``speed`` divides all durations. Without ``auto_evict`` a
    load that a request needs unloads nothing.
    """

    models: tuple[str, ...] = ()
    loaded: tuple[str, ...] = ()
    memory_gb: float | None = field(default=None, validator=optional(gt(0)))
    speed: float = field(default=1.0, validator=gt(0))
    auto_evict: bool = True


@frozen
class SimulatedFleet:
    """A fleet file."""

    hosts: Mapping[str, SimulatedHost]
    models: Mapping[str, SimulatedModel]

    def models_of(self, host: str) -> tuple[str, ...]:
        """Return the keys of the models on a host."""
        return self.hosts[host].models or tuple(self.models)

    def emulators(self, reply: Behaviour, seed: int = 0) -> dict[str, Emulator]:
        """Make the hosts; every model answers by *reply*."""
        return {name: self._emulator(name, reply, seed) for name in self.hosts}

    def _emulator(self, name: str, reply: Behaviour, seed: int) -> Emulator:
        host = self.hosts[name]
        return Emulator(
            [_emulated(key, self.models[key], reply) for key in self.models_of(name)],
            loaded=host.loaded,
            auto_evict=host.auto_evict,
            memory_bytes=None if host.memory_gb is None else int(host.memory_gb * _GB),
            speed=host.speed,
            default_context=max(model.context for model in self.models.values()),
            tokens_per_chunk=CHUNK_TOKENS,
            first_chunk_tokens=1,
            seed=seed,
        )


def _emulated(key: str, model: SimulatedModel, reply: Behaviour) -> EmulatedModel:
    return EmulatedModel(
        key,
        size_bytes=int(model.size_gb * _GB),
        max_context_length=model.context,
        load_seconds=model.load_seconds,
        prefill_rate=model.prefill,
        decode_rate=model.decode,
        batching_cost=model.batching_cost,
        parallel=model.parallel,
        reply=reply,
    )


def read_fleet(path: Path) -> SimulatedFleet:
    """Read a fleet file; raises ``ConfigError`` with all that is wrong in it."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"{path}: {error}"
        raise ConfigError(message, error) from error
    fleet = structure(SimulatedFleet, values, "", lambda _: str(path))
    if problem := _problem(fleet):
        message = f"{path}: {problem}"
        raise ConfigError(message)
    return fleet


def _problem(fleet: SimulatedFleet) -> str | None:
    """Return what is wrong with a fleet as a whole."""
    if not fleet.hosts or not fleet.models:
        return "a fleet has at least one host and one model"
    for name, host in fleet.hosts.items():
        if unknown := sorted({*host.models, *host.loaded} - {*fleet.models}):
            return f"[hosts.{name}] names models that no table describes: {', '.join(unknown)}"
        if missing := sorted({*host.loaded} - {*fleet.models_of(name)}):
            return f"[hosts.{name}] has loaded what it does not have: {', '.join(missing)}"
    return None
