"""A/B and shadow experiments between models, with a report that says when a difference is real."""

from turnout_canary.plugin import Canary
from turnout_canary.settings import CanarySettings, Experiment

__all__ = ["Canary", "CanarySettings", "Experiment"]
