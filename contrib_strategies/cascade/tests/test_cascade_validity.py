"""Which answers hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from turnout_cascade.repetition import repeats
from turnout_cascade.self_check import question, verdict
from turnout_cascade.validity import flaw_of

from turnout import (
    Deployment,
    Done,
    Host,
    JSONObject,
    Message,
    ModelInfo,
    ModelRequest,
    TaskType,
    Text,
    Tool,
    ToolCallDelta,
)
from turnout.wire import ReplyBuilder

PLAIN = ModelRequest("hi")
CODE = ModelRequest("write it", task_type=TaskType.CODE_GENERATION)
SCHEMA: JSONObject = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TOOLS = ModelRequest("look", tools=(Tool("look", parameters=SCHEMA),))


def answer(text: str = "", *calls: tuple[str, str], reason: str = "stop") -> ReplyBuilder:
    """Put an answer together as it comes."""
    builder = ReplyBuilder()
    builder.feed(Text(text=text))
    for index, (name, arguments) in enumerate(calls):
        builder.feed(ToolCallDelta(index=index, name=name, arguments=arguments))
    builder.feed(Done(finish_reason=reason))
    return builder


def kind(request: ModelRequest, given_: ReplyBuilder) -> str | None:
    """Return at which check an answer fails."""
    flaw = flaw_of(request, given_)
    return None if flaw is None else flaw.kind


@pytest.mark.parametrize(
    ("request_", "given_", "expected"),
    [
        (PLAIN, answer("Paris."), None),
        (PLAIN, answer("  \n"), "empty"),
        (PLAIN, answer("Par", reason="length"), "cut"),
        (ModelRequest("hi", max_tokens=1), answer("Par", reason="length"), None),
        (PLAIN, answer("", reason="content_filter"), "filtered"),
        (ModelRequest("hi", schema=SCHEMA), answer('{"n": 1}'), None),
        (ModelRequest("hi", schema=SCHEMA), answer("Sure! n is 1"), "schema"),
        (ModelRequest("hi", schema=SCHEMA), answer('{"n": "1"}'), "schema"),
        (ModelRequest("hi", schema={"type": "nonsense"}), answer("{}"), None),
        (ModelRequest("hi", schema={"$ref": "http://nowhere.invalid/s"}), answer("{}"), None),
        (TOOLS, answer("", ("look", '{"n": 1}'), reason="tool_calls"), None),
        (TOOLS, answer("No need."), None),
        (ModelRequest("look", tools=TOOLS.tools, tool_choice="required"), answer("No need."), "tools"),
        (TOOLS, answer("", ("jump", "{}")), "tools"),
        (TOOLS, answer("", ("look", '{"n": ')), "tools"),
        (TOOLS, answer("", ("look", "[1]")), "tools"),
        (TOOLS, answer("", ("look", '{"n": 1}'), ("look", "{}")), "tools"),
        (CODE, answer("```python\ndef f():\n    return 1\n```"), None),
        (CODE, answer("```python\ndef f(:\n```"), "code"),
        (CODE, answer("  ```py\n  x = '\\d'\n  ```"), None),
        (CODE, answer("```python\nx = '\0'\n```"), "code"),
        (CODE, answer("```python\nx = " + "-" * 100_000 + "1\n```"), "code"),
        (CODE, answer("```python\n>>> f()\n1\n```"), None),
        (CODE, answer("```rust\nfn f( {\n```"), None),
        (CODE, answer("```\nx = (\n```"), None),
        (CODE, answer("```python\nx = 1\n"), "code"),
        (PLAIN, answer("This does not parse: ```python\ndef f(:\n```"), None),
        (PLAIN, answer("I'm sorry, but I can't help with that."), "refusal"),
        (PLAIN, answer("I’m unable to assist with this request."), "refusal"),
        (PLAIN, answer("As an AI language model, I don't have access to the web."), "refusal"),
        (PLAIN, answer("Unfortunately, I cannot open files."), "refusal"),
        (PLAIN, answer("Sorry to hear that you cannot sleep. Try tea."), None),
        (PLAIN, answer("You can write: I'm sorry, I can't come."), None),
        (PLAIN, answer("I can't recommend the film enough."), None),
        (TOOLS, answer("I'm sorry, I can't see it, so I look.", ("look", '{"n": 1}')), None),
        (PLAIN, answer("Well. " + "I think so. " * 40), "repetition"),
    ],
)
def test_an_answer_holds_or_not(request_: ModelRequest, given_: ReplyBuilder, expected: str | None) -> None:
    """Each check refuses what it is there for, and nothing beside it."""
    assert kind(request_, given_) == expected


@given(st.text(st.characters(codec="utf-8"), max_size=50), st.text("abc ", min_size=1, max_size=30))
def test_going_round_in_circles_is_seen_wherever_it_begins(before: str, circle: str) -> None:
    """Six rounds over 240 characters are a loop, whatever stands before them, if they say anything."""
    rounds = max(6, -(-260 // len(circle)))
    assert repeats(before + circle * rounds) == (circle.strip() != "")


@given(st.text(max_size=239))
def test_what_is_short_does_not_go_round(text: str) -> None:
    """A short answer may say the same six times."""
    assert not repeats(text)


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"{n}. item" for n in range(200)),
        "| a | b |\n|" + "-" * 300,
        "A list of words that are all different in some way, " * 4 + "and an end.",
    ],
)
def test_order_is_no_loop(text: str) -> None:
    """Numbered lines, rulers and refrains with an end are answers."""
    assert not repeats(text)


def test_a_ruler_without_end_is_a_loop() -> None:
    """Two thousand dashes are no table any more."""
    assert repeats("-" * 2000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes.", True),
        ("**No**, because", False),
        ("The answer is no.", False),
        ("Nobody knows", None),
        ("", None),
    ],
)
def test_the_first_word_is_the_verdict(text: str, expected: bool | None) -> None:
    """Yes or no, wherever it stands first, and nothing else."""
    assert verdict(text) is expected


def test_the_question_is_the_conversation_with_the_answer() -> None:
    """The model sees all that it saw, its answer, and the question, and need neither think nor call."""
    info = ModelInfo("m", reasoning=("off", "on"))
    request = ModelRequest(
        "What is it?", system="Be kind.", tools=TOOLS.tools, schema=SCHEMA, stop=("x",), store=True
    )
    asked = question(request, "A bird.", Deployment(info, Host("desk", "", "lmstudio")), 9)
    assert asked.conversation[:3] == (
        Message("system", "Be kind."), Message("user", "What is it?"), Message("assistant", "A bird."),
    )  # fmt: skip
    assert (asked.tools, asked.schema, asked.stop, asked.stateful) == ((), None, (), False)
    assert (asked.max_tokens, asked.reasoning_effort) == (9, "off")
    assert asked.id != request.id
