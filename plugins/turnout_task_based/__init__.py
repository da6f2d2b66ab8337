"""The kind of work that a request is, and the model that does such work best for the time it takes."""

from turnout_task_based.plugin import TaskBased, TaskBasedSettings

__all__ = ["TaskBased", "TaskBasedSettings"]
