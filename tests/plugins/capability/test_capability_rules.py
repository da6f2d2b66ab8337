"""The strategy keeps the rules of strategies."""

import turnout_capability
from turnout_testing import StrategyConformance


class TestRules(StrategyConformance):
    """`capability`, with the catalogue."""

    strategy = turnout_capability.Capability
