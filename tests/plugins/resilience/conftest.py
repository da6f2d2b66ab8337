"""The resilience tests run on virtual time."""

import pytest

from turnout_testing import virtual_loop_factory


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": virtual_loop_factory}
