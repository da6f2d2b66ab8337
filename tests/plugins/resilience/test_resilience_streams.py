"""Streams that fail: unseen before their first word, with what was said after it, or continued."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.plugins.resilience.scene import (
    ANSWER,
    CHAT,
    OWL,
    Scene,
    ask,
    heard,
    host,
    opened,
    owl,
    pair,
    route,
)

from turnout import (
    JSONObject,
    LLMError,
    ModelCrashedError,
    ModelRequest,
    Reply,
    RouterSettings,
    Signals,
    StreamInterruptedError,
)
from turnout.wire.http import read_json
from turnout.wire.lenient import fields, rows
from turnout_resilience import ResilienceSettings
from turnout_resilience.seam import LEAST, Seam, overlap
from turnout_testing import (
    ConnectionLost,
    Crash,
    EmulatedModel,
    Fault,
    HangBetweenChunks,
    Overflow,
    Prompt,
    TruncatedStream,
)
from turnout_testing.models import Behaviour

pytestmark = pytest.mark.anyio
CONTINUED = ResilienceSettings(continue_streams=True)
BREAKS = [
    Crash(after_chunks=6),
    Crash(after_chunks=6, delivery="data"),
    Crash(after_chunks=6, delivery="empty"),
    ConnectionLost(route=CHAT, after_chunks=6),
    TruncatedStream(after_chunks=7),
    HangBetweenChunks(after_chunks=6),
]


def pinned() -> ModelRequest:
    return ModelRequest("how far is it", explicit_model=OWL, timeout=300)


def names(fault: Fault) -> str:
    return f"{type(fault).__name__}-{getattr(fault, 'delivery', '')}"


# --- before the first word --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        Crash(after_chunks=0),
        Crash(after_chunks=0, delivery="data"),
        Crash(after_chunks=0, delivery="empty"),
        Overflow(stream=True, delivery="empty"),
        TruncatedStream(after_chunks=1),
    ],
    ids=names,
)
async def test_an_error_inside_a_200_falls_back_unseen(fault: Fault) -> None:
    """The caller hears one whole answer, from the other host."""
    async with opened(pair()) as scene:
        ill, _ = await scene.favourite()
        scene.emulators[ill].inject(fault)
        end = await heard(scene.router, pinned())
        assert end.reply().text == end.text == ANSWER
        assert [place for place, _ in route(end.reply().attempts)] == [ill, end.reply().host]


# --- after it ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", BREAKS, ids=names)
async def test_what_was_said_reaches_the_caller_with_a_typed_error(fault: Fault) -> None:
    """The error's ``partial`` is the text that was heard, whatever the error is."""
    async with opened({"desk": host(), "attic": host()}) as scene:
        await scene.warm_up()
        for emulator in scene.emulators.values():
            emulator.inject(fault)
        end = await heard(scene.router, pinned())
        assert isinstance(end.error, LLMError)
        assert end.text
        assert ANSWER.startswith(end.text)
        assert getattr(end.error, "partial", None) == end.text


# --- continued --------------------------------------------------------------------------------------


def goes_on(prompt: Prompt) -> str:
    """Continue what one has begun, as a template with a prefilled answer does."""
    last = prompt.messages[-1]
    return ANSWER[len(last.text) :] if last.role == "assistant" else ANSWER


def starts_again(_: Prompt) -> str:
    """Say everything from the beginning, as a template without a prefilled answer does."""
    return ANSWER


def steps_back(prompt: Prompt) -> str:
    """Repeat the last words before going on."""
    last = prompt.messages[-1]
    return ANSWER[max(len(last.text) - 12, 0) :] if last.role == "assistant" else ANSWER


@pytest.mark.parametrize("manner", [goes_on, starts_again, steps_back])
@pytest.mark.parametrize("fault", BREAKS, ids=names)
async def test_an_answer_goes_on_elsewhere_without_a_seam(fault: Fault, manner: Behaviour) -> None:
    """The caller hears the one answer, and the attempts tell where it changed hands and why."""
    async with opened(pair(reply=manner), CONTINUED) as scene:
        first, _ = await scene.favourite()
        scene.emulators[first].inject(fault)
        end = await heard(scene.router, pinned())
        reply = end.reply()
        assert reply.text == end.text == ANSWER
        assert reply.host != first
        assert [place for place, _ in route(reply.attempts)] == [first, reply.host]
        assert isinstance(reply.attempts[0].error, LLMError)
        ended = [(e.host, e.error) for e in scene.seen.executions[-2:]]
        assert ended == [(first, type(reply.attempts[0].error).__name__), (reply.host, None)]


async def test_it_may_change_hands_again() -> None:
    """Each host goes on from all that was said before, and repeats of it what it likes."""
    hosts = {name: host(owl(reply=steps_back)) for name in ("desk", "attic", "cellar")}
    async with opened(hosts, CONTINUED) as scene:
        for emulator in hosts.values():
            emulator.inject(Crash(after_chunks=8, times=1))
        end = await heard(scene.router, pinned())
        assert end.text == end.reply().text == ANSWER
        tried = route(end.reply().attempts)
        assert [error for _, error in tried] == ["ModelCrashedError"] * 3 + [None]
        assert len({name for name, _ in tried}) == 3


async def test_it_changes_hands_no_more_often_than_there_are_attempts() -> None:
    """The router's bound counts here too, and what was said until then is kept."""
    hosts = {name: host(owl(reply=goes_on)) for name in ("desk", "attic", "cellar")}
    async with opened(hosts, CONTINUED, router=RouterSettings(max_attempts=2)) as scene:
        for emulator in hosts.values():
            emulator.inject(Crash(after_chunks=4))
        end = await heard(scene.router, pinned())
        assert isinstance(end.error, ModelCrashedError)
        assert ANSWER.startswith(end.text)
        assert getattr(end.error, "partial", "") == end.text
        assert len(parts(scene)) == 1


def parts(scene: Scene) -> list[JSONObject]:
    """Return the bodies that asked for the rest of an answer."""
    asked = (r.raw for e in scene.emulators.values() for r in e.requests if r.path == CHAT)
    bodies = [fields(read_json(raw)) for raw in asked]
    return [body for body in bodies if rows(body["messages"])[-1]["role"] == "assistant"]


async def test_a_request_can_ask_for_it() -> None:
    """Without the setting, a note in its signals is enough."""
    async with opened(pair(reply=goes_on)) as scene:
        first, _ = await scene.favourite()
        scene.emulators[first].inject(Crash(after_chunks=6))
        notes = Signals(notes={"continue_streams": True})
        asking = ModelRequest("how far is it", explicit_model=OWL, max_tokens=100, signals=notes)
        assert (await heard(scene.router, asking)).text == ANSWER
        (part,) = parts(scene)
        left = part["max_tokens"]
        assert isinstance(left, int)
        assert 0 < left < 100


@pytest.mark.parametrize("broken", [StreamInterruptedError, ModelCrashedError])
async def test_where_nobody_else_has_the_model_it_ends(broken: type[LLMError]) -> None:
    """No other model goes on with what this one began."""
    crash = Crash(after_chunks=6)
    if broken is StreamInterruptedError:
        crash = Crash(after_chunks=6, delivery="empty")
    other = EmulatedModel("acme/another")
    async with opened({"desk": host(), "attic": host(other, loaded=(other.key,))}, CONTINUED) as scene:
        scene.emulators["desk"].inject(crash)
        end = await heard(scene.router, ModelRequest("how far", explicit_model=OWL))
        assert type(end.error) is broken
        assert end.text


async def test_what_has_no_seam_is_not_continued() -> None:
    """Half a structured answer, and a request that nobody hears as it comes."""
    async with opened({"desk": host(), "attic": host()}, CONTINUED) as scene:
        for emulator in scene.emulators.values():
            emulator.inject(Crash(after_chunks=6, times=1))
        schema = ModelRequest("how far", explicit_model=OWL, schema={"type": "string"})
        assert isinstance((await heard(scene.router, schema)).error, ModelCrashedError)
        plain = await ask(scene.router, pinned())
        assert isinstance(plain, Reply)
        assert parts(scene) == []


# --- the seam ---------------------------------------------------------------------------------------


@given(st.text("ab c", max_size=60), st.text("ab c", max_size=60), st.integers(0, 60), st.randoms())
@example("", "x", 0, None)
def test_no_repetition_is_shown_and_nothing_new_is_lost(
    before: str, after: str, repeated: int, chance: object
) -> None:
    """However the pieces fall, the seam gives what ``overlap`` gives for the whole."""
    told = before[len(before) - min(repeated, len(before)) :] + after
    seam, shown, rest = Seam(before), "", told
    while rest:
        size = chance.randint(1, 7) if chance else 1  # type: ignore[attr-defined]
        shown += seam.feed(rest[:size])
        rest = rest[size:]
    shown += seam.close()
    assert told.endswith(shown)
    assert len(told) - len(shown) in (0, overlap(before, told), *range(LEAST, len(before) + 1), len(before))
    assert before.endswith(told[: len(told) - len(shown)])


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("The way is long", " and steep.", " and steep."),
        ("The way is long", "The way is long and steep.", " and steep."),
        ("The way is long", "way is long and steep.", " and steep."),
        ("The way is lo", "long and steep.", "long and steep."),
        ("I", "I think", " think"),
        ("", "anything", "anything"),
        ("one two one two ", "one two three", "three"),
    ],
)
def test_the_longest_repetition_is_left_out(before: str, after: str, expected: str) -> None:
    """A few equal characters may be chance; a whole restart is not."""
    seam = Seam(before)
    assert "".join(map(seam.feed, after)) + seam.close() == expected
