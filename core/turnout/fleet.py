"""The fleet: hosts, the models on them, and what is known of each; one immutable snapshot at a time."""

import enum
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Self

from attrs import evolve, field, frozen

from turnout.errors import LLMError
from turnout.messages import JSON
from turnout.skills import Assessment, ModelCapability, Quality, Skill, combined


class ModelKind(enum.StrEnum):
    """What a model is for; an embedding model never gets a chat."""

    LLM = "llm"
    EMBEDDING = "embedding"


@frozen
class Host:
    """One server with one base URL.

    ``url`` is the server's root, without ``/v1``. ``era`` is the protocol generation that the backend
    found (such as ``"0.4"``). A ``last_resort`` host is chosen only where no other host has an eligible
    model, or by name.
    """

    name: str
    url: str
    backend: str
    era: str = ""
    last_resort: bool = False


@frozen
class Instance:
    """A loaded copy of a model; ``context_length`` in tokens, ``parallel`` in requests at once."""

    id: str
    context_length: int | None = None
    parallel: int | None = None


@frozen
class ModelInfo:
    """What is known about a model. None is unknown, which is not the same as no.

    ``context_length`` is the trained maximum, in tokens; ``parameters`` counts weights, and
    ``active_parameters`` those used per token; ``reasoning`` lists the levels that the model accepts,
    and ``thinks`` says whether it thinks where nobody asks for it.
    """

    id: str
    name: str = ""
    kind: ModelKind = ModelKind.LLM
    capabilities: frozenset[ModelCapability] = frozenset()
    context_length: int | None = None
    vision: bool | None = None
    tools: bool | None = None
    reasoning: tuple[str, ...] | None = None
    reasoning_default: str | None = None
    thinks: bool | None = None
    architecture: str | None = None
    parameters: int | None = None
    active_parameters: int | None = None
    quantization: str | None = None
    bits_per_weight: float | None = None
    size_bytes: int | None = None
    format: str | None = None
    variants: tuple[str, ...] = ()
    avg_tokens_per_sec: float | None = None
    loaded: bool = False
    metadata: Mapping[str, JSON] = field(factory=dict)


@frozen(eq=False)
class Deployment:
    """One model on one host, loaded or not: where a request can be sent.

    Compared by identity: it belongs to one snapshot of the fleet, and serves as a key there.
    ``key`` names it across snapshots. ``loading`` is true while a load is known to be under way.
    """

    info: ModelInfo
    host: Host
    instances: tuple[Instance, ...] = ()
    loading: bool = False
    default_parallel: int = 1
    """Slots of an instance that does not say how many it has."""
    loadable: bool = True
    """False where the host cannot load it on demand."""
    enlargeable: int = 0
    """Tokens of context that it may be loaded again with where a request needs more than is loaded; 0: none.

    Said by the plugin that would do it, in a wrapper of ``discover_models``.
    """
    load_context: int | None = None
    """Tokens of context to load it with where nobody asks for another; None: what its host gives it."""
    loaded_context: int | None = field(init=False, repr=False)
    """The smallest context among the loaded instances, in tokens; None when unknown or not loaded."""
    room: float = field(init=False, repr=False)
    """Tokens that fit as it stands: the loaded context, else the maximum; infinite when unknown."""

    @loaded_context.default
    def _loaded_context(self) -> int | None:
        lengths = [i.context_length for i in self.instances if i.context_length is not None]
        return min(lengths, default=None)

    @room.default
    def _room(self) -> float:
        return self.loaded_context or self.info.context_length or math.inf

    @property
    def model(self) -> str:
        """The model key, as a user names it."""
        return self.info.id

    @property
    def key(self) -> tuple[str, str]:
        """(host name, model key): the deployment's name across snapshots."""
        return self.host.name, self.info.id

    @property
    def resident(self) -> bool:
        """Whether at least one instance is loaded."""
        return bool(self.instances)

    @property
    def slots(self) -> int:
        """Requests that the loaded instances take at once; 0 when nothing is loaded."""
        return sum(instance.parallel or self.default_parallel for instance in self.instances)

    def leased(self, instance: Instance) -> Self:
        """Return the same deployment with only *instance*, the one that a lease is for."""
        return evolve(self, instances=(instance,))


@frozen
class Estimate:
    """What a deployment is expected to need; rates are per token, so one estimate serves any request.

    Seconds throughout. ``queue_seconds``: until a slot is free. ``load_seconds``: 0 when resident.
    ``measured``: how many executions stand behind it; 0 means priors alone. ``output_factor``: tokens that it
    writes for each that is expected of an ordinary model; what it thinks counts.
    """

    prefill_seconds_per_token: float = 0.002
    decode_seconds_per_token: float = 0.05
    load_seconds: float = 0.0
    queue_seconds: float = 0.0
    success_rate: float = 1.0
    in_flight: int = 0
    queued: int = 0
    measured: int = 0
    output_factor: float = 1.0

    def completion_seconds(self, prompt_tokens: int, output_tokens: int) -> float:
        """Predict the seconds from now to the last token."""
        return (
            self.queue_seconds
            + self.load_seconds
            + prompt_tokens * self.prefill_seconds_per_token
            + output_tokens * self.output_factor * self.decode_seconds_per_token
        )


UNKNOWN = Estimate()


@frozen(eq=False)
class Candidate:
    """A model that may answer, with the deployments that are eligible for this request.

    ``estimates`` and ``assessments`` (one mapping by model key from each plugin that knows something) are
    shared by all candidates of a request; ask them through :meth:`estimate` and :meth:`quality`.
    """

    info: ModelInfo
    deployments: tuple[Deployment, ...]
    estimates: Mapping[Deployment, Estimate] = field(default=MappingProxyType({}), repr=False)
    assessments: Sequence[Mapping[str, Assessment]] = field(default=(), repr=False)

    @property
    def id(self) -> str:
        """The model key."""
        return self.info.id

    @property
    def resident(self) -> bool:
        """Whether it is loaded on at least one of its deployments."""
        return any(deployment.instances for deployment in self.deployments)

    def estimate(self, deployment: Deployment) -> Estimate:
        """Return what is expected of *deployment*; a plain prior where nothing is known."""
        return self.estimates.get(deployment, UNKNOWN)

    def quality(self, skill: Skill) -> Quality | None:
        """Return how well the model is known to do *skill*, from all that know it; None where nobody does."""
        model = self.info.id
        known = [found[model] for found in self.assessments if model in found]
        return combined([one[skill] for one in known if skill in one])

    def completion_seconds(self, prompt_tokens: int, output_tokens: int) -> float:
        """Predict the seconds to the last token on the best of the deployments."""
        return self.outlook(prompt_tokens, output_tokens)[0]

    def outlook(self, prompt_tokens: int, output_tokens: int) -> tuple[float, float]:
        """Return the seconds to the last token on the best of the deployments, and its success rate."""
        known, best, success = self.estimates, math.inf, 1.0
        for deployment in self.deployments:
            one = known.get(deployment, UNKNOWN)
            # Estimate.completion_seconds, without a call for each of what may be thousands.
            seconds = (
                one.queue_seconds
                + one.load_seconds
                + prompt_tokens * one.prefill_seconds_per_token
                + output_tokens * one.output_factor * one.decode_seconds_per_token
            )
            if seconds < best:
                best, success = seconds, one.success_rate
        return best, success


@frozen
class HostReport:
    """How a host answered discovery: with ``models`` deployments, or with an ``error``."""

    host: Host
    models: int = 0
    error: LLMError | None = None
    seconds: float = 0.0


@frozen(eq=False)
class Fleet:
    """One snapshot of all hosts and deployments; ``taken_at`` is in the loop's seconds."""

    deployments: tuple[Deployment, ...] = ()
    hosts: tuple[HostReport, ...] = ()
    taken_at: float = 0.0
    models: Mapping[str, tuple[Deployment, ...]] = field(init=False)

    @models.default
    def _group(self) -> Mapping[str, tuple[Deployment, ...]]:
        return MappingProxyType(by_model(self.deployments))

    @property
    def silent(self) -> tuple[str, ...]:
        """The names of the hosts that did not answer."""
        return tuple(report.host.name for report in self.hosts if report.error is not None)

    def find(self, host: str, model: str) -> Deployment | None:
        """Return the deployment of *model* on *host* in this snapshot."""
        return next((d for d in self.models.get(model, ()) if d.host.name == host), None)


@frozen
class Discovery:
    """A backend's offer to look at one host; ``run`` may be called again for each refresh.

    ``run`` raises an ``LLMError`` when the host cannot be read; what it returns replaces all that was
    known of the host.
    """

    host: Host
    run: Callable[[], Awaitable[Sequence[Deployment]]]


@frozen
class LoadOptions:
    """How to load a model: ``context_length`` in tokens; ``ttl`` in idle seconds, where the host can.

    ``on_demand``: requests need it, and nobody has asked for the load itself. So it is nobody's, and whoever
    plans what is loaded where may unload it again.
    """

    context_length: int | None = None
    ttl: int | None = None
    on_demand: bool = False


def by_model(deployments: Iterable[Deployment]) -> dict[str, tuple[Deployment, ...]]:
    """Group *deployments* by model, in the order in which the models first appear."""
    groups: dict[str, list[Deployment]] = {}
    for deployment in deployments:
        groups.setdefault(deployment.info.id, []).append(deployment)
    return {model: tuple(found) for model, found in groups.items()}


def merged(deployments: Iterable[Deployment]) -> ModelInfo:
    """Describe a model over all its deployments: the first one's facts, loaded if any is."""
    group = tuple(deployments)
    return evolve(group[0].info, loaded=any(d.resident for d in group))
