"""The rules that every strategy keeps, after some answers of some models."""

from turnout_bandit import Bandit, BanditSettings

from turnout import ExecutionMetrics, TaskType
from turnout_testing import StrategyConformance
from turnout_testing.worlds import MODELS


class TestConformance(StrategyConformance):
    """It draws from the request's chance, and works out the chances of all first."""

    uses_chance = True
    max_cost = 400.0

    def make(self) -> object:
        """Return a plugin that has seen each model do some work, the first of them most."""
        plugin = Bandit(BanditSettings())
        for number, task in enumerate(TaskType):
            for model in MODELS[: number % len(MODELS)]:
                well = number % 3 > 0
                ended = ExecutionMetrics(model, "desk", 1.0, success=well, task_type=task, timestamp=0.0)
                plugin.record_execution(ended)
        return plugin
