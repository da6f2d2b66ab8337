"""``turnout compare`` on the command line."""

import json
import os
import pty
import re

import pytest

from turnout import JSONObject
from turnout_testing import EmulatedModel, Emulator

from .conftest import HAWK, OWL, WREN, Desk, MakeDesk, model


def cell(value: object) -> JSONObject:
    assert isinstance(value, dict)
    return value


def outcomes(shown: JSONObject) -> list[JSONObject]:
    found = shown["outcomes"]
    assert isinstance(found, list)
    return [cell(one) for one in found]


def test_one_under_the_other_in_a_pipe(desk: Desk) -> None:
    """Each model's answer stands under its name with time, speed and host."""
    done = desk.run("compare", "-m", "owl-8b", "-m", "hawk-4b", "Hello", "there")
    assert done.exit_code == 0, done.stderr
    first, answer, blank, second, other = done.stdout.splitlines()
    assert re.fullmatch(r"── owl-8b · [\d.]+ s, [\d.]+ tokens/s, on desk", first)
    assert second.startswith("── hawk-4b · ")
    assert (answer, blank, other) == ("Heard: Hello there", "", "Heard: Hello there")


def test_all_that_is_loaded(desk: Desk) -> None:
    """Without a name all loaded models are asked, and none that would have to be loaded."""
    assert {one["model"] for one in outcomes(desk.json("compare", "Hi"))} == {OWL, HAWK}
    assert {one.model for one in desk.emulator.loads} == {OWL, HAWK}


def test_nothing_is_loaded(make_desk: MakeDesk) -> None:
    """Then a name is asked for."""
    with make_desk(Emulator((model(OWL),), speed=1000)) as desk:
        done = desk.run("compare", "Hi")
    assert done.exit_code == 5
    assert "name those to compare with -m" in done.stderr


def test_an_error_in_its_place(desk: Desk) -> None:
    """A model that fails does not keep the others from answering, and the exit code tells of it."""
    done = desk.run("compare", "-m", "owl-8b", "-m", "nobody", "Hi")
    assert done.exit_code == 7
    assert "Heard: Hi" in done.stdout
    assert "Error: Model 'nobody' not found" in done.stdout
    shown = outcomes(desk.json("compare", "-m", "owl-8b", "-m", "nobody", "Hi"))
    assert [cell(one["error"])["type"] if one["error"] else None for one in shown] == [
        None,
        "ModelNotFoundError",
    ]


def test_all_fail_alike(desk: Desk) -> None:
    """One error that all have in common is said once, with its own exit code."""
    away = ("--set", "hosts.desk.url=http://127.0.0.1:9")
    done = desk.run(*away, "compare", "-m", "owl-8b", "-m", "hawk-4b", "Hi")
    assert done.exit_code == 4
    assert done.stderr.count("Error:") == 1
    assert done.stdout == ""


def test_all_fail_each_in_its_way(desk: Desk) -> None:
    """Different errors stand in their places, and the exit code says that all failed."""
    done = desk.run("compare", "-m", "nobody", "-m", "neither", "Hi")
    assert done.exit_code == 1
    assert "'nobody' not found" in done.stdout
    assert "'neither' not found" in done.stdout


def test_a_judge(make_desk: MakeDesk) -> None:
    """The best answer is marked, with the judge's reason."""
    verdict = json.dumps({"reason": "It is clear.", "best": "A"})
    judging = EmulatedModel(WREN, reply=verdict)
    emulator = Emulator((model(OWL), model(HAWK), judging), loaded=(OWL, HAWK, WREN), speed=1000)
    with make_desk(emulator) as desk:
        done = desk.run("compare", "-m", OWL, "-m", HAWK, "--judge", WREN, "Hi")
        shown = desk.json("compare", "-m", OWL, "-m", HAWK, "--judge", WREN, "Hi")
    assert done.exit_code == 0, done.stderr
    assert re.search(rf"Best, says {WREN}: acme/(owl-8b|hawk-4b): It is clear\.", done.stdout)
    assert done.stdout.count("★") == 1
    assert shown["judge"] == {"reason": "It is clear.", "error": None}
    assert [one["model"] for one in outcomes(shown) if one["best"]] == [shown["best"]]


def test_a_judge_that_fails(desk: Desk) -> None:
    """The answers are shown all the same, and the exit code tells of it."""
    done = desk.run("compare", "-m", OWL, "-m", HAWK, "--judge", "nobody", "Hi")
    assert done.exit_code == 7
    assert done.stdout.count("Heard: Hi") == 2
    assert "the judge failed" in done.stderr


def test_nobody_to_judge(desk: Desk) -> None:
    """Where nobody answered there is nothing to judge."""
    done = desk.run("compare", "-m", "nobody", "-m", "neither", "--judge", OWL, "Hi")
    assert done.exit_code == 1
    assert desk.prompts == []


def test_a_race(make_desk: MakeDesk) -> None:
    """The first whole answer wins; who was stopped is said too."""
    slow = model(OWL, reply="word " * 5000, decode_rate=5)
    emulator = Emulator((slow, model(HAWK)), loaded=(OWL, HAWK), speed=50)
    with make_desk(emulator) as desk:
        shown = desk.json("compare", "-m", OWL, "-m", HAWK, "--race", "Hi")
        done = desk.run("compare", "-m", OWL, "-m", HAWK, "--race", "Hi")
    assert (shown["best"], [one["cancelled"] for one in outcomes(shown)]) == (HAWK, [True, False])
    assert f"First: {HAWK}" in done.stdout
    assert "stopped after" in done.stdout
    assert done.exit_code == 0


def test_what_is_there_when_time_is_up(make_desk: MakeDesk) -> None:
    """A slow answer is shown as far as it came, with the error."""
    slow = model(OWL, reply="word " * 5000, decode_rate=5)
    emulator = Emulator((slow, model(HAWK)), loaded=(OWL, HAWK), speed=50)
    with make_desk(emulator) as desk:
        done = desk.run("compare", "-m", OWL, "-m", HAWK, "--timeout", "0.5", "Hi")
    assert done.exit_code == 7
    assert re.search(r"word word .*…\n\nError: no answer within 0\.5 s", done.stdout)
    assert "Heard: Hi" in done.stdout


@pytest.mark.parametrize(
    ("args", "stdin", "heard"),
    [
        (("Say",), "piped", "Say\n\npiped"),
        (("Say", "-", "now"), " piped\n", "Say piped now"),
        ((), "\ufeffpiped", "piped"),
    ],
)
def test_what_is_piped_in(desk: Desk, args: tuple[str, ...], stdin: str, heard: str) -> None:
    """Piped text is appended, or stands where the dash is."""
    shown = desk.json("compare", "-m", OWL, *args, stdin=stdin)
    assert outcomes(shown)[0]["text"] == f"Heard: {heard}"


def test_mistakes(desk: Desk) -> None:
    """No prompt, and a judge in a race, are usage errors."""
    assert desk.run("compare", "-m", OWL).exit_code == 2
    assert desk.run("compare", "-m", OWL, "--race", "--judge", HAWK, "Hi").exit_code == 2


def on_a_terminal(desk: Desk, columns: int, *args: str) -> str:
    """Return what a terminal of that width shows."""
    ours, theirs = pty.openpty()
    process = desk.start("--set", "log.level=ERROR", *args, terminal=theirs, columns=columns)
    os.close(theirs)
    shown = b""
    with process, os.fdopen(ours, "rb", 0) as screen:
        try:
            while piece := screen.read(65536):
                shown += piece
        except OSError:  # Linux's way to say that the other side has closed
            pass
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


@pytest.mark.parametrize(("columns", "beside"), [(120, True), (60, False)])
def test_side_by_side_where_there_is_room(desk: Desk, columns: int, beside: bool) -> None:
    """On a wide terminal the answers stand in columns, on a narrow one below each other."""
    shown = on_a_terminal(desk, columns, "compare", "-m", "owl-8b", "-m", "hawk-4b", "Hello " * 20)
    lines = [line for line in shown.splitlines() if "comparing" not in line]
    assert any("owl-8b" in line and "hawk-4b" in line for line in lines) == beside
    assert shown.count("Heard: Hello") == 2
    assert not beside or max(map(len, lines)) <= columns


@pytest.mark.parametrize("option", ["--timeout=nan", "--temperature=nan", "--temperature=inf"])
def test_what_is_no_number_is_refused(desk: Desk, option: str) -> None:
    """It is a mistake in the command, and nothing is sent."""
    done = desk.run("compare", option, "Hi")
    assert done.exit_code == 2
    assert not desk.emulator.generations
