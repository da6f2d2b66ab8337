"""``turnout ask``: one prompt, one answer."""

import base64
import json
import re
from pathlib import Path

import pytest
from attrs import evolve

from turnout import JSONObject, Router, Vetoes, hookimpl
from turnout_testing import (
    Crash,
    EmulatedModel,
    Emulator,
    RecordedRequest,
    WrongModel,
)

from .conftest import Desk, MakeDesk

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)


def chats(desk: Desk) -> list[JSONObject]:
    requests: list[RecordedRequest] = desk.emulator.requests
    bodies = [request.body for request in requests if request.path == "/v1/chat/completions"]
    return [body for body in bodies if isinstance(body, dict)]


def sent(desk: Desk) -> object:
    """Return what the user's message said to the model."""
    messages = chats(desk)[-1]["messages"]
    assert isinstance(messages, list)
    last = messages[-1]
    assert isinstance(last, dict)
    return last["content"]


def test_the_answer_alone_goes_to_stdout(desk: Desk) -> None:
    """Stdout holds the answer and nothing else; who gave it and what it took stands on stderr."""
    done = desk.run("ask", "hello", "there")
    assert done.exit_code == 0
    assert done.stdout == 'You said: "hello there". That is all I know.\n'
    assert "acme/hawk-vl-4b on desk (performance: " in done.stderr
    assert "tokens/s" in done.stderr


def test_it_streams(desk: Desk) -> None:
    """The model is asked to stream, unless that is not wanted; the words are the same."""
    streamed = desk.run("ask", "hello")
    whole = desk.run("ask", "--no-stream", "hello")
    assert streamed.stdout == whole.stdout
    assert [body.get("stream", False) for body in chats(desk)] == [True, False]


def test_quiet_says_nothing(desk: Desk) -> None:
    """With -q stderr is empty when all went well."""
    assert desk.run("ask", "-q", "hello").stderr == ""


def test_options_reach_the_model(desk: Desk) -> None:
    """The sampling options and the system prompt are sent as they are given."""
    desk.run("ask", "--max-tokens", "7", "--temperature", "0.5", "-s", "Be brief", "-m", "owl-8b", "hello")
    body = chats(desk)[-1]
    assert (body["max_tokens"], body["temperature"], body["model"]) == (7, 0.5, "acme/owl-8b")
    assert body["messages"] == [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "hello"},
    ]


def test_json_has_everything(desk: Desk) -> None:
    """--json prints the whole reply: text, usage, timings, the selection with its explanation, attempts."""
    reply = desk.json("ask", "hello")
    assert reply["text"] == 'You said: "hello". That is all I know.'
    assert (reply["model"], reply["host"], reply["finish_reason"]) == ("acme/hawk-vl-4b", "desk", "stop")
    assert set(reply) >= {"usage", "timings", "selection", "attempts", "reasoning", "request_id"}
    selection, attempts = reply["selection"], reply["attempts"]
    assert isinstance(selection, dict)
    assert isinstance(attempts, list)
    assert selection["strategy"] == "performance"
    explanation = selection["explanation"]
    assert isinstance(explanation, dict)
    assert explanation["candidates"] == ["acme/hawk-vl-4b", "acme/owl-8b"]
    assert [dict(one)["error"] for one in attempts if isinstance(one, dict)] == [None]


def test_json_and_whole_answers(desk: Desk) -> None:
    """--json goes with --no-stream too."""
    assert desk.json("ask", "--no-stream", "hello")["host"] == "desk"


# --- the prompt -----------------------------------------------------------------------------------------


def test_piped_text_is_the_prompt(desk: Desk) -> None:
    """Without words the prompt is what is piped in."""
    desk.run("ask", stdin="from a pipe")
    assert sent(desk) == "from a pipe"


def test_piped_text_follows_the_words(desk: Desk) -> None:
    """Piped text stands behind the words."""
    desk.run("ask", "Review", "this:", stdin="a diff\n")
    assert sent(desk) == "Review this:\n\na diff\n"


def test_a_dash_says_where_piped_text_goes(desk: Desk) -> None:
    """Where a word is "-", the piped text stands there."""
    desk.run("ask", "Is", "-", "a city?", stdin="Oslo\n")
    assert sent(desk) == "Is Oslo a city?"


def test_no_prompt_is_a_usage_error(desk: Desk) -> None:
    """Nothing to ask ends with 2, and nothing is sent."""
    done = desk.run("ask", stdin="  \n")
    assert done.exit_code == 2
    assert "There is no prompt" in done.stderr
    assert not desk.emulator.requests


def test_text_that_is_not_utf8(desk: Desk) -> None:
    """Bytes that are no UTF-8 are replaced, with one warning."""
    done = desk.run("ask", stdin=b"caf\xe9 and na\xefve")
    assert done.exit_code == 0
    assert sent(desk) == "caf� and na�ve"
    assert done.stderr.count("is not UTF-8") == 1


def test_a_byte_order_mark_is_dropped(desk: Desk) -> None:
    """The mark that some editors put first does not reach the model."""
    desk.run("ask", stdin=b"\xef\xbb\xbfhello")
    assert sent(desk) == "hello"


def test_files_go_along_under_their_names(desk: Desk, tmp_path: Path) -> None:
    """Each --file is attached with its name, after the words."""
    (tmp_path / "a.py").write_text("print(1)", encoding="utf-8")
    (tmp_path / "b.md").write_text("# Ünïcode\n", encoding="utf-8")
    desk.run("ask", "Explain", "-f", "a.py", "--file", str(tmp_path / "b.md"))
    assert sent(desk) == (
        'Explain\n\n<file name="a.py">\nprint(1)\n</file>\n\n<file name="b.md">\n# Ünïcode\n</file>'
    )


def test_a_binary_file_is_refused(desk: Desk, tmp_path: Path) -> None:
    """A file with NUL bytes is no text, and the error says what images want."""
    (tmp_path / "a.bin").write_bytes(b"\x00\x01")
    done = desk.run("ask", "Explain", "-f", "a.bin")
    assert done.exit_code == 2
    assert "--image" in done.stderr


def test_a_missing_file_is_a_usage_error(desk: Desk) -> None:
    """A file that is not there ends with 2."""
    assert desk.run("ask", "Explain", "-f", "nowhere.py").exit_code == 2


# --- images ---------------------------------------------------------------------------------------------


def test_an_image_goes_along_as_a_data_url(desk: Desk, tmp_path: Path) -> None:
    """An image is sent with the type of its content, to a model that can see."""
    (tmp_path / "chart.dat").write_bytes(PNG)
    done = desk.run("ask", "What is this?", "--image", "chart.dat")
    assert done.exit_code == 0
    assert "acme/hawk-vl-4b" in done.stderr
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert sent(desk) == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]


def test_what_is_no_image_is_refused(desk: Desk, tmp_path: Path) -> None:
    """The content decides, whatever the name says."""
    (tmp_path / "chart.png").write_text("not a picture", encoding="utf-8")
    done = desk.run("ask", "What is this?", "--image", "chart.png")
    assert done.exit_code == 2
    assert "no image" in done.stderr


# --- schemas --------------------------------------------------------------------------------------------

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def test_a_schema_gives_json_alone(desk: Desk, tmp_path: Path) -> None:
    """With --schema stdout is the JSON; the schema may be a file or stand on the command line."""
    (tmp_path / "n.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    for schema in (json.dumps(SCHEMA), "n.json"):
        done = desk.run("ask", "--schema", schema, "How many?")
        assert done.exit_code == 0
        assert json.loads(done.stdout) == {"n": 0}
    assert desk.json("ask", "--schema", "n.json", "How many?")["value"] == {"n": 0}


def test_an_answer_that_breaks_the_schema_is_a_failure(desk: Desk) -> None:
    """An answer that does not fit ends with 1, says where, and prints nothing."""
    # The emulator, like a small model, knows no patterns.
    schema = {"type": "object", "properties": {"n": {"type": "string", "pattern": "^a"}}, "required": ["n"]}
    done = desk.run("ask", "--schema", json.dumps(schema), "How many?")
    assert done.exit_code == 1
    assert "$.n: '' does not match '^a'" in done.stderr
    assert done.stdout == ""


def test_a_cut_answer_is_no_json(desk: Desk) -> None:
    """JSON that was cut short ends with 1, and the error says why it is none."""
    done = desk.run("ask", "--max-tokens", "1", "--schema", json.dumps(SCHEMA), "How many?")
    assert done.exit_code == 1
    assert "is not JSON" in done.stderr
    assert "raise --max-tokens" in done.stderr


def test_a_schema_never_fetches_another(desk: Desk) -> None:
    """A reference to elsewhere is a complaint, and no request to the network."""
    schema = {"type": "object", "properties": {"n": {"$ref": f"{desk.url}/schema.json"}}, "required": ["n"]}
    done = desk.run("ask", "--schema", json.dumps(schema), "How many?")
    assert done.exit_code == 1
    assert "refers to" in done.stderr
    assert all(request.path != "/schema.json" for request in desk.emulator.requests)


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        ("{", "is not JSON"),
        ("[1]", "a schema is a JSON object"),
        ('{"type": "objekt"}', "not a valid JSON schema"),
        ("nowhere.json", "cannot be read"),
    ],
)
def test_a_wrong_schema_is_a_usage_error(desk: Desk, schema: str, complaint: str) -> None:
    """What is no schema ends with 2, before anything is sent."""
    done = desk.run("ask", "--schema", schema, "How many?")
    assert done.exit_code == 2
    assert complaint in done.stderr
    assert not desk.emulator.requests


# --- what is said beside the answer ---------------------------------------------------------------------


def test_a_cut_answer_is_said(desk: Desk) -> None:
    """An answer that max_tokens cut short is warned of, quiet or not."""
    done = desk.run("ask", "-q", "--max-tokens", "2", "hello there")
    assert done.exit_code == 0
    assert "cut short" in done.stderr


def test_reasoning_is_shown_only_when_asked_for(make_desk: MakeDesk) -> None:
    """What the model thinks goes to stderr, and only where it is wanted."""
    model = EmulatedModel("acme/owl-8b", reply="Yes.", reasoning="Let me think.")
    with make_desk(Emulator((model,), loaded=("acme/owl-8b",), speed=1000)) as desk:
        for extra in ([], ["--no-stream"]):
            shown = desk.run("ask", "--reasoning", "show", *extra, "Is it?")
            assert "Let me think." in shown.stderr
            assert shown.stdout == "Yes.\n"
            assert "Let me think." not in desk.run("ask", *extra, "Is it?").stderr


def test_a_load_is_said_in_one_line(make_desk: MakeDesk) -> None:
    """Without a terminal a load is one plain line."""
    with make_desk(Emulator(speed=1000)) as desk:
        done = desk.run("ask", "-m", "owl-8b", "hello")
    assert done.stderr.count("loading acme/owl-8b") == 1


def test_a_failed_attempt_is_said(make_desk: MakeDesk) -> None:
    """When another model had to answer, the note says who failed first."""
    emulator = Emulator(loaded=("acme/owl-8b", "acme/hawk-vl-4b"), speed=1000)
    emulator.inject(Crash(model="acme/hawk-vl-4b"))
    with make_desk(emulator) as desk:
        done = desk.run("ask", "hello")
    assert done.exit_code == 0
    assert "acme/hawk-vl-4b on desk failed first" in done.stderr
    assert "acme/owl-8b on desk" in done.stderr


def test_a_pause_is_said_when_it_begins_and_in_the_end(make_desk: MakeDesk) -> None:
    """Who waits learns that it is tried again; the answer tells after how long, and so does the JSON."""
    for extra in ([], ["--json"]):
        emulator = Emulator(loaded=("acme/owl-8b",), speed=1000)
        emulator.inject(Crash(model="acme/owl-8b", times=1))
        with make_desk(emulator) as desk:
            done = desk.run("--set", "router.backoff=0.01", "ask", "-m", "owl-8b", "hello", *extra)
        assert done.exit_code == 0
        assert "trying again in 0." in done.stderr
        if extra:
            assert json.loads(done.stdout)["attempts"][0]["pause_seconds"] >= 0.01
        else:
            assert re.search(r"owl-8b on desk failed first: .* \(again after \d", done.stderr)


class Sighing:
    """Has something to say of every decision."""

    @hookimpl
    def veto_deployments(self) -> Vetoes:
        return Vetoes(notes="it is late")


@pytest.mark.parametrize("verb", ["ask", "route"])
def test_what_plugins_note_of_a_decision_is_shown(make_desk: MakeDesk, verb: str) -> None:
    """As a note, in the explanation, and with --json."""
    with make_desk() as made:
        desk = evolve(made, make_router=lambda config: Router(config, plugins={"sighing": Sighing()}))
        assert "it is late (sighing)" in desk.run(verb, "hello").stderr
        shown = desk.json(verb, "hello")
        where = shown if verb == "route" else shown["selection"]["explanation"]  # type: ignore[call-overload,index]
        assert where["notes"] == ["it is late (sighing)"]  # type: ignore[call-overload,index]
        assert "\nNote: it is late (sighing)\n" in desk.run("route", "--explain", "hello").stdout


def test_another_model_than_the_pinned_one_never_answers(make_desk: MakeDesk) -> None:
    """A pin is kept: that another model answered is an error."""
    with make_desk(Emulator(loaded=("acme/owl-8b",), speed=1000)) as desk:
        desk.emulator.inject(WrongModel(served="acme/hawk-vl-4b"))
        done = desk.run("ask", "-m", "owl-8b", "hello")
    assert done.exit_code == 1
    assert done.stdout == ""
