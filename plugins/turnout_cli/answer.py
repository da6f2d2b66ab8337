"""One answer on its way to the reader: text to stdout as it comes, all else around it to stderr."""

from contextlib import aclosing

from turnout import (
    AuthenticationError,
    HostReport,
    LLMConnectionError,
    LLMTimeoutError,
    ModelRequest,
    Progress,
    Reasoning,
    Reply,
    Router,
    Text,
)
from turnout_cli.output import Output
from turnout_cli.words import plural, rate, seconds


class Partial:
    """What has been heard of an answer so far; it outlives an answer that is broken off."""

    def __init__(self) -> None:
        self.text = ""


async def stream(
    router: Router,
    request: ModelRequest,
    out: Output,
    *,
    reasoning: bool = False,
    silent: bool = False,
    partial: Partial | None = None,
) -> Reply:
    """Answer *request*, writing the text as it comes unless *silent*; cancelling stops it upstream.

    Raises the ``LLMError`` that ended it.
    """
    heard = partial or Partial()
    answer = router.open_stream(request)
    with out.waiting() as waiting:
        waiting.idle("waiting for an answer")
        async with aclosing(answer):
            async for event in answer:
                match event:
                    case Progress():
                        waiting.see(event, answer.selection.model if answer.selection else "")
                    case Reasoning(text=piece) if reasoning and not silent:
                        waiting.stop()
                        out.reasoning(piece)
                    case Text(text=piece):
                        heard.text += piece
                        if not silent:
                            waiting.stop()
                            out.text(piece)
    if not silent:
        out.end_text()
    return answer.reply


async def whole(router: Router, request: ModelRequest, out: Output) -> Reply:
    """Answer *request* in one piece, and write nothing of it."""
    with out.waiting() as waiting:
        waiting.idle("waiting for an answer")
        return await router.ask(request)


async def tell(router: Router, reply: Reply, out: Output) -> None:
    """Say on stderr who answered, why, at what cost, and what is wrong with it."""
    for attempt in reply.attempts:
        if attempt.error is not None:
            pause = f" (again after {seconds(attempt.pause_seconds)})" if attempt.pause_seconds else ""
            out.note(f"{attempt.model} on {attempt.host} failed first: {attempt.error.message}{pause}")
    out.note(f"{reply.model} on {reply.host}{_why(reply)}")
    for note in reply.selection.explanation.notes if reply.selection else ():
        out.note(note)
    out.note(_cost(reply))
    if reply.truncated:
        out.warn(
            "the answer was cut short (finish_reason: length). "
            "Raise --max-tokens, or load the model with a larger context."
        )
    if reply.empty:
        out.warn("the model only thought, and answered nothing. Raise --max-tokens.")
    await _tell_last_resort(router, reply, out)


def _why(reply: Reply) -> str:
    selection = reply.selection
    if selection is None:
        return ""
    why = ": ".join(part for part in (selection.strategy_used, selection.reason) if part)
    return f" ({why})" if why else ""


def _cost(reply: Reply) -> str:
    usage, timings = reply.usage, reply.timings
    about = "about " if usage.estimated else ""
    tokens = f"{about}{usage.prompt_tokens} + {plural(usage.completion_tokens, 'token')}"
    parts = [tokens, seconds(timings.total)]
    if timings.tokens_per_second is not None:
        parts.append(f"{rate(timings.tokens_per_second)} tokens/s")
    if timings.time_to_first_token is not None:
        parts.append(f"first after {seconds(timings.time_to_first_token)}")
    if timings.queue >= 0.1:
        parts.append(f"{seconds(timings.queue)} in the queue")
    if timings.load:
        parts.append(f"{seconds(timings.load)} to load")
    return ", ".join(parts)


async def _tell_last_resort(router: Router, reply: Reply, out: Output) -> None:
    """Say when only the embedded model was there, and how to get LM Studio in."""
    reports = await router.hosts()
    served = next((r.host for r in reports if r.host.name == reply.host), None)
    if served is None or served.backend != "embedded" or not served.last_resort:
        return
    out.note(last_resort_words(reply.model, reports))


def last_resort_words(model: str, reports: tuple[HostReport, ...]) -> str:
    """Say what the embedded model is, why it answered, and what to do for a better one."""
    missing = [f"{r.host.url} ({_short(r)})" for r in reports if r.host.backend != "embedded"]
    others = f"No other host could answer: {', '.join(missing)}. " if missing else ""
    return (
        f"{model} is a real model, but a very small one that runs on this machine. {others}"
        "For better answers start LM Studio's server (in the application: Developer, Start server; "
        "in a shell: lms server start), or name a server in turnout.toml. turnout doctor looks closer."
    )


def _short(report: HostReport) -> str:
    match report.error:
        case None:
            return "has no model for this"
        case AuthenticationError():
            return "refuses the token"
        case LLMConnectionError() | LLMTimeoutError():
            return "does not answer"
        case other:
            return other.message
