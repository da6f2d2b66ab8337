"""The model that is predicted to finish first: queue, load, prompt and answer together."""

import math
from collections.abc import Sequence

from turnout import Candidate, ModelRequest, ModelSelection, hookimpl


@hookimpl
def select_model(request: ModelRequest, candidates: Sequence[Candidate]) -> ModelSelection | None:
    """Choose the least predicted completion.

    Abstain after a failure, when speed is not the question, and where no time can be predicted.
    """
    if request.attempts or not candidates:
        return None
    prompt, output = request.signals.prompt_tokens or 0, request.signals.output_tokens or 0
    timed = sorted((c.completion_seconds(prompt, output), c.id, c) for c in candidates)
    seconds, model, best = timed[0]
    if not seconds < math.inf:
        return None
    return ModelSelection(
        model,
        _reason(best, seconds, prompt, output, only=len(timed) == 1),
        [name for _, name, _ in timed[1:]],
        estimated_duration=seconds,
    )


def _reason(best: Candidate, seconds: float, prompt: int, output: int, *, only: bool) -> str:
    deployment = min(
        best.deployments, key=lambda d: best.estimate(d).completion_seconds(prompt, output)
    )
    estimate = best.estimate(deployment)
    load = f"to be loaded in about {max(estimate.load_seconds, 1):.0f} s"
    state = "loaded" if deployment.resident else load
    runs = "1 run" if estimate.measured == 1 else f"{estimate.measured} runs"
    basis = f"from {runs}" if estimate.measured else "from its size, nothing measured yet"
    rank = "the only one" if only else "fastest"
    return f"{rank}: about {seconds:.1f} s on {deployment.host.name}, {state} ({basis})"
