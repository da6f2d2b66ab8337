"""The forms of a line: what goes in comes out, and what is no request is refused with a reason."""

import base64
import json
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout import JSON, JSONObject, LLMError, ModelRequest, Operation, Reply, ToolCall, Usage
from turnout.wire import chat_body, embeddings_body
from turnout_parallel.batch_line import SIMPLE, digest, read_line
from turnout_parallel.fields import LineError
from turnout_parallel.openai_body import CHAT, EMBEDDINGS, read_body

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAME = st.text("abcxyz_", min_size=1, max_size=8)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
SCHEMAS = st.fixed_dictionaries({"type": st.just("object")}, optional={"title": NAME})
CALLS = st.builds(
    lambda name, arguments: {
        "id": "1",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    },
    NAME,
    st.just('{"a": 1}'),
)
PARTS = st.builds(lambda text: {"type": "text", "text": text}, TEXT) | st.just(
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
)
MESSAGES = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "user", "assistant", "tool"]),
        "content": TEXT | st.lists(PARTS, min_size=1),
    },
    optional={
        "name": NAME, "tool_call_id": NAME, "tool_calls": st.lists(CALLS, min_size=1, max_size=2), "x": JSONS
    },
)  # fmt: skip
TOOLS = st.builds(
    lambda name, text: {
        "type": "function",
        "function": {"name": name, "description": text, "parameters": {"type": "object", "properties": {}}},
    },
    NAME,
    TEXT,
)
BODIES = st.fixed_dictionaries(
    {"model": st.just("acme/owl-8b"), "messages": st.lists(MESSAGES, min_size=1, max_size=3)},
    optional={
        "max_tokens": st.integers(1, 10_000),
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0, 1),
        "stop": st.lists(TEXT, min_size=1, max_size=2),
        "seed": st.integers(0, 2**31),
        "reasoning_effort": st.just("low"),
        "tools": st.lists(TOOLS, min_size=1, max_size=2),
        "tool_choice": st.sampled_from(["auto", "none", "required"])
        | st.just({"type": "function", "function": {"name": "f"}}),
        "response_format": SCHEMAS.map(
            lambda schema: {
                "type": "json_schema",
                "json_schema": {"name": schema.get("title", "answer"), "strict": True, "schema": schema},
            }
        ),
        "frequency_penalty": st.floats(-2, 2),
        "user": TEXT,
        "logit_bias": st.dictionaries(NAME, st.integers(-100, 100)),
    },
)


@given(BODIES)
def test_a_chat_goes_to_the_server_as_it_came(body: JSONObject) -> None:
    """Every field of a body, known or not, is in the body that the request makes again."""
    assert chat_body(read_body(CHAT, body), "acme/owl-8b") == body


@given(st.lists(TEXT, min_size=1), st.dictionaries(NAME, JSONS, max_size=2))
def test_embeddings_go_to_the_server_as_they_came(texts: list[str], more: JSONObject) -> None:
    """The same for embeddings, and one text may stand without a list."""
    body: JSONObject = {**more, "model": "nest", "input": [*texts]}
    assert embeddings_body(read_body(EMBEDDINGS, body), "nest") == body
    single = read_body(EMBEDDINGS, {"input": texts[0]})
    assert (single.inputs, single.operation) == ((texts[0],), Operation.EMBEDDINGS)


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        ({"max_completion_tokens": 7, "max_tokens": 9}, "max_tokens", 7),
        ({"stop": "END"}, "stop", ("END",)),
        ({"model": "default"}, "explicit_model", None),
        ({"response_format": {"type": "json_object"}}, "schema", {"type": "object"}),
        ({"response_format": {"type": "text"}}, "schema", None),
        ({"stream": True, "stream_options": {"include_usage": True}, "n": 1}, "streaming", False),
        ({"stream": True, "stream_options": {}, "n": None}, "extra", {}),
        ({"response_format": {"type": "grammar"}}, "extra", {"response_format": {"type": "grammar"}}),
    ],
)
def test_fields_that_mean_the_same(body: JSONObject, field: str, value: object) -> None:
    """Other spellings are understood, and what makes no sense in a file is left out."""
    request = read_body(CHAT, {"messages": [{"role": "user", "content": "Hi"}], **body})
    assert getattr(request, field) == value


MESSAGE: JSONObject = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "messages must hold"),
        ({"messages": "Hi"}, "messages must be a list"),
        ({"messages": [{"role": "wizard"}]}, "role must be one of"),
        ({"messages": [{"role": "user", "content": 7}]}, "content must be"),
        ({"messages": [{"role": "user", "content": [7]}]}, "neither text nor image_url"),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "neither text nor image_url",
        ),
        ({"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]}, "name a function"),
        ({"messages": [MESSAGE], "tools": [{"type": "function"}]}, "function with a name"),
        ({"messages": [MESSAGE], "tool_choice": "maybe"}, "tool_choice must be"),
        ({"messages": [MESSAGE], "tool_choice": [1]}, "tool_choice must be"),
        ({"messages": [MESSAGE], "n": 3}, "n must be 1"),
        ({"messages": [MESSAGE], "max_tokens": 0}, "max_tokens must be at least 1"),
        ({"messages": [MESSAGE], "max_tokens": 1.5}, "a whole number"),
        ({"messages": [MESSAGE], "max_tokens": True}, "a whole number"),
        ({"messages": [MESSAGE], "temperature": 10**400}, "a number"),
        ({"messages": [MESSAGE], "seed": 10**30}, "a whole number"),
        ({"messages": [MESSAGE], "stream": "yes"}, "true or false"),
        ({"messages": [MESSAGE], "stop": [1]}, "a list of strings"),
        ({"messages": [MESSAGE], "response_format": "json"}, "an object"),
    ],
)
def test_a_body_that_is_none(body: JSONObject, words: str) -> None:
    """The error names the field and what it must be."""
    with pytest.raises(LineError, match=words):
        read_body(CHAT, body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "at least one text"),
        ({"input": [[1, 2]]}, "strings"),
        ({"input": "a", "encoding_format": "x"}, "base64"),
    ],
)
def test_embeddings_that_are_none(body: JSONObject, words: str) -> None:
    """Token arrays and other formats are refused."""
    with pytest.raises(LineError, match=words):
        read_body(EMBEDDINGS, body)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nope", "no JSON"),
        ("{", "no JSON"),
        ("[1]", "no object"),
        ('{"prompt": NaN}', "NaN"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"prompt": "\\ud800"}', "half a character"),
        ('{"prompt": "Hi", "system": 7}', "system must be a string"),
        ('{"prompt": "  "}', "neither a prompt"),
        ('{"promt": "Hi"}', "did you mean 'prompt'"),
        ('{"prompt": "Hi", "label": 1}', "known are prompt"),
        ('{"prompt": "Hi", "id": 1.5}', "id must be"),
        ('{"prompt": "Hi", "id": true}', "id must be"),
        ('{"prompt": "Hi", "task_type": "magic"}', "magic"),
        ('{"prompt": "Hi", "timeout": 0}', "timeout"),
        ('{"prompt": "Hi", "timeout": 1e999}', "a number"),
        ('{"body": {}}', "no custom_id"),
        ('{"custom_id": "a"}', "no body"),
        ('{"custom_id": 7, "body": {}}', "custom_id must be a string"),
        ('{"custom_id": "a", "method": "GET", "body": {}}', "method must be POST"),
        ('{"custom_id": "a", "url": "/v1/responses", "body": {}}', "url must be"),
    ],
)
def test_a_line_that_is_none(line: str, words: str) -> None:
    """Whatever stands there, the reason is said and nothing else is raised."""
    with pytest.raises(LineError, match=words):
        read_line(line, plain=False)


@given(
    st.text(max_size=60)
    | JSONS.map(json.dumps)
    | st.dictionaries(st.sampled_from(SIMPLE), JSONS).map(json.dumps)
)
def test_any_line_is_a_request_or_refused(line: str) -> None:
    """Nothing that can stand on a line raises anything but a reason."""
    with suppress(LineError):
        assert read_line(line, plain=False).request.conversation


@given(st.dictionaries(st.sampled_from(["custom_id", "method", "url", "body", "x"]), JSONS).map(json.dumps))
def test_any_openai_line_is_a_request_or_refused(line: str) -> None:
    """The same for what looks like OpenAI's lines."""
    with suppress(LineError):
        assert isinstance(read_line(line, plain=False).request, ModelRequest)


SIMPLE_LINES = st.fixed_dictionaries(
    {"prompt": TEXT.filter(str.strip)},
    optional={
        "id": NAME | st.integers(), "model": NAME, "system": TEXT, "max_tokens": st.integers(1, 99),
        "temperature": st.floats(0, 2), "stop": st.lists(TEXT, max_size=2), "seed": st.integers(0, 99),
        "schema": SCHEMAS, "task_type": st.just("planning"), "timeout": st.floats(1, 99), "metadata": JSONS,
    },
)  # fmt: skip


@given(SIMPLE_LINES)
def test_a_simple_line_is_understood(values: JSONObject) -> None:
    """Each field reaches the request, and id and metadata come back beside the answer."""
    line = read_line(json.dumps(values), plain=False)
    request = line.request
    assert request.task == values["prompt"]
    named = {"model": request.explicit_model, "system": request.system, "seed": request.seed}
    assert {name: values.get(name) for name in named} == named
    answer = line.answer("name", "digest", Reply("Yes.", "m", "h"))
    assert (answer["text"], answer["error"], answer["id"]) == ("Yes.", None, "name")
    assert answer.get("metadata") == values.get("metadata")
    assert line.id == values.get("id")


def test_plain_text_is_a_prompt() -> None:
    """A line of a text file is sent as it is, also one that looks like JSON."""
    line = read_line('  {"a": 1}\r\n', plain=True)
    assert (line.id, line.request.task) == (None, '{"a": 1}')


def openai_line(url: str, **body: JSON) -> str:
    return json.dumps({"custom_id": "a", "method": "POST", "url": url, "body": body})


def test_an_answer_in_openais_form() -> None:
    """Text, reasoning, tool calls, usage and the reason of the end stand where a client looks for them."""
    line = read_line(openai_line(CHAT, messages=[MESSAGE]), plain=False)
    reply = Reply(
        "", "acme/owl-8b", "desk", "Hm.", (ToolCall("1", "weather", '{"town": "Lyon"}'),),
        usage=Usage(3, 5, 2, 1), finish_reason="tool_calls", request_id="r1",
    )  # fmt: skip
    answer = line.answer("a", "d1", reply)
    assert (answer["id"], answer["custom_id"], answer["error"]) == ("batch_req_d1", "a", None)
    response = answer["response"]
    assert isinstance(response, dict)
    assert (response["status_code"], response["request_id"]) == (200, "r1")
    body = response["body"]
    assert isinstance(body, dict)
    choices = body["choices"]
    assert isinstance(choices, list)
    (choice,) = choices
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"town": "Lyon"}'}}
    message = {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": [call]}
    assert choice == {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}
    assert (body["object"], body["model"]) == ("chat.completion", "acme/owl-8b")
    assert body["usage"] == {
        "prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8,
        "prompt_tokens_details": {"cached_tokens": 1}, "completion_tokens_details": {"reasoning_tokens": 2},
    }  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
def test_vectors_in_the_form_that_was_asked_for(packed: bool) -> None:
    """Floats as they are, or packed as 32-bit little-endian in base64."""
    form = "base64" if packed else "float"
    line = read_line(openai_line(EMBEDDINGS, input="a", encoding_format=form), plain=False)
    assert "encoding_format" not in line.request.extra
    answer = line.answer("a", "d", Reply("", "nest", "desk", embeddings=((0.5, -2.0),)))
    vector = answer["response"]["body"]["data"][0]["embedding"]  # type: ignore[index, call-overload]
    if packed:
        vector = list(struct.unpack("<2f", base64.b64decode(str(vector))))
    assert vector == [0.5, -2.0]


def test_an_error_in_both_forms() -> None:
    """It stands where the answer would be, with its class and its words."""
    error = LLMError("lost", advice="Look again.")
    wire = read_line(openai_line(CHAT, messages=[MESSAGE]), plain=False).answer("a", "d", error)
    simple = read_line('{"prompt": "Hi", "metadata": 7}', plain=False).answer("a", "d", error)
    said = {"code": "LLMError", "message": "lost. Look again."}
    assert (wire["response"], wire["error"]) == (None, said)
    assert (simple["text"], simple["error"], simple["metadata"]) == (None, said, 7)


@given(st.text(), st.text())
def test_a_digest_tells_lines_apart(one: str, other: str) -> None:
    """Only space around them makes no difference."""
    assert (digest(one) == digest(other)) == (one.strip() == other.strip())
    assert digest(f"  {one}\r\n") == digest(one)
