"""``turnout batch`` on the command line."""

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from turnout import JSONObject
from turnout_testing import ConnectionLost, Emulator, Prompt

from .conftest import HAWK, OWL, WREN, Desk, MakeDesk, fast, loads, model


def write(path: str, *rows: Mapping[str, object] | str) -> None:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    Path(path).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read(path: str) -> list[JSONObject]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def chat(name: str, prompt: str, **more: object) -> Mapping[str, object]:
    body = {"model": OWL, "messages": [{"role": "user", "content": prompt}], **more}
    return {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}


def test_openai_in_and_openai_out(desk: Desk) -> None:
    """Chats and embeddings come back in OpenAI's batch format, and unknown fields reach the server."""
    embed = {"model": "text-embedding-nest", "input": ["a", "b"]}
    row = {"custom_id": "e", "method": "POST", "url": "/v1/embeddings", "body": embed}
    write("in.jsonl", chat("c", "Hi", frequency_penalty=0.5), row)
    done = desk.run("batch", "in.jsonl", "-o", "out.jsonl", "--order")
    assert done.exit_code == 0, done.stderr
    first, second = read("out.jsonl")
    assert [first["custom_id"], second["custom_id"]] == ["c", "e"]
    assert first["response"]["body"]["choices"][0]["message"]["content"] == "Heard: Hi"  # type: ignore[index, call-overload]
    assert len(second["response"]["body"]["data"]) == 2  # type: ignore[index, call-overload, arg-type]
    body = next(one.body for one in desk.emulator.requests if one.path == "/v1/chat/completions")
    assert isinstance(body, dict)
    assert body["frequency_penalty"] == 0.5


def test_prompts_and_text(desk: Desk) -> None:
    """Lines with a prompt and plain lines come back with id, text and who answered."""
    write("in.jsonl", {"prompt": "one", "id": "a", "metadata": [1]}, {"prompt": "two", "model": "hawk-4b"})
    assert desk.run("batch", "in.jsonl", "-o", "out.jsonl", "--order").exit_code == 0
    first, second = read("out.jsonl")
    assert (first["id"], first["text"], first["metadata"]) == ("a", "Heard: one", [1])
    assert (second["id"], second["model"], second["host"], second["error"]) == ("line-2", HAWK, "desk", None)
    write("in.txt", "What is an owl?", "", "What is a hawk?")
    assert desk.run("batch", "in.txt", "-o", "text.jsonl", "--order").exit_code == 0
    assert [(row["id"], row["text"]) for row in read("text.jsonl")] == [
        ("line-1", "Heard: What is an owl?"),
        ("line-3", "Heard: What is a hawk?"),
    ]


def test_pipes(desk: Desk) -> None:
    """Standard input and output work too, in order where that is asked for."""
    text = "".join(f"prompt {n}\n" for n in range(30))
    done = desk.run("batch", "-", "-o", "-", "--order", stdin=text)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["text"] for row in rows] == [f"Heard: prompt {n}" for n in range(30)]
    assert done.exit_code == 0


def test_models_take_turns_once(make_desk: MakeDesk) -> None:
    """However the lines are mixed, each model is loaded once."""
    rows = [{"prompt": f"prompt {n}", "model": (OWL, HAWK, WREN)[n % 3]} for n in range(30)]
    write("in.jsonl", *rows)
    with make_desk(fast()) as desk:
        assert desk.run("batch", "in.jsonl", "-o", "out.jsonl").exit_code == 0
        assert sorted(loads(desk.emulator)) == sorted((OWL, HAWK, WREN))
    assert len(read("out.jsonl")) == 30


def test_one_model_for_all(desk: Desk) -> None:
    """--model takes the place of what the lines say."""
    write("in.jsonl", chat("a", "Hi"), {"prompt": "Hi", "model": "gpt-4o"})
    assert desk.run("batch", "in.jsonl", "-o", "out.jsonl", "-m", "hawk-4b").exit_code == 0
    assert {one.model for one in desk.emulator.generations} == {HAWK}


# --- what is wrong with the input ---------------------------------------------------------------------


def test_all_lines_are_checked_first(desk: Desk) -> None:
    """Up to ten problems are listed with their lines, nothing is sent, and no output is made."""
    write("in.jsonl", {"prompt": "fine"}, *["nope"] * 12)
    done = desk.run("batch", "in.jsonl", "-o", "out.jsonl")
    assert done.exit_code == 1
    assert "12 of 13 lines are no request" in done.stderr
    assert "line 11 is no JSON" in done.stderr
    assert "line 12 is" not in done.stderr
    assert "and 2 more" in done.stderr
    assert (desk.prompts, Path("out.jsonl").exists()) == ([], False)


def test_bad_lines_can_be_skipped(desk: Desk) -> None:
    """With --skip-bad they are errors in the output, in their form and place, and the rest is answered."""
    write("in.jsonl", chat("a", "Hi"), "nope", chat("a", "again"), {"prompt": "Hi", "model": "nobody"})
    done = desk.run("batch", "in.jsonl", "-o", "out.jsonl", "--skip-bad", "--order")
    assert done.exit_code == 7
    rows = read("out.jsonl")
    assert [row.get("custom_id", row["id"]) for row in rows] == ["a", "line-2", "line-3", "line-4"]
    codes = [row["error"]["code"] if isinstance(row["error"], dict) else None for row in rows]
    assert codes == [None, "InvalidLine", "InvalidLine", "ModelNotFoundError"]
    assert rows[2]["response"] is None
    assert "3 errors in out.jsonl" in done.stderr


def test_a_model_that_nobody_has(desk: Desk) -> None:
    """It is found before anything is sent, with the line, the nearest name, and the way out."""
    write("in.jsonl", {"prompt": "Hi", "model": OWL}, {"prompt": "Hi", "model": "owl-9b"})
    done = desk.run("batch", "in.jsonl", "-o", "out.jsonl")
    assert done.exit_code == 5
    assert "'owl-9b' (line 2)" in done.stderr
    assert "Did you mean" in done.stderr
    assert "--model NAME" in done.stderr
    assert "goes on from there" not in done.stderr
    assert desk.prompts == []
    assert desk.run("batch", "in.jsonl", "-o", "out.jsonl", "-m", "nobody").exit_code == 5


def test_an_empty_input(desk: Desk) -> None:
    """Nothing to do is no failure."""
    write("in.jsonl")
    done = desk.run("batch", "in.jsonl", "-o", "out.jsonl")
    assert (done.exit_code, read("out.jsonl")) == (0, [])
    assert "nothing was left to do" in done.stderr


def test_mistakes_on_the_command_line(desk: Desk) -> None:
    """No output, the input as output, a file that is missing, and JSON among the answers are usage errors."""
    write("in.jsonl", {"prompt": "Hi"})
    for args in (
        ("in.jsonl",),
        ("in.jsonl", "-o", "in.jsonl"),
        ("no.jsonl", "-o", "x"),
        ("in.jsonl", "-o", "-", "--json"),
    ):
        assert desk.run("batch", *args).exit_code == 2
    assert desk.run("batch", "in.jsonl", "-o", "/dev/null").exit_code == 1
    assert desk.prompts == []


# --- going on -----------------------------------------------------------------------------------------


def test_what_is_done_is_not_asked_again(desk: Desk) -> None:
    """The same command a second time asks nothing, and says so."""
    write("in.jsonl", *[{"prompt": f"prompt {n}"} for n in range(5)])
    desk.run("batch", "in.jsonl", "-o", "out.jsonl")
    before = Path("out.jsonl").read_bytes()
    shown = desk.json("batch", "in.jsonl", "-o", "out.jsonl")
    assert (shown["lines"], shown["done_before"], shown["answered"], shown["failed"]) == (5, 5, 0, 0)
    assert (len(desk.prompts), Path("out.jsonl").read_bytes()) == (5, before)


def test_lines_that_were_added_are_asked(desk: Desk) -> None:
    """An input may grow; the answers that are there stay."""
    rows: list[JSONObject] = [{"prompt": f"prompt {n}", "id": n} for n in range(5)]
    write("in.jsonl", *rows[:3])
    desk.run("batch", "in.jsonl", "-o", "out.jsonl")
    write("in.jsonl", *rows[::-1])
    assert desk.json("batch", "in.jsonl", "-o", "out.jsonl", "--order")["answered"] == 2
    assert [row["id"] for row in read("out.jsonl")] == [4, 3, 2, 1, 0]


def test_errors_are_kept_until_they_are_to_be_asked_again(make_desk: MakeDesk) -> None:
    """A failed line counts as done; --retry-errors asks it again, and only it."""
    broken = True

    def reply(prompt: Prompt) -> str:
        return "" if broken and prompt.last_text == "prompt 1" else "Yes."

    write("in.jsonl", *[{"prompt": f"prompt {n}"} for n in range(3)])
    with make_desk(
        Emulator((model(OWL, reply=reply),), loaded=OWL, default_context=32_768, speed=1000)
    ) as desk:
        first = desk.run("batch", "in.jsonl", "-o", "out.jsonl")
        assert first.exit_code == 7
        assert "1 error in out.jsonl. --retry-errors asks those again." in first.stderr
        asked = len(desk.prompts)
        assert desk.run("batch", "in.jsonl", "-o", "out.jsonl").exit_code == 7
        assert len(desk.prompts) == asked
        broken = False
        assert desk.run("batch", "in.jsonl", "-o", "out.jsonl", "--retry-errors").exit_code == 0
        assert len(desk.prompts) == asked + 1
    assert [row["text"] for row in read("out.jsonl")] == ["Yes."] * 3


def test_a_server_that_is_not_there(desk: Desk) -> None:
    """Nothing is written as failed: the batch stops with the server's error, to be run again."""
    write("in.jsonl", *[{"prompt": f"prompt {n}"} for n in range(40)])
    away = ("--set", "hosts.desk.url=http://127.0.0.1:9")
    done = desk.run(*away, "batch", "in.jsonl", "-o", "out.jsonl")
    assert done.exit_code == 4
    assert read("out.jsonl") == []
    assert desk.run(*away, "batch", "in.jsonl", "-o", "out.jsonl", "-m", OWL).exit_code == 4
    assert desk.run("batch", "in.jsonl", "-o", "out.jsonl").exit_code == 0


def test_a_server_that_goes_away(make_desk: MakeDesk) -> None:
    """What was answered stays, what the server lost is not written as failed, and the next run goes on."""
    trap: list[Emulator] = []

    def reply(prompt: Prompt) -> str:
        if prompt.last_text == "prompt 20" and not trap:
            trap.append(emulator)
            emulator.inject(ConnectionLost())
        return "Yes."

    emulator = Emulator((model(OWL, reply=reply),), loaded=OWL, default_context=32_768, speed=1000)
    write("in.jsonl", *[{"prompt": f"prompt {n}"} for n in range(60)])
    with make_desk(emulator) as desk:
        stopped = desk.run("--set", "parallel.patience=1", "batch", "in.jsonl", "-o", "out.jsonl")
        kept = read("out.jsonl")
        assert stopped.exit_code == 4, stopped.stderr
        assert "asking again for up to 1 s" in stopped.stderr
        assert f"{len(kept)} of 60 are done" in stopped.stderr
        assert all(row["error"] is None for row in kept)
        assert 16 <= len(kept) < 60
        emulator.clear_faults()
        assert desk.run("batch", "in.jsonl", "-o", "out.jsonl").exit_code == 0
    assert len(read("out.jsonl")) == 60


def test_a_host_that_fails_for_some(make_desk: MakeDesk) -> None:
    """Where a host loses a few and answers others, those are errors like any."""
    emulator = fast(loaded=(OWL,))
    emulator.inject(ConnectionLost(route="/v1/chat/completions", times=8))
    write("in.jsonl", *[{"prompt": f"prompt {n}", "model": OWL} for n in range(30)])
    options = ("--set", "parallel.patience=0")
    with make_desk(emulator) as desk:
        done = desk.run(*options, "batch", "in.jsonl", "-o", "out.jsonl", "--max-in-flight", "1")
    assert done.exit_code == 7, done.stderr
    rows = read("out.jsonl")
    codes = [row["error"]["code"] for row in rows if isinstance(row["error"], dict)]
    assert set(codes) == {"LLMConnectionError"}
    assert (1 <= len(codes) <= 8, len(rows)) == (True, 30)


def test_a_time_limit_for_each(make_desk: MakeDesk) -> None:
    """--timeout bounds each answer, and a line's own timeout goes before it."""
    write("in.jsonl", {"prompt": "slow"}, {"prompt": "patient", "timeout": 60})
    slow = Emulator((model(OWL, reply="word " * 400),), loaded=OWL, default_context=32_768, speed=20)
    with make_desk(slow) as desk:
        assert desk.run("batch", "in.jsonl", "-o", "out.jsonl", "--order", "--timeout", "0.3").exit_code == 7
    late, patient = read("out.jsonl")
    assert late["error"]["code"] == "DeadlineExceededError"  # type: ignore[index, call-overload]
    assert patient["error"] is None


def test_the_progress_is_told(desk: Desk) -> None:
    """On stderr is how far it is and what it came to; stdout is for data alone."""
    write("in.jsonl", *[{"prompt": f"prompt {n}"} for n in range(5)])
    done = desk.run("batch", "in.jsonl", "-o", "out.jsonl")
    assert "batch: 1 of 5" in done.stderr
    assert "5 answers, " in done.stderr
    assert "tokens/s" in done.stderr
    assert done.stdout == ""


def test_one_at_a_time(make_desk: MakeDesk) -> None:
    """--max-in-flight bounds what is asked at once."""
    emulator = fast(loaded=(OWL,))
    write("in.jsonl", *[{"prompt": f"prompt {n}", "model": OWL} for n in range(20)])
    with make_desk(emulator) as desk:
        assert desk.run("batch", "in.jsonl", "-o", "out.jsonl", "--max-in-flight", "1").exit_code == 0
    records = sorted(emulator.generations, key=lambda one: one.submitted_at)
    assert all(one.ended_at <= other.submitted_at for one, other in pairwise(records))


@pytest.mark.parametrize("verb", ["batch", "compare"])
def test_the_help_is_complete(desk: Desk, verb: str) -> None:
    """Each verb explains itself."""
    shown = desk.run(verb, "--help")
    assert shown.exit_code == 0
    assert "--json" in shown.stdout
