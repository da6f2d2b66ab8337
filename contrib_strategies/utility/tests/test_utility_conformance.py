"""The rules that every strategy keeps."""

from turnout_utility import Utility

from turnout_testing import StrategyConformance


class TestConformance(StrategyConformance):
    """Utility is an ordinary strategy."""

    strategy = Utility
