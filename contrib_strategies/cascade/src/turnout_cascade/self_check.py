"""Asking a model whether its own answer is right.

Self-verification as in AutoMix (Aggarwal and others, "AutoMix: Automatically Mixing Language Models",
arXiv:2310.12963), with one question instead of several samples.
"""

import re

from attrs import evolve

from turnout import Deployment, Message, ModelRequest

QUESTION = (
    "Look critically at your last answer. Is it correct, and does it answer everything that was asked? "
    "Say only one word: yes or no."
)
CLIENT = "shadow"
"""The ``client`` of the question, by which other plugins can tell it from what somebody waits for."""
_WORD = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
_SILENT = ("off", "none")


def question(request: ModelRequest, answer: str, deployment: Deployment, tokens: int) -> ModelRequest:
    """Return the request that asks for the verdict on *answer*, in at most *tokens*."""
    turns = (*request.conversation, Message("assistant", answer), Message("user", QUESTION))
    levels = deployment.info.reasoning or ()
    return evolve(
        request,
        id=f"{request.id}-check",
        task="",
        system=None,
        messages=turns,
        tools=(),
        tool_choice=None,
        schema=None,
        max_tokens=tokens,
        temperature=0.0,
        reasoning_effort=next((level for level in _SILENT if level in levels), None),
        stop=(),
        previous_response_id=None,
        store=False,
        streaming=True,
        client=CLIENT,
    )


def verdict(text: str) -> bool | None:
    """Return what the model says: the first yes or no; None where it says neither."""
    found = _WORD.search(text)
    return None if found is None else found[1].casefold() == "yes"
