"""Stores have threads of their own, so their tests run on real time."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "notes.db"


@pytest.fixture(name="warnings")
def _warnings() -> Iterator[list[str]]:
    """Collect what is logged as a warning or worse."""
    seen: list[str] = []
    sink = logger.add(lambda message: seen.append(message.record["message"]), level="WARNING")
    yield seen
    logger.remove(sink)
