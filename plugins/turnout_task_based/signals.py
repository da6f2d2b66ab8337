"""What the classifier says of a whole request."""

from collections.abc import Iterator

from turnout.types import ModelRequest, Operation, Signals
from turnout_task_based.classifier import Guess, guess, scores
from turnout_task_based.language import language_of

SURE = 0.6
"""Above this confidence the prompt speaks for itself."""

WEIGHT_OF_CONTEXT = 0.5


def signals_of(request: ModelRequest) -> Signals | None:
    """Return the task type of *request*, the confidence in it, and the language where it is plain.

    What counts is the task, else the last user message. Where that alone leaves doubt ("now in Go"), the
    user message before it and the system prompt are heard too, at half weight. Nothing is guessed where
    the request states its task type. None where there is nothing to read: embeddings, and no words at
    all.
    """
    text = request.text
    if request.operation is Operation.EMBEDDINGS or not text.strip():
        return None
    language = language_of(text)
    if request.task_type is not None:
        return Signals(language=language)
    found = _guess(request, text)
    return Signals(task_type=found.task_type, confidence=found.confidence, language=language)


def _guess(request: ModelRequest, text: str) -> Guess:
    alone = scores(text)
    found = guess(alone)
    if found.confidence >= SURE:
        return found
    for context in _context(request, text):
        alone = [one + WEIGHT_OF_CONTEXT * other for one, other in zip(alone, scores(context), strict=True)]
    return guess(alone)


def _context(request: ModelRequest, text: str) -> Iterator[str]:
    """Yield what else the user said last, then the system prompt."""
    conversation = request.conversation
    said = [message.text for message in conversation if message.role == "user"]
    before = said[:-1] if said and said[-1] == text else said
    yield from (words for words in before[-1:] if words.strip())
    told = (message.text for message in conversation if message.role in {"system", "developer"})
    yield from (words for words in list(told)[:1] if words.strip())
