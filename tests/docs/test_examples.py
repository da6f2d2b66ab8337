"""The programs in `examples/` run as they are, against emulated hosts."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.world import World

EXAMPLES = Path(__file__).parents[2] / "examples"
HOSTS = """
[hosts.desk]
url = "http://desk.local:1234"

[hosts.laptop]
url = "http://laptop.local:1234"
"""
CASES = {
    "ask.py": (["What is a turnout?"], ['You said: "What is a turnout?"', "chosen by task_based"]),
    "stream.py": ([], ["feathers", "-- qwen/qwen3-4b, stop"]),
    "several_hosts.py": ([], ["desk: 3 models", "left out: text-embedding", "answered by", "longest wait"]),
    "structured.py": ([], ["minutes", "1 ingredients"]),
    "night_shift.py": ([], ["by day: qwen/qwen3-4b", "at night: qwen/qwen3-coder-30b (night_shift"]),
    "search.py": (["texts", "Which bird hunts at night?"], ["owl.txt", "train.txt"]),
}


def run(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


@pytest.mark.parametrize("name", CASES)
def test_an_example_runs(name: str, world: World) -> None:
    """It ends well, says what its page promises, and nothing on stderr that is not progress."""
    arguments, promised = CASES[name]
    (world.directory / "turnout.toml").write_text(HOSTS)
    texts = world.directory / "texts"
    texts.mkdir()
    (texts / "owl.txt").write_text("The owl hunts at night.")
    (texts / "train.txt").write_text("The train leaves at nine.")
    done = run(name, *arguments)
    assert done.returncode == 0, done.stderr
    for words in promised:
        assert words in done.stdout
    assert "Traceback" not in done.stderr


def test_every_example_has_a_case() -> None:
    """An example that nobody runs is none."""
    assert {file.name for file in EXAMPLES.glob("*.py")} == set(CASES)


def test_an_example_without_a_host_says_so(world: World) -> None:
    """Where nobody answers, the first example ends with the error's own words, and not with a traceback."""
    (world.directory / "turnout.toml").write_text('[hosts.gone]\nurl = "http://gone.local:1234"\n')
    done = run("ask.py")
    assert done.returncode == 1
    assert "gone.local:1234" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_question_of_the_example_is_answered_once(world: World) -> None:
    """Wherever the eight went, they add up."""
    (world.directory / "turnout.toml").write_text(HOSTS)
    counts = re.findall(r"^(\d+) answered by", run("several_hosts.py").stdout, re.MULTILINE)
    assert sum(map(int, counts)) == 8
