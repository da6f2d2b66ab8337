"""A request with its candidates: what a strategy is asked, in a form that a failure can show."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

import attrs
from attrs import evolve, frozen

from turnout import Assessment, Candidate, Deployment, Estimate, ModelInfo, ModelRequest, Signals

Estimates: TypeAlias = Mapping[Deployment, Estimate]
Assessments: TypeAlias = Sequence[Mapping[str, Assessment]]


class Printer(Protocol):
    """What Hypothesis and IPython print values with."""

    def text(self, words: str) -> None:
        """Print *words*."""


@frozen(eq=False)
class World:
    """What a strategy is asked. Its text shows only what differs from a default."""

    request: ModelRequest
    candidates: tuple[Candidate, ...]

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def __repr__(self) -> str:
        return "<the example above>"

    def _repr_pretty_(self, printer: Printer, _cycle: bool) -> None:
        """Be shown briefly by Hypothesis too, which would write out every field."""
        printer.text(repr(self))


def candidates_of(
    groups: Sequence[tuple[Deployment, ...]], estimates: Estimates, assessments: Assessments
) -> tuple[Candidate, ...]:
    """Make a candidate of each group of deployments of one model, as the core does."""
    return tuple(Candidate(group[0].info, group, estimates, assessments) for group in groups)


def bare(world: World) -> World:
    """Return *world* with nothing known of anything but names."""
    candidates = tuple(
        Candidate(
            ModelInfo(one.id, kind=one.info.kind),
            tuple(evolve(d, info=ModelInfo(one.id, kind=one.info.kind)) for d in one.deployments),
        )
        for one in world.candidates
    )
    return World(evolve(world.request, signals=Signals()), candidates)


def view(value: object) -> object:
    """Return all that can be seen of *value*, to be compared later."""
    kind = type(value)
    if attrs.has(kind):
        return [view(getattr(value, one.name)) for one in attrs.fields(kind)]
    if isinstance(value, Mapping):
        return [(view(key), view(one)) for key, one in value.items()]
    return [view(one) for one in value] if isinstance(value, list | tuple) else repr(value)


def briefly(value: object) -> str:
    """Return a value's text, of an attrs object only the fields that differ from their defaults."""
    kind = type(value)
    if not attrs.has(kind):
        return repr(value)
    shown = [(f, getattr(value, f.name)) for f in attrs.fields(kind) if f.init and f.name != "id"]
    fields = (f"{f.alias}={_short(briefly(one))}" for f, one in shown if one != _default(f))
    return f"{kind.__name__}({', '.join(fields)})"


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:100]}… ({len(text)} characters)"


def _default(field: "attrs.Attribute[object]") -> object:
    factory = getattr(field.default, "factory", None)
    return factory() if callable(factory) else field.default


def _lines(world: World) -> Iterator[str]:
    yield f"request {world.request.id}: {briefly(world.request)}"
    yield "candidates:" if world.candidates else "no candidates"
    for candidate in world.candidates:
        yield f"  {candidate.id}: {briefly(candidate.info)}"
        yield from (f"    {line}" for line in _deployments(candidate))
        found = [one[candidate.id] for one in candidate.assessments if candidate.id in one]
        yield from (f"    assessed: {_assessment(one)}" for one in found)


def _deployments(candidate: Candidate) -> Iterator[str]:
    for deployment in candidate.deployments:
        known = candidate.estimates.get(deployment)
        state = f"{len(deployment.instances)} loaded" if deployment.instances else "not loaded"
        yield f"on {deployment.host.name}, {state}, {'no estimate' if known is None else briefly(known)}"


def _assessment(found: Assessment) -> str:
    return ", ".join(f"{skill} {one.score:g} (weight {one.weight:g})" for skill, one in found.items())
