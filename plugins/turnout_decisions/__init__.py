"""A log of every decision, from which it can be explained, rated, and decided again by another strategy."""

from turnout_decisions.plugin import Decisions
from turnout_decisions.settings import DecisionsSettings

__all__ = ["Decisions", "DecisionsSettings"]
