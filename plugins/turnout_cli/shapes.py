"""The JSON that ``--json`` prints: one function for each thing, and a field never changes its meaning."""

from collections.abc import Iterable

from turnout import (
    JSON,
    Attempt,
    Candidate,
    Decision,
    Deployment,
    Explanation,
    HostReport,
    Ineligible,
    Instance,
    JSONObject,
    LLMError,
    ModelCapability,
    ModelInfo,
    ModelSelection,
    Quality,
    Reload,
    Reply,
    Signals,
    Timings,
    Usage,
    Verdict,
)
from turnout_cli.exit_codes import exit_code


def _list(values: Iterable[JSON]) -> list[JSON]:
    return list(values)


def reply_shape(reply: Reply) -> JSONObject:
    """Describe a whole reply."""
    return {
        "text": reply.text,
        "reasoning": reply.reasoning,
        "model": reply.model,
        "host": reply.host,
        "finish_reason": reply.finish_reason,
        "truncated": reply.truncated,
        "tool_calls": [{"id": c.id, "name": c.name, "arguments": c.arguments} for c in reply.tool_calls],
        "usage": _usage(reply.usage),
        "timings": _timings(reply.timings),
        "selection": None if reply.selection is None else selection_shape(reply.selection),
        "attempts": [_attempt(attempt) for attempt in reply.attempts],
        "request_id": reply.request_id,
        "response_id": reply.response_id,
    }


def _usage(usage: Usage) -> JSONObject:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cached_tokens": usage.cached_tokens,
        "estimated": usage.estimated,
    }


def _timings(timings: Timings) -> JSONObject:
    return {
        "total": timings.total,
        "queue": timings.queue,
        "load": timings.load,
        "time_to_first_token": timings.time_to_first_token,
        "tokens_per_second": timings.tokens_per_second,
    }


def _attempt(attempt: Attempt) -> JSONObject:
    return {
        "model": attempt.model,
        "host": attempt.host,
        "error": None if attempt.error is None else error_shape(attempt.error),
        "queue_seconds": attempt.queue_seconds,
        "duration_seconds": attempt.duration_seconds,
        "pause_seconds": attempt.pause_seconds,
    }


def error_shape(error: LLMError) -> JSONObject:
    """Describe an error, with the exit code that it has."""
    return {**error.to_dict(), "advice": error.advice, "exit_code": int(exit_code(error))}


def selection_shape(selection: ModelSelection) -> JSONObject:
    """Describe a selection with its explanation."""
    return {
        "model": selection.model,
        "strategy": selection.strategy_used,
        "reason": selection.reason,
        "ranking": list(selection.ranking),
        "estimated_seconds": selection.estimated_duration,
        "propensity": selection.propensity,
        "explanation": _explanation(selection.explanation),
    }


def _explanation(explanation: Explanation) -> JSONObject:
    return {
        "candidates": list(explanation.candidates),
        "ineligible": [_ineligible(one) for one in explanation.ineligible],
        "reloads": [_reload(one) for one in explanation.reloads],
        "verdicts": [_verdict(one) for one in explanation.verdicts],
        "signals": _signals(explanation.signals),
        "notes": list(explanation.notes),
    }


def _ineligible(one: Ineligible) -> JSONObject:
    return {"model": one.model, "host": one.host, "reason": one.reason}


def _reload(one: Reload) -> JSONObject:
    return {"model": one.model, "host": one.host, "context": one.context, "loaded": one.loaded}


def _verdict(one: Verdict) -> JSONObject:
    return {"strategy": one.strategy, "outcome": one.outcome, "detail": one.detail}


def _signals(signals: Signals) -> JSONObject:
    return {
        "task_type": signals.task_type,
        "confidence": signals.confidence,
        "prompt_tokens": signals.prompt_tokens,
        "output_tokens": signals.output_tokens,
        "needs": _list(sorted(signals.needs)),
        "language": signals.language,
        "notes": dict(signals.notes),
    }


def decision_shape(decision: Decision) -> JSONObject:
    """Describe a decision: what was chosen, among what, and why the others were not."""
    chosen = decision.selection
    return {
        "model": None if chosen is None else chosen.model,
        "strategy": None if chosen is None else chosen.strategy_used,
        "reason": None if chosen is None else chosen.reason,
        "ranking": [] if chosen is None else list(chosen.ranking),
        "estimated_seconds": None if chosen is None else chosen.estimated_duration,
        "signals": _signals(decision.request.signals),
        "candidates": [_candidate(one, decision.request.signals) for one in decision.candidates],
        "verdicts": [_verdict(one) for one in decision.explanation.verdicts],
        "ineligible": [_ineligible(one) for one in decision.explanation.ineligible],
        "reloads": [_reload(one) for one in decision.explanation.reloads],
        "notes": list(decision.explanation.notes),
        "error": None if decision.error is None else error_shape(decision.error),
    }


def _candidate(candidate: Candidate, signals: Signals) -> JSONObject:
    return {
        "model": candidate.id,
        "resident": candidate.resident,
        "seconds": predicted(candidate, signals),
        "quality": _quality(candidate.quality(signals.task_type or ModelCapability.GENERAL)),
        "deployments": [_prediction(candidate, one, signals) for one in candidate.deployments],
    }


def _quality(quality: Quality | None) -> JSON:
    """Describe how well it does the kind of work at hand, and how many trials say so."""
    return None if quality is None else {"score": quality.score, "weight": quality.weight}


def _prediction(candidate: Candidate, deployment: Deployment, signals: Signals) -> JSONObject:
    estimate = candidate.estimate(deployment)
    tokens = signals.prompt_tokens or 0, signals.output_tokens or 0
    return {
        "host": deployment.host.name,
        "resident": deployment.resident,
        "seconds": estimate.completion_seconds(*tokens),
        "queue_seconds": estimate.queue_seconds,
        "load_seconds": estimate.load_seconds,
        "success_rate": estimate.success_rate,
        "measured": estimate.measured,
    }


def predicted(candidate: Candidate, signals: Signals) -> float:
    """Predict the seconds to the last token on the best of the candidate's deployments."""
    return candidate.completion_seconds(signals.prompt_tokens or 0, signals.output_tokens or 0)


def deployment_shape(deployment: Deployment) -> JSONObject:
    """Describe a model on a host."""
    return {
        **_model(deployment.info),
        "host": deployment.host.name,
        "url": deployment.host.url,
        "backend": deployment.host.backend,
        "era": deployment.host.era,
        "loaded": deployment.resident,
        "loading": deployment.loading,
        "loadable": deployment.loadable,
        "instances": [instance_shape(deployment, one) for one in deployment.instances],
    }


def _model(info: ModelInfo) -> JSONObject:
    return {
        "model": info.id,
        "name": info.name,
        "kind": info.kind,
        "capabilities": _list(sorted(info.capabilities)),
        "vision": info.vision,
        "tools": info.tools,
        "reasoning": None if info.reasoning is None else list(info.reasoning),
        "max_context_length": info.context_length,
        "architecture": info.architecture,
        "parameters": info.parameters,
        "active_parameters": info.active_parameters,
        "quantization": info.quantization,
        "bits_per_weight": info.bits_per_weight,
        "size_bytes": info.size_bytes,
        "format": info.format,
        "variants": list(info.variants),
        "metadata": dict(info.metadata),
    }


def instance_shape(deployment: Deployment, instance: Instance) -> JSONObject:
    """Describe a loaded copy."""
    return {
        "id": instance.id,
        "model": deployment.model,
        "host": deployment.host.name,
        "context_length": instance.context_length,
        "slots": instance.parallel or deployment.default_parallel,
    }


def host_shape(report: HostReport) -> JSONObject:
    """Describe how a host answered."""
    return {
        "host": report.host.name,
        "url": report.host.url,
        "backend": report.host.backend,
        "era": report.host.era,
        "reachable": report.error is None,
        "models": report.models,
        "seconds": report.seconds,
        "last_resort": report.host.last_resort,
        "error": None if report.error is None else error_shape(report.error),
    }
