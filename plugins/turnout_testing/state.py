"""One emulated host: its knobs, what it has loaded, and what happened to it."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

from attrs import define, field, frozen
from attrs.validators import gt, instance_of, optional

from turnout_testing.clock import now
from turnout_testing.engine import Instance
from turnout_testing.errors import UNLOADED, EngineError, Era, LoadError
from turnout_testing.fault_box import FaultBox
from turnout_testing.faults import Fault
from turnout_testing.ids import Ids
from turnout_testing.models import DownloadableModel, EmulatedModel
from turnout_testing.prompt import Message
from turnout_testing.records import GenerationRecord, InstanceView, LoadRecord, RecordedRequest, UnloadRecord

Permission = Literal["inference", "list", "load", "download", "plugins"]
ALL_PERMISSIONS: frozenset[Permission] = frozenset({"inference", "list", "load", "download", "plugins"})
ERA_CONTEXT: dict[Era, int] = {"0.3": 4096, "0.4.0": 4096, "0.4.25": 8192}
EPOCH = 1_790_000_000

DEFAULT_MODELS = (
    EmulatedModel("acme/owl-8b", variants=("acme/owl-8b@q4_k_m",)),
    EmulatedModel(
        "acme/hawk-vl-4b", vision=True, architecture="qwen2_vl", size_bytes=2_600_000_000, params_string="4B"
    ),
    EmulatedModel(
        "text-embedding-acme-v1",
        kind="embedding",
        architecture="nomic-bert",
        quantization="F16",
        bits_per_weight=16,
        size_bytes=274_000_000,
        params_string=None,
        max_context_length=2048,
        load_seconds=0.5,
    ),
)


@define(eq=False, kw_only=True)
class Loading:
    """A load in progress; `done` gets the instance or a `LoadError`."""

    instance: Instance
    begun: float
    ends: float
    done: "asyncio.Future[Instance]"
    task: "asyncio.Task[None] | None" = None


@define(eq=False)
class DownloadJob:
    """A download under way since `begun` (loop seconds)."""

    id: str
    entry: DownloadableModel
    begun: float

    def failed(self, host: "Host") -> bool:
        """Whether it has broken off."""
        breaks = self.entry.fails_after
        return breaks is not None and now() - self.begun >= breaks / host.speed

    def complete(self, host: "Host") -> bool:
        """Whether everything has arrived."""
        seconds = self.entry.model.size_bytes / self.entry.rate / host.speed
        return not self.failed(host) and now() - self.begun >= seconds


@frozen
class StoredResponse:
    """A turn that a later request may continue from."""

    messages: tuple[Message, ...]


def _models(given: Iterable[EmulatedModel]) -> tuple[EmulatedModel, ...]:
    return tuple(given)


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _entries(given: Iterable[DownloadableModel]) -> tuple[DownloadableModel, ...]:
    return tuple(given)


def _faults(given: Iterable[Fault]) -> tuple[Fault, ...]:
    return tuple(given)


@define(eq=False)
class Host:
    """The knobs and the state of one emulated LM Studio.

    `era` picks the version: "0.3" is about 0.3.16, without `/v1/responses`, `/v1/messages` and `/api/v1`.
    `token` None means that no authentication is required. `default_context` None means the era's default.
    `default_ttl` (seconds) is for models that a request loaded. `memory_bytes` is what the guardrail lets be
    loaded. `jit_race`: concurrent requests for a cold model each load a copy, as LM Studio does. `speed`
    divides all emulated durations. `tokens_per_chunk` is the size of a streamed chunk, `first_chunk_tokens`
    that of an answer's first one where it differs. Equal `seed`s give equal ids.
    """

    models: tuple[EmulatedModel, ...] = field(default=DEFAULT_MODELS, converter=_models)
    loaded: tuple[str, ...] = field(default=(), kw_only=True, converter=_names)
    era: Era = field(default="0.4.25", kw_only=True)
    jit: bool = field(default=True, kw_only=True)
    jit_race: bool = field(default=True, kw_only=True)
    auto_evict: bool = field(default=True, kw_only=True)
    token: str | None = field(default=None, kw_only=True, validator=optional(instance_of(str)))
    permissions: frozenset[Permission] = field(default=ALL_PERMISSIONS, kw_only=True)
    cors: bool = field(default=False, kw_only=True)
    default_ttl: float = field(default=3600.0, kw_only=True)
    default_context: int | None = field(default=None, kw_only=True)
    memory_bytes: int | None = field(default=None, kw_only=True)
    speed: float = field(default=1.0, kw_only=True, validator=gt(0))
    tokens_per_chunk: int = field(default=1, kw_only=True, validator=gt(0))
    first_chunk_tokens: int | None = field(default=None, kw_only=True, validator=optional(gt(0)))
    catalog: tuple[DownloadableModel, ...] = field(default=(), kw_only=True, converter=_entries)
    seed: int = field(default=0, kw_only=True)
    faults: tuple[Fault, ...] = field(default=(), kw_only=True, converter=_faults)

    requests: list[RecordedRequest] = field(factory=list, init=False)
    loads: list[LoadRecord] = field(factory=list, init=False)
    unloads: list[UnloadRecord] = field(factory=list, init=False)
    generations: list[GenerationRecord] = field(factory=list, init=False)
    resident: list[Instance] = field(factory=list, init=False, repr=False)
    loading: list[Loading] = field(factory=list, init=False, repr=False)
    conversations: dict[str, StoredResponse] = field(factory=dict, init=False, repr=False)
    downloads: dict[str, DownloadJob] = field(factory=dict, init=False, repr=False)
    fault_box: FaultBox = field(factory=FaultBox, init=False, repr=False)
    ids: Ids = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.ids = Ids(self.seed)
        self.fault_box.inject(self.faults)
        for key in self.loaded:
            self.load(key)

    # -- what a test or a person does to it

    def inject(self, *faults: Fault) -> None:
        """Put faults in force."""
        self.fault_box.inject(faults)

    def clear_faults(self) -> None:
        """Take all faults out of force."""
        self.fault_box.clear()

    def load(
        self,
        key: str,
        *,
        identifier: str | None = None,
        context_length: int | None = None,
        parallel: int | None = None,
        ttl: float | None = None,
    ) -> str:
        """Load a model at once and for good, as a person does with `lms load`; returns the instance id."""
        model = self.model(key)
        if model is None:
            message = f"no emulated model is called {key!r}; there are {[m.key for m in self.models]}"
            raise LookupError(message)
        instance = self.new_instance(model, key, identifier, context_length, jit=False, ttl=ttl)
        instance.parallel = parallel or instance.parallel
        self.resident.append(instance)
        self.loads.append(load_record(instance, 0.0, time_or_zero()))
        return instance.id

    def unload(self, instance_id: str, reason: str = "person", text: str = UNLOADED) -> None:
        """Unload an instance, failing what runs on it with `text`, as a person does in the application."""
        instance = self.instance(instance_id)
        if instance is None:
            message = f"no instance is called {instance_id!r}"
            raise LookupError(message)
        self.drop(instance, EngineError(text), reason)

    # -- what a test looks at

    @property
    def instances(self) -> tuple[InstanceView, ...]:
        """The loaded instances, oldest first."""
        self.expire()
        return tuple(
            InstanceView(
                id=instance.id,
                model=instance.model.key,
                context_length=instance.context_length,
                parallel=instance.parallel,
                jit=instance.jit,
                ttl=instance.ttl,
                in_flight=len(instance.running),
                queued=len(instance.waiting),
            )
            for instance in self.resident
        )

    @property
    def cancelled(self) -> tuple[GenerationRecord, ...]:
        """The generations whose client went away."""
        return tuple(record for record in self.generations if record.outcome == "cancelled")

    @property
    def evicted_while_generating(self) -> int:
        """How many generations were killed because their instance was unloaded for another model."""
        return sum(record.killed for record in self.unloads if record.reason in {"auto-evict", "evicted"})

    # -- what the routes use

    @property
    def context(self) -> int:
        """The context length of a load that names none."""
        return self.default_context or ERA_CONTEXT[self.era]

    def model(self, name: str) -> EmulatedModel | None:
        """Return the downloaded model that `name` (key or variant, any case) stands for."""
        return next((model for model in self.models if model.is_called(name)), None)

    def instance(self, instance_id: str) -> Instance | None:
        """Return the loaded instance with exactly this id."""
        return next((instance for instance in self.resident if instance.id == instance_id), None)

    def new_instance(
        self,
        model: EmulatedModel,
        name: str,
        identifier: str | None,
        context_length: int | None,
        *,
        jit: bool,
        ttl: float | None,
    ) -> Instance:
        """Return an instance with a free id and a window that the model allows, not resident yet."""
        chosen = name if "@" in name else next(iter(model.variants), None)
        return Instance(
            id=identifier or self._free_id(model.key),
            model=model,
            variant=chosen,
            context_length=min(context_length or self.context, model.max_context_length),
            parallel=1 if self.era == "0.3" else model.parallel,
            jit=jit,
            ttl=ttl,
            last_used=time_or_none(),
        )

    def _free_id(self, key: str) -> str:
        taken = {instance.id for instance in self.resident} | {load.instance.id for load in self.loading}
        copy = 1
        while (name := key if copy == 1 else f"{key}:{copy}") in taken:
            copy += 1
        return name

    def drop(self, instance: Instance, failure: EngineError, reason: str, at: float | None = None) -> None:
        """Take an instance out of memory; whatever runs on it fails."""
        self.resident.remove(instance)
        instance.gone = failure
        killed = instance.abort(failure)
        self.unloads.append(
            UnloadRecord(
                model=instance.model.key,
                instance_id=instance.id,
                reason=reason,
                killed=killed,
                at=time_or_zero() if at is None else at,
            )
        )

    def expire(self) -> None:
        """Unload what has been idle for its TTL. Nothing happens outside a running loop, where no time
        passes.
        """
        time = time_or_none()
        for instance in [*self.resident] if time is not None else ():
            if instance.ttl is None or instance.busy or time is None:
                continue
            idle_until = (instance.last_used or 0.0) + instance.ttl
            if time >= idle_until:
                self.drop(instance, EngineError(UNLOADED), "ttl", at=idle_until)

    def arrive(self) -> None:
        """Add the models whose download is complete to the downloaded ones."""
        for job in self.downloads.values():
            if job.complete(self) and self.model(job.entry.model.key) is None:
                self.models += (job.entry.model,)

    def wall_clock(self, at: float | None = None) -> datetime:
        """Return the emulated date: a fixed day, plus the loop's time."""
        return datetime.fromtimestamp(EPOCH + (now() if at is None else at), UTC)


def load_record(
    instance: Instance, seconds: float, at: float, failure: LoadError | None = None
) -> LoadRecord:
    """Return the record of a load that took `seconds`."""
    return LoadRecord(
        model=instance.model.key,
        instance_id=instance.id,
        jit=instance.jit,
        seconds=seconds,
        context_length=instance.context_length,
        at=at,
        failure=None if failure is None else failure.reason,
    )


def time_or_none() -> float | None:
    """Return the running loop's time, or None when none runs."""
    try:
        return now()
    except RuntimeError:
        return None


def time_or_zero() -> float:
    """Return the running loop's time, or 0 when none runs."""
    return time_or_none() or 0.0
