"""Whatever comes, in whatever order: no load unloads what runs, nothing is lost, nobody starves."""

import asyncio
from collections import Counter, defaultdict

from attrs import define, evolve, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.errors import OverloadedError
from turnout.fleet import Deployment, Fleet, Host, Instance, ModelInfo
from turnout.types import Lease, ModelRequest, ModelSelection
from turnout_pool import PoolSettings
from turnout_pool.dispatch import Dispatcher
from turnout_pool.placement import UNKNOWN_LOAD_SECONDS
from turnout_testing.clock import virtual_loop_factory

MODELS = ("a", "b", "c")
HOSTS = (Host("desk", "http://desk", "lmstudio"), Host("attic", "http://attic", "embedded"))
JIT_PARALLEL = 2
CONTEXT = 100


@frozen
class Job:
    """A request: when it comes, from whom, how much it takes, and whether it fails or is given up."""

    model: str
    at: int
    load: int
    generation: int
    answers: bool
    patience: int
    priority: int = 0
    client: str = ""
    tokens: int = 1


@frozen
class Scenario:
    settings: PoolSettings
    hosts: tuple[Host, ...]
    resident: frozenset[str]
    parallel: int
    jobs: tuple[Job, ...]
    looks: frozenset[int]
    """When somebody looks at the hosts again."""


jobs = st.builds(
    Job,
    st.sampled_from(MODELS),
    at=st.integers(0, 30),
    load=st.integers(0, 5),
    generation=st.integers(0, 9),
    answers=st.sampled_from([True, True, True, False]),
    patience=st.just(10_000) | st.integers(0, 40),
)
unequal_jobs = st.builds(
    evolve,
    jobs,
    priority=st.integers(0, 2),
    client=st.sampled_from("xyz"),
    tokens=st.sampled_from([1, 40, 70, 200]),
)


def scenarios_of(some: st.SearchStrategy[Job]) -> st.SearchStrategy[Scenario]:
    return st.builds(
        Scenario,
        st.builds(
            PoolSettings,
            queue=st.integers(1, 6),
            max_overtakes=st.integers(0, 3),
            patience_seconds=st.sampled_from([0.0, 5.0, 1e9]),
            patience_loads=st.sampled_from([0.0, 0.5]),
            min_residence_seconds=st.sampled_from([0.0, 7.0]),
            linger=st.sampled_from([0.0, 0.1]),
        ),
        st.sampled_from([HOSTS[:1], HOSTS[1:], HOSTS]),
        st.frozensets(st.sampled_from(MODELS)),
        st.integers(1, 3),
        st.lists(some, max_size=25).map(tuple),
        st.frozensets(st.integers(1, 60), max_size=6),
    )


scenarios = scenarios_of(jobs)


@define
class Server:
    """What really happens on one host; it loads on demand, and an exclusive one keeps a single model."""

    host: Host
    parallel: int
    resident: set[str]
    running: Counter[str] = field(factory=Counter)
    tokens: Counter[str] = field(factory=Counter)
    loading: set[str] = field(factory=set)

    def begin(self, model: str, tokens: int, context: int | None) -> None:
        if context is not None and self.running[model]:
            assert self.tokens[model] + tokens <= context, "what runs together must fit together"
        self.tokens[model] += tokens
        if model not in self.resident:
            assert model not in self.loading, "one load for all who wait"
            self.loading.add(model)
            if self.host.backend == "lmstudio":
                assert not +self.running, "a load unloads what generates"
                self.resident.clear()
        self.running[model] += 1
        assert self.running[model] <= max(self.parallel, JIT_PARALLEL)

    def answer(self, model: str) -> None:
        if model in self.loading:
            self.loading.remove(model)
            self.resident.add(model)

    def end(self, model: str, tokens: int) -> None:
        self.running[model] -= 1
        self.tokens[model] -= tokens
        if not self.running[model]:
            self.loading.discard(model)

    def deployments(self) -> list[Deployment]:
        instances = {model: (Instance(model, CONTEXT, self.parallel),) for model in self.resident}
        return [
            Deployment(ModelInfo(model), self.host, instances.get(model, ()), default_parallel=JIT_PARALLEL)
            for model in MODELS
        ]


class World:
    """A dispatcher in front of servers, with what came of each job."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.dispatcher = Dispatcher(scenario.settings)
        self.servers = {h.name: Server(h, scenario.parallel, set(scenario.resident)) for h in scenario.hosts}
        self.fleet = self.look()
        self.arrived: defaultdict[str, list[Job]] = defaultdict(list)
        self.started: defaultdict[str, list[tuple[float, Job]]] = defaultdict(list)
        self.order: list[Job] = []
        self.ended: Counter[str] = Counter()

    def look(self) -> Fleet:
        found = [d for server in self.servers.values() for d in server.deployments()]
        return Fleet(tuple(found), taken_at=asyncio.get_running_loop().time())

    async def refresh(self, at: int) -> None:
        await asyncio.sleep(at)
        self.fleet = self.look()

    async def do(self, job: Job, number: int) -> None:
        await asyncio.sleep(job.at)
        request = ModelRequest(
            "hello", id=str(number), priority=job.priority, client=job.client, max_tokens=job.tokens
        )
        self.arrived[job.model].append(job)
        try:
            async with asyncio.timeout(job.patience):
                with await self.dispatcher.place(request, ModelSelection(job.model), self.fleet) as lease:
                    self.started[job.model].append((asyncio.get_running_loop().time(), job))
                    self.order.append(job)
                    await self.run(job, lease)
            self.ended["served"] += 1
        except TimeoutError:
            self.ended["given up"] += 1
        except OverloadedError:
            self.ended["refused"] += 1
        finally:
            self.check_bounds()

    async def run(self, job: Job, lease: Lease) -> None:
        server = self.servers[lease.deployment.host.name]
        (instance,) = lease.deployment.instances or (Instance(""),)
        server.begin(job.model, job.tokens, instance.context_length)
        self.check_bounds()
        try:
            await asyncio.sleep(job.load if job.model in server.loading else 0)
            if job.answers:
                server.answer(job.model)
                self.dispatcher.loaded(lease.deployment)
            await asyncio.sleep(job.generation)
        finally:
            server.end(job.model, job.tokens)

    def check_bounds(self) -> None:
        for schedule in self.dispatcher.schedules.values():
            for line in schedule.lines.values():
                assert line.queued <= self.scenario.settings.queue
            assert schedule.waiting == sum(line.queued for line in schedule.lines.values())
            assert schedule.in_flight == sum(line.slots.in_flight for line in schedule.lines.values())


async def play(scenario: Scenario) -> World:
    world = World(scenario)
    async with asyncio.TaskGroup() as group:
        for at in scenario.looks:
            group.create_task(world.refresh(at))
        for number, job in enumerate(scenario.jobs):
            group.create_task(world.do(job, number))
    return world


def simulate(scenario: Scenario) -> World:
    with asyncio.Runner(loop_factory=virtual_loop_factory) as runner:
        return runner.run(play(scenario))


@given(scenarios_of(unequal_jobs))
@settings(deadline=None, max_examples=300)
def test_no_server_is_asked_for_more_than_it_can_do_and_no_slot_is_lost(scenario: Scenario) -> None:
    """No load unloads what generates or happens twice; all who wait are served; all slots come back."""
    # A request that is never served would end the simulation with a deadlock.
    world = simulate(scenario)
    assert world.ended.total() == len(scenario.jobs)
    if all(job.patience > 1000 for job in scenario.jobs):
        assert not world.ended["given up"]
    for schedule in world.dispatcher.schedules.values():
        assert schedule.in_flight == schedule.waiting == 0
        assert all(line.slots.free == line.slots.size for line in schedule.lines.values())


@given(scenarios.filter(lambda scenario: len(scenario.hosts) == 1))
@settings(deadline=None)
def test_requests_for_one_model_on_one_host_start_in_the_order_of_arrival(scenario: Scenario) -> None:
    """Those who gave up or were refused aside."""
    world = simulate(scenario)
    for model, started in world.started.items():
        ids = [id(job) for job in world.arrived[model]]
        # A slot is given before its task runs: of those that start in one instant the order is not seen.
        places = sorted((at, ids.index(id(job))) for at, job in started)
        assert [place for _, place in places] == sorted(place for _, place in places)


@given(
    st.integers(0, 5),
    st.lists(st.integers(0, 60), min_size=1, max_size=40),
    st.integers(1, 9),
    st.integers(1, 3),
)
@settings(deadline=None)
def test_no_stream_of_requests_starves_a_load(
    overtakes: int, arrivals: list[int], generation: int, parallel: int
) -> None:
    """Of all that come for the resident model, no more than the bound start before the load does."""
    crowd = [Job("a", at, 0, generation, True, 10_000) for at in arrivals]
    loader = Job("b", 1, 3, 1, True, 10_000)
    bounds = PoolSettings(queue=1000, max_overtakes=overtakes, patience_seconds=1e9)
    scenario = Scenario(bounds, HOSTS[:1], frozenset("a"), parallel, (*crowd, loader), frozenset())
    world = simulate(scenario)
    assert world.ended["served"] == len(scenario.jobs)
    before = world.order[: world.order.index(loader)]
    assert len([job for job in before if job.at > loader.at]) <= overtakes


@given(st.lists(jobs, min_size=1, max_size=40), st.sampled_from([0.0, 5.0, 12.0]), st.integers(1, 2))
@settings(deadline=None)
def test_nobody_waits_for_longer_than_the_bound_on_starvation(
    some: list[Job], patience: float, parallel: int
) -> None:
    """For each before it in its queue, and for itself: a turn of each other model, and a load."""
    lasting = [evolve(job, answers=True, patience=10_000) for job in some]
    bounds = PoolSettings(queue=1000, max_overtakes=10**6, patience_seconds=patience, patience_loads=0.0)
    scenario = Scenario(bounds, HOSTS[:1], frozenset("a"), parallel, tuple(lasting), frozenset())
    world = simulate(scenario)
    load, generation = 5.0, 9.0
    # A turn may last for one load longer than the patience, and nobody knows yet what a load takes.
    turn = patience + UNKNOWN_LOAD_SECONDS + generation + load
    for started in world.started.values():
        begun = {id(job): at for at, job in started}
        for at, job in started:
            ahead = [o for _, o in started if o.at <= job.at and begun[id(o)] > job.at and o is not job]
            assert at - job.at <= (len(ahead) + 1) * ((len(MODELS) - 1) * turn + load + generation)
