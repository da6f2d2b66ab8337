"""The model that is expected to answer best, learned from what the models' answers were worth."""

from turnout_learned.settings import LearnedSettings
from turnout_learned.strategy import Learned

__all__ = ["Learned", "LearnedSettings"]
