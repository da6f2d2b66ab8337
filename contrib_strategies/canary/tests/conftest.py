"""Async tests run on virtual time, and a slow machine is no failure."""

import pytest
from hypothesis import HealthCheck, settings

from turnout_testing import virtual_loop_factory

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Run every async test on asyncio, with a clock that jumps."""
    return "asyncio", {"loop_factory": virtual_loop_factory}
