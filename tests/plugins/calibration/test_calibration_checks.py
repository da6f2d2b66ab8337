"""Checks never raise, and mean what they say."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.messages import JSON, Tool, ToolCall
from turnout_calibration.check_reading import check
from turnout_calibration.checks import (
    Absent,
    Answer,
    Check,
    Contains,
    Count,
    Equals,
    FinalAnswer,
    Finding,
    InOrder,
    Matches,
    bare,
    final,
    score,
    words,
)
from turnout_calibration.code import extracted
from turnout_calibration.structured import Calls, CallsNothing, FitsSchema, HasValues, lacks, parsed

TEXT = st.text(st.characters() | st.sampled_from('{}[]",:\n`*. 0123456789ab'), max_size=60)
CALLS = st.lists(st.builds(ToolCall, st.just("1"), st.sampled_from(["a", "b"]), TEXT), max_size=2).map(tuple)
ANSWERS = st.builds(Answer, TEXT, CALLS)
JSONS: st.SearchStrategy[JSON] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
TOOL = Tool("a", parameters={"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}})
SCHEMA: dict[str, JSON] = {"type": "array", "items": {"type": "integer"}}
CHECKS: tuple[Check, ...] = (
    Equals(("a", "1")), FinalAnswer(("a", "1")), Contains(("a",)), Absent(("a",)),
    Matches(re.compile("^a+$")), Count("words", 1, 3), Count("lines", 1), InOrder(("a", "b"), (("a", "b"),)),
    FitsSchema(SCHEMA),
    HasValues({"a": [1, None]}), Calls("a", {"x": 1}, (TOOL,)), CallsNothing(),
)  # fmt: skip


def marks(check_: Check, text: str, *calls: ToolCall) -> float:
    return check_.look(Answer(text, calls)).score


@given(ANSWERS, st.sampled_from(CHECKS))
def test_no_check_ever_raises(answer: Answer, one: Check) -> None:
    """Whatever a model says, a check gives a score between 0 and 1, and a reason where that is not 1."""
    found = one.look(answer)
    assert 0.0 <= found.score <= 1.0
    assert (found.score == 1.0) is (found.why == "")


@given(TEXT.filter(bare))
def test_an_answer_equals_itself(text: str) -> None:
    """Every text that is more than marks equals itself, also in quotes and with space around it."""
    assert marks(Equals((text,)), text) == 1.0
    assert marks(Equals((text,)), f'  "{text}"\n') == 1.0
    assert marks(Equals(("nothing of the kind", text)), text) == 1.0


@pytest.mark.parametrize(
    ("wanted", "said", "equal"),
    [
        ("Lisbon", "lisbon.", True),
        ("Lisbon", "**Lisbon**", True),
        ("Lisbon", "It is Lisbon", False),
        ("new york", "New\n York", True),
        ("1,200", "1200", False),
        ("", "x", False),
    ],
)
def test_equals_forgives_form_and_nothing_else(wanted: str, said: str, equal: bool) -> None:
    """Case, space, quotes and a final stop do not matter to equals; every other letter does."""
    assert marks(Equals((wanted,)), said) == equal


@given(TEXT, TEXT, TEXT)
def test_contains_and_absent_are_opposites(before: str, text: str, after: str) -> None:
    """What an answer contains is not absent from it, and an answer contains each part of itself."""
    assert marks(Contains((text,)), text) == 1.0
    for said in (f"{before} {text} {after}", before):
        assert marks(Contains((text,)), said) + marks(Absent((text,)), said) == 1.0


def test_contains_wants_all_and_absent_wants_none() -> None:
    """Of several texts contains needs every one, and absent bears none."""
    assert marks(Contains(("owl", "Owl hunts")), "The owl  hunts.") == 1.0
    assert marks(Contains(("owl", "hawk")), "The owl hunts.") == 0.0
    assert marks(Absent(("hawk", "owl")), "The owl hunts.") == 0.0


@given(st.text(max_size=40), st.from_regex(r"[a-c.+*]{1,6}", fullmatch=True))
def test_regex_means_what_python_means(text: str, pattern: str) -> None:
    """A pattern is searched for anywhere, with line ends at ^ and $."""
    try:
        compiled = re.compile(pattern, re.MULTILINE)
    except re.error:
        with pytest.raises(ValueError, match="not a regular expression"):
            check({"regex": pattern})
        return
    found = check({"regex": pattern})
    assert isinstance(found, Matches)
    assert marks(found, text) == (compiled.search(text) is not None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Answer: 42", "42"),
        ("**Answer:** 1,200", "1,200"),
        ("So:\n**Answer**: $42$", "42"),
        ("Final answer:\n\n 7\nand more", "7"),
        ("The answer is: \\boxed{42}", "42"),
        ("Answer: 3\nno, wait.\nAnswer: 4", "4"),
        ("first\nlast 5\n", "last 5"),
        ("", ""),
        ("Answer:", ""),
    ],
)
def test_the_final_answer_is_found(text: str, said: str) -> None:
    """What stands after the last mark counts, else the last line."""
    assert final(text) == said


@pytest.mark.parametrize(
    ("wanted", "said", "same"),
    [
        ("1200", "Answer: 1,200.0 metres", True),
        ("46", "Answer: 46 full bags", True),
        ("46", "Answer: 46 of 50", False),
        ("46", "Answer: 64", False),
        ("46", "It is 46. So 46 it is.", True),
        ("3:00", "Answer: 3:00", True),
        ("blue", "Answer: Blue.", True),
        ("blue", "Answer: not blue", False),
        ("-5", "Answer: -5 °C", True),
    ],
)
def test_numbers_count_by_their_value(wanted: str, said: str, same: bool) -> None:
    """A number may have separators and a unit, and no other number beside it."""
    assert marks(FinalAnswer((wanted,)), said) == same


def test_words_and_lines_are_counted_as_people_do() -> None:
    """Hyphens and apostrophes make no new word, marks are none, and empty lines do not count."""
    assert words("Don't sing, well-known *owl*!") == ["Don't", "sing", "well-known", "owl"]
    assert marks(Count("words", 3, 3), "one two three.") == 1.0
    assert marks(Count("words", 4, 4), "one two three.") == 0.0
    assert marks(Count("lines", 2, 2), "one\n\n two\n") == 1.0
    assert Count("lines", 1, 2).look(Answer("a\nb\nc")) == Finding(0.0, "3 lines, not 1 to 2")
    assert Count("lines", 4).look(Answer("a")) == Finding(0.0, "1 lines, not at least 4")


@given(st.permutations(["A", "B", "C", "D"]))
def test_an_order_is_right_where_every_pair_is(order: list[str]) -> None:
    """Exactly the orders that keep each pair get full marks."""
    pairs = (("A", "B"), ("C", "D"))
    keeps = all(order.index(one) < order.index(other) for one, other in pairs)
    assert marks(InOrder(tuple("ABCD"), pairs), f"Answer: {', '.join(order)}") == keeps


@pytest.mark.parametrize("said", ["A, B, C", "A, B, C, D, D", "A -> B -> E", ""])
def test_an_order_names_each_once(said: str) -> None:
    """What is left out, named twice or not known makes an order wrong."""
    assert marks(InOrder(tuple("ABCD")), f"Answer: {said}") == 0.0


@given(JSONS)
def test_json_has_its_own_values(value: JSON) -> None:
    """Every JSON value has itself, also inside a fenced block, and fits a schema that asks nothing."""
    text = json.dumps(value)
    assert marks(HasValues(value), text) == 1.0
    assert marks(HasValues(value), f"Here it is:\n```json\n{text}\n```") == 1.0
    assert marks(FitsSchema({}), text) == 1.0


@pytest.mark.parametrize(
    ("value", "wanted", "missing"),
    [
        ({"a": 1, "b": 2}, {"a": 1.0}, ""),
        ({"a": "Ilse  Brandner"}, {"a": "ilse brandner"}, ""),
        ({"a": 1}, {"b": 1}, "$.b is missing"),
        ({"a": [1, 2]}, {"a": [1]}, "$.a is"),
        ({"a": [{"x": 1}]}, {"a": [{"x": 2}]}, "$.a[0].x is"),
        (True, 1, "$ is"),
        (1, True, "$ is"),
        ([], {}, "$ is"),
        (None, None, ""),
    ],
)
def test_what_json_lacks_is_named(value: JSON, wanted: JSON, missing: str) -> None:
    """Objects may have more, lists may not; texts and numbers are compared as people do; the path is said."""
    found = lacks(value, wanted)
    assert found.startswith(missing)
    assert bool(found) is bool(missing)


def test_a_schema_is_applied_and_fetches_nothing() -> None:
    """What breaks the schema is named, and a reference to elsewhere is an answer and no request."""
    found = FitsSchema(SCHEMA).look(Answer('[1, "x"]'))
    assert found.score == 0.0
    assert "$[1]" in found.why
    assert "not JSON" in FitsSchema(SCHEMA).look(Answer("[1")).why
    away = FitsSchema({"$ref": "http://localhost:9/schema"}).look(Answer("1"))
    assert "not in it" in away.why


def test_deep_nesting_is_no_crash() -> None:
    """JSON that is nested without end is just not JSON."""
    with pytest.raises(ValueError, match="nested too deeply"):
        parsed("[" * 100_000)
    endless: dict[str, JSON] = {"$ref": "#"}
    assert marks(FitsSchema({"anyOf": [endless]}), "1") in (0.0, 1.0)


@pytest.mark.parametrize(
    ("calls", "marks_"),
    [
        ([], 0.0),
        ([ToolCall("1", "b", '{"x": 1}')], 0.0),
        ([ToolCall("1", "a", '{"x": 1}'), ToolCall("2", "a", '{"x": 1}')], 0.0),
        ([ToolCall("1", "a", '{"x": 1}')], 1.0),
        ([ToolCall("1", "a", '{"x": 2}')], 0.5),
        ([ToolCall("1", "a", '{"x": "1"}')], 0.5),
        ([ToolCall("1", "a", "{}")], 0.5),
        ([ToolCall("1", "a", "x")], 0.5),
    ],
)
def test_a_tool_call_needs_name_and_arguments(calls: list[ToolCall], marks_: float) -> None:
    """The right tool alone is worth half; all of it needs valid arguments with the wanted values."""
    assert marks(Calls("a", {"x": 1}, (TOOL,)), "", *calls) == marks_
    assert marks(CallsNothing(), "", *calls) == (not calls)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x = 1", "x = 1"),
        ("Sure:\n```python\nx = 1\n```\nDone.", "x = 1\n"),
        ("```python\nprint(f(1))\n```\n```py\ndef f(x):\n    return x\n```", "def f(x):\n    return x\n"),
        ("```bash\npip install x\n```\n```\nclass A: pass\n```", "class A: pass\n"),
        ("```python\ndef f(:\n```", "def f(:\n"),
        ("```python\ndef f(): pass", "def f(): pass"),
    ],
)
def test_code_is_taken_out_of_its_prose(text: str, code: str) -> None:
    """The first Python block that defines something counts, else the first, else the whole text."""
    assert extracted(text) == code


@given(TEXT)
def test_code_can_be_looked_for_anywhere(text: str) -> None:
    """Looking for code never raises, and what it finds is part of the text."""
    assert extracted(text) in text


def test_a_score_is_the_mean() -> None:
    """Each check counts alike; without any there are no marks."""
    assert score([Finding(1.0), Finding(0.0, "no"), Finding(0.5, "half")]) == 0.5
    assert score([]) == 0.0
