"""Prompts of the right length, answers that name their prompt, and clients that ask and take the time."""

import asyncio
import math
from collections.abc import Mapping, Sequence

from attrs import frozen

from turnout import ModelRequest, Reply, Router
from turnout.errors import LLMError
from turnout.events import OUTPUT
from turnout_testing.emulator import Emulator
from turnout_testing.prompt import Prompt
from turnout_testing.simulation.result import Sample
from turnout_testing.simulation.trace import Arrival
from turnout_testing.tokens import CHARACTERS_PER_TOKEN

FILLER = "."


class ForeignAnswerError(AssertionError):
    """A request got an answer that is not its own: a defect of the router, not of a strategy."""


@frozen(eq=False)
class Traffic:
    """The requests of a trace, each known by its number; ``timeout`` is in seconds."""

    arrivals: Sequence[Arrival]
    seed: int = 0
    timeout: float = 600.0

    def request(self, number: int) -> ModelRequest:
        """Return the request: its prompt begins with its number, and is as long as the trace says."""
        arrival = self.arrivals[number]
        width = max(arrival.prompt_tokens, 1) * CHARACTERS_PER_TOKEN
        return ModelRequest(
            f"{number} ".ljust(width, FILLER),
            id=f"{self.seed}-{number}",
            explicit_model=arrival.model,
            client=arrival.client,
            task_type=arrival.task_type,
            timeout=self.timeout,
        )

    def reply(self, prompt: Prompt) -> str:
        """Answer as every model of the fleet does: by the number, with as many tokens as the trace says."""
        number = prompt.last_text.partition(" ")[0]
        return self.text(int(number)) if number.isdecimal() else "It is ready."

    def text(self, number: int) -> str:
        """Return the one true answer."""
        width = max(self.arrivals[number].output_tokens, 1) * CHARACTERS_PER_TOKEN
        return f"{number} ".ljust(width, FILLER)[:width]

    def check(self, number: int, reply: Reply) -> None:
        """Raise `ForeignAnswerError` unless it is the answer to this request, or the begin of it."""
        own = self.text(number)
        if reply.text != own and not (reply.truncated and own.startswith(reply.text)):
            message = f"request {number} was answered {reply.text[:40]!r}, by {reply.model} on {reply.host}"
            raise ForeignAnswerError(message)


async def visit(router: Router, traffic: Traffic, number: int, emulators: Mapping[str, Emulator]) -> Sample:
    """Ask as a client does that reads the answer as it comes, and say how it went."""
    loop = asyncio.get_running_loop()
    came, first = loop.time(), math.nan
    stream = router.open_stream(traffic.request(number))
    at = traffic.arrivals[number].at
    try:
        async for event in stream:
            if math.isnan(first) and isinstance(event, OUTPUT):
                first = loop.time() - came
    except LLMError as error:
        return Sample(at, loop.time() - came, error=type(error).__name__)
    finally:
        await stream.aclose()
    reply = stream.reply
    traffic.check(number, reply)
    model = reply.model.partition(":")[0]
    alone = _alone(emulators[reply.host], model, traffic.arrivals[number].prompt_tokens)
    tokens = reply.usage.completion_tokens or traffic.arrivals[number].output_tokens
    wait = max(first - alone, 0.0)
    return Sample(at, loop.time() - came, wait, first, model, reply.host, tokens)


def _alone(emulator: Emulator, model: str, prompt_tokens: int) -> float:
    """Return the seconds to the first token where nothing has to be waited for."""
    emulated = emulator.model(model)
    assert emulated is not None
    seconds = max(prompt_tokens, 1) / emulated.prefill_rate + 1 / emulated.decode_rate
    return seconds / emulator.speed
