"""The rules that every strategy keeps, with a memory in which each model has a conversation."""

from collections.abc import Sequence

from attrs import evolve
from turnout_sticky import Sticky, StickySettings

from turnout import Candidate, ExecutionMetrics, ModelRequest
from turnout_testing import StrategyConformance
from turnout_testing.worlds import MODELS


def time_stands_still() -> float:
    """Return the same time as ever: there is no event loop here."""
    return 0.0


class TestConformance(StrategyConformance):
    """A conversation is one of its client's, so the client matters."""

    ignores = ("priority", "seed", "streaming", "timeout")

    def make(self) -> object:
        """Return a plugin that has seen each model answer a conversation of its name."""
        plugin = Sticky(StickySettings(), clock=time_stands_still)
        for model in MODELS:
            plugin.record_selection(ModelRequest("hi", conversation_id=model, id=model))
            plugin.record_execution(ExecutionMetrics(model, "desk", 1.0, success=True, request_id=model))
        return plugin

    def needs(self, request: ModelRequest, candidates: Sequence[Candidate]) -> ModelRequest:
        """Return the next turn of the conversation with one of the candidates."""
        return evolve(request, conversation_id=min(candidate.id for candidate in candidates))
