"""What is done about hosts, models and streams that fail."""

from turnout_resilience.plugin import Resilience
from turnout_resilience.settings import ResilienceSettings

__all__ = ["Resilience", "ResilienceSettings"]
