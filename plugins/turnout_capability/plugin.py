"""The plugin: knows families of models, and chooses by what a request needs."""

from collections.abc import Mapping, Sequence

from attrs import evolve, field, frozen

from turnout import (
    Assessment,
    Candidate,
    Deployment,
    ModelCapability,
    ModelInfo,
    ModelRequest,
    ModelSelection,
    Skill,
    hookimpl,
)
from turnout.weighing import best_of, needed_skills, patience_with, weigh
from turnout_capability.catalogue import assess, match
from turnout_capability.describing import described

FOREIGN = 0.7
"""What is left of a score in a language that the family is not documented to know."""


def _positive(_: object, __: object, value: float) -> None:
    if not value > 0:
        message = f"'patience' must be above 0, not {value:g}"
        raise ValueError(message)


@frozen
class CapabilitySettings:
    """The table ``[capability]``.

    ``patience`` is the seconds for which you would swap a useless answer against a perfect one: the more, the
    sooner a better model is loaded. ``catalogue`` false leaves out what is known of families of models, so
    that only what was measured here counts.
    """

    patience: float = field(default=60.0, validator=_positive)
    catalogue: bool = True


class Capability:
    """What a request needs, and the model that is known to do it."""

    def __init__(self, settings: CapabilitySettings) -> None:
        self._settings = settings
        self._described: dict[tuple[str, str], tuple[ModelInfo, ModelInfo]] = {}
        self._known: dict[str, tuple[ModelInfo, Assessment]] = {}
        self._assessments: dict[str | None, dict[str, Assessment]] = {}

    @hookimpl
    def describe_models(self, deployments: Sequence[Deployment]) -> Mapping[Deployment, ModelInfo] | None:
        """Fill in sizes, sight and tools, where the host says nothing of them."""
        if not self._settings.catalogue:
            return None
        found = {deployment: self._filled(deployment) for deployment in deployments}
        return {deployment: info for deployment, info in found.items() if info is not deployment.info}

    def _filled(self, deployment: Deployment) -> ModelInfo:
        told, filled = self._described.get(deployment.key, (None, None))
        if filled is None or told != deployment.info:
            filled = described(deployment.info)
            self._described[deployment.key] = deployment.info, filled
        return filled

    @hookimpl
    def assess_models(
        self, request: ModelRequest, models: Mapping[str, Sequence[Deployment]]
    ) -> Mapping[str, Assessment] | None:
        """Say what the catalogue knows of each model's family, for the request's language."""
        if not self._settings.catalogue:
            return None
        language = request.signals.language
        found = self._assessments.setdefault(language, {})
        for key, deployments in models.items():
            info = deployments[0].info
            known = self._known.get(key)
            if known is None or known[0] is not info:
                self._learn(key, info)
            if key not in found:
                found[key] = _in_language(self._known[key][1], info, language)
        return found

    def _learn(self, key: str, info: ModelInfo) -> None:
        known = self._known.get(key)
        if known is None or known[0] != info:
            for found in self._assessments.values():
                found.pop(key, None)
            self._known[key] = info, assess(info)
        else:
            self._known[key] = info, known[1]

    @hookimpl
    def select_model(
        self, request: ModelRequest, candidates: Sequence[Candidate]
    ) -> ModelSelection | None:
        """Choose by what the request needs, or by general quality where it needs nothing special.

        Abstain when there is nothing to choose, after a failure, where nobody knows anything, and when the
        request wants speed and needs nothing special.
        """
        needs = needed_skills(request)
        if len(candidates) < 2 or request.attempts or (request.prefer_fast and not needs):
            return None
        skills: tuple[Skill, ...] = (ModelCapability.GENERAL, *needs)
        found = weigh(request, candidates, skills, patience_with(needs, self._settings.patience))
        why = f"needs {', '.join(needs)}" if needs else "needs nothing special"
        return best_of(found, why) if found else None


def _in_language(assessment: Assessment, info: ModelInfo, language: str | None) -> Assessment:
    """Lower the scores of a model whose family is documented to know other languages than this."""
    if language is None or not assessment:
        return assessment
    family = match(info)
    if family is None or not family.languages or language in family.languages:
        return assessment
    return {skill: evolve(known, score=known.score * FOREIGN) for skill, known in assessment.items()}
