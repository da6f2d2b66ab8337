"""Whether a model that is loaded again with a larger context still has room on its host."""

from collections.abc import Mapping, Sequence

from turnout import eligibility
from turnout.fleet import Deployment
from turnout.types import ModelRequest
from turnout_pool.situation import MEMORY_FACTOR
from turnout_pool.yard import Yard

CONTEXT_BYTES = 128 * 1024
"""Memory for each token of context: keys and values, 32 layers, 8 heads of 128, 2 bytes: a common 8B model.

Others have half or twice of that; the server knows better, and refuses what does not fit.
"""
REASON = "a larger context has no room beside what is loaded, in the memory that is set"


def without_room(
    yard: Yard, request: ModelRequest, deployments: Sequence[Deployment]
) -> Mapping[Deployment, str] | None:
    """Return those of *deployments* that would be loaded again for *request*, and do not fit their hosts."""
    managed = [d for d in deployments if d.enlargeable and d.host.name in yard.settings.memory]
    if not managed:
        return None
    context = eligibility.needs_of(request).context
    return {d: REASON for d in managed if d.room < context and not _fits(yard, d, context)}


def _fits(yard: Yard, deployment: Deployment, context: int) -> bool:
    memory, size = yard.settings.memory_bytes(deployment.host.name), deployment.info.size_bytes
    if memory is None or size is None:
        return True
    need = max(size * MEMORY_FACTOR, size + context * CONTEXT_BYTES)
    return need + _beside(yard, deployment) <= memory


def _beside(yard: Yard, deployment: Deployment) -> float:
    """Return the bytes that the other models take there; a size that is not known counts nothing."""
    schedule = yard.schedules.get(deployment.host.name)
    lines = [] if schedule is None else schedule.lines.values()
    there = (line for line in lines if line.model != deployment.model and not line.needs_load)
    return sum((line.slots.deployment.info.size_bytes or 0) * MEMORY_FACTOR for line in there)
