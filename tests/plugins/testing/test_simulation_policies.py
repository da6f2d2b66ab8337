"""Reference policies choose as their names say, and a gate lets loads wait."""

import asyncio
from random import Random

import pytest

from turnout import Deployment, Host, Instance, LLMError, ModelInfo, ModelRequest, Reply, Router
from turnout_testing import EmulatedModel, Emulator
from turnout_testing.http import AsgiMessage, Receive, Scope, Send
from turnout_testing.simulation.gate import Gate
from turnout_testing.simulation.policies import (
    POLICIES,
    Chance,
    LeastInFlight,
    ReferencePolicy,
    ResidentFirst,
    RoundRobin,
    Static,
    Traffic,
)
from turnout_testing.simulation.strategies import GATED, Strategy
from turnout_testing.simulation.trace import Arrival
from turnout_testing.simulation.traffic import ForeignAnswerError
from turnout_testing.simulation.traffic import Traffic as Requests

OWL, WREN = "acme/owl-8b", "acme/wren-1b"


def deployment(host: str, model: str = OWL, *, resident: bool = False) -> Deployment:
    instances = (Instance(model),) if resident else ()
    return Deployment(ModelInfo(model), Host(host, f"http://{host}:1234", "lmstudio"), instances)


DESK, ATTIC, CELLAR = deployment("desk"), deployment("attic"), deployment("cellar")
ALL = [DESK, ATTIC, CELLAR]


def test_chance_takes_everybody_in_the_end() -> None:
    """No deployment is left out."""
    random = Random(1)
    assert {Chance().choose(ALL, Traffic(), random) for _ in range(50)} == {*ALL}


def test_round_robin_takes_turns_by_model() -> None:
    """Each model has its own turn, whatever order its deployments come in."""
    policy, traffic, random = RoundRobin(), Traffic(), Random(1)
    others = [deployment("desk", WREN), deployment("attic", WREN)]
    turns = [policy.choose(order, traffic, random).host.name for order in (ALL, ALL[::-1], ALL, ALL)]
    assert turns == ["attic", "cellar", "desk", "attic"]
    assert policy.choose(others, traffic, random).host.name == "attic"


def test_least_in_flight_takes_the_idle_host() -> None:
    """A lease counts until it is released."""
    policy, traffic, random = LeastInFlight(), Traffic(), Random(1)
    leases = [traffic.lease(DESK), traffic.lease(ATTIC)]
    assert policy.choose(ALL, traffic, random) is CELLAR
    leases.append(traffic.lease(CELLAR))
    leases[0].release()
    leases[0].release()
    assert policy.choose(ALL, traffic, random) is DESK


def test_resident_first_goes_by_what_it_sees_and_sends() -> None:
    """A resident model counts; after a request for another one, the host is thought to have that."""
    policy, traffic, random = ResidentFirst(), Traffic(), Random(1)
    there = deployment("attic", resident=True)
    assert policy.choose([DESK, there, CELLAR], traffic, random) is there
    traffic.lease(deployment("attic", WREN)).release()
    traffic.lease(CELLAR)
    assert policy.choose([DESK, there, CELLAR], traffic, random) is CELLAR


def test_static_deals_models_out_to_hosts() -> None:
    """A model stays where it was put, and the next one goes to the next host."""
    policy, traffic, random = Static(), Traffic(), Random(1)
    wren = [deployment(host, WREN) for host in ("desk", "attic", "cellar")]
    assert [policy.choose(ALL, traffic, random).host.name for _ in range(3)] == ["attic"] * 3
    assert policy.choose(wren, traffic, random).host.name == "cellar"


def emulator() -> Emulator:
    models = [EmulatedModel(key, load_seconds=2, decode_rate=5, reply="one two") for key in (OWL, WREN)]
    return Emulator(models)


async def ask(router: Router, name: str, model: str | None, after: float = 0.0) -> str:
    await asyncio.sleep(after)
    return (await router.ask(ModelRequest(name, id=name, explicit_model=model))).text


@pytest.mark.anyio
async def test_behind_a_gate_a_load_waits_for_what_is_running() -> None:
    """Two models on one host are loaded once each, and no answer is cut off."""
    host = emulator()
    async with Strategy(f"{GATED}random").router({"desk": host}) as router:
        asked = [ask(router, f"{n}", (OWL, WREN)[n % 2], 0.01 * n) for n in range(8)]
        assert await asyncio.gather(*asked) == ["one two"] * 8
    assert [load.model for load in host.loads] == [OWL, WREN]
    assert host.evicted_while_generating == 0


@pytest.mark.anyio
async def test_without_a_gate_a_load_ends_what_is_running() -> None:
    """This is what LM Studio does, and why the others are also measured with gates."""
    host = emulator()
    async with Strategy("random").router({"desk": host}) as router:
        first = asyncio.create_task(ask(router, "first", OWL))
        second = await ask(router, "second", WREN, 2.1)
        with pytest.raises(LLMError, match="unloaded"):
            await first
    assert second == "one two"


@pytest.mark.anyio
async def test_who_leaves_a_gate_lets_the_next_one_in() -> None:
    """Neither one who waits nor one who runs leaves the gate shut when he goes."""
    host = emulator()
    async with Strategy(f"{GATED}static").router({"desk": host}) as router:
        leaving = [asyncio.create_task(ask(router, f"gone-{model}", model)) for model in (OWL, WREN)]
        await asyncio.sleep(0.5)
        for one in leaving:
            one.cancel()
        await asyncio.wait(leaving)
        assert await asyncio.wait_for(ask(router, "stays", WREN), 30) == "one two"


@pytest.mark.anyio
@pytest.mark.parametrize("policy", POLICIES)
async def test_a_policy_keeps_to_the_hosts_that_may_serve(policy: str) -> None:
    """What is not eligible is not chosen: a request that names its host stays there."""
    hosts = {"desk": emulator(), "attic": emulator()}
    async with Strategy(policy).router(hosts) as router:
        for n in range(4):
            request = ModelRequest(f"{n}", id=f"{n}", explicit_model=OWL, hosts={"attic"})
            assert (await router.ask(request)).host == "attic"


@pytest.mark.anyio
async def test_who_is_cancelled_before_a_gate_leaves_it_open() -> None:
    """A place that was given away in the moment of the cancellation is given to the next."""
    passed: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        passed.append(str(scope["path"]))
        await asyncio.sleep(1)
        if scope["path"] == "first":
            asyncio.get_running_loop().call_soon(chosen.cancel)

    gate = Gate(app)

    async def enter(name: str, model: str) -> None:
        async def receive() -> AsgiMessage:
            return {"body": b'{"model": "%s"}' % model.encode()}

        async def send(message: AsgiMessage) -> None:
            raise AssertionError(message)

        await gate({"method": "POST", "path": name}, receive, send)

    first = asyncio.create_task(enter("first", OWL))
    await asyncio.sleep(0.5)
    waiting = asyncio.create_task(enter("waiting", WREN))
    chosen = asyncio.create_task(enter("chosen", WREN))
    await asyncio.sleep(0.1)
    waiting.cancel()
    await asyncio.wait([first, waiting, chosen])
    await asyncio.wait_for(enter("last", OWL), 30)
    assert passed == ["first", "last"]


def test_a_policy_abstains_without_candidates() -> None:
    """What nobody can answer is the core's to say."""
    assert ReferencePolicy(Chance()).select_model(ModelRequest("Hello"), []) is None


def test_a_foreign_answer_is_a_defect_that_ends_the_simulation() -> None:
    """Numbers of a router that mixes answers up are worth nothing."""
    traffic = Requests([Arrival(0, 10, 5), Arrival(0, 10, 5)])
    traffic.check(0, Reply(traffic.text(0), OWL, "desk"))
    traffic.check(0, Reply(traffic.text(0)[:4], OWL, "desk", finish_reason="length"))
    with pytest.raises(ForeignAnswerError, match="request 0 was answered '1"):
        traffic.check(0, Reply(traffic.text(1), OWL, "desk"))
