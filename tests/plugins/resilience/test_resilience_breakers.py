"""Circuits of hosts and models, through a router."""

import asyncio
from itertools import pairwise

import pytest
from tests.plugins.resilience.scene import CHAT, OWL, deployment, failure, host, now, opened, owl, pair, route

from turnout import ModelRequest, Router, RouterSettings, Vetoes
from turnout.events import Progress
from turnout.wire.lenient import rows
from turnout_resilience import ResilienceSettings
from turnout_resilience.breaker import State
from turnout_resilience.breakers import Breakers, Outcome
from turnout_resilience.verdict import Verdict, verdict_on
from turnout_testing import (
    CannedAnswer,
    ConnectionLost,
    Crash,
    EngineFault,
    GuardrailRefusal,
    HangBeforeHeaders,
    Overflow,
)

pytestmark = pytest.mark.anyio
SETTINGS = ResilienceSettings()


def pinned() -> ModelRequest:
    return ModelRequest("hello", explicit_model=OWL, timeout=60)


def outcome(where: tuple[str, str], verdict: Verdict, at: float = 1.0, who: str = "x") -> Outcome:
    return Outcome(where, who, at, at, verdict, verdict.value)


async def ineligible(router: Router) -> dict[str, str]:
    decision = await router.explain(pinned())
    return {entry.host: entry.reason for entry in decision.explanation.ineligible}


# --- what counts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (None, Verdict.GOOD),
        ("CancelledError", Verdict.NEUTRAL),
        ("DeadlineExceededError", Verdict.NEUTRAL),
        ("ContextOverflowError", Verdict.NEUTRAL),
        ("LLMValidationError", Verdict.NEUTRAL),
        ("ModelNotFoundError", Verdict.NEUTRAL),
        ("LLMRateLimitError", Verdict.NEUTRAL),
        ("OverloadedError", Verdict.NEUTRAL),
        ("ModelCrashedError", Verdict.DEPLOYMENT),
        ("LLMTimeoutError", Verdict.DEPLOYMENT),
        ("EmptyReplyError", Verdict.DEPLOYMENT),
        ("WrongModelError", Verdict.DEPLOYMENT),
        ("StreamInterruptedError", Verdict.DEPLOYMENT),
        ("ModelLoadError", Verdict.DEPLOYMENT),
        ("PluginError", Verdict.DEPLOYMENT),
        ("SomethingOfABackend", Verdict.DEPLOYMENT),
        ("InsufficientMemoryError", Verdict.MEMORY),
        ("LLMConnectionError", Verdict.HOST),
        ("AuthenticationError", Verdict.HOST),
    ],
)
def test_only_what_speaks_of_health_counts(error: str | None, verdict: Verdict) -> None:
    """The request's size and form, the caller's patience and a full queue are nobody's illness."""
    assert verdict_on(error, {}) is verdict


# --- opening and closing ----------------------------------------------------------------------------


async def test_a_model_that_keeps_crashing_is_left_out_on_that_host_alone() -> None:
    """After so many failures in a row its other host serves, without being asked second."""
    async with opened(pair()) as scene:
        ill, _ = await scene.favourite()
        scene.emulators[ill].inject(EngineFault())
        for _ in range(3):
            scene.plugin.breakers.learn(outcome((ill, OWL), Verdict.DEPLOYMENT, at=now()))
        reasons = await ineligible(scene.router)
        assert list(reasons) == [ill]
        assert "its circuit is open (the model fails there)" in reasons[ill]
        reply = await scene.router.ask(pinned())
        assert len(reply.attempts) == 1


async def test_failures_in_a_row_open_a_circuit() -> None:
    """What the router itself sees is counted."""
    async with opened({"desk": host()}) as scene:
        scene.emulators["desk"].inject(EngineFault())
        await failure(scene.router, pinned())
        state = scene.plugin.breakers.deployments["desk", OWL]
        assert (state.state(now()), state.reason) == (State.OPEN, "ModelCrashedError")
        (told,) = rows(scene.told("breakers", "deployments"))
        assert (told["host"], told["model"], told["state"]) == ("desk", OWL, "open")


async def test_a_refused_connection_opens_the_host_at_once() -> None:
    """One is enough: whoever has seen the host in the last listing does not try it again."""
    async with opened(pair()) as scene:
        ill, _ = await scene.favourite()
        scene.take_down(ill)
        reply = await scene.router.ask(pinned())
        assert route(reply.attempts)[0] == (ill, "LLMConnectionError")
        state = scene.plugin.breakers.hosts[ill]
        assert (state.state(now()), state.reason) == (State.OPEN, "it cannot be reached")


async def test_a_host_that_is_listed_again_recovers_slowly() -> None:
    """The cheap listing is the first answer, and its models take one request more at once for each."""
    async with opened({"desk": host()}) as scene:
        await scene.router.ask(pinned())
        scene.take_down("desk")
        await failure(scene.router, pinned())
        scene.bring_up("desk")
        await asyncio.sleep(2)
        slots = []
        for _ in range(5):
            fleet = await scene.router.fleet(refresh=True)
            slots.append((await scene.router.fleet()).deployments[0].slots)
            assert fleet.hosts[0].error is None
            await scene.router.ask(pinned())
        assert slots == [2, 3, 4, 4, 4]


@pytest.mark.parametrize("fault", [Overflow(), CannedAnswer(status=400, body='{"error": "bad"}', route=CHAT)])
async def test_what_is_the_requests_own_opens_nothing(fault: Overflow | CannedAnswer) -> None:
    """A prompt that is too long is no illness, however often it comes."""
    async with opened({"desk": host()}) as scene:
        scene.emulators["desk"].inject(fault)
        for _ in range(5):
            await failure(scene.router, pinned())
        assert scene.told("breakers", "deployments") == []


async def test_missing_memory_opens_at_once_and_for_ever_longer() -> None:
    """5 s, 10 s, 20 s: and what tries after that is one request, which may load."""
    settings = ResilienceSettings(retries=False)
    async with opened({"desk": host(loaded=())}, settings) as scene:
        scene.emulators["desk"].inject(GuardrailRefusal())
        pauses = []
        for _ in range(3):
            error = await failure(scene.router, pinned())
            assert type(error).__name__ == "InsufficientMemoryError"
            state = scene.plugin.breakers.deployments["desk", OWL]
            pauses.append(round(state.until - now(), 3))
            await asyncio.sleep(state.until - now())
        assert pauses == [5.0, 10.0, 20.0]
        scene.emulators["desk"].clear_faults()
        assert (await scene.router.ask(pinned())).host == "desk"


async def test_where_every_circuit_is_open_the_least_bad_is_tried() -> None:
    """The one that is to be probed next; and the decision says so, wherever it is shown."""
    async with opened({"desk": host(), "attic": host()}) as scene:
        await scene.router.fleet()
        for name, failures in (("desk", 1), ("attic", 3)):
            for number in range(failures):
                scene.plugin.breakers.learn(outcome((name, OWL), Verdict.MEMORY, at=0.1 * number))
        decision = await scene.router.explain(pinned())
        assert [one.host for one in decision.explanation.ineligible] == ["attic"]
        [note] = decision.explanation.notes
        said = f"every circuit is open: {OWL} on desk is the least bad, though its circuit is open"
        assert note.startswith(said)
        reply = await scene.router.ask(pinned())
        assert reply.host == "desk"
        assert reply.selection is not None
        assert "is the least bad" in reply.selection.explanation.notes[0]


async def test_a_caller_hears_that_he_is_served_by_the_least_bad() -> None:
    """A stream says so before its first word."""
    async with opened({"desk": host()}) as scene:
        scene.plugin.breakers.learn(outcome(("desk", OWL), Verdict.MEMORY, at=0.0))
        events = [event async for event in scene.router.stream(pinned())]
        assert isinstance(events[0], Progress)
        assert "the least bad" in events[0].detail


# --- the probe --------------------------------------------------------------------------------------


def half_open(*, memory: bool = False) -> Breakers:
    breakers = Breakers(SETTINGS)
    for number in range(3):
        verdict = Verdict.MEMORY if memory and number == 2 else Verdict.DEPLOYMENT
        breakers.learn(outcome(("desk", OWL), verdict, at=0.1 * number))
    return breakers


def test_one_request_is_the_probe_where_the_model_is_resident() -> None:
    """Everybody else goes elsewhere until it has ended."""
    breakers, desk, attic = half_open(), deployment("desk"), deployment("attic")
    assert breakers.vetoes("a", [desk, attic], 10.0) is None
    breakers.admit("a", [desk, attic], 10.0)
    refused = breakers.vetoes("b", [desk, attic], 10.0)
    assert refused == Vetoes({desk: "its circuit is half-open, and another request is the probe"})
    breakers.learn(outcome(("desk", OWL), Verdict.NEUTRAL, at=11.0, who="a"))
    assert breakers.vetoes("b", [desk, attic], 11.0) is None


def test_who_runs_elsewhere_is_no_probe() -> None:
    """Admitted to a host that is half-open, it went to another: the next request may be the probe at once."""
    breakers, desk, attic = half_open(), deployment("desk"), deployment("attic")
    breakers.learn(outcome(("desk", "another"), Verdict.UNREACHABLE, at=0.1))
    breakers.admit("a", [desk, attic], 10.0)
    breakers.runs("a", desk.key)
    assert breakers.vetoes("b", [desk, attic], 10.0) is not None
    breakers.runs("a", attic.key)
    assert breakers.vetoes("b", [desk, attic], 10.0) is None


async def test_a_host_that_has_recovered_is_probed_when_it_is_needed() -> None:
    """While another can answer nobody has to be the probe; as soon as that one is busy somebody is."""
    async with opened({"desk": host(), "attic": host()}) as scene:
        for number in range(3):
            scene.plugin.breakers.learn(outcome(("desk", OWL), Verdict.DEPLOYMENT, at=now() + number / 10))
        await asyncio.sleep(SETTINGS.cooldown + 1)
        first = await scene.router.ask(ModelRequest("hello", explicit_model=OWL, hosts=["attic", "desk"]))
        replies = await asyncio.gather(*(scene.router.ask(pinned()) for _ in range(12)))
        assert {first.host, *(reply.host for reply in replies)} == {"desk", "attic"}


async def test_to_ask_who_would_answer_makes_nobody_the_probe() -> None:
    """A decision that nothing follows changes nothing."""
    async with opened({"desk": host()}) as scene:
        for number in range(3):
            scene.plugin.breakers.learn(outcome(("desk", OWL), Verdict.DEPLOYMENT, at=now() + number / 10))
        await asyncio.sleep(SETTINGS.cooldown + 1)
        for _ in range(3):
            assert (await scene.router.explain(pinned())).explanation.notes == ()
        assert (await scene.router.ask(pinned())).selection.explanation.notes == ()  # type: ignore[union-attr]


def test_a_probe_loads_nothing() -> None:
    """What crashed and is not loaded any more is left alone, until that is long ago."""
    breakers, desk, attic = half_open(), deployment("desk", resident=False), deployment("attic")
    refused = breakers.vetoes("a", [desk, attic], 10.0)
    assert refused == Vetoes(
        {desk: "its circuit is half-open (the model fails there), and a probe would load it"}
    )
    assert breakers.vetoes("a", [desk, attic], SETTINGS.longest_cooldown + 1) is None


def test_where_memory_was_missing_the_load_is_the_probe() -> None:
    """Nothing else can show that there is memory now."""
    breakers, desk, attic = half_open(memory=True), deployment("desk", resident=False), deployment("attic")
    assert breakers.vetoes("a", [desk, attic], 20.0) is None


def test_a_host_that_is_half_open_takes_one_request_too() -> None:
    """Its circuit counts for all its models."""
    breakers, desk, attic = Breakers(SETTINGS), deployment("desk"), deployment("attic")
    breakers.learn(outcome(("desk", "another"), Verdict.UNREACHABLE))
    reason = "its host's circuit is open (the host cannot be reached), for 0.5 s more"
    assert breakers.vetoes("a", [desk, attic], 1.5) == Vetoes({desk: reason})
    assert breakers.vetoes("a", [desk, attic], 2.5) is None
    breakers.admit("a", [desk, attic], 2.5)
    refused = breakers.vetoes("b", [desk, attic], 2.5)
    assert refused is not None
    assert list(refused.reasons) == [desk]


async def test_after_a_recovery_each_answer_lets_one_more_in() -> None:
    """At once, and not with the next look at the host that was due anyway."""
    async with opened({"desk": host()}, router=RouterSettings(fleet_ttl=3600)) as scene:
        for number in range(3):
            scene.plugin.breakers.learn(outcome(("desk", OWL), Verdict.DEPLOYMENT, at=now() + number / 10))
        await asyncio.sleep(SETTINGS.cooldown + 1)

        async def client() -> None:
            for _ in range(3):
                await scene.router.ask(pinned())

        await asyncio.gather(*(client() for _ in range(8)))
        ends = sorted(record.ended_at for record in scene.emulators["desk"].generations)
        begins = sorted(record.submitted_at for record in scene.emulators["desk"].generations)
        # The first is alone; what begins with its end makes two, and so on up to four.
        running = [sum(b <= end < e for b, e in zip(begins, ends, strict=True)) for end in ends[:6]]
        assert running == sorted(running)
        assert (begins[1] >= ends[0], running[0], max(running)) == (True, 2, 4)


async def test_those_who_wait_together_get_the_slots_of_a_recovery_too() -> None:
    """Where nobody new comes, the pool itself looks how many may run."""
    async with opened({"desk": host()}, router=RouterSettings(fleet_ttl=3600)) as scene:
        for number in range(3):
            scene.plugin.breakers.learn(outcome(("desk", OWL), Verdict.DEPLOYMENT, at=now() + number / 10))
        await asyncio.sleep(SETTINGS.cooldown + 1)
        await asyncio.gather(*(scene.router.ask(pinned()) for _ in range(16)))
        spans = [(one.submitted_at, one.ended_at) for one in scene.emulators["desk"].generations]
        assert max(sum(b <= end < e for b, e in spans) for _, end in spans) == 4


def test_the_healthy_are_forgotten() -> None:
    """Whoever has recovered leaves nothing behind."""
    breakers = half_open()
    breakers.learn(outcome(("desk", OWL), Verdict.UNREACHABLE, at=0.5))
    for number in range(8):
        breakers.learn(outcome(("desk", OWL), Verdict.GOOD, at=20.0 + number))
    assert (breakers.hosts, breakers.deployments) == ({}, {})


# --- looking at hosts -------------------------------------------------------------------------------


async def test_a_host_that_lets_a_look_time_out_delays_nobody_twice() -> None:
    """The others are seen at once from then on, and it is seen again when it answers."""
    async with opened({"desk": host(), "attic": host()}) as scene:
        await scene.router.fleet()
        scene.emulators["desk"].inject(HangBeforeHeaders())
        took = []
        for _ in range(3):
            began = now()
            fleet = await scene.router.fleet(refresh=True)
            took.append(now() - began)
            assert fleet.silent == ("desk",)
        assert took == [3.0, 0.0, 0.0]
        assert scene.told("silent_hosts", "desk") == 3.0
        scene.emulators["desk"].clear_faults()
        await asyncio.sleep(2)
        await scene.router.fleet(refresh=True)
        await asyncio.sleep(0.1)
        assert (await scene.router.fleet()).silent == ()


async def test_it_is_looked_at_less_and_less_often() -> None:
    """2 s after the first time, then 4 s, 8 s, never more than 30 s."""
    emulator = host()
    async with opened({"desk": emulator, "attic": host()}) as scene:
        emulator.inject(HangBeforeHeaders())
        for _ in range(120):
            await scene.router.fleet(refresh=True)
            await asyncio.sleep(1)
        looks = [request.at for request in emulator.requests]
        assert 5 <= len(looks) <= 9
        gaps = [later - earlier for earlier, later in pairwise(looks)]
        assert gaps == sorted(gaps)
        assert max(gaps) <= 34


async def test_the_only_host_is_always_waited_for() -> None:
    """Nobody else answers, so there is nothing to be gained."""
    async with opened({"desk": host()}) as scene:
        scene.emulators["desk"].inject(HangBeforeHeaders())
        await scene.router.fleet(refresh=True)
        scene.emulators["desk"].clear_faults()
        await asyncio.sleep(6)
        assert (await scene.router.ask(pinned())).host == "desk"


async def test_a_host_that_refuses_in_words_is_not_silent() -> None:
    """What answers with an error costs no time, and is asked at each look."""
    async with opened({"desk": host(), "attic": host()}) as scene:
        scene.emulators["desk"].inject(HangBeforeHeaders(times=1))
        await scene.router.fleet(refresh=True)
        scene.emulators["desk"].inject(ConnectionLost())
        await asyncio.sleep(2)
        await scene.router.fleet(refresh=True)
        await asyncio.sleep(0.1)
        assert scene.told("silent_hosts") == {}


# --- the switch -------------------------------------------------------------------------------------


async def test_it_can_be_switched_off() -> None:
    """Then whatever fails is asked again each time."""
    async with opened({"desk": host(owl()), "attic": host()}, ResilienceSettings(breakers=False)) as scene:
        scene.emulators["desk"].inject(Crash())
        for _ in range(12):
            await scene.router.ask(pinned())
        assert await ineligible(scene.router) == {}
