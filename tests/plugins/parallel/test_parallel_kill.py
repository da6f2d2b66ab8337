"""A batch that is killed: run again, it answers every line once, and loses none."""

import itertools
import json
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from turnout_testing import Emulator, Prompt

from .conftest import HAWK, OWL, Desk, MakeDesk, model

LINES = 60
KILLS = 7


class Trap:
    """A model's answers, of which one springs the trap: what happens when it is asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = 0
        self._at: int | None = None
        self._act: Callable[[], object] = lambda: None

    def set(self, after: int, act: Callable[[], object]) -> None:
        with self._lock:
            self._asked, self._at, self._act = 0, after, act

    def __call__(self, prompt: Prompt) -> str:
        with self._lock:
            self._asked += 1
            if self._asked == self._at:
                self._act()
        return f"Heard: {prompt.last_text}"


def desk_with(trap: Trap) -> Emulator:
    models = [model(key, reply=trap) for key in (OWL, HAWK)]
    return Emulator(models, loaded=(OWL, HAWK), default_context=32_768, speed=300)


def write_input(path: Path) -> None:
    keys = itertools.cycle((OWL, HAWK))
    rows = [{"prompt": f"prompt {n}", "id": f"id-{n}", "model": next(keys)} for n in range(LINES)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def trapped(
    desk: Desk, trap: Trap, after: int, act: str, *options: str
) -> "subprocess.CompletedProcess[bytes]":
    """Start a batch and do *act* to its process when it asks for the answer after so many."""
    ready = threading.Event()
    started: list[subprocess.Popen[bytes]] = []

    def spring() -> None:
        ready.wait(30)
        started[0].send_signal(getattr(signal, act))

    trap.set(after, spring)
    with desk.start("batch", "in.jsonl", "-o", "out.jsonl", *options) as process:
        started.append(process)
        ready.set()
        out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess([], process.returncode, out, err)


def check(path: Path) -> list[str]:
    """See that each line is answered once and rightly; return the ids in the order of the file."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert Counter(row["id"] for row in rows) == {f"id-{n}": 1 for n in range(LINES)}
    assert all(row["text"] == f"Heard: prompt {row['id'].removeprefix('id-')}" for row in rows)
    return [row["id"] for row in rows]


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_again_and_again(make_desk: MakeDesk, tmp_path: Path, seed: int) -> None:
    """After kill -9 at random moments the same command ends with every line once, in order."""
    random, trap = Random(seed), Trap()
    write_input(tmp_path / "in.jsonl")
    ends: list[int] = []
    with make_desk(desk_with(trap)) as desk:
        for _ in range(KILLS):
            ends.append(trapped(desk, trap, random.randint(1, 14), "SIGKILL").returncode)
            if random.random() < 0.5:  # what a crash within a write leaves
                _tear(tmp_path / "out.jsonl", random)
        done = trapped(desk, trap, 10 * LINES, "SIGKILL", "--order")
        assert done.returncode == 0, done.stderr
        assert ends[:4] == [-signal.SIGKILL] * 4
        assert check(tmp_path / "out.jsonl") == [f"id-{n}" for n in range(LINES)]
        # Of each run at most what was under way on eight slots was asked in vain, and what was torn off.
        assert len(desk.prompts) <= LINES + (KILLS + 1) * 9


def _tear(path: Path, random: Random) -> None:
    if path.exists() and path.stat().st_size:
        raw = path.read_bytes()
        last = raw.rstrip(b"\n").rfind(b"\n") + 1
        path.write_bytes(raw[: random.randint(last, len(raw))])


def test_ctrl_c_says_how_to_go_on(make_desk: MakeDesk, tmp_path: Path) -> None:
    """Ctrl-C ends with 130, stops what generates, keeps what is done, and the same command does the rest."""
    trap = Trap()
    write_input(tmp_path / "in.jsonl")
    with make_desk(desk_with(trap)) as desk:
        stopped = trapped(desk, trap, 20, "SIGINT")
        said = stopped.stderr.decode()
        assert stopped.returncode == 130, said
        kept = len((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines())
        assert 8 <= kept < LINES
        assert (
            f"{kept} of {LINES} are done and kept in out.jsonl. The same command goes on from there." in said
        )
        again = desk.run("batch", "in.jsonl", "-o", "out.jsonl")
        assert again.exit_code == 0, again.stderr
        assert f"{kept} of {LINES} are done already" in again.stderr
    check(tmp_path / "out.jsonl")


def test_sigterm_is_as_gentle(make_desk: MakeDesk, tmp_path: Path) -> None:
    """A machine that shuts down loses nothing either."""
    trap = Trap()
    write_input(tmp_path / "in.jsonl")
    with make_desk(desk_with(trap)) as desk:
        stopped = trapped(desk, trap, 20, "SIGTERM")
        assert stopped.returncode == 143
        assert "The same command goes on from there." in stopped.stderr.decode()
        assert desk.run("batch", "in.jsonl", "-o", "out.jsonl").exit_code == 0
    check(tmp_path / "out.jsonl")
