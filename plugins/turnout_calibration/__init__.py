"""Knowing one's own models: probes, one's own prompts and ratings, as evidence for the strategies."""

from turnout_calibration.plugin import Calibration
from turnout_calibration.settings import CalibrationSettings

__all__ = ["Calibration", "CalibrationSettings"]
