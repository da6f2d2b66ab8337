"""The emulator's tokenizer: every four characters are one token, so tests can do the sum in their heads."""

from collections.abc import Iterator

from turnout_testing.prompt import Prompt
from turnout_testing.wire import compact

CHARACTERS_PER_TOKEN = 4
IMAGE_TOKENS = 256


def count_tokens(text: str) -> int:
    """Tokens in `text`: its length divided by four, rounded up."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def slices(text: str, tokens: int, first: int | None = None) -> Iterator[str]:
    """`text` in order, in pieces of `tokens` tokens each (the last may be shorter); the first has `first`."""
    width = tokens * CHARACTERS_PER_TOKEN
    ahead = width if first is None else first * CHARACTERS_PER_TOKEN
    if text:
        yield text[:ahead]
    for start in range(ahead, len(text), width):
        yield text[start : start + width]


def prompt_tokens(prompt: Prompt) -> int:
    """Tokens that `prompt` occupies: its messages, its images, and its tool definitions (counted since
    0.3.17).
    """
    said = sum(count_tokens(message.text) + IMAGE_TOKENS * message.images for message in prompt.messages)
    return said + sum(count_tokens(compact(tool.definition).decode()) for tool in prompt.tools)
