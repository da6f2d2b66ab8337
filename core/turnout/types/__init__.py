"""What travels with a request: the request itself, its selection, lease, attempts, metrics and reply."""

from turnout.types.attempt import NEXT_STEP_BY_FAULT, After, Attempt, Lease, NextStep, failed_models
from turnout.types.decision import Explanation, Ineligible, ModelSelection, Outcome, Reload, Verdict, Vetoes
from turnout.types.outcome import ExecutionMetrics, Feedback, Reply, Timings
from turnout.types.request import ModelRequest, Operation, Signals, ToolChoice

__all__ = [
    "NEXT_STEP_BY_FAULT",
    "After",
    "Attempt",
    "ExecutionMetrics",
    "Explanation",
    "Feedback",
    "Ineligible",
    "Lease",
    "ModelRequest",
    "ModelSelection",
    "NextStep",
    "Operation",
    "Outcome",
    "Reload",
    "Reply",
    "Signals",
    "Timings",
    "ToolChoice",
    "Verdict",
    "Vetoes",
    "failed_models",
]
