"""What goes to the models: words from the command line, and standard input."""

import sys
from collections.abc import Sequence


def read_prompt(words: Sequence[str]) -> str:
    """Join *words* and what is piped in, which stands where the word ``-`` is, else behind the words.

    What is no UTF-8 is replaced. Raises ``click.UsageError`` when there is nothing.
    """
    import click

    piped = _piped(asked="-" in words)
    if "-" in words:
        prompt = " ".join(piped.strip() if word == "-" else word for word in words)
    else:
        prompt = "\n\n".join(part for part in (" ".join(words), piped) if part.strip())
    if not prompt.strip():
        message = 'There is no prompt. Give words, pipe text in, or both: turnout compare -m A -m B "…"'
        raise click.UsageError(message)
    return prompt


def _piped(*, asked: bool) -> str:
    """Return what is piped in; a terminal is read only when *asked*."""
    if sys.stdin is None or (sys.stdin.isatty() and not asked):
        return ""
    return sys.stdin.buffer.read().decode("utf-8-sig", errors="replace")
