"""One line of a batch: what it asks, and the line that answers it.

Three forms: OpenAI's batch lines (https://platform.openai.com/docs/api-reference/batch), objects with a
``prompt``, and plain text.
"""

import json
from hashlib import blake2b
from typing import Protocol, TypeGuard

from attrs import frozen

from turnout.errors import LLMError
from turnout.messages import JSON, JSONObject
from turnout.skills import TaskType
from turnout.types import ModelRequest, Reply
from turnout_parallel.fields import Fields, LineError, read_object
from turnout_parallel.openai_body import answer_body, read_body

OPENAI_ID = "batch_req_"
DIGEST_BYTES = 12
SIMPLE = (
    "prompt", "id", "model", "system", "max_tokens", "temperature", "top_p", "stop", "seed", "schema",
    "reasoning_effort", "task_type", "timeout", "metadata",
)  # fmt: skip
"""The fields of a line with a prompt; ``metadata`` comes back beside the answer."""


class Line(Protocol):
    """A line that is understood."""

    @property
    def id(self) -> str | int | None:
        """What it calls itself; None where it does not."""

    @property
    def request(self) -> ModelRequest:
        """What it asks."""

    def answer(self, name: str | int, digest: str, result: Reply | LLMError) -> JSONObject:
        """Return the line that answers it, under *name*; *digest* tells it from other lines."""


@frozen
class OpenAILine:
    """A line with ``custom_id``, ``method``, ``url`` and ``body``."""

    id: str
    request: ModelRequest
    url: str
    body: JSONObject

    def answer(self, name: str | int, digest: str, result: Reply | LLMError) -> JSONObject:
        """Return ``id``, ``custom_id``, ``response`` and ``error``; one of the last two is null."""
        if isinstance(result, LLMError):
            return openai_failure(name, digest, type(result).__name__, str(result))
        body = answer_body(self.url, self.body, result)
        response: JSONObject = {"status_code": 200, "request_id": result.request_id, "body": body}
        return {"id": f"{OPENAI_ID}{digest}", "custom_id": name, "response": response, "error": None}


@frozen
class SimpleLine:
    """A line with a ``prompt``, or a plain one."""

    id: str | int | None
    request: ModelRequest
    metadata: JSON = None

    def answer(self, name: str | int, digest: str, result: Reply | LLMError) -> JSONObject:
        """Return ``id``, ``request``, ``text``, who answered and how, and ``error``; null without one."""
        if isinstance(result, LLMError):
            failed = simple_failure(name, digest, type(result).__name__, str(result))
            return failed if self.metadata is None else {**failed, "metadata": self.metadata}
        usage, more = result.usage, {} if self.metadata is None else {"metadata": self.metadata}
        return {
            "id": name,
            "request": digest,
            "text": result.text,
            "model": result.model,
            "host": result.host,
            "finish_reason": result.finish_reason,
            "usage": {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens},
            "seconds": round(result.timings.total, 3),
            "error": None,
            **more,
        }


def openai_failure(name: str | int, digest: str, code: str, message: str) -> JSONObject:
    """Return the line that says why an OpenAI line has no answer."""
    error: JSONObject = {"code": code, "message": message}
    return {"id": f"{OPENAI_ID}{digest}", "custom_id": name, "response": None, "error": error}


def simple_failure(name: str | int, digest: str, code: str, message: str) -> JSONObject:
    """Return the line that says why a simple line has no answer."""
    error: JSONObject = {"code": code, "message": message}
    return {"id": name, "request": digest, "text": None, "error": error}


def digest(text: str) -> str:
    """Return what tells the line *text* from every other, on any day."""
    return blake2b(text.strip().encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).hexdigest()


def read_line(text: str, *, plain: bool) -> Line:
    """Return what a line says; raises ``LineError`` with what is wrong."""
    if plain:
        return SimpleLine(None, ModelRequest(text.strip()))
    values = read_object(text)
    if not encodable(text, values):
        message = "holds half a character (a lone surrogate), which no server accepts"
        raise LineError(message)
    if "body" in values or "custom_id" in values:
        return _openai(values)
    return _simple(values)


def name_in(text: str) -> str | int | None:
    """Return what a line calls itself, though it may be no request; None where that is no name."""
    try:
        values = read_object(text)
    except LineError:
        return None
    name = values.get("custom_id", values.get("id"))
    if not is_name(name) or ("custom_id" in values and not isinstance(name, str)):
        return None
    return name if encodable(text, values) else None


def is_name(value: JSON) -> TypeGuard[str | int]:
    """Return whether a line may call itself so."""
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def encodable(text: str, values: JSONObject) -> bool:
    """Return whether all texts of a line can be sent as UTF-8."""
    if "\\u" not in text.casefold():
        return True
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _openai(values: JSONObject) -> OpenAILine:
    fields = Fields(values)
    name, method = fields.text("custom_id"), fields.text("method")
    url, body = fields.text("url") or "", fields.table("body")
    if not name:
        message = "has no custom_id"
        raise LineError(message)
    if (method or "POST").upper() != "POST":
        message = f"method must be POST, not {method!r}"
        raise LineError(message)
    if body is None:
        message = "has no body"
        raise LineError(message)
    return OpenAILine(name, read_body(url, body), url, body)


def _simple(values: JSONObject) -> SimpleLine:
    fields = Fields(values)
    fields.refuse_others(SIMPLE)
    prompt, name, metadata = fields.text("prompt"), fields.any("id"), fields.any("metadata")
    if not prompt or not prompt.strip():
        message = "has neither a prompt, nor custom_id and body"
        raise LineError(message)
    if name is not None and not is_name(name):
        message = "id must be a string or a whole number"
        raise LineError(message)
    try:
        request = _request(prompt, fields)
    except LineError:
        raise
    except ValueError as error:  # what a request refuses
        raise LineError(str(error)) from error
    return SimpleLine(name, request, metadata)


def _request(prompt: str, fields: Fields) -> ModelRequest:
    kind = fields.text("task_type")
    return ModelRequest(
        prompt,
        explicit_model=fields.text("model"),
        system=fields.text("system"),
        max_tokens=fields.whole("max_tokens"),
        temperature=fields.number("temperature"),
        top_p=fields.number("top_p"),
        stop=fields.texts("stop"),
        seed=fields.whole("seed"),
        schema=fields.table("schema"),
        reasoning_effort=fields.text("reasoning_effort"),
        task_type=None if kind is None else TaskType(kind),
        timeout=fields.number("timeout"),
    )
