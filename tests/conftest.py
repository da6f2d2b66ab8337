"""What all tests share: asyncio, a user without settings, and the log."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from loguru import logger

# A cold cache or a busy machine is no failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# A shell that runs the tests in the background lets them ignore Ctrl-C, and so would all their processes.
signal.signal(signal.SIGINT, signal.default_int_handler)

VARIABLES = ("LMSTUDIO_HOST", "LMSTUDIO_PORT", "LM_API_TOKEN", "LMSTUDIO_API_TOKEN", "DEFAULT_MODEL")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def no_settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an empty folder that stands for the user's settings."""
    return tmp_path_factory.mktemp("no-settings")


@pytest.fixture(autouse=True)
def _a_user_without_settings(monkeypatch: pytest.MonkeyPatch, no_settings: Path) -> None:
    """Whatever is set on this machine, the tests do not see it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(no_settings))
    for name in (*VARIABLES, *(name for name in os.environ if name.startswith("TURNOUT_"))):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(name="log")
def _log() -> Iterator[list[str]]:
    """Collect what is logged, as ``LEVEL text``."""
    seen: list[str] = []
    sink = logger.add(lambda line: seen.append(str(line).rstrip()), level="DEBUG", format="{level} {message}")
    yield seen
    logger.remove(sink)
