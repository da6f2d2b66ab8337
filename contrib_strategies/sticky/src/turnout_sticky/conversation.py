"""By what a conversation is known again: its id, or the messages that it begins with."""

import json
from collections.abc import Iterator
from hashlib import blake2b

from attrs import frozen

from turnout import Message, ModelRequest

ANSWERS = frozenset({"assistant", "tool"})


@frozen
class Thread:
    """The conversation that a request belongs to.

    ``own`` is the key that a later request will look for; ``earlier`` are those under which this one may be
    known, the longest prefix first. A conversation that begins has none.
    """

    own: bytes
    earlier: tuple[bytes, ...]


def thread_of(request: ModelRequest) -> Thread:
    """Return the thread of *request*.

    Without ``conversation_id`` each prefix of the conversation has a key, so that a longer one finds its
    shorter self: what was sent before is sent again, followed by the answer and the next turn. One without
    any answer begins anew, however often its first message was heard. All messages count, not the first
    alone, which many conversations share (sglang#26263).
    """
    if request.conversation_id:
        key = _digest(b"id", request.client, request.conversation_id)
        return Thread(key, (key,))
    chain = tuple(_prefixes(request))
    goes_on = any(message.role in ANSWERS for message in request.messages)
    return Thread(chain[-1], chain[::-1] if goes_on else ())


def response_key(response_id: str) -> bytes:
    """Return the key of a conversation that a server keeps, by the id of its last response."""
    return _digest(b"response", response_id)


def in_tool_loop(request: ModelRequest) -> bool:
    """Whether the model waits for nothing but the result of a tool that it called itself."""
    return bool(request.messages) and request.messages[-1].role == "tool" and not request.task


def _prefixes(request: ModelRequest) -> Iterator[bytes]:
    tools = json.dumps([[t.name, t.description, t.parameters] for t in request.tools], default=str)
    key = _digest(b"prefix", request.client, tools)
    if not request.conversation:
        yield key
    for message in request.conversation:
        key = _digest(key, *_parts(message))
        yield key


def _parts(message: Message) -> Iterator[str]:
    """Yield what a client sends again word for word: ids and unnamed fields are not among it."""
    yield message.role
    yield message.text
    for image in message.images:
        yield image.url
    for call in message.tool_calls:
        yield from (call.name, call.arguments)


def _digest(first: bytes, *parts: str) -> bytes:
    digest = blake2b(first, digest_size=16)
    for part in parts:
        encoded = part.encode(errors="surrogatepass")
        digest.update(b"%d:" % len(encoded))
        digest.update(encoded)
    return digest.digest()
