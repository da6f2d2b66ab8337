"""The rules of every strategy, and the rule of this one."""

import turnout_shortest

from turnout import Candidate, Deployment, Estimate, Host, ModelInfo, ModelRequest
from turnout_testing import StrategyConformance

DESK = Host("desk", "http://desk.local:1234", "lmstudio")


class TestConformance(StrategyConformance):
    """What holds for every strategy."""

    strategy = turnout_shortest


def candidate(name: str, estimate: Estimate) -> Candidate:
    """Make a candidate of that name on one host, of which that is expected."""
    info = ModelInfo(name)
    deployment = Deployment(info, DESK)
    return Candidate(info, (deployment,), {deployment: estimate})


def test_the_shortest_wait_wins() -> None:
    """The model whose first word comes soonest is chosen, and the others follow in order."""
    busy = candidate("acme/owl-8b", Estimate(queue_seconds=30))
    cold = candidate("google/gemma-3-12b", Estimate(load_seconds=12))
    idle = candidate("qwen/qwen3-coder-30b", Estimate())
    selection = turnout_shortest.select_model(ModelRequest("Hello"), [busy, cold, idle])
    assert selection is not None
    assert selection.model == "qwen/qwen3-coder-30b"
    assert selection.ranking == ("google/gemma-3-12b", "acme/owl-8b")
