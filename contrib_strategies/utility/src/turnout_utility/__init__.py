"""Quality against seconds, with one slider from "fast" to "good"."""

from turnout_utility.strategy import Utility, UtilitySettings
from turnout_utility.worth import seconds_per_tenth

__all__ = ["Utility", "UtilitySettings", "seconds_per_tenth"]
