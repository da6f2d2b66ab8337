"""Ends of requests that leave open what their host does: whether it loads on, whether its model is there."""

from turnout.errors import (
    LLMConnectionError,
    LLMTimeoutError,
    ModelCrashedError,
    StreamInterruptedError,
)
from turnout.events import OUTPUT, Event, Progress

CRASHED = ModelCrashedError.__name__
LOST = LLMConnectionError.__name__
UNTOLD = frozenset({LOST, StreamInterruptedError.__name__})
"""So ends an answer whose model dies without a word, and so does one whose network fails for a moment."""


class LoadSigns:
    """What a request that may load its model has shown of that: ``loaded``, as soon as it is known."""

    def __init__(self) -> None:
        self.loaded = False
        self._loading = False

    def see(self, event: Event) -> bool:
        """Take an event; tell whether it is the first that comes only after the load."""
        told = event.stage if isinstance(event, Progress) else None
        self._loading = told == "load"
        if self.loaded or not (told == "prefill" or isinstance(event, OUTPUT)):
            return False
        self.loaded = True
        return True

    def leave_a_load(self, end: BaseException) -> bool:
        """Whether the host may go on with the load, although its request has come to this *end*."""
        if self.loaded:
            return False
        if isinstance(end, StreamInterruptedError):
            return self._loading  # a stream begins when the model is there, unless it tells of its load
        return leaves_open(end) or not isinstance(end, Exception)


def leaves_open(error: BaseException) -> bool:
    """Whether a connection broke, or took too long, over which the host may have been told what to do."""
    if not isinstance(error, LLMConnectionError | LLMTimeoutError):
        return False
    import httpx

    original = error.original_exception
    return not isinstance(original, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
