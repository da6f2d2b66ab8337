"""Bodies of the OpenAI API as requests, and replies as its answers.

Source: https://platform.openai.com/docs/api-reference (chat, embeddings).
"""

import base64
import struct

from turnout.clock import now
from turnout.messages import JSON, ImagePart, JSONObject, Message, Part, TextPart, Tool, ToolCall
from turnout.types import ModelRequest, Operation, Reply
from turnout_parallel.fields import Fields, LineError

CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"
ROLES = ("system", "developer", "user", "assistant", "tool")
CHOICES = ("none", "auto", "required")
BASE64 = "base64"


def read_body(url: str, body: JSONObject) -> ModelRequest:
    """Return the request that *body* makes of *url*; what has no name here is kept in ``extra``.

    Raises ``LineError``, with the field that is wrong.
    """
    if url not in (CHAT, EMBEDDINGS):
        message = f"url must be {CHAT} or {EMBEDDINGS}, not {url[:60]!r}"
        raise LineError(message)
    fields = Fields(body, "body.")
    try:
        return _chat(fields) if url == CHAT else _embeddings(fields)
    except LineError:
        raise
    except ValueError as error:  # what a request refuses
        raise LineError(str(error)) from error


def _chat(fields: Fields) -> ModelRequest:
    messages = [_message(row) for row in fields.rows("messages")]
    if not messages:
        message = "body.messages must hold at least one message"
        raise LineError(message)
    _refuse_several(fields)
    # An answer goes into a file as a whole, whatever was asked for.
    fields.flag("stream"), fields.table("stream_options")
    limit = fields.whole("max_completion_tokens")
    older = fields.whole("max_tokens")
    schema, other_format = _schema(fields.table("response_format"))
    choice, other_choice = _choice(fields.any("tool_choice"))
    return ModelRequest(
        messages=tuple(messages),
        explicit_model=fields.text("model"),
        max_tokens=older if limit is None else limit,
        temperature=fields.number("temperature"),
        top_p=fields.number("top_p"),
        stop=fields.texts("stop"),
        seed=fields.whole("seed"),
        reasoning_effort=fields.text("reasoning_effort"),
        tools=tuple(map(_tool, fields.rows("tools"))),
        tool_choice=choice,  # type: ignore[arg-type]
        schema=schema,
        extra={**fields.rest(), **other_format, **other_choice},
    )


def _refuse_several(fields: Fields) -> None:
    if fields.whole("n") not in (None, 1):
        message = "body.n must be 1: put a line for each answer instead"
        raise LineError(message)


def _message(row: JSONObject) -> Message:
    fields = Fields(row, "body.messages.")
    role = fields.text("role")
    if role not in ROLES:
        message = f"body.messages.role must be one of {', '.join(ROLES)}, not {role!r}"
        raise LineError(message)
    return Message(
        role,  # type: ignore[arg-type]
        _content(fields.any("content")),
        tuple(map(_call, fields.rows("tool_calls"))),
        fields.text("tool_call_id"),
        fields.text("name"),
        fields.rest(),
    )


def _content(content: JSON) -> str | tuple[Part, ...]:
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        message = "body.messages.content must be a string or a list of parts"
        raise LineError(message)
    return tuple(map(_part, content))


def _part(part: JSON) -> Part:
    fields = Fields(part if isinstance(part, dict) else {}, "body.messages.content.")
    kind = fields.text("type")
    if kind == "text":
        return TextPart(fields.text("text") or "")
    url = Fields(fields.table("image_url") or {}).text("url") if kind == "image_url" else None
    if url is None:
        message = f"body.messages.content holds what is neither text nor image_url: {str(part)[:60]}"
        raise LineError(message)
    return ImagePart(url)


def _call(row: JSONObject) -> ToolCall:
    function = Fields(Fields(row).table("function") or {}, "body.messages.tool_calls.function.")
    name = function.text("name")
    if not name:
        message = "body.messages.tool_calls must each name a function"
        raise LineError(message)
    return ToolCall(Fields(row).text("id") or "", name, function.text("arguments") or "{}")


def _tool(row: JSONObject) -> Tool:
    function = Fields(Fields(row).table("function") or {}, "body.tools.function.")
    name = function.text("name")
    if not name:
        message = "body.tools must each have a function with a name"
        raise LineError(message)
    parameters = function.table("parameters") or {"type": "object", "properties": {}}
    return Tool(name, function.text("description") or "", parameters)


def _choice(choice: JSON) -> tuple[str | None, JSONObject]:
    """Return the tool choice that has a name, or the one that goes as it is."""
    if isinstance(choice, dict):
        return None, {"tool_choice": choice}
    if choice is None or (isinstance(choice, str) and choice in CHOICES):
        return choice, {}
    message = f"body.tool_choice must be one of {', '.join(CHOICES)}, or an object"
    raise LineError(message)


def _schema(wanted: JSONObject | None) -> tuple[JSONObject | None, JSONObject]:
    """Return the JSON Schema of a ``response_format``, or the format that goes as it is."""
    kind = (wanted or {}).get("type")
    if wanted is None or kind == "text":
        return None, {}
    if kind == "json_object":
        return {"type": "object"}, {}
    inner = wanted.get("json_schema")
    schema = inner.get("schema") if isinstance(inner, dict) else None
    return (schema, {}) if isinstance(schema, dict) else (None, {"response_format": wanted})


def _embeddings(fields: Fields) -> ModelRequest:
    inputs = fields.texts("input")
    if not inputs:
        message = "body.input must hold at least one text"
        raise LineError(message)
    if fields.text("encoding_format") not in (None, "float", BASE64):
        message = f"body.encoding_format must be float or {BASE64}"
        raise LineError(message)
    model = fields.text("model")
    return ModelRequest(
        operation=Operation.EMBEDDINGS, inputs=inputs, explicit_model=model, extra=fields.rest()
    )


# --- answers ------------------------------------------------------------------------------------------


def answer_body(url: str, body: JSONObject, reply: Reply) -> JSONObject:
    """Return *reply* as the API would have answered to *body*."""
    if url == EMBEDDINGS:
        return _embeddings_answer(reply, packed=body.get("encoding_format") == BASE64)
    return _chat_answer(reply)


def _chat_answer(reply: Reply) -> JSONObject:
    calls: list[JSON] = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in reply.tool_calls
    ]
    message: JSONObject = {"role": "assistant", "content": reply.text or (None if calls else "")}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if calls:
        message["tool_calls"] = calls
    choice: JSONObject = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": reply.finish_reason,
    }
    return {
        "id": reply.response_id or f"chatcmpl-{reply.request_id}",
        "object": "chat.completion",
        "created": int(now().timestamp()),
        "model": reply.model,
        "choices": [choice],
        "usage": _usage(reply),
    }


def _usage(reply: Reply) -> JSONObject:
    usage = reply.usage
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _embeddings_answer(reply: Reply, *, packed: bool) -> JSONObject:
    data: list[JSON] = [
        {"object": "embedding", "index": number, "embedding": _packed(vector) if packed else list(vector)}
        for number, vector in enumerate(reply.embeddings)
    ]
    used = reply.usage.prompt_tokens
    usage: JSONObject = {"prompt_tokens": used, "total_tokens": used}
    return {"object": "list", "data": data, "model": reply.model, "usage": usage}


def _packed(vector: tuple[float, ...]) -> str:
    """Return a vector as little-endian 32-bit floats in base64, as the API does."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
