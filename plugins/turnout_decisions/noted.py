"""What the hooks note, before anything is made of it; light, because every start imports it."""

from collections.abc import Sequence
from typing import TypeAlias

from attrs import frozen

from turnout.fleet import Candidate
from turnout.types import ExecutionMetrics, Feedback, ModelRequest, ModelSelection


@frozen(eq=False)
class Made:
    """A decision as the hook sees it; ``at`` is in seconds since the epoch."""

    at: float
    request: ModelRequest
    selection: ModelSelection
    candidates: Sequence[Candidate]


Noted: TypeAlias = Made | ExecutionMetrics | Feedback
