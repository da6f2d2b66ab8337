"""What a whole request says: its last words first, the rest where they leave doubt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout import TaskType
from turnout.messages import ImagePart, Message, TextPart, Tool
from turnout.types import ModelRequest, Operation
from turnout_task_based.classifier import classify
from turnout_task_based.signals import SURE, signals_of

roles = st.sampled_from(["system", "user", "assistant", "tool", "developer"])
messages = st.lists(st.builds(Message, roles, st.text(max_size=200)), max_size=5)


def test_a_task_is_classified_as_its_text() -> None:
    """A task of its own gets the classifier's guess, and its language."""
    signals = signals_of(ModelRequest("Write a function to sort a list"))
    assert signals is not None
    found = classify("Write a function to sort a list")
    assert (signals.task_type, signals.confidence) == (found.task_type, found.confidence)
    assert signals.language == "en"


def test_the_last_user_message_counts() -> None:
    """In a conversation, what the user said last is what is wanted."""
    talk = (
        Message("user", "plan a weekend in Rome with two kids"),
        Message("assistant", "Saturday: the Colosseum."),
        Message("user", "Write a python function that computes the fibonacci numbers"),
    )
    signals = signals_of(ModelRequest(messages=talk))
    assert signals is not None
    assert signals.task_type is TaskType.CODE_GENERATION


def test_what_went_before_settles_a_doubt() -> None:
    """Words that mean little alone are understood by the user message before them."""
    short = "and one for node 20"
    assert classify(short).confidence < SURE
    talk = (Message("user", "Write a dockerfile for my python app"), Message("assistant", "FROM python:3.12"))
    signals = signals_of(ModelRequest(short, talk))
    assert signals is not None
    assert signals.task_type is TaskType.CODE_GENERATION


def test_the_system_prompt_settles_a_doubt() -> None:
    """Where the prompt alone leaves doubt, the system prompt is heard."""
    text = "the parcel and the red box"
    assert classify(text).confidence < SURE
    system = "You translate and rewrite what the user writes. Translate the following text into French."
    signals = signals_of(ModelRequest(text, system=system))
    assert signals is not None
    assert signals.task_type is TaskType.OTHER


def test_a_sure_prompt_is_not_talked_out_of_it() -> None:
    """The system prompt changes nothing where the prompt is clear."""
    text = "Fix the bug in this function:\n\ndef f(x):\n    return x +\n"
    alone = signals_of(ModelRequest(text))
    assert alone is not None
    assert alone.confidence >= SURE
    assert signals_of(ModelRequest(text, system="You write poems about the sea.")) == alone


@pytest.mark.parametrize(
    "nothing",
    [ModelRequest(), ModelRequest(" \n"), ModelRequest(operation=Operation.EMBEDDINGS, inputs=("a", "b"))],
)
def test_nothing_is_said_of_no_words(nothing: ModelRequest) -> None:
    """Without words to read, and for embeddings, there is no signal."""
    assert signals_of(nothing) is None


def test_a_stated_task_type_is_not_guessed() -> None:
    """A request that says what it is gets its language alone."""
    signals = signals_of(ModelRequest("Wie hoch ist der Mount Everest?", task_type=TaskType.PLANNING))
    assert signals is not None
    assert (signals.task_type, signals.confidence, signals.language) == (None, 0.0, "de")


def test_images_and_tools_do_not_hide_the_words() -> None:
    """The words of a message with an image are read, whatever tools are offered."""
    seen = Message("user", (ImagePart("data:image/png;base64,AA"), TextPart("write a poem about this")))
    signals = signals_of(ModelRequest(messages=(seen,), tools=(Tool("search"),)))
    assert signals is not None
    assert signals.task_type is TaskType.OTHER


@given(st.text(max_size=200), messages, st.none() | st.text(max_size=100))
def test_any_request_is_taken(task: str, said: list[Message], system: str | None) -> None:
    """No conversation is an error, and confidence is a share."""
    request = ModelRequest(task, said, system=system)
    signals = signals_of(request)
    assert signals == signals_of(request)
    assert (signals is None) == (not request.text.strip())
    assert signals is None or 0.0 < signals.confidence <= 1.0
