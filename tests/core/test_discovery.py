"""The fleet is looked at by one for all, as seldom as allowed, and no host waits for another."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import pytest
from attrs import evolve
from tests.core.inline import Inline, a_deployment, a_host, a_router

from turnout import (
    Config,
    Deployment,
    Discovery,
    Fault,
    Host,
    LLMConnectionError,
    LLMError,
    LLMTimeoutError,
    ModelCapability,
    ModelInfo,
    ModelKind,
    ModelSettings,
    Router,
    RouterSettings,
    hookimpl,
)

pytestmark = pytest.mark.anyio


def timed(backend: Inline, *, ttl: float = 5.0, limit: float = 3.0) -> Router:
    return a_router(
        backend=backend,
        config=Config(router=RouterSettings(fleet_ttl=ttl, discovery_timeout=limit, backoff=0)),
    )


async def test_twenty_who_ask_at_once_share_one_look() -> None:
    """A cold start with many requests asks each host once."""
    backend = Inline(a_deployment(), a_deployment(host="two"))
    backend.looks = {"one": [0.5]}
    async with timed(backend) as router:
        fleets = await asyncio.gather(*(router.fleet() for _ in range(20)))
        assert backend.looked == {"one": 1, "two": 1}
        assert all(fleet is fleets[0] for fleet in fleets)
        replies = await asyncio.gather(*(router.ask("hi") for _ in range(20)))
    assert backend.looked == {"one": 1, "two": 1}
    assert len(replies) == 20


async def test_a_look_counts_for_its_time() -> None:
    """Until then nobody is asked again, and afterwards once."""
    backend = Inline(a_deployment())
    async with timed(backend, ttl=5) as router:
        first = await router.fleet()
        await asyncio.sleep(5)
        assert await router.fleet() is first
        await asyncio.sleep(0.1)
        assert await router.fleet() is not first
        assert await router.fleet(refresh=True) is not first
    assert backend.looked == {"one": 3}


async def test_a_dead_host_delays_nobody_beyond_its_own_deadline() -> None:
    """All hosts are looked at together, and one that hangs is given up."""
    backend = Inline(a_deployment(), a_deployment(host="slow"), hosts=[a_host("dead"), a_host("also dead")])
    backend.looks = {"dead": [1000.0], "also dead": [1000.0], "slow": [2.0]}
    async with timed(backend, limit=3) as router:
        began = asyncio.get_running_loop().time()
        fleet = await router.fleet()
        assert asyncio.get_running_loop().time() - began == pytest.approx(3)
    assert set(fleet.deployments) == set(backend.deployments)
    seconds = {report.host.name: report.seconds for report in fleet.hosts}
    assert seconds == pytest.approx({"one": 0, "slow": 2, "dead": 3, "also dead": 3})
    late = fleet.hosts[2].error
    assert isinstance(late, LLMTimeoutError)
    assert str(late) == "inline://dead did not list its models within 3 s"
    assert fleet.silent == ("dead", "also dead")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (LLMConnectionError("refused", host="down", advice="Start it."), "refused (down). Start it."),
        (OSError("no route"), "OSError: no route (down)"),
    ],
)
async def test_a_host_that_fails_is_reported(error: Exception, text: str) -> None:
    """Its error is in its report, and the others are there."""
    backend = Inline(a_deployment(), hosts=[a_host("down")])
    backend.looks = {"down": [error]}
    async with timed(backend) as router:
        up, down = await router.hosts()
    assert (up.host.name, up.models, up.error) == ("one", 1, None)
    assert (down.host.name, down.models, str(down.error)) == ("down", 0, text)


class Careless:
    """A backend whose work returns what it may not."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    @hookimpl
    def discover_models(self) -> Iterator[Discovery]:
        yield Discovery(a_host("careless"), self.look)  # type: ignore[arg-type]

    async def look(self) -> object:
        return self.answer


@pytest.mark.parametrize("answer", [None, 3, ["m"], [a_deployment(), None]])
async def test_a_backend_that_lists_nonsense_costs_only_its_host(answer: object, log: list[str]) -> None:
    """The others are there, and the log names the backend."""
    router = a_router(a_deployment(), plugins={"careless": Careless(answer)})
    async with router:
        careless, one = await router.hosts()
    assert (careless.models, one.models) == (0, 1)
    assert str(careless.error).startswith("TypeError: ")
    assert log[0].startswith("WARNING plugin 'inline' failed in discover_models: TypeError: ")


async def test_a_host_that_comes_and_goes_is_told_once(log: list[str]) -> None:
    """A silent host does not fill the log at each look, and its return is told."""
    backend = Inline(a_deployment())
    async with timed(backend) as router:
        backend.looks = {"one": [LLMConnectionError("off", advice="-")]}
        await router.fleet(refresh=True)
        await router.fleet(refresh=True)
        backend.looks = {}
        await router.fleet(refresh=True)
        await router.fleet(refresh=True)
    assert log == ["INFO host 'one' does not answer: off. -", "INFO host 'one' answers again"]


async def test_who_gives_up_does_not_end_the_look_for_the_others() -> None:
    """One impatient caller costs the others nothing."""
    backend = Inline(a_deployment())
    backend.looks = {"one": [1.0]}
    async with timed(backend) as router:
        patient = asyncio.create_task(router.fleet())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(router.fleet(), 0.5)
        assert len((await patient).deployments) == 1
    assert backend.looked == {"one": 1}


async def test_a_change_during_a_look_is_not_missed() -> None:
    """Who asks after the change gets a look that began after it; who asked before gets the old one."""
    backend = Inline(a_deployment())
    backend.looks = {"one": [1.0]}
    async with timed(backend) as router:
        before = asyncio.create_task(router.fleet())
        await asyncio.sleep(0.5)
        backend.looks = {}
        router.forget_fleet()
        backend.deployments.append(a_deployment("new"))
        after = await asyncio.gather(router.fleet(), router.fleet())
        assert backend.looked == {"one": 2}
        assert [len(fleet.deployments) for fleet in after] == [2, 2]
        await before
        assert await router.fleet() is after[0]


async def test_a_failure_makes_the_fleet_to_be_looked_at_again() -> None:
    """A crash may have changed what is loaded."""
    backend = Inline(a_deployment(), a_deployment("n"))
    backend.tell([LLMError("crash", fault=Fault.DEPLOYMENT)])
    async with timed(backend) as router:
        reply = await router.ask("hi", model="m", allow_fallback=True)
        assert reply.model == "n"
        assert backend.looked == {"one": 2}
        await router.ask("hi")
    assert backend.looked == {"one": 2}


async def test_an_answer_that_has_loaded_its_model_makes_the_fleet_to_be_looked_at_again() -> None:
    """The model is resident now, and another may not be any more."""
    backend = Inline(a_deployment(loaded=None))
    async with timed(backend) as router:
        await router.ask("hi")
        await router.fleet()
        assert backend.looked == {"one": 2}
        backend.deployments = [a_deployment()]
        await router.fleet(refresh=True)
        await router.ask("hi")
    assert backend.looked == {"one": 3}


async def test_a_router_that_closes_ends_its_look() -> None:
    """Nothing goes on behind a closed router."""
    backend = Inline(a_deployment())
    backend.looks = {"one": [1000.0]}
    router = timed(backend, limit=2000)
    async with router:
        waiting = asyncio.create_task(router.fleet())
        await asyncio.sleep(1)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert asyncio.get_running_loop().time() < 2


async def test_what_the_user_knows_better_counts() -> None:
    """A model's table in the settings overrides what its server says, key by key."""
    better = ModelSettings(
        ModelKind.EMBEDDING, frozenset({ModelCapability.CODING}), vision=True, tools=False, context_length=100
    )
    config = Config(models={"m": better, "n": ModelSettings(vision=False)})
    async with a_router(a_deployment(), a_deployment("n", vision=True, tools=True), config=config) as router:
        m, n = await router.models()
    assert (m.kind, m.capabilities, m.vision, m.tools, m.context_length) == (
        ModelKind.EMBEDDING,
        frozenset({ModelCapability.CODING}),
        True,
        False,
        100,
    )
    assert (n.kind, n.vision, n.tools, n.context_length) == (ModelKind.LLM, False, True, 8192)


class Versioned:
    """A backend that learns the era of its host when it looks."""

    @hookimpl
    def discover_models(self) -> Iterator[Discovery]:
        yield Discovery(a_host(), partial(self.look, evolve(a_host(), era="0.4")))

    async def look(self, host: Host) -> list[Deployment]:
        return [a_deployment(host=host)]


async def test_a_report_has_the_host_as_it_was_found() -> None:
    """What the look has learned of the host is in its report."""
    async with a_router(backend=Versioned()) as router:
        [report] = await router.hosts()
    assert report.host.era == "0.4"


class Knowing:
    """Knows the weights per token of one host's models, and that they see."""

    @hookimpl
    def describe_models(self, deployments: Sequence[Deployment]) -> Mapping[Deployment, ModelInfo]:
        return {
            d: evolve(d.info, active_parameters=7, vision=True) for d in deployments if d.host.name == "two"
        }


class Guessing:
    @hookimpl
    def describe_models(self, deployments: Sequence[Deployment]) -> object:
        return dict.fromkeys(deployments, "a fine model")


async def test_what_a_host_does_not_say_a_plugin_may_know(log: list[str]) -> None:
    """It says so for each deployment by itself; the settings go before, and nonsense is left out by name."""
    config = Config(models={"m": ModelSettings(vision=False)})
    deployments = (a_deployment(), a_deployment(host="two"), a_deployment("n", "two"))
    plugins = {"guessing": Guessing(), "knowing": Knowing()}
    async with a_router(*deployments, plugins=plugins, config=config) as router:
        fleet = await router.fleet()
    facts = {d.key: (d.info.active_parameters, d.info.vision) for d in fleet.deployments}
    assert facts == {("one", "m"): (None, False), ("two", "m"): (7, False), ("two", "n"): (7, True)}
    assert any("'guessing' failed in describe_models" in line for line in log)
