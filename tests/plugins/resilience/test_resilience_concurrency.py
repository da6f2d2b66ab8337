"""Fewer at once where a model crashed under several."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.plugins.resilience.scene import OWL, Scene, ask, deployment, host, opened, owl

from turnout import ModelRequest
from turnout.fleet import Deployment, Instance
from turnout_resilience import ResilienceSettings
from turnout_resilience.concurrency import Concurrency
from turnout_resilience.lookout import narrowed
from turnout_testing import Crash

pytestmark = pytest.mark.anyio
KEY = ("desk", OWL)


def test_a_crash_halves_what_was_in_flight() -> None:
    """Of eight at once four are left, then two, then one, and never none."""
    limits, allowed = Concurrency(), []
    for number, in_flight in enumerate((8, 4, 2, 1)):
        limits.crashed(KEY, in_flight, began=number, now=number)
        allowed.append(limits.allowed(KEY, 8))
    assert allowed == [4, 2, 1, 1]


def test_one_crash_counts_once() -> None:
    """Those that were under way when the model crashed say nothing new."""
    limits = Concurrency()
    for in_flight in (8, 7, 6, 5):
        limits.crashed(KEY, in_flight, began=0.0, now=1.0)
    assert limits.allowed(KEY, 8) == 4


def test_a_crash_of_one_alone_is_no_reason() -> None:
    """It would have crashed anyway."""
    limits = Concurrency()
    limits.crashed(KEY, 1, began=0.0, now=1.0)
    assert limits.allowed(KEY, 8) == 8


def test_it_comes_back_by_one_for_each_round() -> None:
    """As many successes as there may be at once add one; when all slots are there again it is forgotten."""
    limits = Concurrency()
    limits.crashed(KEY, 4, began=0.0, now=1.0)
    limits.succeeded(KEY, began=0.5)
    allowed = [limits.allowed(KEY, 4)]
    for number in range(12):
        more = limits.succeeded(KEY, began=2.0 + number)
        allowed.append(limits.allowed(KEY, 4))
        assert more == (allowed[-1] > allowed[-2])
    assert allowed == sorted(allowed)
    assert (allowed[0], allowed[2], allowed[-1], limits.report()) == (2, 2, 4, {})


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 16), st.floats(0.0, 9.0)), max_size=60),
    st.integers(1, 16),
)
def test_it_is_always_a_number_of_slots(events: list[tuple[bool, int, float]], slots: int) -> None:
    """Whatever happens, at least one request passes, and never more than there are slots."""
    limits, now = Concurrency(), 0.0
    for crash, in_flight, ago in events:
        now += 1.0
        if crash:
            limits.crashed(KEY, in_flight, now - ago, now)
        else:
            before, more = limits.allowed(KEY, slots), limits.succeeded(KEY, now - ago)
            assert more or limits.allowed(KEY, slots) == before
        assert 1 <= limits.allowed(KEY, slots) <= slots


# --- the slots --------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 8), max_size=4), st.integers(1, 32))
def test_the_slots_that_are_shown_are_those_that_are_allowed(parallel: list[int], most: int) -> None:
    """Never more in all, unless there are more instances than that, of which each keeps one."""
    plain = deployment()
    instances = tuple(Instance(f"i{n}", 4096, slots) for n, slots in enumerate(parallel))
    whole = Deployment(plain.info, plain.host, instances, default_parallel=4)
    (shown,) = narrowed([whole], lambda _, slots: min(most, slots))
    assert len(shown.instances) == len(parallel)
    assert shown.slots == (max(min(most, whole.slots), len(parallel)) if parallel else 0)
    if most < (whole.slots or whole.default_parallel):
        assert shown.default_parallel <= most


# --- through a router -------------------------------------------------------------------------------


async def burst(scene: Scene, count: int) -> None:
    """Ask some at once; what fails, fails."""
    asked = (ModelRequest(f"r{n}", explicit_model=OWL, timeout=600, streaming=True) for n in range(count))
    await asyncio.gather(*(ask(scene.router, one) for one in asked), return_exceptions=True)


def most_at_once(scene: Scene, since: float) -> int:
    """Return how many generations ran at one time."""
    steps = [
        step
        for record in scene.emulators["desk"].generations
        if record.submitted_at >= since
        for step in ((record.submitted_at, 1), (record.ended_at, -1))
    ]
    most = running = 0
    for _, change in sorted(steps):
        running += change
        most = max(most, running)
    return most


@pytest.mark.parametrize(("enabled", "most"), [(True, 2), (False, 4)])
async def test_after_a_crash_under_four_two_run_at_once(enabled: bool, most: int) -> None:
    """Whoever places requests sees fewer slots, so the others wait for their turn."""
    settings = ResilienceSettings(concurrency=enabled, breakers=False)
    async with opened({"desk": host(owl(load_seconds=1.0))}, settings) as scene:
        await burst(scene, 4)
        scene.emulators["desk"].inject(Crash(times=1, after_chunks=3))
        await burst(scene, 4)
        since = asyncio.get_running_loop().time()
        await ask(scene.router, ModelRequest("load", explicit_model=OWL))
        await burst(scene, 4)
        assert most_at_once(scene, since) == most
        assert bool(scene.told("concurrency")) == enabled


async def test_what_was_lowered_comes_back_with_success() -> None:
    """After enough rounds without a crash all slots are used again."""
    async with opened({"desk": host(owl(load_seconds=1.0))}, ResilienceSettings(breakers=False)) as scene:
        scene.emulators["desk"].inject(Crash(times=1, after_chunks=3))
        await burst(scene, 4)
        for _ in range(6):
            await burst(scene, 4)
            await asyncio.sleep(6)
        since = asyncio.get_running_loop().time()
        await burst(scene, 8)
        assert most_at_once(scene, since) == 4
