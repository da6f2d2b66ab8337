"""Routers over emulated hosts on virtual time, and the command line against a desk on a real socket."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from attrs import frozen
from click.testing import CliRunner, Result
from loguru import logger

from turnout import Config, JSONObject, Router
from turnout_cli.main import build
from turnout_testing import EmulatedModel, Emulator, Prompt, serve, virtual_loop_factory

OWL, HAWK, WREN = "acme/owl-8b", "acme/hawk-4b", "acme/wren-1b"
PROGRAM = Path(__file__).with_name("parallel_process.py")
ROOT = Path(__file__).parents[3]


def echo(prompt: Prompt) -> str:
    return f"Heard: {prompt.last_text}"


def model(key: str, *, reply: str | Callable[[Prompt], str] = echo, **traits: float) -> EmulatedModel:
    """Return a model that takes 10 s to load; its every answer names its prompt."""
    known = {"load_seconds": 10.0, "decode_rate": 20.0, "prefill_rate": 1e6, **traits}
    parallel = int(known.pop("parallel", 4))
    return EmulatedModel(key, reply=reply, parallel=parallel, **known)  # type: ignore[arg-type]


def host(*models: EmulatedModel, loaded: str | Sequence[str] = ()) -> Emulator:
    return Emulator(models, loaded=loaded, default_context=32_768)


def loads(emulator: Emulator) -> list[str]:
    """Return the models that requests have loaded, in order."""
    return [one.model for one in emulator.loads if one.jit]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": virtual_loop_factory}


def make_router(config: Config) -> Router:
    return Router(config)


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
            "-p", "no:embedded", "--set", 'metrics.path=":memory:"',
        )  # fmt: skip

    def run(self, *args: str, stdin: str | bytes | None = None, columns: int = 200) -> Result:
        """Run ``turnout`` in this process against the desk."""
        runner = CliRunner(env={"COLUMNS": str(columns), "NO_COLOR": "1", "HOME": str(self.home)})
        return runner.invoke(build(make_router), [*self.options, *args], input=stdin, prog_name="turnout")

    def json(self, *args: str, stdin: str | None = None) -> JSONObject:
        """Run a verb with ``--json`` and return what it prints, whatever the exit code."""
        return dict(json.loads(self.run(*args, "--json", stdin=stdin).stdout))

    def start(self, *args: str, terminal: int | None = None, columns: int = 80) -> "subprocess.Popen[bytes]":
        """Run ``turnout`` as a process of its own, on a *terminal* or on pipes."""
        pipe = subprocess.PIPE if terminal is None else terminal
        paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        own = {"HOME": str(self.home), "TERM": "xterm", "COLUMNS": str(columns)}
        return subprocess.Popen(
            [sys.executable, str(PROGRAM), *self.options, *args],
            env={**os.environ, **own, "PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
        )

    @property
    def prompts(self) -> list[str]:
        """What the desk was asked, in order."""
        bodies = [one.body for one in self.emulator.requests if one.path.endswith("/chat/completions")]
        return [str(body["messages"][-1]["content"]) for body in bodies if isinstance(body, dict)]


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
        made = emulator or fast(loaded=(OWL, HAWK))
        with serve(made) as url:
            yield Desk(made, url, tmp_path)

    return make


def fast(*, loaded: Sequence[str] = (), speed: float = 1000.0) -> Emulator:
    """Return a host with three models and embeddings, which takes no time worth mentioning."""
    models = (
        *(model(key) for key in (OWL, HAWK, WREN)),
        EmulatedModel("text-embedding-nest", kind="embedding"),
    )
    return Emulator(models, loaded=loaded, default_context=32_768, speed=speed)


@pytest.fixture(name="desk")
def _desk(make_desk: MakeDesk) -> Iterator[Desk]:
    with make_desk() as desk:
        yield desk
