"""Fields out of JSON, each mistake said in words: the parts of which tasks and checks are read."""

from collections.abc import Callable
from typing import TypeVar

from turnout.messages import JSON, JSONObject

T = TypeVar("T")


def at(where: str, build: Callable[..., T], *values: object) -> T:
    """Build a part; say *where* it is in the error. Raises ``ValueError``."""
    try:
        return build(*values)
    except ValueError as error:
        message = f"{where}: {error}"
        raise ValueError(message) from error


def one_text(wanted: JSON) -> str:
    """Return a text that is not empty. Raises ``ValueError``."""
    if not isinstance(wanted, str) or not wanted:
        message = f"must be a text, not {wanted!r:.60}"
        raise ValueError(message)
    return wanted


def is_number(value: JSON) -> bool:
    """Return whether it is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def a_schema(wanted: JSON) -> JSONObject:
    """Return a JSON Schema. Raises ``ValueError``."""
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    if not isinstance(wanted, dict):
        message = f"must be a JSON Schema, which is an object, not {wanted!r:.60}"
        raise ValueError(message)
    try:
        validator_for(wanted).check_schema(wanted)
    except SchemaError as error:
        message = f"not a valid JSON Schema: {error.json_path}: {error.message}"
        raise ValueError(message) from error
    return wanted


def an_object(value: JSON, known: set[str] | None) -> JSONObject:
    """Return an object; *known* are the keys that it may have. Raises ``ValueError``."""
    if not isinstance(value, dict):
        message = f"must be an object, not {value!r:.60}"
        raise ValueError(message)
    unknown = sorted(set(value) - known) if known is not None else []
    if unknown:
        message = f"there is no key {unknown[0]!r}; known are {', '.join(sorted(known or ()))}"
        raise ValueError(message)
    return value


def a_list(raw: JSONObject, key: str) -> list[JSON]:
    """Return the list under *key*, empty where there is none. Raises ``ValueError``."""
    value = raw.get(key, [])
    if not isinstance(value, list):
        message = f"{key}: must be a list, not {value!r:.60}"
        raise ValueError(message)
    return value


def a_text(raw: JSONObject, key: str) -> str | None:
    """Return the text under *key*; None where there is none. Raises ``ValueError``."""
    value = raw.get(key)
    if key == "id" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None if value is None else at(key, one_text, value)


def required(raw: JSONObject, key: str) -> str:
    """Return the text under *key*, which must be there. Raises ``ValueError``."""
    if key not in raw:
        message = f"{key} is missing"
        raise ValueError(message)
    return at(key, one_text, raw[key])


def number(raw: JSONObject, key: str, default: float) -> float:
    """Return the number above 0 under *key*. Raises ``ValueError``."""
    value = raw.get(key, default)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e9:
        message = f"{key}: must be a number above 0, not {value!r:.60}"
        raise ValueError(message)
    return value
