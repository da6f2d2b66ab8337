"""The virtual-time event loop."""

import asyncio
import os
import threading
import time
from collections.abc import Coroutine
from typing import TypeVar

import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout_testing import DeadlockError, VirtualLoop, virtual_loop_factory

T = TypeVar("T")


def run(main: Coroutine[object, object, T]) -> T:
    with asyncio.Runner(loop_factory=virtual_loop_factory) as runner:
        return runner.run(main)


def test_hours_pass_in_no_time() -> None:
    """A sleep moves the loop's clock and takes no real time."""

    async def main() -> float:
        await asyncio.sleep(36_000)
        return asyncio.get_running_loop().time()

    begun = time.monotonic()
    assert run(main()) == 36_000
    assert time.monotonic() - begun < 5


@given(st.lists(st.floats(0, 1e6), max_size=20))
def test_timers_fire_in_order_and_on_time(delays: list[float]) -> None:
    """Every timer fires at its own time, earliest first, to a nanosecond."""
    fired = []

    async def wait(delay: float) -> None:
        await asyncio.sleep(delay)
        fired.append((delay, asyncio.get_running_loop().time()))

    async def main() -> None:
        await asyncio.gather(*map(wait, delays))

    run(main())
    assert [delay for delay, _ in fired] == pytest.approx(sorted(delays), abs=1e-8)
    assert all(at == pytest.approx(delay, abs=1e-8) for delay, at in fired)


def test_a_deadlock_is_reported_with_the_place_where_it_waits() -> None:
    """Where a real loop would hang for ever, an error names the waiting task and the virtual time."""

    async def stuck() -> None:
        await asyncio.sleep(2.5)
        await asyncio.get_running_loop().create_future()

    with pytest.raises(DeadlockError, match=r"deadlock at 2\.500000 s.*stuck.*test_clock\.py"):
        run(stuck())


def test_a_deadlock_does_not_spoil_the_next_run() -> None:
    """After a deadlock the runner closes cleanly, and a new loop starts at zero."""

    async def stuck() -> None:
        await asyncio.Event().wait()

    async def fine() -> float:
        return asyncio.get_running_loop().time()

    with pytest.raises(DeadlockError):
        run(stuck())
    assert run(fine()) == 0


def test_the_clock_stands_still_while_a_thread_works() -> None:
    """Work in an executor is waited for; timers do not jump past it."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        release = threading.Event()
        timer = asyncio.ensure_future(asyncio.sleep(10, "timer"))
        work = asyncio.ensure_future(asyncio.to_thread(release.wait, 30))
        await asyncio.sleep(0)
        release.set()
        done, _ = await asyncio.wait({timer, work}, return_when=asyncio.FIRST_COMPLETED)
        assert done == {work}
        assert loop.time() == 0
        await timer

    run(main())


def test_a_thread_the_loop_does_not_know_is_no_deadlock() -> None:
    """A result that another thread brings is waited for before a deadlock is called."""

    async def main() -> int:
        return await anyio.to_thread.run_sync(lambda: 42)

    assert run(main()) == 42


def test_io_that_is_registered_is_waited_for() -> None:
    """With a file descriptor to read from and nothing else to do, the loop waits for it."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        reader, writer = os.pipe()
        arrived = asyncio.Event()
        loop.add_reader(reader, arrived.set)
        threading.Timer(0.01, os.write, (writer, b"x")).start()
        try:
            await arrived.wait()
        finally:
            loop.remove_reader(reader)
            os.close(reader)
            os.close(writer)
        return loop.time()

    assert run(main()) == 0


def test_a_timeout_needs_no_real_time() -> None:
    """asyncio.timeout goes by the virtual clock."""

    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(600):
                await asyncio.get_running_loop().create_future()
        return asyncio.get_running_loop().time()

    assert run(main()) == 600


@pytest.mark.anyio
async def test_anyio_runs_tests_on_it() -> None:
    """With anyio's pytest plugin the running loop is the virtual one."""
    assert isinstance(asyncio.get_running_loop(), VirtualLoop)


def test_a_thread_that_has_just_ended_is_no_deadlock() -> None:
    """A loop that has used threads closes, however soon its executor's last thread is gone."""
    for _ in range(150):
        with asyncio.Runner(loop_factory=virtual_loop_factory) as runner:
            assert runner.run(asyncio.to_thread(int)) == 0
