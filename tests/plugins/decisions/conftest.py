"""What all tests of the decisions plugin share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

from turnout_decisions import DecisionsSettings


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(name="warnings")
def _warnings() -> Iterator[list[str]]:
    """Collect what is logged as a warning or worse."""
    seen: list[str] = []
    sink = logger.add(lambda message: seen.append(message.record["message"]), level="WARNING")
    yield seen
    logger.remove(sink)


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "decisions.db"


@pytest.fixture(name="settings")
def _settings(path: Path) -> DecisionsSettings:
    return DecisionsSettings(path=path)
