"""Conversations go back to the host that has read them, as long as that costs little."""

from turnout import Message, ModelRequest
from turnout_pool.affinity import REMEMBERED, Affinity, beginning


def talk(*texts: str) -> tuple[Message, ...]:
    return tuple(Message("user" if n % 2 == 0 else "assistant", text) for n, text in enumerate(texts))


def test_a_conversation_is_known_by_its_name_or_by_its_beginning() -> None:
    """The later turns of one conversation begin as the earlier ones did; what stands alone has no name."""
    earlier = ModelRequest(messages=talk("What is a turnout?", "A switch.", "Why?"))
    later = ModelRequest(messages=talk("What is a turnout?", "A switch.", "Why?", "For trains.", "Thanks."))
    assert beginning(earlier) == beginning(later)
    assert beginning(earlier) != beginning(ModelRequest(messages=talk("Who?", "I.", "Why?")))
    assert beginning(ModelRequest("alone")) is None
    assert beginning(ModelRequest("alone", conversation_id="c1")) == "c1"
    assert beginning(ModelRequest("alone", system="You are terse.")) is not None


def test_the_latest_conversations_are_remembered() -> None:
    """A bounded number, per model."""
    affinity = Affinity()
    for number in range(REMEMBERED + 1):
        affinity.note("m", str(number), "desk")
    affinity.note("other", "1", "attic")
    assert affinity.host("m", "0") is None
    assert affinity.host("m", "2") == "desk"
    assert affinity.host("m", str(REMEMBERED)) == "desk"
