"""The plugin: says what kind of work a request is, and chooses by it."""

from collections.abc import Mapping, Sequence

from attrs import field, frozen

from turnout import Candidate, ModelRequest, ModelSelection, Signals, TaskType, hookimpl
from turnout.names import matches
from turnout.skills import share
from turnout.weighing import best_of, needed_skills, patience_with, weigh

PATIENCE: Mapping[TaskType, float] = {
    TaskType.SIMPLE_QUERY: 60.0,
    TaskType.OTHER: 120.0,
    TaskType.RAG_EXPLORATION: 150.0,
    TaskType.ANALYSIS: 240.0,
    TaskType.CODE_GENERATION: 300.0,
    TaskType.CODE_REVIEW: 300.0,
    TaskType.PLANNING: 300.0,
    TaskType.COMPLEX_REASONING: 600.0,
}
"""Seconds for which one would swap a useless answer against a perfect one; see :mod:`turnout.weighing`."""


@frozen
class TaskBasedSettings:
    """The table ``[task_based]``.

    ``confidence`` (0 to 1): below it the strategy abstains. Of unseen prompts 0.5 keeps 84 % and is right
    on 88 % of those, 0.7 keeps 64 % and is right on 94 %. ``preferences`` lists models for a task type, the
    first that can answer is taken; what it does not name goes by quality and time. ``patience`` is, for a
    task type, the seconds for which you would swap a useless answer against a perfect one: the more, the
    sooner a better model is loaded.
    """

    confidence: float = field(default=0.45, validator=share)
    preferences: Mapping[TaskType, tuple[str, ...]] = field(factory=dict)
    patience: Mapping[TaskType, float] = field(factory=dict)

    @patience.validator
    def _above_zero(self, _: object, value: Mapping[TaskType, float]) -> None:
        for task, seconds in value.items():
            if not seconds > 0:
                message = f"'patience' must be above 0 for {task}, not {seconds:g}"
                raise ValueError(message)


class TaskBased:
    """The kind of work that a request is, and the model that does such work best for the time it takes."""

    def __init__(self, settings: TaskBasedSettings) -> None:
        self._settings = settings
        self._patience = {**PATIENCE, **settings.patience}

    @hookimpl
    def classify_request(self, request: ModelRequest) -> Signals | None:
        """Say what kind of work *request* is, with a confidence, and its language.

        Not where a model is asked for by name: there is nothing to choose, and reading the prompt would take
        longer than all else that is done here.
        """
        if request.explicit_model is not None and not request.allow_fallback:
            return None
        from turnout_task_based.signals import signals_of  # its tables are for those who send requests

        return signals_of(request)

    @hookimpl
    def select_model(
        self, request: ModelRequest, candidates: Sequence[Candidate]
    ) -> ModelSelection | None:
        """Choose by the kind of work.

        Abstain when that is not sure, when there is nothing to choose, when the request wants speed, after a
        failure, and where nobody knows the quality of any candidate.
        """
        task, confidence = request.signals.task_type, request.signals.confidence
        if task is None or confidence < self._settings.confidence:
            return None
        if len(candidates) < 2 or request.attempts:
            return None
        why = f"{task} ({confidence:.0%} sure)"
        preferred = self._preferred(task, candidates)
        if preferred:
            return ModelSelection(preferred[0], f"{why}: the first of your preferences", preferred[1:])
        if request.prefer_fast:
            return None
        needs = needed_skills(request)
        patience = patience_with(needs, self._patience[task])
        found = weigh(request, candidates, (task, *needs), patience)
        return best_of(found, why) if found else None

    def _preferred(self, task: TaskType, candidates: Sequence[Candidate]) -> list[str]:
        wanted = self._settings.preferences.get(task, ())
        known = [candidate.id for candidate in candidates]
        return list(dict.fromkeys(model for name in wanted for model in matches(name, known)))
