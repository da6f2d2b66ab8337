"""By what a conversation is known again, and for how long."""

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from turnout_sticky.conversation import in_tool_loop, thread_of
from turnout_sticky.memory import Memory

from turnout import ImagePart, Message, ModelRequest, TextPart, Tool, ToolCall

turns = st.lists(st.text(max_size=3), min_size=1, max_size=4)


def conversation(*texts: str) -> tuple[Message, ...]:
    """Make a conversation in which user and assistant take turns."""
    return tuple(Message("assistant" if n % 2 else "user", text) for n, text in enumerate(texts))


@given(turns, turns, turns)
def test_a_longer_conversation_finds_its_shorter_self(
    asked: list[str], more: list[str], other: list[str]
) -> None:
    """Whatever is said in between, the key of what was sent before is among the keys of what is sent now."""
    asked = asked if len(asked) % 2 else [*asked, "?"]
    before = ModelRequest(messages=conversation(*asked), system="be kind")
    answered = (*before.messages, Message("assistant", "answer"))
    after = ModelRequest(messages=answered, task=" ".join(more), system="be kind")
    assert thread_of(before).own in thread_of(after).earlier
    stranger = evolve(after, messages=conversation("x" + "".join(asked), "answer", *other))
    assert thread_of(before).own not in thread_of(stranger).earlier


def test_the_longest_prefix_comes_first() -> None:
    """Of two turns that are remembered the later one counts."""
    first = ModelRequest(messages=conversation("a"))
    second = ModelRequest(messages=conversation("a", "b", "c"))
    keys = thread_of(ModelRequest(messages=conversation("a", "b", "c", "d", "e"))).earlier
    assert keys.index(thread_of(second).own) < keys.index(thread_of(first).own)


def test_a_conversation_without_an_answer_begins_anew() -> None:
    """Two people who both begin with the same words do not share a conversation."""
    assert thread_of(ModelRequest("hi")).earlier == ()
    assert thread_of(ModelRequest(messages=conversation("hi"))).earlier == ()
    assert thread_of(ModelRequest()).earlier == ()


def test_an_id_is_enough() -> None:
    """With a conversation id the messages do not matter, and the client does."""
    one = thread_of(ModelRequest("a", conversation_id="7"))
    assert one.earlier == (one.own,)
    assert one == thread_of(ModelRequest("b", conversation_id="7"))
    assert one != thread_of(ModelRequest("a", conversation_id="7", client="editor"))


CALL = ToolCall("call_1", "look", '{"at": 1}')
BASE = ModelRequest(
    messages=(
        Message("user", (TextPart("see"), ImagePart("data:,1"))),
        Message("assistant", "", tool_calls=(CALL,)),
        Message("tool", "seen", tool_call_id="call_1"),
    ),
    system="s",
    tools=(Tool("look"),),
)


@pytest.mark.parametrize(
    "other",
    [
        evolve(BASE, system="t"),
        evolve(BASE, client="editor"),
        evolve(BASE, tools=(Tool("look", "with care"),)),
        evolve(BASE, messages=(Message("user", (TextPart("see"), ImagePart("data:,2"))), *BASE.messages[1:])),
        evolve(
            BASE,
            messages=(BASE.messages[0], Message("assistant", tool_calls=(evolve(CALL, arguments="{}"),))),
        ),
        evolve(BASE, messages=(*BASE.messages[:2], Message("tool", "nothing", tool_call_id="call_1"))),
    ],
)
def test_everything_that_the_model_reads_belongs_to_the_prefix(other: ModelRequest) -> None:
    """System prompt, tools, images, calls and results: where one differs, the prefix is another."""
    assert thread_of(other).own != thread_of(BASE).own


def test_ids_of_calls_do_not_belong_to_it() -> None:
    """Clients make them up anew."""
    renamed = evolve(CALL, id="other")
    messages = (BASE.messages[0], Message("assistant", tool_calls=(renamed,)), Message("tool", "seen"))
    assert thread_of(evolve(BASE, messages=messages)).own == thread_of(BASE).own


def test_a_tool_loop_ends_with_the_next_question() -> None:
    """Only where the last word is a tool's does the model go on by itself."""
    assert in_tool_loop(BASE)
    assert not in_tool_loop(evolve(BASE, task="thanks"))
    assert not in_tool_loop(evolve(BASE, messages=BASE.messages[:1]))
    assert not in_tool_loop(ModelRequest("hi"))


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time that is set."""
        return self.now


def test_a_home_is_forgotten_after_its_time() -> None:
    """At the end of the time it is still there, and after it the next key is looked up."""
    clock = Clock()
    memory = Memory(10, 60.0, clock)
    memory.keep(b"long", "a", "desk")
    clock.now = 1.0
    memory.keep(b"short", "b", "desk")
    clock.now = 60.0
    found = memory.find([b"long", b"short"])
    assert found is not None
    assert found.model == "a"
    clock.now = 60.5
    found = memory.find([b"long", b"short"])
    assert found is not None
    assert found.model == "b"
    clock.now = 62.0
    assert memory.find([b"long", b"short"]) is None


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 5))
def test_the_memory_is_bounded(written: list[int], limit: int) -> None:
    """The keys that were written last are there, and no others."""
    memory = Memory(limit, 60.0, Clock())
    for number in written:
        memory.keep(bytes([number]), str(number), "desk")
    newest = list(dict.fromkeys(reversed(written)))[:limit]
    assert {n for n in range(10) if memory.find([bytes([n])]) is not None} == set(newest)
    assert len(memory) == len(newest)
