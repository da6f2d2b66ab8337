"""Reading a JSON object field by field, strictly, and saying what is wrong with it."""

import difflib
import json
from collections.abc import Callable, Collection
from typing import NoReturn, TypeVar, cast

from turnout.messages import JSON, JSONObject

T = TypeVar("T")
LARGEST = 1e300


class LineError(ValueError):
    """A line of a batch is no request; says why."""


def read_object(text: str) -> JSONObject:
    """Read one JSON object; raises ``LineError``, also for what only some readers of JSON accept."""
    try:
        value = json.loads(text, parse_constant=_refused)
    except RecursionError as error:
        message = "is nested too deeply"
        raise LineError(message) from error
    except json.JSONDecodeError as error:
        message = f"is no JSON: {error.msg} at character {error.pos + 1}"
        raise LineError(message) from error
    except ValueError as error:
        message = f"is no JSON: {error}"
        raise LineError(message) from error
    if not isinstance(value, dict):
        message = "is JSON, but no object"
        raise LineError(message)
    return value


def _refused(name: str) -> NoReturn:
    message = f"{name} is no number in JSON"
    raise ValueError(message)


class Fields:
    """An object whose fields are taken one by one; ``where`` names it in errors, such as ``body.``."""

    def __init__(self, values: JSONObject, where: str = "") -> None:
        self._left = dict(values)
        self._where = where

    def text(self, name: str) -> str | None:
        """Take a string; None where it is absent or null."""
        return self._take(name, lambda value: isinstance(value, str), "a string", str)

    def number(self, name: str) -> float | None:
        """Take a number."""
        return self._take(name, _is_number, "a number", float)

    def whole(self, name: str) -> int | None:
        """Take a whole number."""
        return self._take(name, _is_whole, "a whole number", int)

    def flag(self, name: str) -> bool | None:
        """Take true or false."""
        return self._take(name, lambda value: isinstance(value, bool), "true or false", bool)

    def table(self, name: str) -> JSONObject | None:
        """Take an object."""
        return self._take(name, lambda value: isinstance(value, dict), "an object", dict)

    def rows(self, name: str) -> list[JSONObject]:
        """Take a list of objects; empty where it is absent."""
        values: list[JSONObject] | None = self._take(name, _are_objects, "a list of objects", list)
        return values or []

    def texts(self, name: str) -> tuple[str, ...]:
        """Take a string or a list of strings; empty where it is absent."""
        value = self._take(name, _are_texts, "a string or a list of strings", lambda found: found)
        return (value,) if isinstance(value, str) else tuple(cast(list[str], value or []))

    def any(self, name: str) -> JSON:
        """Take whatever it is."""
        return self._left.pop(name, None)

    def rest(self) -> JSONObject:
        """Take all that is left."""
        left, self._left = self._left, {}
        return left

    def refuse_others(self, known: Collection[str]) -> None:
        """Raise ``LineError`` when there is a field that is not *known*."""
        for name in (name for name in self._left if name not in known):
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
            message = f"has a field {self._where}{name!r} that nobody knows: {hint}"
            raise LineError(message)

    def _take(self, name: str, fits: Callable[[JSON], bool], wanted: str, made: Callable[..., T]) -> T | None:
        value = self._left.pop(name, None)
        if value is None:
            return None
        if not fits(value):
            message = f"{self._where}{name} must be {wanted}, not {json.dumps(value)[:60]}"
            raise LineError(message)
        return made(value)


def _is_number(value: JSON) -> bool:
    # Neither infinite, which 1e999 is read as, nor too long for a float.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def _is_whole(value: JSON) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _are_objects(value: JSON) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _are_texts(value: JSON) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(x, str) for x in value))
