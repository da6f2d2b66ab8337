"""One's own prompts: what a line may be, and what is said of one that is wrong."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.errors import LLMValidationError
from turnout.messages import JSON
from turnout.skills import ModelCapability, TaskType
from turnout_calibration.code import Judged, PassesTests
from turnout_calibration.own import parse, read_file
from turnout_calibration.reading import task

GOOD = '{"prompt": "Hi", "checks": [{"contains": "hello"}]}'


def one(**fields: JSON) -> str:
    return json.dumps({"prompt": "Hi", "checks": [{"contains": "hello"}], **fields})


def test_a_plain_line_is_a_task() -> None:
    """Prompt and checks are enough: the line's number is the name, and it tells of general use."""
    (made,) = parse(f"\n{GOOD}\n").tasks
    assert (made.id, made.prompt, made.weight, made.source) == ("line 2", "Hi", 1.0, "prompt")
    assert made.skills == {ModelCapability.GENERAL: 1.0}


def test_a_full_line_keeps_everything() -> None:
    """System prompt, id, task type, weight, schema and every kind of check are taken as they stand."""
    line = one(
        id=7,
        system="Be brief.",
        task_type="planning",
        weight=2,
        schema={"type": "object"},
        max_tokens=50,
        checks=[
            {"equals": ["a", 1]}, {"contains": "a"}, {"absent": "b"}, {"answer": 3}, {"regex": "^a"},
            {"schema": {"type": "object"}}, {"json": {"a": None}}, {"words": 3},
            {"lines": {"least": 1, "most": 2}}, {"code": {"tests": "assert f(1)", "language": "python"}},
            {"judge": {"criteria": "kind", "model": "owl"}}, {"judge": "brief"},
            {"order": {"items": ["a", "b"], "before": [["a", "b"]]}}, {"no_call": True},
            {"words": {"least": 2}}, {"words": {"most": 2}}, {"words": 0},
        ],
    )  # fmt: skip
    (made,) = parse(line, "owl").tasks
    assert (made.id, made.system, made.max_tokens) == ("7", "Be brief.", 50)
    assert made.skills == {TaskType.PLANNING: 2.0}
    assert made.checks[9] == PassesTests("assert f(1)")
    assert made.judged == (Judged("kind", "owl"), Judged("brief"))
    assert len(made.checks) == 17


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "not JSON: Expecting property name enclosed in double quotes at column 2"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "a task is a JSON object"),
        ('{"prompt": "Hi"}', "it has no checks"),
        ('{"checks": [{"contains": "a"}]}', "prompt is missing"),
        (one(prompt=""), "prompt: must be a text, not ''"),
        (one(prompt=3), "prompt: must be a text, not 3"),
        (one(chekcs=[]), "there is no key 'chekcs'; known are"),
        (one(system=1), "system: must be a text"),
        (one(task_type="cooking"), "task_type: must be one of code_generation"),
        (one(weight=0), "weight: must be a number above 0"),
        (one(weight=True), "weight: must be a number above 0"),
        (one(weight=float("nan")), "weight: must be a number above 0"),
        (one(checks="x"), "checks: must be a list"),
        (one(checks=["x"]), "checks[0]: a check is an object with one key"),
        (one(checks=[{"a": 1, "b": 2}]), "checks[0]: a check is an object with one key"),
        (one(checks=[{"equal": 1}]), "checks[0]: there is no check 'equal'; known are equals"),
        (one(checks=[{"contains": ""}]), "checks[0]: contains: must be a text or a list"),
        (one(checks=[{"contains": []}]), "checks[0]: contains: must be a text or a list"),
        (one(checks=[{"contains": "a"}, {"regex": "("}]), "checks[1]: regex: not a regular expression"),
        (one(checks=[{"regex": 3}]), "regex: must be a text, not 3"),
        (one(checks=[{"schema": 3}]), "schema: must be a JSON Schema"),
        (one(checks=[{"schema": {"type": "text"}}]), "schema: not a valid JSON Schema: $.type"),
        (one(schema={"type": 3}), "schema: not a valid JSON Schema"),
        (one(checks=[{"code": {"tests": "assert ("}}]), "code: tests: not Python"),
        (one(checks=[{"code": {"tests": "x", "language": "cobol"}}]), "only python can be run, not 'cobol'"),
        (one(checks=[{"code": {}}]), "code: tests is missing"),
        (one(checks=[{"code": "x"}]), "code: must be an object"),
        (one(checks=[{"judge": {"criteria": "x", "modle": "y"}}]), "judge: there is no key 'modle'"),
        (one(checks=[{"judge": "x"}]), "a judge check names no model, and there is no --judge"),
        (one(checks=[{"words": "x"}]), "words: must be an object"),
        (one(checks=[{"words": {"most": -1}}]), "words: most: must be a number above 0"),
        (one(checks=[{"words": {"least": 5, "most": 1}}]), "words: no answer has at least 5 and at most 1"),
        (one(checks=[{"lines": -1}]), "lines: no answer has at least -1"),
        (one(checks=[{"order": {"items": ["a"], "before": [["a", "b"]]}}]), "before must be a list of pairs"),
        (one(checks=[{"no_call": False}]), "no_call: must be true"),
        (one(checks=[{"call": {"name": "x"}}]), "call: 'x' is none of the tools"),
        (one(tools=[{"nam": "x"}]), "tools[0]: there is no key 'nam'"),
        (one(tools=[{"name": "x", "parameters": {"type": 1}}]), "tools[0]: parameters: not a valid"),
        (one(skills={"cooking": 1}), "there is no key 'cooking'"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named_with_what_is_wrong(line: str, words: str) -> None:
    """The error has the line's number, the place in it, and what should be there."""
    read = parse(f"{GOOD}\n{line}")
    assert [problem.line for problem in read.problems] == [2]
    assert words in read.problems[0].what


def test_every_wrong_line_is_said_at_once(tmp_path: Path) -> None:
    """All mistakes of a file come in one error, each with file and line; a long list is cut."""
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(["{", GOOD, "[]"]), encoding="utf-8")
    with pytest.raises(LLMValidationError) as caught:
        read_file(path)
    assert f"{path}:1: not JSON" in str(caught.value)
    assert f"{path}:3: a task is a JSON object" in str(caught.value)
    path.write_text("[]\n" * 50, encoding="utf-8")
    with pytest.raises(LLMValidationError, match="and 30 more"):
        read_file(path)


def test_two_lines_are_not_the_same_task() -> None:
    """A repeated id, and a repeated question with the same checks, are mistakes that name the first line."""
    read = parse("\n".join([one(id="a"), one(id="a", prompt="Ho"), one(id="b")]))
    assert [(problem.line, problem.what) for problem in read.problems] == [
        (2, "the id 'a' is that of line 1"),
        (3, "it asks and checks the same as line 1"),
    ]


def test_a_file_may_be_empty_or_no_text(tmp_path: Path) -> None:
    """No prompt at all, and bytes that are no UTF-8, are errors in words; a byte order mark is none."""
    path = tmp_path / "own.jsonl"
    path.write_text("\n \n", encoding="utf-8")
    with pytest.raises(LLMValidationError, match="has no prompts"):
        read_file(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(LLMValidationError, match="is not UTF-8"):
        read_file(path)
    path.write_text(f"\ufeff{GOOD}", encoding="utf-8")
    assert len(read_file(path)) == 1


def test_a_tool_call_can_be_a_check_of_ones_own() -> None:
    """A line may bring tools, and check that one of them is called."""
    made = task({"prompt": "x", "tools": [{"name": "t"}], "checks": [{"call": {"name": "t"}}]}, "n", "prompt")
    assert made.tools[0].name == "t"


def test_only_what_decides_about_a_result_makes_another_task() -> None:
    """Another name or weight leaves the fingerprint as it is; another question or check changes it."""
    (plain,) = parse(one()).tasks
    assert parse(one(id="x", weight=3, task_type="planning")).tasks[0].fingerprint == plain.fingerprint
    for other in (one(prompt="Ho"), one(system="x"), one(checks=[{"contains": "hallo"}])):
        assert parse(other).tasks[0].fingerprint != plain.fingerprint


@given(st.text(max_size=80) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["prompt", "checks", "equals", "code", "order", "words", "judge", "id"]), inner
    ),
).map(json.dumps))  # fmt: skip
def test_reading_never_raises(text: str) -> None:
    """Whatever a file holds, it is tasks or problems."""
    read = parse(text)
    assert len(read.tasks) + len(read.problems) <= text.count("\n") + 1
