"""What an answer's JSON and its tool calls can be checked for."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from attrs import field, frozen

from turnout.messages import JSON, JSONObject, Tool, ToolCall
from turnout_calibration.checks import Answer, Finding, normal, right, shown

_FENCED = re.compile(r"```[\w+-]*\s*\n(.*?)(?:```|\Z)", re.DOTALL)


def parsed(text: str) -> JSON:
    """Return the JSON that *text* is, or that its only fenced block is; raises ``ValueError``."""
    blocks = _FENCED.findall(text)
    try:
        value: JSON = json.loads(blocks[0] if len(blocks) == 1 else text)
    except RecursionError as error:
        message = "nested too deeply"
        raise ValueError(message) from error
    return value


def problem(value: JSON, schema: Mapping[str, JSON]) -> str:
    """Say where *value* breaks *schema*; nothing where it does not."""
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    # A registry of our own: a `$ref` must not make this program fetch from the network.
    validator = validator_for(schema)(schema, registry=Registry())
    try:
        first = next(iter(validator.iter_errors(value)), None)
    except Unresolvable as error:
        return f"the schema refers to {error.ref!r}, which is not in it"
    except RecursionError:
        return "it is nested too deeply"
    return "" if first is None else f"{first.json_path}: {first.message}"


@frozen
class FitsSchema:
    """The answer is JSON that is valid under ``schema``; one fenced block around it does no harm."""

    kind: ClassVar[str] = "schema"
    schema: JSONObject = field(hash=False)

    def look(self, answer: Answer) -> Finding:
        """Parse and validate."""
        try:
            wrong = problem(parsed(answer.text), self.schema)
        except ValueError as error:
            return Finding(0.0, f"not JSON: {error}")
        return right(not wrong, wrong[:300])


@frozen
class HasValues:
    """The answer is JSON that has these ``values``; what else it has does not matter."""

    kind: ClassVar[str] = "json"
    values: JSON = field(hash=False)

    def look(self, answer: Answer) -> Finding:
        """Parse and compare."""
        try:
            missing = lacks(parsed(answer.text), self.values)
        except ValueError as error:
            return Finding(0.0, f"not JSON: {error}")
        return right(not missing, missing)


def lacks(value: JSON, wanted: JSON, path: str = "$") -> str:
    """Say what *value* lacks of *wanted*: objects may have more keys, lists not more items; texts as people
    compare them, numbers by value.
    """
    if isinstance(wanted, dict) and isinstance(value, dict):
        each = (lacks(value[key], wanted[key], f"{path}.{key}") for key in wanted if key in value)
        missing = next((f"{path}.{key} is missing" for key in wanted if key not in value), "")
        return missing or next((found for found in each if found), "")
    if isinstance(wanted, list) and isinstance(value, list) and len(wanted) == len(value):
        pairs = enumerate(zip(value, wanted, strict=True))
        each = (lacks(one, other, f"{path}[{n}]") for n, (one, other) in pairs)
        return next((found for found in each if found), "")
    return "" if _alike(value, wanted) else f"{path} is {shown(value)}, not {shown(wanted)}"


def _alike(value: JSON, wanted: JSON) -> bool:
    if isinstance(value, str) and isinstance(wanted, str):
        return normal(value) == normal(wanted)
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return value == wanted


@frozen
class Calls:
    """The model calls the tool ``name``, and no other, with ``arguments`` among those that it gives.

    They must be valid under the tool's own schema, where ``tools`` has it.
    """

    kind: ClassVar[str] = "call"
    name: str
    arguments: JSONObject = field(factory=dict, hash=False)
    tools: Sequence[Tool] = field(default=(), hash=False)

    def look(self, answer: Answer) -> Finding:
        """Compare the one call; half the score where only the arguments are wrong."""
        called = [call.name for call in answer.tool_calls]
        if called != [self.name]:
            return Finding(0.0, f"it calls {', '.join(called) or 'nothing'}, not {self.name}")
        wrong = self._arguments(answer.tool_calls[0])
        return Finding(0.5, wrong) if wrong else Finding(1.0)

    def _arguments(self, call: ToolCall) -> str:
        try:
            given = call.parsed()
        except (ValueError, RecursionError) as error:
            return f"its arguments are no JSON object: {error}"
        schema = next((tool.parameters for tool in self.tools if tool.name == call.name), {})
        return problem(given, schema) or lacks(given, self.arguments)


@frozen
class CallsNothing:
    """The model answers in words, and calls no tool."""

    kind: ClassVar[str] = "no_call"

    def look(self, answer: Answer) -> Finding:
        """See whether there are calls."""
        called = ", ".join(call.name for call in answer.tool_calls)
        return right(not called, f"it calls {called}")
