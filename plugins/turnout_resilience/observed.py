"""One execution as the plugin sees it from outside: counted, and what its end teaches."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from turnout.attempt import is_output
from turnout.errors import ContextOverflowError, LLMError
from turnout.events import Event
from turnout.fleet import Deployment
from turnout_resilience.concurrency import Concurrency
from turnout_resilience.traffic import Key, Traffic


class Observed:
    """A context around one execution, on ``deployment`` since ``began`` in the loop's seconds.

    *loaded* is told of a model that was not resident when it gives its first output, *met* of an error, and
    *freed* of a success after which more may run at once.
    """

    def __init__(
        self,
        deployment: Deployment,
        traffic: Traffic,
        concurrency: Concurrency,
        *,
        loaded: Callable[[Key], None],
        met: Callable[[LLMError, "Observed"], None],
        freed: Callable[[], None],
    ) -> None:
        self.deployment = deployment
        self.key = deployment.key
        self.began = asyncio.get_running_loop().time()
        self._cold = not deployment.resident
        self._traffic = traffic
        self._concurrency = concurrency
        self._loaded = loaded
        self._met = met
        self._freed = freed

    def see(self, event: Event) -> None:
        """Look at an event that is passed on."""
        if self._cold and is_output(event):
            self._cold = False
            self._loaded(self.key)

    def __enter__(self) -> Self:
        self._traffic.begin(self.key)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            if self._concurrency.succeeded(self.key, self.began):
                self._freed()
        elif isinstance(error, LLMError):
            if self._cold and isinstance(error, ContextOverflowError):
                self._loaded(self.key)  # it was there to find that out
            self._met(error, self)
        self._traffic.end(self.key)
