"""A rating on its way from an answer to the plugins that learn from it."""

from collections.abc import Callable

from attrs import evolve, frozen

from turnout.plugins import Plugins
from turnout.skills import TaskType
from turnout.types import Feedback, ModelRequest


@frozen
class Rater:
    """Takes the ratings of the answer to *request*, and hands them to ``record``.

    Where a model was asked for by name, nobody may have asked what kind of work it is: there was nothing to
    choose. A rating is of use only with it, so it is asked now.
    """

    plugins: Plugins
    request: ModelRequest
    record: Callable[[Feedback], None]

    def __call__(self, feedback: Feedback) -> None:
        """Hand on *feedback*; raises what ``record`` raises."""
        task = feedback.task_type or self._task_type()
        self.record(feedback if task is feedback.task_type else evolve(feedback, task_type=task))

    def _task_type(self) -> TaskType | None:
        request = self.request
        if request.task_type is not None or request.explicit_model is None:
            return request.task_type
        return self.plugins.task_type_of(evolve(request, explicit_model=None))
