"""Waiting for a ring, or for a moment."""

import asyncio
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.plugins.resilience.scene import now

from turnout_resilience.bell import Bell
from turnout_testing import virtual_loop_factory

pytestmark = pytest.mark.anyio
PAUSES = st.floats(0.01, 20.0)


async def test_a_ring_is_kept_for_who_comes_later() -> None:
    """Once, and then there has to be another."""
    bell = Bell()
    bell.ring()
    bell.ring()
    await bell.wait(inf)
    await bell.wait(3.0)
    assert now() == 3.0


async def test_who_gives_up_leaves_nothing_behind() -> None:
    """A waiter that is cancelled is not woken, and the next one is."""
    bell = Bell()
    waiting = asyncio.create_task(bell.wait(5.0))
    await asyncio.sleep(1)
    waiting.cancel()
    await asyncio.wait([waiting])
    bell.ring()
    await bell.wait(inf)
    assert now() == 1.0
    bell.close()


@given(st.lists(st.tuples(PAUSES, PAUSES), min_size=1, max_size=12))
def test_each_wait_ends_at_the_ring_or_at_its_moment(waits: list[tuple[float, float]]) -> None:
    """Whichever is earlier, whatever the moments of the waits before it were."""

    async def check() -> None:
        bell = Bell()
        for rings_in, patience in waits:
            began = now()
            ringing = asyncio.get_running_loop().call_later(rings_in, bell.ring)
            await bell.wait(began + patience)
            assert now() - began == pytest.approx(min(rings_in, patience), abs=2e-3)
            ringing.cancel()
            if now() - began >= rings_in - 2e-3:
                bell.ring()
                await bell.wait(now())
        bell.close()

    with asyncio.Runner(loop_factory=virtual_loop_factory) as runner:
        runner.run(check())
