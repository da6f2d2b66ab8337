"""What a model will say to a prompt, decided before it says it: pure, so the same prompt gives the same
pieces.
"""

import json
from collections.abc import Iterator
from typing import Literal

from attrs import evolve, frozen

from turnout_testing.errors import Era, OverflowForm
from turnout_testing.fault_box import ActiveFaults
from turnout_testing.faults import (
    CorruptedArguments,
    EmptyContent,
    EmptyToolId,
    Overflow,
    ReasoningIn,
    SchemaInReasoning,
    ToolCallAsText,
)
from turnout_testing.models import EmulatedModel, ModelReply, ReasoningField, ToolCall
from turnout_testing.prompt import Prompt, Tool
from turnout_testing.schema import minimal_instance
from turnout_testing.tokens import count_tokens, prompt_tokens, slices
from turnout_testing.wire import as_text, compact

StopReason = Literal[
    "eosFound", "stopStringFound", "maxPredictedTokensReached", "contextLengthReached", "toolCalls"
]
SILENT = ("none", "off")
GARBAGE = "the the the the ///// the the"


@frozen
class Piece:
    """One chunk of output; a call's first piece has its name and id, the following ones its arguments."""

    kind: Literal["reasoning", "text", "call", "arguments"]
    text: str
    tokens: int = 1
    index: int = 0
    call: ToolCall | None = None


@frozen
class Plan:
    """All that a model will say, and why it will stop."""

    prompt_tokens: int
    pieces: tuple[Piece, ...] = ()
    stop_reason: StopReason = "eosFound"


def write(
    model: EmulatedModel,
    prompt: Prompt,
    faults: ActiveFaults,
    era: Era,
    chunk_tokens: int = 1,
    *,
    first_tokens: int | None = None,
) -> Plan:
    """Return the plan for `prompt`: the model's behaviour, bent by the faults, cut to stop strings and
    `max_tokens`. The first piece of text has `first_tokens`, the others `chunk_tokens`.
    """
    reply = _bent(_reply(model, prompt), prompt, faults)
    if reasoning_field(model, faults, era) == "content" and reply.reasoning:
        reply = evolve(reply, reasoning="", text=f"<think>\n{reply.reasoning}\n</think>\n\n{reply.text}")
    text, stopped = _until_stop(reply.text, prompt.stop)
    pieces = tuple(_pieces(evolve(reply, text=text), chunk_tokens, first_tokens or chunk_tokens))
    reason: StopReason = "stopStringFound" if stopped else "toolCalls" if reply.tool_calls else "eosFound"
    kept = tuple(_within(pieces, prompt.max_tokens))
    if sum(piece.tokens for piece in kept) < sum(piece.tokens for piece in pieces) or _cut_short(faults):
        reason = "maxPredictedTokensReached"
    return Plan(prompt_tokens(prompt), kept, reason)


def reasoning_field(model: EmulatedModel, faults: ActiveFaults, era: Era) -> ReasoningField:
    """Where this model's reasoning goes; before 0.4 it stayed in the content unless a setting was on."""
    if fault := faults.first(ReasoningIn):
        return fault.field
    return model.reasoning_field or ("content" if era == "0.3" else "reasoning_content")


def _reply(model: EmulatedModel, prompt: Prompt) -> ModelReply:
    behaved = model.reply(prompt) if callable(model.reply) else model.reply
    reply = behaved if isinstance(behaved, ModelReply) else ModelReply(text=_spoken(behaved, prompt))
    reply = evolve(reply, reasoning=_reasoning(model, prompt, reply))
    if calls := _calls(model, prompt, reply):
        return evolve(reply, text=reply.text if isinstance(behaved, ModelReply) else "", tool_calls=calls)
    return evolve(reply, tool_calls=(), text=_constrained(reply.text, prompt, behaved is not None))


def _spoken(behaved: str | None, prompt: Prompt) -> str:
    return f'You said: "{prompt.last_text[:80]}". That is all I know.' if behaved is None else behaved


def _reasoning(model: EmulatedModel, prompt: Prompt, reply: ModelReply) -> str:
    setting = prompt.reasoning or model.reasoning_default
    if setting in SILENT:
        return ""
    thought = reply.reasoning or model.reasoning
    return thought or ("The user wants an answer. I shall give one." if model.reasoning_options else "")


def _calls(model: EmulatedModel, prompt: Prompt, reply: ModelReply) -> tuple[ToolCall, ...]:
    answered = bool(prompt.messages) and prompt.messages[-1].role == "tool"
    if not prompt.tools or prompt.tool_choice == "none":
        return ()
    if reply.tool_calls:
        return reply.tool_calls
    if model.tool_calls and not answered:
        return model.tool_calls
    return (_simplest_call(prompt.tools[0]),) if prompt.tool_choice == "required" else ()


def _simplest_call(tool: Tool) -> ToolCall:
    return ToolCall(name=tool.name, arguments=compact(minimal_instance(tool.parameters)).decode())


def _constrained(text: str, prompt: Prompt, configured: bool) -> str:
    if prompt.schema is None or (configured and _is_json(text)):
        return text
    return compact(minimal_instance(prompt.schema)).decode()


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _bent(reply: ModelReply, prompt: Prompt, faults: ActiveFaults) -> ModelReply:
    overflow = faults.first(Overflow)
    if overflow is not None and overflow.form is OverflowForm.GARBAGE:
        reply = ModelReply(text=GARBAGE)
    if corrupted := faults.first(CorruptedArguments):
        reply = evolve(reply, tool_calls=tuple(_corrupt(call, corrupted) for call in reply.tool_calls))
    if faults.first(EmptyToolId):
        reply = evolve(reply, tool_calls=tuple(evolve(call, id="") for call in reply.tool_calls))
    if as_markup := faults.first(ToolCallAsText):
        text = reply.text + "".join(tool_markup(call, as_markup.markup) for call in reply.tool_calls)
        reply = evolve(reply, text=text, tool_calls=())
    if faults.first(EmptyContent) or (faults.first(SchemaInReasoning) and prompt.schema is not None):
        reply = evolve(reply, reasoning=reply.reasoning + reply.text, text="")
    return reply


def _corrupt(call: ToolCall, fault: CorruptedArguments) -> ToolCall:
    half = call.arguments[: max(1, len(call.arguments) // 2)]
    return evolve(call, arguments=call.arguments + half if fault.arguments is None else fault.arguments)


def tool_markup(call: ToolCall, markup: Literal["tool_call", "TOOL_REQUEST", "harmony"]) -> str:
    """Return the call as text in one of the three markups that leak into `content`."""
    both = f'{{"name":{compact(call.name).decode()},"arguments":{call.arguments}}}'
    match markup:
        case "tool_call":
            return f"<tool_call>\n{both}\n</tool_call>"
        case "TOOL_REQUEST":
            return f"[TOOL_REQUEST]{both}[END_TOOL_REQUEST]"
        case "harmony":
            channel = f"<|channel|>commentary to=functions.{as_text(call.name)} <|constrain|>json"
            return f"<|start|>assistant{channel}<|message|>{call.arguments}<|call|>"


def _until_stop(text: str, stop: tuple[str, ...]) -> tuple[str, bool]:
    places = [place for word in stop if word and (place := text.find(word)) >= 0]
    return (text[: min(places)], True) if places else (text, False)


def _pieces(reply: ModelReply, chunk: int, first: int) -> Iterator[Piece]:
    for part in slices(reply.reasoning, chunk):
        yield Piece("reasoning", part, count_tokens(part))
    for part in slices(reply.text, chunk, first):
        yield Piece("text", part, count_tokens(part))
    for index, call in enumerate(reply.tool_calls):
        yield Piece("call", "", count_tokens(call.name), index, call)
        for part in slices(call.arguments, chunk):
            yield Piece("arguments", part, count_tokens(part), index, call)


def _within(pieces: tuple[Piece, ...], limit: int | None) -> Iterator[Piece]:
    left = float("inf") if limit is None else limit
    for piece in pieces:
        if left <= 0:
            return
        if piece.tokens > left:
            yield evolve(piece, text=next(slices(piece.text, int(left)), ""), tokens=int(left))
            return
        left -= piece.tokens
        yield piece


def _cut_short(faults: ActiveFaults) -> bool:
    overflow = faults.first(Overflow)
    return overflow is not None and overflow.form is OverflowForm.LENGTH
