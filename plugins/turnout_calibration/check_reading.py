"""Checks out of JSON: ``{kind: what}``."""

import re
from collections.abc import Callable, Mapping, Sequence

from turnout.messages import JSON, Tool
from turnout_calibration.checks import Absent, Contains, Count, Equals, FinalAnswer, InOrder, Matches
from turnout_calibration.code import Judged, PassesTests
from turnout_calibration.fields import (
    a_list,
    a_schema,
    a_text,
    an_object,
    at,
    is_number,
    number,
    one_text,
    required,
)
from turnout_calibration.structured import Calls, CallsNothing, FitsSchema, HasValues
from turnout_calibration.tasks import AnyCheck


def check(raw: JSON, tools: Sequence[Tool] = ()) -> AnyCheck:
    """Build a check from ``{kind: what}``; raises ``ValueError``."""
    if not isinstance(raw, dict) or len(raw) != 1:
        message = 'a check is an object with one key, such as {"contains": "owl"}'
        raise ValueError(message)
    ((kind, wanted),) = raw.items()
    if kind == "call":
        return at(kind, _call, wanted, tools)
    if kind not in _CHECKS:
        message = f"there is no check {kind!r}; known are {', '.join([*_CHECKS, 'call'])}"
        raise ValueError(message)
    return at(kind, _CHECKS[kind], wanted)


def _texts(wanted: JSON) -> tuple[str, ...]:
    listed = wanted if isinstance(wanted, list) else [wanted]
    if not listed or not all(is_number(one) or (isinstance(one, str) and one) for one in listed):
        message = f"must be a text or a list of texts, none empty, not {wanted!r:.60}"
        raise ValueError(message)
    return tuple(map(str, listed))



def _matches(wanted: JSON) -> Matches:
    try:
        return Matches(re.compile(one_text(wanted), re.MULTILINE))
    except (re.error, RecursionError, OverflowError) as error:
        message = f"not a regular expression: {error}"
        raise ValueError(message) from error




def _code(wanted: JSON) -> PassesTests:
    fields = an_object(wanted, {"tests", "language"})
    language = fields.get("language", "python")
    if language != "python":
        message = f"only python can be run, not {language!r:.60}"
        raise ValueError(message)
    tests = required(fields, "tests")
    try:
        compile(tests, "<tests>", "exec")
    except (SyntaxError, ValueError) as error:
        message = f"tests: not Python: {error}"
        raise ValueError(message) from error
    return PassesTests(tests)


def _judged(wanted: JSON) -> Judged:
    fields = an_object({"criteria": wanted} if isinstance(wanted, str) else wanted, {"criteria", "model"})
    return Judged(required(fields, "criteria"), a_text(fields, "model"))


def _count(what: str) -> Callable[[JSON], Count]:
    def build(wanted: JSON) -> Count:
        if isinstance(wanted, int) and not isinstance(wanted, bool):
            return _possible(Count(what, wanted, wanted))
        fields = an_object(wanted, {"least", "most"})
        most = None if fields.get("most") is None else int(number(fields, "most", 0))
        least = 0 if fields.get("least") is None else int(number(fields, "least", 0))
        return _possible(Count(what, least, most))

    return build


def _possible(wanted: Count) -> Count:
    if wanted.most is not None and not 0 <= wanted.least <= wanted.most:
        message = f"no answer has at least {wanted.least} and at most {wanted.most}"
        raise ValueError(message)
    return wanted


def _order(wanted: JSON) -> InOrder:
    fields = an_object(wanted, {"items", "before"})
    items = _texts(fields.get("items"))
    pairs = [_texts(pair) for pair in a_list(fields, "before")]
    if not all(len(pair) == 2 and set(pair) <= set(items) for pair in pairs):
        message = f"before must be a list of pairs of {', '.join(items)}"
        raise ValueError(message)
    return InOrder(items, tuple((first, second) for first, second in pairs))


def _call(wanted: JSON, tools: Sequence[Tool]) -> Calls:
    fields = an_object(wanted, {"name", "arguments"})
    name = required(fields, "name")
    if name not in {tool.name for tool in tools}:
        message = f"{name!r} is none of the tools"
        raise ValueError(message)
    arguments = fields.get("arguments", {})
    return Calls(name, an_object(arguments, None), tuple(tools))


def _no_call(wanted: JSON) -> CallsNothing:
    if wanted is not True:
        message = "must be true"
        raise ValueError(message)
    return CallsNothing()


_CHECKS: Mapping[str, Callable[[JSON], AnyCheck]] = {
    "equals": lambda wanted: Equals(_texts(wanted)),
    "contains": lambda wanted: Contains(_texts(wanted)),
    "absent": lambda wanted: Absent(_texts(wanted)),
    "answer": lambda wanted: FinalAnswer(_texts(wanted)),
    "regex": _matches,
    "schema": lambda wanted: FitsSchema(a_schema(wanted)),
    "json": HasValues,
    "code": _code,
    "judge": _judged,
    "words": _count("words"),
    "lines": _count("lines"),
    "order": _order,
    "no_call": _no_call,
}
