"""Candidates as they are kept: what changes seldom (models, deployments, qualities) apart from the rest.

The invariant of replay: a strategy decides the same among the candidates that are rebuilt here as it did
among the originals. So everything that it can ask them is kept, in the order in which it saw it, and
qualities are kept source by source, because sums of floating-point numbers depend on their order.
"""

import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import TypeAlias
from urllib.parse import urlsplit

from attrs import evolve, fields, frozen

from turnout.fleet import Candidate, Deployment, Estimate, Host, Instance, ModelInfo
from turnout.skills import Assessment, ModelCapability, Quality, Skill, TaskType

Numbers: TypeAlias = tuple[float, ...]
"""The fields of an estimate, in their order."""
Qualities: TypeAlias = tuple[Mapping[str, Mapping[str, tuple[float, float]]], ...]
"""From each source, by model and skill: a score and its weight."""

_INTEGERS = frozenset({"in_flight", "queued", "measured"})
_FIELDS = tuple(attribute.name for attribute in fields(Estimate))
_NOTHING = (math.nan,) * len(_FIELDS)
_BYTES = 8
_numbers = attrgetter(*_FIELDS)


@frozen
class DeploymentPart:
    """A deployment; ``info`` is None where it is the candidate's own."""

    host: Host
    instances: tuple[Instance, ...] = ()
    loading: bool = False
    default_parallel: int = 1
    loadable: bool = True
    info: ModelInfo | None = None


@frozen
class ModelPart:
    """A candidate without what changes from one request to the next."""

    info: ModelInfo
    deployments: tuple[DeploymentPart, ...]


def models_of(candidates: Iterable[Candidate]) -> tuple[ModelPart, ...]:
    """Return the models and deployments of *candidates*."""
    return tuple(
        ModelPart(one.info, tuple(_deployment(deployment, one.info) for deployment in one.deployments))
        for one in candidates
    )


def _deployment(deployment: Deployment, info: ModelInfo) -> DeploymentPart:
    return DeploymentPart(
        _without_password(deployment.host),
        deployment.instances,
        deployment.loading,
        deployment.default_parallel,
        deployment.loadable,
        None if deployment.info is info else deployment.info,
    )


def _without_password(host: Host) -> Host:
    user, found, address = host.url.rpartition("@")
    if not found or "@" not in urlsplit(host.url).netloc:
        return host
    return evolve(host, url=f"{user.partition('://')[0]}://{address}")


def estimates_of(candidates: Iterable[Candidate]) -> bytes:
    """Return what was expected of each deployment, in order, as doubles; no number where nobody expected any.

    Exact, and a fifth of the time that the same numbers take as text.
    """
    flat: list[float] = []
    for one in candidates:
        known = one.estimates
        for deployment in one.deployments:
            found = known.get(deployment)
            flat += _NOTHING if found is None else _numbers(found)
    return struct.pack(f"<{len(flat)}d", *flat)


def qualities_of(assessments: Sequence[Mapping[str, Assessment]], models: Iterable[str]) -> Qualities:
    """Return what each source knows of *models*, without sources that know nothing."""
    names = tuple(models)
    found = ({name: _scores(one[name]) for name in names if one.get(name)} for one in assessments)
    return tuple(known for known in found if known)


def _scores(assessment: Assessment) -> Mapping[str, tuple[float, float]]:
    return {str(skill): (quality.score, quality.weight) for skill, quality in assessment.items()}


def deployments_of(models: Sequence[ModelPart]) -> tuple[tuple[Deployment, ...], ...]:
    """Return the deployments again, model by model."""
    return tuple(tuple(_rebuilt(one, model.info) for one in model.deployments) for model in models)


def _rebuilt(part: DeploymentPart, info: ModelInfo) -> Deployment:
    return Deployment(
        part.info or info, part.host, part.instances, part.loading, part.default_parallel, part.loadable
    )


def assessments_of(qualities: Qualities) -> tuple[Mapping[str, Assessment], ...]:
    """Return the assessments again; skills that this version does not know are left out."""
    return tuple(
        {model: dict(_assessment(scores)) for model, scores in source.items()} for source in qualities
    )


def _assessment(scores: Mapping[str, tuple[float, float]]) -> Iterator[tuple[Skill, Quality]]:
    for name, (score, weight) in scores.items():
        skill = _skill(name)
        if skill is not None:
            yield skill, Quality(score, weight)


def _skill(name: str) -> Skill | None:
    kinds: tuple[type[TaskType] | type[ModelCapability], ...] = (TaskType, ModelCapability)
    return next((member for kind in kinds for member in kind if member.value == name), None)


def candidates_of(
    models: Sequence[ModelPart],
    deployments: Sequence[Sequence[Deployment]],
    estimates: bytes,
    assessments: Sequence[Mapping[str, Assessment]],
) -> tuple[Candidate, ...]:
    """Return the candidates again; raises ``ValueError`` unless *estimates* are of as many deployments."""
    flat = [deployment for group in deployments for deployment in group]
    pairs = zip(flat, _unpacked(estimates, len(flat)), strict=True)
    known = {deployment: _estimate(numbers) for deployment, numbers in pairs if not math.isnan(numbers[-1])}
    return tuple(
        Candidate(model.info, tuple(group), known, assessments)
        for model, group in zip(models, deployments, strict=True)
    )


def _unpacked(estimates: bytes, deployments: int) -> Iterator[Numbers]:
    """Yield the numbers of each deployment; an older log may have fewer for each."""
    numbers, rest = divmod(len(estimates), _BYTES)
    if rest or (deployments and (not numbers or numbers % deployments)):
        message = f"{len(estimates)} bytes are no estimates of {deployments} deployments"
        raise ValueError(message)
    width = numbers // deployments if deployments else 1
    return struct.iter_unpack(f"<{width}d", estimates)


def _estimate(numbers: Numbers) -> Estimate:
    """Return the estimate again; fields that an older log does not have get their defaults."""
    named = zip(_FIELDS, numbers, strict=False)
    return Estimate(**{name: int(value) if name in _INTEGERS else value for name, value in named})  # type: ignore[arg-type]
