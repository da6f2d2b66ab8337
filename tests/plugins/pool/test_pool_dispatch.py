"""What may start when: slots, queues, loads that happen once, and hosts where a load unloads others."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from turnout.errors import Fault, OverloadedError
from turnout.fleet import Deployment, Estimate, Fleet, Host, Instance, ModelInfo
from turnout.types import Lease, ModelRequest, ModelSelection, Signals
from turnout_pool import PoolSettings
from turnout_pool.dispatch import Dispatcher

pytestmark = pytest.mark.anyio

DEFAULTS = PoolSettings(linger=0.0)


def deployment(
    model: str = "m",
    host: str = "desk",
    *,
    parallel: int | None = 1,
    backend: str = "lmstudio",
    loadable: bool = True,
) -> Deployment:
    """Describe a deployment with one instance, or with none when *parallel* is None."""
    instances = () if parallel is None else (Instance(model, parallel=parallel),)
    at = Host(host, f"http://{host}:1234", backend)
    return Deployment(ModelInfo(model), at, instances, default_parallel=4, loadable=loadable)


def fleet(*deployments: Deployment) -> Fleet:
    return Fleet(deployments, taken_at=asyncio.get_running_loop().time())


async def settle() -> None:
    """Let everything run that can, without letting time pass."""
    for _ in range(5):
        await asyncio.sleep(0)


class World:
    """A dispatcher, and the snapshot that requests come with."""

    def __init__(self, settings: PoolSettings, *deployments: Deployment) -> None:
        self.dispatcher = Dispatcher(settings)
        self.fleet = fleet(*deployments)
        self.tasks: list[asyncio.Task[Lease]] = []

    async def send(
        self,
        model: str = "m",
        *,
        has: float | None = None,
        priority: int = 0,
        client: str = "",
        max_tokens: int | None = None,
        conversation: str = "",
        prompt: int | None = None,
    ) -> "asyncio.Task[Lease]":
        """Start to place a request that has that many seconds, and let it come as far as it can."""
        request = ModelRequest(
            "hello",
            timeout=has,
            priority=priority,
            client=client,
            max_tokens=max_tokens,
            conversation_id=conversation,
            signals=Signals(prompt_tokens=prompt),
        )
        work = self.dispatcher.place(request, ModelSelection(model), self.fleet)
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.append(task)
        await settle()
        return task

    async def send_many(self, count: int, model: str = "m") -> "list[asyncio.Task[Lease]]":
        return [await self.send(model) for _ in range(count)]

    async def lease(self, model: str = "m") -> Lease:
        """Place a request that starts at once."""
        task = await self.send(model)
        assert task.done(), "it has to wait"
        return task.result()

    async def release(self, task: "asyncio.Task[Lease]", after: float = 0.0) -> None:
        await asyncio.sleep(after)
        task.result().release()
        await settle()

    async def give_output(self, lease: Lease) -> None:
        """Show that a leased deployment has begun to answer."""
        self.dispatcher.loaded(lease.deployment)
        await settle()

    async def end(self) -> None:
        """End everything, and see that nothing is left."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for task in self.tasks:
            if not task.cancelled() and task.exception() is None:
                task.result().release()
        await settle()
        for schedule in self.dispatcher.schedules.values():
            assert schedule.in_flight == schedule.waiting == 0
            assert all(line.slots.free == line.slots.size for line in schedule.lines.values())


class OpenWorld(Protocol):
    def __call__(self, *deployments: Deployment, settings: PoolSettings = ...) -> World: ...


@pytest.fixture(name="open_world")
async def _open_world() -> AsyncIterator[OpenWorld]:
    worlds: list[World] = []

    def make(*deployments: Deployment, settings: PoolSettings = DEFAULTS) -> World:
        worlds.append(World(settings, *deployments))
        return worlds[-1]

    yield make
    for world in worlds:
        await world.end()


# --- slots and queues -------------------------------------------------------------------------------


async def test_a_free_slot_is_leased_at_once(open_world: OpenWorld) -> None:
    """On an idle fleet nothing waits, and the lease names the instance."""
    world = open_world(deployment())
    lease = await world.lease()
    assert [instance.id for instance in lease.deployment.instances] == ["m"]
    assert (lease.waited, lease.expected_load_seconds) == (0.0, None)


async def test_who_waits_is_served_in_the_order_of_arrival(open_world: OpenWorld) -> None:
    """A slot that becomes free goes to the one who has waited longest, who learns how long it was."""
    world = open_world(deployment())
    first, second, third = await world.send_many(3)
    await world.release(first, after=2.0)
    assert second.done()
    assert not third.done()
    assert second.result().waited == 2.0
    await world.release(second, after=1.0)
    assert third.result().waited == 3.0


async def test_releasing_twice_frees_one_slot(open_world: OpenWorld) -> None:
    """No path can make the count drift."""
    world = open_world(deployment())
    first, second, third = await world.send_many(3)
    await world.release(first)
    await world.release(first)
    assert second.done()
    assert not third.done()


async def test_all_instances_of_a_model_take_requests(open_world: OpenWorld) -> None:
    """Two copies with one slot each serve two at once."""
    copies = (Instance("m", parallel=1), Instance("m:2", parallel=1))
    world = open_world(Deployment(ModelInfo("m"), Host("desk", "http://desk", "lmstudio"), copies))
    leases = [await world.lease(), await world.lease()]
    assert {lease.deployment.instances[0].id for lease in leases} == {"m", "m:2"}
    assert not (await world.send()).done()


async def test_a_newer_snapshot_with_more_slots_wakes_those_who_wait(open_world: OpenWorld) -> None:
    """The count of what is in flight outlives the snapshot."""
    world = open_world(deployment())
    first, second, third = await world.send_many(3)
    world.fleet = fleet(deployment(parallel=3))
    fourth = await world.send()
    assert all(task.done() for task in (first, second, third))
    assert not fourth.done()


async def test_an_older_snapshot_is_not_gone_by(open_world: OpenWorld) -> None:
    """Requests that were selected at different times may arrive in any order."""
    world = open_world(deployment())
    old = world.fleet
    await asyncio.sleep(1)
    world.fleet = fleet(deployment(parallel=2))
    await world.lease()
    world.fleet = old
    await world.lease()


async def test_a_request_that_gives_up_leaves_the_queue(open_world: OpenWorld) -> None:
    """Those behind it move up."""
    world = open_world(deployment())
    first, second, third = await world.send_many(3)
    second.cancel()
    await world.release(first)
    assert second.cancelled()
    assert third.done()


async def test_a_slot_granted_in_the_moment_of_a_cancellation_is_not_lost(open_world: OpenWorld) -> None:
    """The next in the queue gets it."""
    world = open_world(deployment())
    first, second, third = await world.send_many(3)
    first.result().release()
    second.cancel()
    await settle()
    assert second.cancelled()
    assert third.done()


# --- contexts, priorities, clients ------------------------------------------------------------------


def roomy(parallel: int, context: int, host: str = "desk") -> Deployment:
    """Describe a deployment whose slots share a context."""
    instance = Instance("m", context_length=context, parallel=parallel)
    return Deployment(ModelInfo("m"), Host(host, f"http://{host}:1234", "lmstudio"), (instance,))


async def test_what_runs_together_fits_the_context_together(open_world: OpenWorld) -> None:
    """Slots share it, and a prompt too many would end them all (bt#1757)."""
    world = open_world(roomy(parallel=4, context=4096))
    first = await world.send(prompt=1000, max_tokens=1000)
    second = await world.send(prompt=1000, max_tokens=1000)
    third = await world.send(prompt=50, max_tokens=100)
    assert (first.done(), second.done(), third.done()) == (True, True, False)
    await world.release(first)
    assert third.done()


async def test_a_large_request_is_not_overtaken_for_ever(open_world: OpenWorld) -> None:
    """It waits until there is room for it, and smaller ones wait behind it."""
    world = open_world(roomy(parallel=4, context=4096))
    running = await world.send(prompt=1000, max_tokens=1000)
    large = await world.send(prompt=3000, max_tokens=1000)
    small = await world.send(prompt=10, max_tokens=10)
    assert not large.done()
    assert not small.done()
    await world.release(running)
    assert large.done()
    assert small.done()


async def test_a_request_of_any_size_runs_alone(open_world: OpenWorld) -> None:
    """Whether it fits at all was decided before; an estimate must not block it for ever."""
    world = open_world(roomy(parallel=4, context=4096))
    assert (await world.send(prompt=9000, max_tokens=100)).done()


async def test_a_higher_priority_is_served_first(open_world: OpenWorld) -> None:
    """In the queue of one model."""
    world = open_world(deployment())
    running = await world.send()
    low, high = await world.send(priority=0), await world.send(priority=1)
    await world.release(running)
    assert (low.done(), high.done()) == (False, True)


async def test_a_load_of_higher_priority_is_not_overtaken(open_world: OpenWorld) -> None:
    """What waits for the resident model lets it pass; what has begun may end."""
    world = open_world(deployment("a"), deployment("b", parallel=None))
    running = await world.send("a")
    low, high = await world.send("a"), await world.send("b", priority=1)
    await world.release(running)
    assert (low.done(), high.done()) == (False, True)


async def test_clients_take_turns(open_world: OpenWorld) -> None:
    """Whoever asks for one thing does not wait behind another's hundred."""
    world = open_world(deployment())
    running = await world.send(client="batch")
    crowd = [await world.send(client="batch") for _ in range(10)]
    one = await world.send(client="person")
    await world.release(running)
    await world.release(crowd[0])
    assert one.done()


async def test_a_conversation_returns_to_the_host_that_has_read_it(open_world: OpenWorld) -> None:
    """Between equals; one that would be done much sooner is taken all the same."""
    world = open_world(roomy(4, 100_000, "desk"), roomy(4, 100_000, "attic"))
    names = set()
    for _ in range(10):
        lease = await world.send(conversation="c", prompt=5000)
        names.add(lease.result().deployment.host.name)
        await world.release(lease)
    assert len(names) == 1
    desk, attic = world.fleet.deployments
    (there,) = names
    known, other = (desk, attic) if there == "desk" else (attic, desk)
    world.dispatcher.estimates = {known: Estimate(decode_seconds_per_token=0.5), other: Estimate()}
    moved = await world.send(conversation="c", prompt=5000)
    assert moved.result().deployment.host.name == other.host.name


async def test_a_load_waits_a_moment_for_the_question_that_follows(open_world: OpenWorld) -> None:
    """Whoever got an answer may ask again at once, and a load costs more than that moment."""
    settings = PoolSettings(linger=0.05)
    world = open_world(deployment("a"), deployment("b", parallel=None), settings=settings)
    running, loader = await world.send("a"), await world.send("b")
    await world.release(running)
    following = await world.send("a")
    assert (following.done(), loader.done()) == (True, False)
    await world.release(following)
    await asyncio.sleep(0.9)
    assert not loader.done()
    await asyncio.sleep(0.2)
    assert loader.done()


# --- refusals ---------------------------------------------------------------------------------------


async def test_a_full_queue_refuses_and_says_when_to_come_back(open_world: OpenWorld) -> None:
    """The bound is per deployment, and the error names it and a time."""
    world = open_world(deployment(), settings=PoolSettings(queue=2))
    await world.send_many(3)
    refused = await world.send()
    error = refused.exception()
    assert isinstance(error, OverloadedError)
    assert (error.host, error.model, error.fault) == ("desk", "m", Fault.DEPLOYMENT)
    assert error.retry_after is not None
    assert error.retry_after > 0


async def test_who_has_the_model_loaded_waits_behind_nobody(open_world: OpenWorld) -> None:
    """Where nobody may wait, a model that is not there is loaded all the same, and the second is refused."""
    world = open_world(deployment(parallel=None), settings=PoolSettings(queue=0))
    first, second = await world.send_many(2)
    assert isinstance(second.exception(), OverloadedError)
    assert first.done()
    await world.release(first)


async def test_a_request_that_would_wait_longer_than_it_has_is_refused_at_once(open_world: OpenWorld) -> None:
    """By what requests have taken lately: 10 s each, three ahead, on one slot."""
    world = open_world(deployment())
    await world.release(await world.send(), after=10.0)
    await world.send_many(3)
    refused = await world.send(has=20.0)
    error = refused.exception()
    assert isinstance(error, OverloadedError)
    assert error.retry_after == pytest.approx(30.0)
    patient = await world.send(has=60.0)
    assert not patient.done()


async def test_nothing_is_refused_by_a_guess(open_world: OpenWorld) -> None:
    """Where no request has been measured, one with little time still waits."""
    world = open_world(deployment())
    await world.lease()
    assert not (await world.send(has=0.5)).done()


async def test_the_queue_has_a_time_limit_where_one_is_set(open_world: OpenWorld) -> None:
    """It ends in the same error, and the place in the queue is given up."""
    world = open_world(deployment(), settings=PoolSettings(queue_timeout=5.0))
    first, second = await world.send_many(2)
    await asyncio.sleep(4.9)
    assert not second.done()
    await asyncio.sleep(0.2)
    assert isinstance(second.exception(), OverloadedError)
    await world.release(first)
    await world.lease()


async def test_closing_refuses_those_who_wait_and_all_who_come(open_world: OpenWorld) -> None:
    """What runs may end; nothing else begins, and it is no use to try elsewhere."""
    world = open_world(deployment())
    first, second = await world.send_many(2)
    world.dispatcher.close()
    third = await world.send()
    for refused in (second, third):
        error = refused.exception()
        assert isinstance(error, OverloadedError)
        assert error.fault is Fault.REQUEST
    await world.release(first)


async def test_a_cancellation_that_meets_a_refusal_is_still_a_cancellation(open_world: OpenWorld) -> None:
    """Nobody is told of an error in place of the cancellation that they asked for."""
    world = open_world(deployment())
    _, second = await world.send_many(2)
    world.dispatcher.close()
    second.cancel()
    await settle()
    assert second.cancelled()


# --- several hosts ----------------------------------------------------------------------------------


async def test_requests_spread_over_the_hosts_of_a_model(open_world: OpenWorld) -> None:
    """A host with a free slot is taken before one with a queue."""
    world = open_world(deployment(host="desk"), deployment(host="attic"))
    leases = [await world.lease(), await world.lease()]
    assert {lease.deployment.host.name for lease in leases} == {"desk", "attic"}


async def test_a_resident_model_is_taken_before_one_that_must_be_loaded(open_world: OpenWorld) -> None:
    """A free slot beats a load, however often it is asked for."""
    world = open_world(deployment(host="attic", parallel=None), deployment(host="desk", parallel=4))
    leases = [await world.lease() for _ in range(4)]
    assert {lease.deployment.host.name for lease in leases} == {"desk"}


async def test_a_busy_resident_model_can_lose_to_a_load(open_world: OpenWorld) -> None:
    """Residency is not occupancy: a long queue costs more than loading elsewhere."""
    desk, attic = deployment(host="desk"), deployment(host="attic", parallel=None)
    world = open_world(desk, attic)
    world.dispatcher.estimates = {desk: Estimate(), attic: Estimate(load_seconds=8.0)}
    leases = [await world.lease(), await world.lease()]
    assert [lease.deployment.host.name for lease in leases] == ["desk", "attic"]
    assert leases[1].expected_load_seconds == 8.0


async def test_who_waits_does_not_go_to_a_host_that_has_gone(open_world: OpenWorld) -> None:
    """Once a snapshot lacks it, its free slots count only for those who may go nowhere else."""
    desk, attic = deployment(host="desk"), deployment(host="attic")
    world = open_world(desk, attic)
    first, second, third = await world.send_many(3)
    await asyncio.sleep(1)
    world.fleet = fleet(desk)
    fourth = await world.send()
    gone, left = (first, second) if first.result().deployment.host.name == "attic" else (second, first)
    await world.release(gone)
    assert not third.done()
    await world.release(left)
    assert third.result().deployment.host.name == "desk"
    world.dispatcher.seen(fleet(desk, attic))
    assert not fourth.done()


async def test_who_may_go_nowhere_else_goes_to_a_host_that_has_gone(open_world: OpenWorld) -> None:
    """So it ends in that host's own error, rather than in a wait for nothing."""
    world = open_world(deployment(), deployment("other", host="attic"))
    first, second = await world.send_many(2)
    world.dispatcher.seen(fleet(deployment("other", host="attic")))
    await world.release(first)
    assert second.done()


async def test_a_free_slot_serves_those_who_wait_elsewhere(open_world: OpenWorld) -> None:
    """Nobody waits on one host for what another could do at once: one host serves both queues."""
    world = open_world(deployment(host="desk"), deployment(host="attic"))
    tasks = await world.send_many(6)
    stuck = next(task for task in tasks if task.done() and task.result().deployment.host.name == "attic")
    served: set[asyncio.Task[Lease]] = {stuck}
    for _ in range(5):
        (running,) = {task for task in tasks if task.done()} - served
        served.add(running)
        await world.release(running, after=1.0)
    assert served == set(tasks)


# --- loads ------------------------------------------------------------------------------------------


async def test_a_burst_on_a_cold_model_loads_it_once(open_world: OpenWorld) -> None:
    """One request goes to load it and the others wait: a server would load a copy for each (bt#1751)."""
    world = open_world(deployment(parallel=None))
    first, *others = await world.send_many(5)
    assert first.result().expected_load_seconds is not None
    assert first.result().deployment.instances == ()
    assert not any(task.done() for task in others)


async def test_the_first_output_lets_the_others_go(open_world: OpenWorld) -> None:
    """A model that answers is resident; its slots are those of a freshly loaded one."""
    world = open_world(deployment(parallel=None))
    first, *others = await world.send_many(5)
    await world.give_output(first.result())
    assert [task.done() for task in others] == [True, True, True, False]
    assert {task.result().expected_load_seconds for task in others[:3]} == {None}
    assert all(task.result().deployment.resident for task in others[:3])


async def test_a_snapshot_that_shows_it_resident_lets_the_others_go(open_world: OpenWorld) -> None:
    """It may have been loaded by hand meanwhile."""
    world = open_world(deployment(parallel=None))
    _, second = await world.send_many(2)
    world.fleet = fleet(deployment(parallel=2))
    await world.send()
    assert second.done()


async def test_a_load_that_failed_is_tried_again_by_one(open_world: OpenWorld) -> None:
    """A release without any output proves nothing, so the next goes alone too."""
    world = open_world(deployment(parallel=None))
    first, second, third = await world.send_many(3)
    await world.release(first)
    assert second.result().expected_load_seconds is not None
    assert not third.done()


async def test_a_loader_that_gives_up_hands_over(open_world: OpenWorld) -> None:
    """Whoever waits first becomes the loader."""
    world = open_world(deployment("a"), deployment("b", parallel=None))
    await world.lease("a")
    first, second = await world.send_many(2, "b")
    first.cancel()
    await settle()
    await world.release(world.tasks[0])
    assert second.result().expected_load_seconds is not None


async def test_what_cannot_be_loaded_is_never_waited_for(open_world: OpenWorld) -> None:
    """A host that loads nothing on demand takes requests as they come."""
    world = open_world(deployment(parallel=None, backend="openai", loadable=False))
    for _ in range(4):
        assert (await world.lease()).expected_load_seconds is None
    assert not (await world.send()).done()


async def test_measured_loads_are_what_is_expected_next_time(open_world: OpenWorld) -> None:
    """The last loads of a deployment tell more than its size."""
    world = open_world(deployment(parallel=None))
    first = await world.send()
    await asyncio.sleep(7.0)
    await world.give_output(first.result())
    await world.release(first)
    await asyncio.sleep(1.0)
    world.fleet = fleet(deployment(parallel=None))
    assert (await world.lease()).expected_load_seconds == 7.0


# --- hosts where a load unloads others --------------------------------------------------------------


async def test_what_is_not_measured_is_expected_to_take_as_much_longer_as_others_there(
    open_world: OpenWorld,
) -> None:
    """A host that was three times as slow as predicted is taken to be so with every model."""
    here = deployment("a"), deployment("b", parallel=None)
    world = open_world(*here)
    world.dispatcher.estimates = dict.fromkeys(here, Estimate(decode_seconds_per_token=1.0))
    await world.release(await world.send("a", max_tokens=10), after=30.0)
    await world.send("b", max_tokens=4)
    schedule = world.dispatcher.schedules["desk"]
    assert schedule.serving_takes(schedule.lines["a"]) == 30.0
    assert schedule.serving_takes(schedule.lines["b"]) == 12.0


async def test_a_load_waits_until_nothing_else_generates(open_world: OpenWorld) -> None:
    """It would unload the other model under its requests."""
    world = open_world(deployment("a", parallel=2), deployment("b", parallel=None))
    first, second = await world.send_many(2, "a")
    loader = await world.send("b")
    await world.release(first)
    assert not loader.done()
    await world.release(second)
    assert loader.done()


async def test_hosts_that_keep_several_models_do_not_wait(open_world: OpenWorld) -> None:
    """The rule is for the backends that are named in the settings."""
    world = open_world(
        deployment("a", backend="embedded"),
        deployment("b", backend="embedded", parallel=None),
        deployment("c", backend="embedded", parallel=None),
    )
    for model in "abc":
        await world.lease(model)


async def test_nothing_starts_on_the_host_while_it_loads(open_world: OpenWorld) -> None:
    """The resident model may be on its way out; a request for it would call it back in."""
    world = open_world(deployment("a"), deployment("b", parallel=None))
    loader = await world.send("b")
    other = await world.send("a")
    assert not other.done()
    await world.give_output(loader.result())
    assert not other.done()
    await world.release(loader)
    assert other.result().deployment.instances == ()


async def test_a_snapshot_after_the_load_says_what_is_still_resident(open_world: OpenWorld) -> None:
    """A model that was loaded by hand stays, so its requests need not wait for the other's."""
    world = open_world(deployment("a"), deployment("b", parallel=None))
    loader = await world.send("b")
    await world.give_output(loader.result())
    await asyncio.sleep(1.0)
    world.fleet = fleet(deployment("a"), deployment("b"))
    assert (await world.lease("a")).deployment.instances != ()


async def test_a_snapshot_from_before_the_load_is_not_believed(open_world: OpenWorld) -> None:
    """Also for a model that nobody has asked for until then."""
    world = open_world(deployment("a"), deployment("b", parallel=None))
    await asyncio.sleep(1.0)
    loader = await world.send("b")
    await world.give_output(loader.result())
    other = await world.send("a")
    assert not other.done()
    await world.release(loader)
    assert other.result().expected_load_seconds is not None


async def test_a_snapshot_that_arrives_late_knows_less_than_the_load(open_world: OpenWorld) -> None:
    """It was taken before the load and is seen after it: it says the reverse of what is true by now."""
    world = open_world(deployment("a"), deployment("b", parallel=None))
    (await world.lease("a")).release()
    await asyncio.sleep(1.0)
    late = fleet(deployment("a"), deployment("b", parallel=None))
    await asyncio.sleep(1.0)
    loader = await world.send("b")
    await world.give_output(loader.result())
    world.fleet = late
    assert not (await world.send("a")).done()
    assert (await world.lease("b")).expected_load_seconds is None


async def test_requests_for_the_loaded_model_go_before_the_next_load(open_world: OpenWorld) -> None:
    """A B A B becomes A A B B: a swap for each request would cost more than all the answers."""
    world = open_world(deployment("a"), deployment("b", parallel=None))
    a1, b1, a2, b2 = [await world.send(model) for model in "abab"]
    await world.release(a1, after=1.0)
    assert (a2.done(), b1.done()) == (True, False)
    await world.release(a2, after=1.0)
    await world.give_output(b1.result())
    assert b2.done()


async def test_a_load_is_overtaken_by_no_more_than_the_bound(open_world: OpenWorld) -> None:
    """However many come for the resident model."""
    settings = PoolSettings(linger=0.0, max_overtakes=3)
    world = open_world(deployment("a"), deployment("b", parallel=None), settings=settings)
    running = await world.send("a")
    loader = await world.send("b")
    crowd = await world.send_many(10, "a")
    for overtaking in crowd[:3]:
        await world.release(running, after=1.0)
        running = overtaking
        assert running.done()
    await world.release(running, after=1.0)
    assert loader.done()
    assert not any(task.done() for task in crowd[3:])


async def test_a_load_is_overtaken_for_no_longer_than_the_bound(open_world: OpenWorld) -> None:
    """After that time only who came before may still start, and only if that takes less than a load."""
    settings = PoolSettings(linger=0.0, patience_seconds=10.0, patience_loads=0.0)
    world = open_world(deployment("a"), deployment("b", parallel=None), settings=settings)
    running = await world.send("a")
    loader = await world.send("b")
    early, last = await world.send_many(2, "a")
    await world.release(running, after=9.0)
    assert early.done()
    await world.release(early, after=2.0)
    assert last.done()
    late = await world.send("a")
    await world.release(last)
    assert loader.done()
    assert not late.done()


async def test_a_long_queue_is_cut_when_the_turn_of_another_has_come(open_world: OpenWorld) -> None:
    """To serve all who came before would take longer than to load their model once more."""
    settings = PoolSettings(linger=0.0, patience_seconds=10.0, patience_loads=0.0)
    world = open_world(deployment("a"), deployment("b", parallel=None), settings=settings)
    running = await world.send("a")
    loader = await world.send("b")
    crowd = await world.send_many(5, "a")
    await world.release(running, after=11.0)
    assert loader.done()
    assert not any(task.done() for task in crowd)


async def test_a_copy_of_what_is_there_has_no_turn(open_world: OpenWorld) -> None:
    """Who waits for a resident model waits for no load: another host swaps for it only where that pays."""
    settings = PoolSettings(linger=0.0, patience_seconds=10.0, patience_loads=0.0)
    here, there = deployment("m"), deployment("n", "attic")
    world = open_world(here, there, deployment("m", "attic", parallel=None), settings=settings)
    running = await world.send()
    waiting = await world.send()
    await asyncio.sleep(60.0)
    other = await world.send("n")
    await world.release(other)
    assert not waiting.done()
    await world.release(running)
    assert waiting.result().deployment.host.name == "desk"


async def test_loads_take_turns_by_arrival_and_each_gets_its_batch(open_world: OpenWorld) -> None:
    """The bound counts anew for the next load, so two waiting loads do not make each other's batch empty."""
    settings = PoolSettings(linger=0.0, max_overtakes=1)
    names = ("b", "c")
    cold = [deployment(name, parallel=None) for name in names]
    world = open_world(deployment("a"), *cold, settings=settings)
    running = await world.send("a")
    b1, c1, b2, b3 = [await world.send(model) for model in ("b", "c", "b", "b")]
    await world.release(running)
    await world.give_output(b1.result())
    assert (b2.done(), b3.done(), c1.done()) == (True, False, False)
    await world.release(b1, after=1.0)
    await world.release(b2, after=1.0)
    assert (b3.done(), c1.done()) == (False, True)


async def test_a_load_that_nobody_waits_for_any_more_lets_the_others_go(open_world: OpenWorld) -> None:
    """A cancelled load holds nobody back."""
    settings = PoolSettings(linger=0.0, max_overtakes=0)
    world = open_world(deployment("a", parallel=2), deployment("b", parallel=None), settings=settings)
    await world.lease("a")
    loader, held = await world.send("b"), await world.send("a")
    assert not held.done()
    loader.cancel()
    await settle()
    assert held.done()


async def test_waiting_for_a_drain_and_a_load_counts_against_a_host(open_world: OpenWorld) -> None:
    """A cold host that is busy with another model is worth less than an equal one that is idle."""
    cold = [deployment("b", host, parallel=None) for host in ("desk", "attic")]
    world = open_world(deployment("a", "desk"), *cold)
    await world.lease("a")
    assert (await world.lease("b")).deployment.host.name == "attic"
