"""From a prompt to a running generation, and from its steps to a whole answer: shared by all dialects."""

from collections.abc import AsyncIterator

from attrs import define, evolve, field

from turnout_testing.engine import Finished, Generation, Instance, Step
from turnout_testing.errors import ApiError, plain
from turnout_testing.faults import WrongModel
from turnout_testing.http import Call
from turnout_testing.models import ReasoningField, ToolCall
from turnout_testing.prompt import Prompt
from turnout_testing.resolve import Target, openai_target
from turnout_testing.writer import Piece, Plan, StopReason, reasoning_field, write

FINISH_REASONS: dict[StopReason, str] = {
    "eosFound": "stop",
    "stopStringFound": "stop",
    "maxPredictedTokensReached": "length",
    "contextLengthReached": "length",
    "toolCalls": "tool_calls",
}


@define(eq=False)
class Run:
    """A generation together with the facts that its answer repeats."""

    call: Call
    generation: Generation
    loaded_in: float | None
    text: str = ""
    thought: str = ""
    calls: list[ToolCall] = field(factory=list)
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    finished: Finished | None = None

    @property
    def instance(self) -> Instance:
        """The instance that serves."""
        return self.generation.instance

    @property
    def served(self) -> str:
        """The model that the answer names: the instance id."""
        wrong = self.call.faults.first(WrongModel)
        return self.instance.id if wrong is None else wrong.served

    @property
    def reasoning_field(self) -> ReasoningField:
        """Where reasoning goes in chat answers."""
        return reasoning_field(self.instance.model, self.call.faults, self.call.host.era)

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt."""
        return self.generation.plan.prompt_tokens

    @property
    def stop_reason(self) -> StopReason:
        """Why the generation stopped."""
        return self.finished.stop_reason if self.finished else "eosFound"

    @property
    def finish_reason(self) -> str:
        """The same in OpenAI's words."""
        return FINISH_REASONS[self.stop_reason]

    async def headers_due(self) -> None:
        """Wait for the slot, when a stream sends its headers. Raises `EngineError` if it fails before."""
        await self.generation.step()

    async def steps(self) -> AsyncIterator[Step]:
        """Yield the steps that are left, each noted before it is passed on. Raises `EngineError`."""
        while self.finished is None:
            step = await self.generation.step()
            self._note(step)
            yield step

    async def whole(self) -> "Run":
        """Wait for the end. Raises `EngineError`."""
        async for _ in self.steps():
            pass
        return self

    def _note(self, step: Step) -> None:
        if isinstance(step, Finished):
            self.finished = step
        elif isinstance(step, Piece):
            self._note_piece(step)

    def _note_piece(self, piece: Piece) -> None:
        self.completion_tokens += piece.tokens
        match piece.kind:
            case "reasoning":
                self.thought += piece.text
                self.reasoning_tokens += piece.tokens
            case "text":
                self.text += piece.text
            case "call" if piece.call is not None:
                self.calls.append(evolve(piece.call, arguments=""))
            case "arguments":
                self.calls[-1] = evolve(self.calls[-1], arguments=self.calls[-1].arguments + piece.text)


async def run(call: Call, prompt: Prompt, target: Target | None = None, progress_steps: int = 1) -> Run:
    """Resolve, load if needed, and put the prompt in the instance's queue.

    Raises `ApiError` for what LM Studio refuses and `LoadError` for a load that fails.
    """
    target = openai_target(call.host, prompt, call.faults) if target is None else target
    check_images(prompt, target.instance)
    return await start(call, prompt, target, progress_steps)


async def start(call: Call, prompt: Prompt, target: Target, progress_steps: int = 1) -> Run:
    """As `run`, for a target that is known and a prompt that is checked."""
    loaded_in = await target.ready()
    host = call.host
    model, chunk, first = target.instance.model, host.tokens_per_chunk, host.first_chunk_tokens
    plan = write(model, prompt, call.faults, host.era, chunk, first_tokens=first)
    return Run(call, submit(call, target.instance, _numbered(call, plan), progress_steps), loaded_in)


def submit(call: Call, instance: Instance, plan: Plan, progress_steps: int = 1) -> Generation:
    """Queue a plan on an instance; it is abandoned when the call ends."""
    generation = Generation(
        instance=instance,
        plan=plan,
        faults=call.faults,
        era=call.host.era,
        speed=call.host.speed,
        drop=call.host.drop,
        record=call.host.generations.append,
        progress_steps=progress_steps,
    )
    call.generations.append(generation)
    instance.admit(generation)
    return generation


def check_images(prompt: Prompt, instance: Instance) -> None:
    """Refuse images for a model without vision."""
    if any(message.images for message in prompt.messages) and not instance.model.vision:
        raise image_error(instance)


def image_error(instance: Instance) -> ApiError:
    """Return the refusal of an image."""
    name = instance.model.key
    return plain(f"The provided messages contain images, but {name} does not support image inputs.")


def _numbered(call: Call, plan: Plan) -> Plan:
    ids: dict[int, str] = {}
    for piece in plan.pieces:
        if piece.kind == "call" and piece.call is not None:
            ids[piece.index] = call.host.ids.tool_call() if piece.call.id is None else piece.call.id
    pieces = tuple(
        piece if piece.call is None else evolve(piece, call=evolve(piece.call, id=ids[piece.index]))
        for piece in plan.pieces
    )
    return evolve(plan, pieces=pieces)
