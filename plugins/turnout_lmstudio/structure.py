"""LM Studio's three model listings, read leniently into deployments.

https://lmstudio.ai/docs/developer/rest/list; what a listing leaves out is unknown, which is not no.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

from attrs import evolve

from turnout.fleet import Deployment, Host, Instance, ModelInfo, ModelKind
from turnout.messages import JSON, JSONObject
from turnout.names import base_name
from turnout.skills import ModelCapability
from turnout.wire import names
from turnout.wire.lenient import fields, flag, items, positive, rows, size, text

PARALLEL = 4
"""Slots of an instance that does not say, since 0.4.0."""
SERIAL = 1
"""Slots before 0.4.0: requests to one model ran one after the other."""
_KINDS = {
    "embedding": ModelKind.EMBEDDING,
    "embeddings": ModelKind.EMBEDDING,
    "llm": ModelKind.LLM,
    "vlm": ModelKind.LLM,
}


def v1_deployments(listing: JSONObject, host: Host) -> list[Deployment]:
    """Read ``/api/v1/models`` (0.4.0 and later)."""
    found = [
        Deployment(_v1_info(row), host, _v1_instances(row), default_parallel=PARALLEL)
        for row in rows(listing.get("models"))
        if text(row.get("key"))
    ]
    return merged_by_key(found)


def _v1_info(row: JSONObject) -> ModelInfo:
    quantization, able = fields(row.get("quantization")), fields(row.get("capabilities"))
    thinks = able.get("reasoning")
    options = tuple(filter(None, map(text, items(fields(thinks).get("allowed_options")))))
    bits = positive(quantization.get("bits_per_weight"))
    return _described(
        ModelInfo(
            id=text(row.get("key")),
            name=text(row.get("display_name")),
            kind=_kind(row),
            context_length=size(row.get("max_context_length")),
            vision=flag(able.get("vision")),
            tools=flag(able.get("trained_for_tool_use")),
            reasoning=options if able else None,
            reasoning_default=text(fields(thinks).get("default")) or None,
            architecture=text(row.get("architecture")) or None,
            quantization=text(quantization.get("name")) or None,
            bits_per_weight=bits,
            size_bytes=size(row.get("size_bytes")),
            format=text(row.get("format")) or None,
            variants=tuple(filter(None, map(text, items(row.get("variants"))))),
            loaded=bool(items(row.get("loaded_instances"))),
            metadata=_kept(row, "publisher", "description", "selected_variant"),
        ),
        names.parse_parameters(text(row.get("params_string"))),
    )


def _v1_instances(row: JSONObject) -> tuple[Instance, ...]:
    return tuple(
        Instance(text(entry.get("id")), size(config.get("context_length")), size(config.get("parallel")))
        for entry in rows(row.get("loaded_instances"))
        for config in [fields(entry.get("config"))]
        if text(entry.get("id"))
    )


def v0_deployments(listing: JSONObject, host: Host) -> list[Deployment]:
    """Read ``/api/v0/models`` (0.3.6 and later); each loaded copy may be a row of its own."""
    found = [
        Deployment(_v0_info(row), host, _v0_instances(row), default_parallel=SERIAL)
        for row in rows(listing.get("data"))
        if text(row.get("id"))
    ]
    return merged_by_key(found)


def _v0_info(row: JSONObject) -> ModelInfo:
    able = row.get("capabilities")
    kind = _kind(row)
    return _described(
        ModelInfo(
            id=base_name(text(row.get("id"))),
            kind=kind,
            context_length=size(row.get("max_context_length")),
            vision=text(row.get("type")) == "vlm" if row.get("type") else None,
            # An empty list is left out, as it is by versions that know no capabilities at all.
            tools=True if "tool_use" in items(able) else None,
            architecture=text(row.get("arch")) or None,
            quantization=text(row.get("quantization")) or None,
            format=text(row.get("compatibility_type")) or None,
            loaded=row.get("state") == "loaded",
            metadata=_kept(row, "publisher"),
        ),
    )


def _v0_instances(row: JSONObject) -> tuple[Instance, ...]:
    if row.get("state") != "loaded":
        return ()
    return (Instance(text(row.get("id")), size(row.get("loaded_context_length"))),)


def openai_deployments(listing: JSONObject, host: Host) -> list[Deployment]:
    """Read ``/v1/models``: names and nothing else. A ``:2`` proves a loaded copy, a plain name does not."""
    found = []
    for row in rows(listing.get("data")):
        name = text(row.get("id"))
        if name:
            copy = base_name(name) != name
            info = _described(ModelInfo(id=base_name(name), kind=names.kind_by_name(name), loaded=copy))
            found.append(
                Deployment(info, host, (Instance(name),) if copy else (), default_parallel=SERIAL)
            )
    return merged_by_key(found)


def _kind(row: JSONObject) -> ModelKind:
    known = _KINDS.get(text(row.get("type")))
    return known or names.kind_by_name(text(row.get("key")) or text(row.get("id")))


def _kept(row: JSONObject, *keys: str) -> dict[str, JSON]:
    return {key: row[key] for key in keys if row.get(key) is not None}


def _described(
    info: ModelInfo, parameters: tuple[int | None, int | None] = (None, None)
) -> ModelInfo:
    """Fill in what follows from the rest."""
    total, active = parameters if parameters[0] is not None else names.parameters_in_name(info.id)
    bits = info.bits_per_weight or names.bits_in_quantization(info.quantization or "")
    thinks = any(option != "off" for option in info.reasoning or ())
    able: frozenset[ModelCapability] = names.capabilities(
        info.id,
        info.kind,
        vision=info.vision,
        tools=info.tools,
        reasoning=thinks,
        parameters=active or total,
        context_length=info.context_length,
    )
    return evolve(
        info,
        name=info.name or info.id,
        parameters=total,
        active_parameters=active,
        bits_per_weight=bits,
        capabilities=able,
    )


def merged_by_key(found: Iterable[Deployment]) -> list[Deployment]:
    """Make one deployment of all rows with one key: LM Link lists a model once per device.

    Which device answers cannot be chosen, so the smallest context counts for all (opencode-lmstudio#50).
    """
    ordered = sorted(found, key=lambda deployment: deployment.model)
    return [_joined(list(group)) for _, group in groupby(ordered, key=lambda deployment: deployment.model)]


def _joined(group: Sequence[Deployment]) -> Deployment:
    first = group[0]
    if len(group) == 1:
        return first
    lengths = [d.info.context_length for d in group if d.info.context_length is not None]
    info = evolve(
        first.info,
        context_length=min(lengths, default=None),
        loaded=any(d.instances for d in group),
    )
    instances: dict[str, Instance] = {}
    for instance in (instance for d in group for instance in d.instances):
        instances[instance.id] = _smaller(instances.get(instance.id), instance)
    return evolve(first, info=info, instances=tuple(instances.values()))


def _smaller(one: Instance | None, other: Instance) -> Instance:
    if one is None:
        return other
    return Instance(
        one.id, _least(one.context_length, other.context_length), _least(one.parallel, other.parallel)
    )


def _least(one: int | None, other: int | None) -> int | None:
    return min((n for n in (one, other) if n is not None), default=None)
