"""Whether an answer holds: what can be seen of it without asking anybody."""

import ast
import json
import re
import textwrap
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from attrs import frozen

from turnout import JSON, ModelRequest, TaskType, ToolCall
from turnout.wire import ReplyBuilder
from turnout_cascade.repetition import repeats


@frozen
class Flaw:
    """What is wrong with an answer: its ``kind`` is counted, its ``words`` are for people."""

    kind: str
    words: str


Check: TypeAlias = Callable[[ModelRequest, ReplyBuilder], Flaw | None]


def flaw_of(request: ModelRequest, answer: ReplyBuilder) -> Flaw | None:
    """Return what is wrong with a complete *answer*, or None."""
    return next((flaw for check in CHECKS if (flaw := check(request, answer)) is not None), None)


def _unfinished(request: ModelRequest, answer: ReplyBuilder) -> Flaw | None:
    reason = answer.done.finish_reason if answer.done is not None else None
    # Where the caller set the limit, a larger model would be cut as well.
    if reason == "length" and request.max_tokens is None:
        return Flaw("cut", "it was cut short")
    return Flaw("filtered", "it was filtered") if reason == "content_filter" else None


def _empty(_: ModelRequest, answer: ReplyBuilder) -> Flaw | None:
    return None if answer.text.strip() or answer.tool_calls else Flaw("empty", "it is empty")


def _tool_calls(request: ModelRequest, answer: ReplyBuilder) -> Flaw | None:
    if request.tool_choice == "required" and not answer.tool_calls:
        return Flaw("tools", "it calls no tool, and had to")
    schemas = {tool.name: tool.parameters for tool in request.tools}
    flaws = (_call(call, schemas) for call in answer.tool_calls)
    return next((flaw for flaw in flaws if flaw is not None), None)


def _call(call: ToolCall, schemas: Mapping[str, Mapping[str, JSON]]) -> Flaw | None:
    if call.name not in schemas:
        return Flaw("tools", f"it calls {call.name!r}, which was not offered")
    try:
        arguments = call.parsed()
    except ValueError:
        return Flaw("tools", f"the arguments of {call.name!r} are no JSON object")
    problem = _against(schemas[call.name], arguments)
    return None if problem is None else Flaw("tools", f"the arguments of {call.name!r}: {problem}")


def _schema(request: ModelRequest, answer: ReplyBuilder) -> Flaw | None:
    if request.schema is None or answer.tool_calls:
        return None
    try:
        value = json.loads(answer.text)
    except ValueError as error:
        return Flaw("schema", f"it is no JSON: {error}")
    problem = _against(request.schema, value)
    return None if problem is None else Flaw("schema", f"it does not fit the schema: {problem}")


def _against(schema: Mapping[str, JSON], value: JSON) -> str | None:
    """Return the first thing in which *value* does not fit; a schema that is none itself fits everything."""
    from jsonschema.exceptions import SchemaError, best_match
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    kind = validator_for(schema)
    try:
        kind.check_schema(schema)
        # A registry of its own, so that no reference is fetched from the network.
        problem = best_match(kind(schema, registry=Registry()).iter_errors(value))
    except (SchemaError, Unresolvable):
        return None
    return None if problem is None else f"{problem.json_path}: {problem.message[:200]}"


_FENCE = re.compile(r"^[ \t]*```([^\n`]*)\n(.*?)^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)
_FENCE_LINE = re.compile(r"^[ \t]*```", re.MULTILINE)
_PYTHON = frozenset({"python", "py", "python3"})


def _code(request: ModelRequest, answer: ReplyBuilder) -> Flaw | None:
    task = request.task_type or request.signals.task_type
    if task is not TaskType.CODE_GENERATION or request.schema is not None:
        return None
    if len(_FENCE_LINE.findall(answer.text)) % 2:
        return Flaw("code", "a block of code has no end")
    blocks = [code for language, code in _FENCE.findall(answer.text) if _language(language) in _PYTHON]
    problem = next((problem for code in blocks if (problem := _unparsable(code)) is not None), None)
    return None if problem is None else Flaw("code", f"its Python does not parse: {problem}")


def _language(info: str) -> str:
    return (info.split() or [""])[0].casefold()


def _unparsable(code: str) -> str | None:
    if code.lstrip().startswith((">>>", "$", "%")):  # a session, not a program
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(textwrap.dedent(code))
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return type(error).__name__
    return None


_CANNOT = r"(?:can\s?not|can['’]t|(?: am|['’]m) (?:unable|not able)|won['’]t|do not have|don['’]t have)"
_REFUSAL = re.compile(
    rf"(?:(?:i['’]?m|i am) sorry|sorry|i apologi[sz]e|unfortunately)\b[^.!?\n]{{0,40}}?\bi\s?{_CANNOT}\b"
    rf"|as an? (?:ai|(?:large )?language model)\b[^.!?\n]{{0,60}}?\bi\s?{_CANNOT}\b"
    rf"|i\s?{_CANNOT} (?:to )?(?:assist|help|fulfil+|comply|provide|answer|do that|access|browse)\b",
    re.IGNORECASE,
)


def _refusal(_: ModelRequest, answer: ReplyBuilder) -> Flaw | None:
    found = None if answer.tool_calls else _REFUSAL.match(answer.text.lstrip("\n *_\"'"))
    return None if found is None else Flaw("refusal", f"it refuses: {found[0][:80]!r}")


def _repetition(_: ModelRequest, answer: ReplyBuilder) -> Flaw | None:
    return Flaw("repetition", "it repeats itself without end") if repeats(answer.text) else None


CHECKS: Iterable[Check] = (_unfinished, _empty, _tool_calls, _schema, _repetition, _code, _refusal)
