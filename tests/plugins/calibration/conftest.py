"""A desk with emulated models: one that knows every answer, one that knows none, and the command line."""

import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from attrs import frozen
from click.testing import CliRunner, Result
from loguru import logger

from turnout import Config, Router
from turnout_calibration import Calibration
from turnout_calibration.probes import probes
from turnout_cli.main import build
from turnout_testing import EmulatedModel, Emulator, ModelReply, Prompt, ToolCall
from turnout_testing.serve import serve

REFERENCES = tomllib.loads(Path(__file__).with_name("references.toml").read_text(encoding="utf-8"))
CALLS: Mapping[str, tuple[str, str]] = REFERENCES.pop("calls")
ROOT = Path(__file__).parents[3]
BEGIN = (sys.executable, "-m", "tests.plugins.calibration.calibrate_process")
CODE = re.compile(r"code of the grey chest is (\d+)")


def reference(name: str) -> ModelReply:
    """Return an answer that deserves full marks for the probe *name*."""
    if name in CALLS:
        tool, arguments = CALLS[name]
        return ModelReply(tool_calls=(ToolCall(name=tool, arguments=arguments),))
    return ModelReply(text=REFERENCES[name])


def knows_all(prompt: Prompt) -> ModelReply:
    """Answer as a perfect model."""
    asked = prompt.last_text
    name = next((probe.id for probe in probes() if probe.prompt == asked), None)
    if name is not None:
        return reference(name)
    code = CODE.search(asked)
    return ModelReply(text=f"Answer: {code[1] if code and 'What is the code' in asked else 31}")


def knows_nothing(prompt: Prompt) -> ModelReply:
    """Answer as a useless model: any tool, and else the same words to everything."""
    if prompt.tools:
        return ModelReply(tool_calls=(ToolCall(name=prompt.tools[-1].name, arguments='{"a": 1}'),))
    return ModelReply(text="I think, therefore, that it may well be so, or not.")


SAGE = EmulatedModel("acme/sage-8b", reply=knows_all)
FOOL = EmulatedModel("acme/fool-1b", reply=knows_nothing, quantization="Q2_K", bits_per_weight=2)


def make_router(config: Config) -> Router:
    """Return a router with this plugin, whether or not it is installed, and those that it needs."""
    bundled = {"cli", "explicit", "fallback", "lmstudio", "metrics", "performance", "pool"}
    return Router(config, plugins={"calibration": Calibration}, only_plugins=bundled)


@frozen
class Desk:
    """The command line with the plugin, one emulated host named ``desk``, and a home of its own."""

    emulator: Emulator
    url: str
    home: Path

    @property
    def options(self) -> tuple[str, ...]:
        return (
            "--set", f"hosts.desk.url={self.url}", "--set", "hosts.desk.backend=lmstudio",
            "--set", 'metrics.path=":memory:"', "--set", f"calibration.path={self.home / 'calibration.db'}",
        )  # fmt: skip

    def run(self, *args: str, stdin: str | None = None) -> Result:
        """Run ``turnout`` in this process against the desk."""
        runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "HOME": str(self.home)})
        return runner.invoke(build(make_router), [*self.options, *args], input=stdin, prog_name="turnout")

    def json(self, *args: str, stdin: str | None = None) -> dict:  # type: ignore[type-arg]
        """Run a verb with ``--json`` and return what it prints, whatever the exit code."""
        return dict(json.loads(self.run(*args, "--json", stdin=stdin).stdout))

    @property
    def asked(self) -> int:
        """How many answers the desk was asked for."""
        return sum(request.path.endswith("/chat/completions") for request in self.emulator.requests)


MakeDesk = Callable[..., AbstractContextManager[Desk]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _quiet_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Forget the log's way to the stderr of a run, which no later test may find closed."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(("TURNOUT_", "LMSTUDIO_")):
            monkeypatch.delenv(name)
    yield
    logger.remove()


@pytest.fixture(name="make_desk")
def _make_desk(tmp_path: Path) -> MakeDesk:
    @contextmanager
    def make(emulator: Emulator | None = None) -> Iterator[Desk]:
        made = emulator or Emulator((SAGE, FOOL), loaded=(SAGE.key, FOOL.key), speed=10_000)
        with serve(made) as url:
            yield Desk(made, url, tmp_path)

    return make


@pytest.fixture(name="desk")
def _desk(make_desk: MakeDesk) -> Iterator[Desk]:
    with make_desk() as desk:
        yield desk


class Gate:
    """A behaviour that holds one request back, the *number*-th from now on, until it may pass."""

    def __init__(self, reply: Callable[[Prompt], ModelReply]) -> None:
        self._reply = reply
        self._left = 0
        self.reached, self.open = threading.Event(), threading.Event()

    def hold(self, number: int) -> None:
        self._left = number

    def __call__(self, prompt: Prompt) -> ModelReply:
        self._left -= 1
        if self._left == 0:
            self.reached.set()
            self.open.wait()
        return self._reply(prompt)


def kill_at(desk: Desk, gate: Gate, request: int, *verb: str) -> None:
    """Start a run as a process of its own, and kill it while its *request* is being answered."""
    gate.hold(request)
    with subprocess.Popen([*BEGIN, *desk.options, *verb], cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            assert gate.reached.wait(timeout=60)
        finally:
            process.kill()
            process.wait()
            gate.open.set()
