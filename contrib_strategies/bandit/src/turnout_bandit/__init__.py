"""Learns from answers and ratings which model does which kind of work: discounted Thompson sampling."""

from turnout_bandit.plugin import Bandit
from turnout_bandit.settings import BanditSettings

__all__ = ["Bandit", "BanditSettings"]
