"""How large a context a request needs, and whether a load with a larger one is the way to get it."""

from collections.abc import Iterable, Sequence

from attrs import evolve, frozen

from turnout import eligibility
from turnout.errors import ContextOverflowError, LLMError
from turnout.fleet import Deployment, Fleet
from turnout.types import Attempt, ModelRequest, ModelSelection
from turnout_resilience.traffic import Key

ROOM = 1.1
"""Our count of tokens is an estimate: this much more is asked for."""


@frozen
class Plan:
    """To load the model on ``key`` with a context of so many tokens."""

    key: Key
    context: int


def larger(loaded: int, needed: int, most: int) -> int | None:
    """Return the context to load with: the next power of two, up to *most*; None where none does. Tokens."""
    if needed > most:
        return None
    context = min(1 << (int(needed * ROOM) - 1).bit_length(), most)
    return context if context > loaded else None


def next_smaller(context: int) -> int:
    """Return the largest power of two below *context*: what may still load where that did not."""
    return 1 << ((context - 1).bit_length() - 1) if context > 1 else 0


def needed(request: ModelRequest, attempts: Iterable[Attempt]) -> int:
    """Return the tokens that prompt and answer take; what servers have counted in *attempts* counts more."""
    overflows = (a.error for a in attempts if isinstance(a.error, ContextOverflowError))
    counted = max((error.prompt_tokens or 0 for error in overflows), default=0)
    prompt = counted or request.signals.prompt_tokens or eligibility.estimate_tokens(request)
    return prompt + (request.max_tokens or request.signals.output_tokens or 0)


def counted_on(selection: ModelSelection) -> list[Key]:
    """Return the deployments that the selection takes to be loaded again, if they are still allowed."""
    explanation = selection.explanation
    out = {(entry.host, entry.model) for entry in explanation.ineligible}
    keys = [(one.host, one.model) for one in explanation.reloads if one.model == selection.model]
    return [key for key in keys if key not in out]


def not_enlarged(plan: Plan, problem: LLMError) -> ContextOverflowError:
    """Make the error of a request for which a load with a larger context has failed."""
    host, model = plan.key
    message = f"it does not fit, and loading with a context of {plan.context} failed: {problem.message}"
    return ContextOverflowError(message, original_exception=problem, host=host, model=model)


def others(request: ModelRequest, attempts: Sequence[Attempt], fleet: Fleet) -> list[Deployment]:
    """Return who else could serve: the core knows whose context is too small as well."""
    pinned = request.explicit_model is not None and not request.allow_fallback
    considered = fleet.models.get(attempts[-1].model, ()) if pinned else fleet.deployments
    needs = eligibility.needs_of(evolve(request, attempts=tuple(attempts)))
    able, _ = eligibility.eligible(needs, considered)
    return able
