"""A small model first; where its answer does not hold, a larger one."""

from turnout_cascade.plugin import Cascade
from turnout_cascade.rejected import AnswerRejectedError
from turnout_cascade.settings import CascadeSettings

__all__ = ["AnswerRejectedError", "Cascade", "CascadeSettings"]
