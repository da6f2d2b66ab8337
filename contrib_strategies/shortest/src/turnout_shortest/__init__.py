"""The model whose first word comes soonest."""

from collections.abc import Sequence

from turnout import Candidate, ModelRequest, ModelSelection, hookimpl


@hookimpl
def select_model(request: ModelRequest, candidates: Sequence[Candidate]) -> ModelSelection | None:
    """Choose the shortest wait: queue, load and reading the prompt; abstain when there is nobody."""
    prompt = request.signals.prompt_tokens or 0
    waits = sorted((candidate.completion_seconds(prompt, 0), candidate.id) for candidate in candidates)
    if not waits:
        return None
    (seconds, model), *others = waits
    reason = f"the shortest wait: about {seconds:.2f} s to the first word"
    return ModelSelection(model, reason, [name for _, name in others])
