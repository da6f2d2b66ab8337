"""A desk with an emulated LM Studio on a real socket, and the command line pointed at it."""

import fcntl
import json
import os
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from attrs import frozen
from click.testing import CliRunner, Result
from loguru import logger

from turnout import Config, JSONObject, Router
from turnout_cli.app import installed_router
from turnout_cli.main import build
from turnout_testing import Emulator, serve

BEGIN = (sys.executable, "-c", "from turnout_cli.main import main; main()")


@frozen
class Desk:
    """The command line, one emulated host named ``desk``, and a home of its own."""

    emulator: Emulator
    url: str
    home: Path
    make_router: Callable[[Config], Router] = installed_router

    @property
    def options(self) -> tuple[str, ...]:
        return (
            "--set", f"hosts.desk.url={self.url}", "--set", "hosts.desk.backend=lmstudio",
            "-p", "no:embedded", "--set", 'metrics.path=":memory:"',
            # What a prompt is about is not the question here.
            "--set", 'selection.order=["explicit", "performance", "fallback"]',
        )  # fmt: skip

    @property
    def env(self) -> dict[str, str | None]:
        """The environment of a stranger: nothing of the machine's own settings."""
        own = ("TURNOUT_", "LM", "XDG_", "DEFAULT_", "NO_COLOR")
        ours = {name: None for name in os.environ if name.startswith(own)}
        folders = {
            f"XDG_{kind}_HOME": str(self.home / kind.lower()) for kind in ("CONFIG", "DATA", "STATE", "CACHE")
        }
        return {**ours, **folders, "HOME": str(self.home), "COLUMNS": "80"}

    def bare(self, *args: str, stdin: str | bytes | None = None) -> Result:
        """Run ``turnout`` in this process, without any host being named."""
        runner = CliRunner(env=self.env)
        return runner.invoke(build(self.make_router), args, input=stdin, prog_name="turnout")

    def run(self, *args: str, stdin: str | bytes | None = None) -> Result:
        """Run ``turnout`` in this process against the desk."""
        return self.bare(*self.options, *args, stdin=stdin)

    def json(self, *args: str, stdin: str | None = None) -> JSONObject:
        """Run a verb with ``--json`` and return what it prints, whatever the exit code."""
        value = json.loads(self.run(*args, "--json", stdin=stdin).stdout)
        assert value["schema_version"] == 1
        return dict(value)

    @contextmanager
    def process(
        self,
        *args: str,
        variables: Mapping[str, str] | None = None,
        stdin: int = subprocess.PIPE,
        stdout: int = subprocess.PIPE,
        terminal: int | None = None,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start ``turnout`` as a process of its own against the desk, on a *terminal* or on pipes."""
        env = {name: value for name, value in {**os.environ, **self.env}.items() if value is not None}
        pipe = subprocess.PIPE if terminal is None else terminal
        with subprocess.Popen(
            [*BEGIN, *self.options, *args],
            env={**env, **(variables or {})},
            stdin=stdin if terminal is None else terminal,
            stdout=stdout if terminal is None else terminal,
            stderr=pipe,
            start_new_session=terminal is not None,
            preexec_fn=None if terminal is None else _take_terminal,  # noqa: PLW1509  one system call
        ) as process:
            try:
                yield process
            finally:
                process.kill()


def _take_terminal() -> None:
    """Make the terminal the new session's own, so that what is typed as Ctrl-C becomes a signal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


MakeDesk = Callable[..., AbstractContextManager[Desk]]


@pytest.fixture(autouse=True)
def _quiet_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Forget the log's way to the stderr of a run, which no later test may find closed."""
    monkeypatch.chdir(tmp_path)
    yield
    logger.remove()


@pytest.fixture(name="make_desk")
def _make_desk(tmp_path: Path) -> MakeDesk:
    @contextmanager
    def make(emulator: Emulator | None = None) -> Iterator[Desk]:
        emulator = emulator or Emulator(loaded=("acme/owl-8b", "acme/hawk-vl-4b"), speed=1000)
        with serve(emulator) as url:
            yield Desk(emulator, url, tmp_path)

    return make


@pytest.fixture(name="desk")
def _desk(make_desk: MakeDesk) -> Iterator[Desk]:
    with make_desk() as desk:
        yield desk
