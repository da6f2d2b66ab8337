"""The rules that every strategy keeps."""

from collections.abc import Sequence

from attrs import evolve
from turnout_cascade import Cascade

from turnout import Candidate, ModelRequest
from turnout_testing import StrategyConformance
from turnout_testing.worlds import MODELS


class TestConformance(StrategyConformance):
    """With a ladder that is found for each request."""

    strategy = Cascade

    def needs(self, request: ModelRequest, candidates: Sequence[Candidate]) -> ModelRequest:
        """Return a request that nobody has tried to answer yet."""
        del candidates
        return evolve(request, attempts=())


class TestSetLadder(TestConformance):
    """With a ladder that is set."""

    settings = {"ladder": [*MODELS]}  # noqa: RUF012  read only
