"""What the end of an execution says of the deployment and of its host."""

import enum
from typing import TypeAlias

from turnout import errors
from turnout.errors import Fault, LLMError


class Verdict(enum.Enum):
    """Whose health an outcome speaks of."""

    GOOD = "good"
    NEUTRAL = "says nothing"
    DEPLOYMENT = "the model fails there"
    MEMORY = "the host has not the memory"
    HOST = "the host fails"
    UNREACHABLE = "the host cannot be reached"


Kind: TypeAlias = type[LLMError]

NEUTRAL = (errors.ContextOverflowError, errors.LLMValidationError, errors.LLMRateLimitError)
"""The request's size, its form, and the queue are nobody's illness; nor is a server that says: later."""
CANCELLED = "CancelledError"


def kind_of(name: str, known: dict[str, Kind]) -> Kind | None:
    """Return the class that an error's *name* stands for: one of the core's, or of those met before."""
    found = known.get(name) or getattr(errors, name, None)
    return found if isinstance(found, type) and issubclass(found, LLMError) else None


def verdict_on(name: str | None, known: dict[str, Kind]) -> Verdict:
    """Return what an execution that ended in the error of that *name* says; None stands for a success."""
    if name is None:
        return Verdict.GOOD
    kind = kind_of(name, known)
    if name == CANCELLED or (kind is not None and issubclass(kind, NEUTRAL)):
        return Verdict.NEUTRAL
    if kind is None:
        return Verdict.DEPLOYMENT
    if issubclass(kind, errors.InsufficientMemoryError):
        return Verdict.MEMORY
    # What the backend did not foresee is a fault of the deployment, whatever the class says elsewhere.
    if kind.fault is Fault.REQUEST and not issubclass(kind, errors.PluginError):
        return Verdict.NEUTRAL
    return Verdict.HOST if kind.fault is Fault.HOST else Verdict.DEPLOYMENT


def is_unreachable(error: BaseException | None) -> bool:
    """Whether no connection came about: refused, no route, no such name, or no answer to the attempt."""
    import httpx

    original = getattr(error, "original_exception", None)
    return isinstance(original, httpx.ConnectError | httpx.ConnectTimeout)
