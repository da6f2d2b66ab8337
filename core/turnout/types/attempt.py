"""One try at one deployment: its slot, how it ended, and what follows."""

import enum
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from attrs import field, frozen, validators

from turnout.errors import Fault, LLMError
from turnout.fleet import Deployment


@frozen
class Attempt:
    """One try at one deployment; ``error`` is None for the one that answered. Seconds throughout.

    ``pause_seconds`` is the wait that followed it before the next one began.
    """

    model: str
    host: str
    error: LLMError | None = None
    queue_seconds: float = 0.0
    duration_seconds: float = 0.0
    pause_seconds: float = 0.0


def failed_models(attempts: Iterable[Attempt]) -> frozenset[tuple[str, str]]:
    """Return the (host, model) pairs that failed in *attempts*."""
    return frozenset((a.host, a.model) for a in attempts if a.error is not None)


class Lease:
    """A slot on one deployment, held until released; releasing twice does no harm.

    ``deployment`` carries only the instance that the slot is on. ``waited`` is seconds in the queue.
    Use it as a context manager, so that no path can forget it.
    """

    __slots__ = ("_release", "deployment", "expected_load_seconds", "waited")

    def __init__(
        self,
        deployment: Deployment,
        release: Callable[[], None] = lambda: None,
        *,
        waited: float = 0.0,
        expected_load_seconds: float | None = None,
    ) -> None:
        self.deployment = deployment
        self.waited = waited
        self.expected_load_seconds = expected_load_seconds
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        """Give the slot back."""
        release, self._release = self._release, None
        if release is not None:
            release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class NextStep(enum.Enum):
    """What to do after a failure."""

    RETRY = "retry"
    CHOOSE_AGAIN = "choose_again"
    STOP = "stop"


@frozen
class After:
    """A next step that begins ``seconds`` from now. The request's deadline goes on meanwhile."""

    step: NextStep
    seconds: float = field(validator=validators.ge(0.0))


NEXT_STEP_BY_FAULT = {
    Fault.REQUEST: NextStep.STOP,
    Fault.DEPLOYMENT: NextStep.CHOOSE_AGAIN,
    Fault.HOST: NextStep.CHOOSE_AGAIN,
    Fault.PASSING: NextStep.RETRY,
}
