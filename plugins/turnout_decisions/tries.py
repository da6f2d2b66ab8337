"""Attempts as they are kept: what a strategy may ask of their errors, and none of the server's words."""

from collections.abc import Iterable, Iterator, Mapping

from attrs import evolve, field, frozen

from turnout import errors
from turnout.errors import Fault, LLMError
from turnout.messages import JSON
from turnout.types import Attempt

_EVERY_ERROR = frozenset(vars(LLMError("")))
_QUANTITIES = (bool, int, float, type(None))


@frozen
class Tried:
    """An earlier attempt of the request. Seconds.

    ``error`` is the name of its error's class, empty where it did not fail, and ``kind`` the nearest class
    that turnout itself has. ``facts`` are what that class knows besides, such as the context that
    overflowed. What is text, and the ``message``, are empty unless content is kept: servers repeat prompts.
    """

    model: str
    host: str
    error: str = ""
    kind: str = "LLMError"
    fault: Fault = Fault.REQUEST
    facts: Mapping[str, JSON] = field(factory=dict)
    message: str = ""
    queue_seconds: float = 0.0
    duration_seconds: float = 0.0
    pause_seconds: float = 0.0


def kept(attempts: Iterable[Attempt], *, content: bool) -> tuple[Tried, ...]:
    """Return *attempts* as they are kept."""
    return tuple(_tried(one, one.error, content=content) for one in attempts)


def _tried(attempt: Attempt, error: LLMError | None, *, content: bool) -> Tried:
    tried = Tried(
        attempt.model,
        attempt.host,
        queue_seconds=attempt.queue_seconds,
        duration_seconds=attempt.duration_seconds,
        pause_seconds=attempt.pause_seconds,
    )
    if error is None:
        return tried
    return evolve(
        tried,
        error=type(error).__name__,
        kind=next(cls.__name__ for cls in type(error).__mro__ if hasattr(errors, cls.__name__)),
        fault=error.fault,
        facts=dict(_facts(error, content=content)),
        message=error.message if content else "",
    )


def _facts(error: LLMError, *, content: bool) -> Iterator[tuple[str, JSON]]:
    """Yield what only this kind of error has: numbers as they are, texts without their words."""
    for name, value in vars(error).items():
        if name in _EVERY_ERROR or name.startswith("_"):
            continue
        if isinstance(value, _QUANTITIES):
            yield name, value
        elif isinstance(value, str):
            yield name, value if content else ""


def attempts_of(tries: Iterable[Tried]) -> tuple[Attempt, ...]:
    """Return the attempts again, each with an error of its class that knows the same facts."""
    return tuple(
        Attempt(
            one.model, one.host, _error(one), one.queue_seconds, one.duration_seconds, one.pause_seconds
        )
        for one in tries
    )


def _error(tried: Tried) -> LLMError | None:
    """Make the error without its constructor, which each class has another one of."""
    if not tried.error:
        return None
    known = getattr(errors, tried.error, None) or getattr(errors, tried.kind, None)
    cls = known if isinstance(known, type) and issubclass(known, LLMError) else LLMError
    error = cls.__new__(cls)
    LLMError.__init__(
        error, tried.message, host=tried.host, model=tried.model, fault=tried.fault
    )
    for name, value in tried.facts.items():
        if name not in _EVERY_ERROR:
            setattr(error, name, value)
    return error
