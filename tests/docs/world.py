"""The world that the documentation speaks of: its hosts are emulated, its reader has a home of his own."""

import base64
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from attrs import frozen

from turnout_testing import EmulatedModel, Emulator, ToolCall, serve

HERE = Path(__file__).parent
WEATHER = ToolCall(name="weather", arguments='{"town": "Lyon"}')
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
CODER, GEMMA, SMALL = "qwen/qwen3-coder-30b", "google/gemma-3-12b", "qwen/qwen3-4b"
NOMIC = "text-embedding-nomic-embed-text-v1.5"


@frozen
class World:
    """Where a page's blocks run: ``directory`` holds the files that it writes."""

    directory: Path
    desk: Emulator
    laptop: Emulator


def _desk() -> Emulator:
    models = (
        EmulatedModel(CODER, size_bytes=18_000_000_000, params_string="30B", tool_calls=(WEATHER,)),
        EmulatedModel(GEMMA, vision=True, tools=False, size_bytes=8_000_000_000, params_string="12B"),
        EmulatedModel(NOMIC, kind="embedding", size_bytes=274_000_000, params_string=None),
    )
    return Emulator(models, loaded=(CODER,), default_context=131_072, speed=200)


def _laptop() -> Emulator:
    small = EmulatedModel(
        SMALL, size_bytes=2_500_000_000, params_string="4B", tool_calls=(WEATHER,),
        reasoning_options=("off", "on"), reasoning_default="off",
    )  # fmt: skip
    return Emulator((small,), loaded=(SMALL,), default_context=131_072, speed=200)


def _llamacpp() -> Emulator:
    return Emulator((EmulatedModel("llama-3.2-3b"),), loaded=("llama-3.2-3b",), era="0.3", speed=200)


@contextmanager
def opened(base: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Serve the hosts, and make *base* the reader's home, until the end."""
    world = World(base / "page", _desk(), _laptop())
    world.directory.mkdir()
    (world.directory / "chart.png").write_bytes(PNG)
    monkeypatch.chdir(world.directory)
    with ExitStack() as stack:
        desk, laptop, llamacpp = (
            stack.enter_context(serve(one)) for one in (world.desk, world.laptop, _llamacpp())
        )
        hosts = {
            "localhost:1234": desk, "desk.local:1234": desk,
            "laptop.local:1234": laptop, "192.168.1.20:1234": laptop,
            "localhost:8080": llamacpp,
        }  # fmt: skip
        _set_environment(base / "home", hosts, monkeypatch)
        _set_path([HERE / "hosts", world.directory, world.directory / "src"], monkeypatch)
        before = set(sys.modules)
        yield world
        _forget(world.directory, set(sys.modules) - before)


def _set_environment(home: Path, hosts: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("TURNOUT_", "LMSTUDIO_", "LM_API")) or name in ("DEFAULT_MODEL", "MCP_JSON_PATH"):
            monkeypatch.delenv(name)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("DOCS_HOSTS", json.dumps(hosts))
    monkeypatch.setenv("TURNOUT_PLUGINS__DISABLED", '["embedded"]')
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")


def _set_path(directories: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for directory in directories:
        monkeypatch.syspath_prepend(directory)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, directories)))
    monkeypatch.setenv("PATH", os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))


def _forget(directory: Path, names: set[str]) -> None:
    """Drop the modules that a page wrote, so that the next page's are its own."""
    for name in names:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and Path(file).is_relative_to(directory):
            del sys.modules[name]
