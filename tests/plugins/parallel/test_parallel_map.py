"""Many prompts through one router: every one once, few loads, bounded memory, one deadline."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from contextvars import Context
from typing import TypeVarTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout import (
    ConcurrentExecutionError,
    Config,
    DeadlineExceededError,
    Event,
    Fault,
    HostSettings,
    LLMError,
    LLMRateLimitError,
    ModelNotFoundError,
    ModelRequest,
    Reply,
    Router,
    hookimpl,
)
from turnout_parallel import map_prompts
from turnout_parallel.running import Limits, Run
from turnout_parallel.source import source_of
from turnout_testing import (
    EmulatedHosts,
    EmulatedModel,
    Emulator,
    VirtualLoop,
    emulated_router,
    virtual_loop_factory,
)

from .conftest import HAWK, OWL, WREN, host, loads, model

pytestmark = pytest.mark.anyio
Ts = TypeVarTuple("Ts")

KEYS = (OWL, HAWK, WREN)


def pinned(count: int, *models: str) -> list[ModelRequest]:
    """Return so many requests for *models* in turn: the worst order that there is."""
    return [ModelRequest(f"prompt {n}", explicit_model=models[n % len(models)]) for n in range(count)]


def text_of(result: Reply | LLMError) -> str:
    assert isinstance(result, Reply), result
    return result.text


async def taken(
    results: AsyncIterator[tuple[int, Reply | LLMError]], into: dict[int, Reply | LLMError] | None = None
) -> dict[int, Reply | LLMError]:
    """Take all results; none comes twice."""
    found = {} if into is None else into
    async for number, result in results:
        assert number not in found
        found[number] = result
    return found


# --- order and loads ----------------------------------------------------------------------------------


async def test_every_prompt_has_its_own_answer() -> None:
    """Each number comes once, with the answer to the prompt of that number."""
    async with emulated_router({"desk": host(model(OWL), loaded=OWL)}) as router:
        found = await taken(map_prompts(router, [f"prompt {n}" for n in range(30)]))
    assert {number: text_of(one) for number, one in found.items()} == {
        number: f"Heard: prompt {number}" for number in range(30)
    }


@pytest.mark.parametrize("ordered", [False, True])
async def test_each_model_is_loaded_once(ordered: bool) -> None:
    """K models and M prompts in the worst order cause K loads on a host that holds one model at a time."""
    desk = host(*map(model, KEYS))
    async with emulated_router({"desk": desk}) as router:
        found = await taken(map_prompts(router, pinned(90, *KEYS), ordered=ordered))
        took = asyncio.get_running_loop().time()
    assert len(found) == 90
    assert sorted(loads(desk)) == sorted(KEYS)
    # Three loads of 10 s, and 30 answers of each model on 4 slots, of which the first comes alone.
    answer = max(one.ended_at - (one.started_at or 0.0) for one in desk.generations)
    assert took < 30 + 3 * 10 * answer


async def test_what_is_loaded_goes_first() -> None:
    """The model that is resident is used up before another one takes its place."""
    desk = host(*map(model, KEYS))
    async with emulated_router({"desk": desk}) as router:
        await router.ask(ModelRequest("Ready?", explicit_model=HAWK))
        order = [
            one.model async for _, one in map_prompts(router, pinned(30, *KEYS)) if isinstance(one, Reply)
        ]
    assert order[:10] == [HAWK] * 10
    assert len(loads(desk)) == 3


async def test_several_hosts_share_the_models() -> None:
    """Four models on two hosts are loaded once each, two here and two there, at the same time."""
    models = [model(f"acme/model{n}-8b") for n in range(4)]
    desk, attic = host(*models), host(*models)
    keys = [one.key for one in models]
    async with emulated_router({"desk": desk, "attic": attic}) as router:
        await taken(map_prompts(router, pinned(80, *keys)))
        took = asyncio.get_running_loop().time()
    assert sorted(loads(desk) + loads(attic)) == keys
    assert (len(loads(desk)), len(loads(attic))) == (2, 2)
    assert took < 30


async def test_a_long_run_takes_an_idle_host_too() -> None:
    """Where waiting takes longer than a load, a further copy is loaded where nothing else is to do."""
    slow = model(OWL, decode_rate=1)
    desk, attic = host(slow, loaded=OWL), host(slow)
    async with emulated_router({"desk": desk, "attic": attic}) as router:
        await taken(map_prompts(router, pinned(200, OWL)))
        took = asyncio.get_running_loop().time()
    assert loads(attic) == [OWL]
    assert took < 0.65 * 200 / 4 * 4


async def test_a_short_run_loads_no_copy() -> None:
    """Where it ends sooner than a load would, an idle host stays as it is."""
    desk, attic = host(model(OWL), loaded=OWL), host(model(OWL))
    async with emulated_router({"desk": desk, "attic": attic}) as router:
        await taken(map_prompts(router, pinned(60, OWL)))
    assert loads(attic) == []


async def test_prompts_without_a_model_use_all_that_is_loaded() -> None:
    """They go where the router sends them, on all hosts at once."""
    desk, attic = host(model(OWL), loaded=OWL), host(model(HAWK), loaded=HAWK)
    async with emulated_router({"desk": desk, "attic": attic}) as router:
        found = await taken(map_prompts(router, [f"prompt {n}" for n in range(80)]))
    hosts = [one.host for one in found.values() if isinstance(one, Reply)]
    assert min(hosts.count("desk"), hosts.count("attic")) > 20


async def test_a_request_stays_on_its_hosts() -> None:
    """A host that a request does not allow is not counted on, resident or not."""
    desk, attic = host(model(OWL), loaded=OWL), host(model(OWL))
    requests = [ModelRequest("Hi", explicit_model=OWL, hosts=frozenset({"attic"})) for _ in range(12)]
    async with emulated_router({"desk": desk, "attic": attic}) as router:
        found = await taken(map_prompts(router, requests))
    assert {one.host for one in found.values() if isinstance(one, Reply)} == {"attic"}


async def test_slots_are_full_and_no_more() -> None:
    """All slots of a model work at once, and nothing waits in the router's own queue."""
    desk = host(model(OWL, parallel=3), loaded=OWL)
    queued = 0
    async with emulated_router({"desk": desk}) as router:
        async for _ in map_prompts(router, pinned(30, OWL)):
            queued = max(queued, _queued(router), desk.instances[0].queued)
        took = asyncio.get_running_loop().time()
    answer = max(one.ended_at - one.submitted_at for one in desk.generations)
    assert took == pytest.approx(10 * answer, rel=0.01)
    assert queued == 0


def _queued(router: Router) -> int:
    pool = router.stats()["pool"]
    assert isinstance(pool, dict)
    desk = pool["desk"]
    assert isinstance(desk, dict)
    return int(str(desk["queued"]))


async def test_max_in_flight_bounds_it() -> None:
    """Two at once take four times as long as eight."""
    desk = host(model(OWL, parallel=8, reply="one two three four"), loaded=OWL)
    async with emulated_router({"desk": desk}) as router:
        await taken(map_prompts(router, pinned(32, OWL), max_in_flight=2))
        slow = asyncio.get_running_loop().time()
        await taken(map_prompts(router, pinned(32, OWL)))
        fast = asyncio.get_running_loop().time() - slow
    assert slow == pytest.approx(4 * fast, rel=0.05)


# --- full queues --------------------------------------------------------------------------------------


async def test_a_full_queue_is_waited_for() -> None:
    """Beside others who fill the queue, every prompt is answered in the end and none is refused."""
    config = Config(tables={"pool": {"queue": 2}})
    desk = host(model(OWL), loaded=OWL)
    async with emulated_router({"desk": desk}, config=config) as router:

        async def others() -> None:
            for _ in range(20):
                asks = [
                    router.ask(ModelRequest("Other", explicit_model=OWL, client=str(n))) for n in range(6)
                ]
                await asyncio.gather(*asks, return_exceptions=True)

        noise = asyncio.create_task(others())
        found = await taken(map_prompts(router, pinned(40, OWL)))
        await noise
    assert all(isinstance(one, Reply) for one in found.values())
    pool = str(router.stats()["pool"])
    assert "'refused': 0" not in pool


class Later:
    """A plugin that answers so many requests with: come back in 7 s."""

    def __init__(self, times: int) -> None:
        self.left = times

    @hookimpl
    def execute_request(self) -> Callable[[], AsyncIterator[Event]] | None:
        if not self.left:
            return None
        self.left -= 1
        return self._refuse

    async def _refuse(self) -> AsyncIterator[Event]:
        raise LLMRateLimitError("later", 7.0)
        yield


async def test_a_server_that_says_later() -> None:
    """It is asked again after the time that it says; one that never answers is an error in the end."""
    desk = host(model(OWL), loaded=OWL)
    async with emulated_router({"desk": desk}, plugins={"later": Later(24)}) as router:
        found = await taken(map_prompts(router, pinned(6, OWL)))
        assert asyncio.get_running_loop().time() > 14
    assert all(isinstance(one, Reply) for one in found.values())
    async with emulated_router({"desk": desk}, plugins={"later": Later(10**6)}) as router:
        (error,) = (await taken(map_prompts(router, pinned(1, OWL)))).values()
    assert isinstance(error, LLMRateLimitError)


# --- errors and deadlines -----------------------------------------------------------------------------


async def test_an_error_stays_in_its_place() -> None:
    """What fails alone is returned as its error, and all else is answered."""
    requests = [*pinned(3, OWL), ModelRequest("Lost", explicit_model="acme/nobody"), *pinned(3, OWL)]
    async with emulated_router({"desk": host(model(OWL), loaded=OWL)}) as router:
        found = await taken(map_prompts(router, requests, ordered=True))
    assert list(found) == list(range(7))
    assert [n for n, one in found.items() if isinstance(one, ModelNotFoundError)] == [3]


async def test_errors_are_raised_when_asked() -> None:
    """With errors="raise" all answers come first, and one error names every failure."""
    requests = [ModelRequest("Lost", explicit_model="acme/nobody"), *pinned(3, OWL)]
    came: dict[int, Reply | LLMError] = {}
    async with emulated_router({"desk": host(model(OWL), loaded=OWL)}) as router:
        with pytest.raises(ConcurrentExecutionError, match="nobody") as caught:
            await taken(map_prompts(router, requests, errors="raise"), came)
    assert list(came) == [1, 2, 3]
    assert caught.value.failed_models == ["acme/nobody [0]"]


async def test_without_failures_nothing_is_raised() -> None:
    """errors="raise" changes nothing where all goes well."""
    async with emulated_router({"desk": host(model(OWL), loaded=OWL)}) as router:
        assert len(await taken(map_prompts(router, pinned(5, OWL), errors="raise"))) == 5


@pytest.mark.parametrize("ordered", [False, True])
async def test_one_deadline_over_all(ordered: bool) -> None:
    """When time is up, what is there was given and all the rest is marked as late, at that very moment."""
    desk = host(model(OWL, reply="one two three four"), loaded=OWL)
    async with emulated_router({"desk": desk}) as router:
        found = await taken(map_prompts(router, pinned(400, OWL), timeout=5.0, ordered=ordered))
        assert asyncio.get_running_loop().time() == pytest.approx(5.0, abs=0.01)
    late = [one for one in found.values() if isinstance(one, DeadlineExceededError)]
    assert len(found) == 400
    assert 0 < len(late) == 400 - sum(isinstance(one, Reply) for one in found.values()) < 400
    assert all("within the 5 s for all" in one.message for one in late)
    assert all(one.outcome != "finished" or one.ended_at <= 5.01 for one in desk.generations)
    if ordered:
        assert list(found) == list(range(400))


async def test_an_iterator_is_not_read_on_after_the_deadline() -> None:
    """An endless one ends then, with what was read marked as late."""
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield f"prompt {read}"

    async with emulated_router({"desk": host(model(OWL), loaded=OWL)}) as router:
        found = await taken(map_prompts(router, endless(), timeout=3.0, window=20))
    # One more is held by the reader than was given back.
    assert len(found) == read
    assert sum(isinstance(one, DeadlineExceededError) for one in found.values()) <= 21


async def test_a_request_keeps_its_own_timeout() -> None:
    """The shorter of its own and what is left for all counts."""
    desk = host(model(OWL, reply="word " * 100), loaded=OWL)
    requests = [ModelRequest("Go", timeout=1.0), ModelRequest("Go")]
    async with emulated_router({"desk": desk}) as router:
        found = await taken(map_prompts(router, requests, timeout=60.0))
    assert isinstance(found[0], DeadlineExceededError)
    assert isinstance(found[1], Reply)


async def test_limits_that_are_none_are_refused() -> None:
    """No time, no window, or a string in place of a list is the caller's mistake."""
    async with emulated_router({"desk": host(model(OWL), loaded=OWL)}) as router:
        for limits in ({"timeout": 0.0}, {"max_in_flight": 0}, {"window": 0}):
            with pytest.raises(ValueError, match=next(iter(limits))):
                map_prompts(router, ["Hi"], **limits)
        with pytest.raises(ValueError, match="list"):
            map_prompts(router, "Hi")
        with pytest.raises(TypeError, match="strings or ModelRequests, not 7"):
            await taken(map_prompts(router, ["Hi", 7]))  # type: ignore[list-item]
        assert await taken(map_prompts(router, [])) == {}


async def test_a_server_that_is_away_for_a_while() -> None:
    """With patience a run outlasts a restart, and without it every prompt fails at once."""
    plugin = EmulatedHosts({"desk": host(model(OWL), loaded=OWL)})
    config = Config(hosts={"desk": HostSettings("http://desk:1234", "lmstudio")})

    async def run(patience: float) -> list[Reply | LLMError]:
        parts = {"way": plugin}
        async with Router(config, plugins=parts, only_plugins=("lmstudio", "pool", "explicit")) as router:
            limits = Limits(patience=patience)
            results = Run(router, source_of(pinned(60, OWL)), limits).results()
            found = [(await anext(results))[1]]
            plugin.transport.take_down("http://desk:1234")
            back = asyncio.get_running_loop().call_later(40, plugin.transport.bring_up, "http://desk:1234")
            found += [one async for _, one in results]
            back.cancel()
            plugin.transport.bring_up("http://desk:1234")
        return found

    assert all(isinstance(one, Reply) for one in await run(300))
    hasty = [one for one in await run(0) if not isinstance(one, Reply)]
    assert len(hasty) > 40
    assert {one.fault for one in hasty} == {Fault.HOST}


# --- memory, and leaving early ------------------------------------------------------------------------


class Tide:
    """An async iterator that knows how many of its prompts nobody has answered yet."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.open = self.most = 0

    async def __aiter__(self) -> AsyncIterator[ModelRequest]:
        for request in pinned(self.count, OWL, HAWK):
            self.open += 1
            self.most = max(self.most, self.open)
            yield request


@pytest.mark.parametrize("ordered", [False, True])
async def test_no_more_than_a_window_is_ever_held(ordered: bool) -> None:
    """Of however many, at most a window is read and not given back, and at most the slots are tasks."""
    tide, tasks = Tide(600), 0
    desk = host(model(OWL), model(HAWK), loaded=(OWL, HAWK))
    async with emulated_router({"desk": desk}) as router:
        numbers = []
        async for number, _ in map_prompts(router, tide, window=32, ordered=ordered):
            tide.open -= 1
            tasks = max(tasks, len(asyncio.all_tasks()))
            numbers.append(number)
    assert sorted(numbers) == list(range(600))
    assert not ordered or numbers == list(range(600))
    assert tide.most <= 33
    assert tasks < 40


async def test_a_source_that_stalls_holds_nothing_up() -> None:
    """What has come is answered while the next prompt is still to come."""

    async def drops() -> AsyncIterator[str]:
        for _ in range(3):
            yield "prompt"
            await asyncio.sleep(100)

    async with emulated_router({"desk": host(model(OWL), loaded=OWL)}) as router:
        ended = [asyncio.get_running_loop().time() async for _ in map_prompts(router, drops())]
    assert ended == pytest.approx([0, 100, 200], abs=1)


async def test_a_source_that_fails_ends_the_run() -> None:
    """Its error is the caller's to see, and nothing stays behind."""

    def broken() -> Iterator[str]:
        yield "prompt"
        raise KeyError("lost")

    async with emulated_router({"desk": host(model(OWL), loaded=OWL)}) as router:
        with pytest.raises(KeyError, match="lost"):
            await taken(map_prompts(router, broken()))


async def test_leaving_stops_what_is_under_way() -> None:
    """When the generator is closed, generations stop upstream and no task is left."""
    desk = host(model(OWL, reply="word " * 1000), loaded=OWL)
    async with emulated_router({"desk": desk}) as router:
        before = len(asyncio.all_tasks())
        async with aclosing(map_prompts(router, ["short", *["long"] * 20], timeout=3000)) as results:
            task = asyncio.ensure_future(anext(results))
            await asyncio.sleep(5)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(1)
        assert len(asyncio.all_tasks()) <= before
        assert not any(instance.in_flight for instance in desk.instances)
    assert {one.outcome for one in desk.generations} == {"cancelled"}


async def test_results_that_nobody_takes_stop_the_sending() -> None:
    """A reader that has stopped costs bounded memory: the rest waits until it takes them."""
    desk = host(model(OWL, decode_rate=1e6), loaded=OWL)
    async with emulated_router({"desk": desk}) as router:
        results = map_prompts(router, pinned(2000, OWL))
        await anext(results)
        await asyncio.sleep(1000)
        assert len(desk.generations) < 300
        assert sum([1 async for _ in results]) == 1999


class CountingLoop(VirtualLoop):
    """A loop that counts what it runs."""

    ran = 0

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        self.ran += 1
        return super().call_soon(callback, *args, context=context)


def test_many_prompts_cost_linear_time() -> None:
    """Four times as many take about four times the work, counted in steps of the event loop."""
    costs = [steps(count) for count in (1000, 4000)]
    assert costs[1] < 4.4 * costs[0]


def steps(count: int) -> int:
    """Return how often the loop ran something."""

    async def main() -> None:
        desk = host(model(OWL, reply="Yes.", decode_rate=1e5), loaded=OWL)
        async with emulated_router({"desk": desk}) as router:
            requests = (ModelRequest("Hi", explicit_model=OWL) for _ in range(count))
            async for _ in map_prompts(router, requests):
                pass

    loop = CountingLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
    return loop.ran


# --- any world ----------------------------------------------------------------------------------------

WORLDS = st.fixed_dictionaries(
    {
        "hosts": st.lists(st.lists(st.sampled_from(KEYS), min_size=1, unique=True), min_size=1, max_size=3),
        "loaded": st.booleans(),
        "asks": st.lists(st.sampled_from([*KEYS, None, "acme/nobody", "owl-8b"]), max_size=40),
        "ordered": st.booleans(),
        "window": st.sampled_from([1, 3, 1024]),
        "as_list": st.booleans(),
        "timeout": st.sampled_from([None, 0.5, 25.0]),
        "most": st.sampled_from([None, 1, 5]),
    }
)


@given(WORLDS)
@settings(max_examples=60)
def test_in_any_world_every_prompt_comes_once(world: dict) -> None:  # type: ignore[type-arg]
    """Whatever hosts, models, limits and forms there are, each number comes once, and in order if asked."""
    hosts = {
        f"host{n}": Emulator(
            [EmulatedModel(key, load_seconds=5) for key in keys], loaded=keys[: world["loaded"]]
        )
        for n, keys in enumerate(world["hosts"])
    }
    requests = [ModelRequest("Hi", explicit_model=key) for key in world["asks"]]

    async def main() -> list[int]:
        async with emulated_router(hosts) as router:
            given = requests if world["as_list"] else (one for one in requests)
            results = map_prompts(
                router, given, ordered=world["ordered"], window=world["window"], timeout=world["timeout"],
                max_in_flight=world["most"],
            )  # fmt: skip
            return [number async for number, _ in results]

    with asyncio.Runner(loop_factory=virtual_loop_factory) as runner:
        numbers = runner.run(main())
    full = world["as_list"] or world["timeout"] is None
    assert sorted(numbers) == list(range(len(requests) if full else len(numbers)))
    assert not world["ordered"] or numbers == sorted(numbers)
