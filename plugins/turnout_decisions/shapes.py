"""The JSON that ``turnout explain`` and ``rate`` print; a field never changes its meaning."""

from collections.abc import Iterable
from typing import cast

from attrs import asdict

from turnout.fleet import Candidate, Deployment
from turnout.messages import JSON, JSONObject
from turnout.types import ExecutionMetrics, Feedback, Ineligible, Reload, Verdict
from turnout_decisions.codec import converter
from turnout_decisions.explain import quality, tried_after
from turnout_decisions.facts import RequestFacts
from turnout_decisions.journal import Entry, LoggedDecision, Page
from turnout_decisions.tries import Tried


def _list(values: Iterable[JSON]) -> list[JSON]:
    return list(values)


def page_shape(page: Page) -> JSONObject:
    """Describe decisions, oldest first, each with what became of it."""
    entries = page.entries
    following = [*(entry.decision for entry in entries[1:]), None]
    return {
        "decisions": _list(_entry(one, other) for one, other in zip(entries, following, strict=True)),
        "unreadable": page.unreadable,
        "newer": page.newer,
        "unseen": page.unseen,
    }


def _entry(entry: Entry, following: LoggedDecision | None) -> JSONObject:
    decision, chosen = entry.decision, entry.decision.selection
    same = following is not None and following.id == decision.id
    tried = tried_after(decision.facts, following.facts if following and same else None)
    return {
        "request_id": decision.id,
        "attempt": decision.facts.attempt,
        "at": decision.at,
        "model": chosen.model,
        "strategy": chosen.strategy_used,
        "reason": chosen.reason,
        "ranking": list(chosen.ranking),
        "propensity": chosen.propensity,
        "estimated_seconds": chosen.estimated_duration,
        "request": _facts(decision.facts),
        "candidates": _list(_candidate(decision, one) for one in decision.candidates),
        "verdicts": _list(_plain(one) for one in chosen.explanation.verdicts),
        "ineligible": _list(_plain(one) for one in chosen.explanation.ineligible),
        "reloads": _list(_plain(one) for one in chosen.explanation.reloads),
        "notes": list(chosen.explanation.notes),
        "outcomes": _list(_outcome(one) for one in entry.outcomes),
        "tried": _list(_tried(one) for one in tried),
        "ratings": _list(rating_shape(one) for one in entry.ratings),
    }


def _plain(value: Verdict | Ineligible | Reload) -> JSON:
    return cast(JSON, asdict(value))


def _facts(facts: RequestFacts) -> JSONObject:
    plain = cast(JSONObject, {**_defaults(), **converter().unstructure(facts)})
    plain["attempts"] = _list(_tried(one) for one in facts.attempts)
    plain["signals"] = {
        "task_type": facts.signals.task_type,
        "confidence": facts.signals.confidence,
        "prompt_tokens": facts.signals.prompt_tokens,
        "output_tokens": facts.signals.output_tokens,
        "needs": _list(sorted(facts.signals.needs)),
        "language": facts.signals.language,
        "notes": dict(facts.signals.notes),
    }
    return plain


def _defaults() -> JSONObject:
    """Return the facts of a request of which nothing is known: what is as usual is not written down."""
    plain = asdict(RequestFacts(""), recurse=False)
    return cast(JSONObject, {**plain, "required_capabilities": []})


def _tried(tried: Tried) -> JSONObject:
    return {
        "model": tried.model,
        "host": tried.host,
        "error": tried.error,
        "fault": tried.fault.value,
        "facts": dict(tried.facts),
        "message": tried.message,
        "queue_seconds": tried.queue_seconds,
        "duration_seconds": tried.duration_seconds,
        "pause_seconds": tried.pause_seconds,
    }


def _candidate(decision: LoggedDecision, candidate: Candidate) -> JSONObject:
    found = quality(decision, candidate)
    return {
        "model": candidate.id,
        "resident": candidate.resident,
        "seconds": candidate.completion_seconds(*decision.tokens),
        "quality": None if found is None else {"score": found.score, "weight": found.weight},
        "deployments": _list(_deployment(decision, candidate, one) for one in candidate.deployments),
    }


def _deployment(decision: LoggedDecision, candidate: Candidate, deployment: Deployment) -> JSONObject:
    estimate = candidate.estimate(deployment)
    return {
        "host": deployment.host.name,
        "resident": deployment.resident,
        "loading": deployment.loading,
        "context_length": deployment.loaded_context,
        "max_context_length": deployment.info.context_length,
        "slots": deployment.slots,
        "seconds": estimate.completion_seconds(*decision.tokens),
        "queue_seconds": estimate.queue_seconds,
        "load_seconds": estimate.load_seconds,
        "success_rate": estimate.success_rate,
        "measured": estimate.measured,
    }


def _outcome(metrics: ExecutionMetrics) -> JSONObject:
    plain = cast(JSONObject, asdict(metrics))
    return {("model" if name == "model_id" else name): value for name, value in plain.items()}


def rating_shape(feedback: Feedback) -> JSONObject:
    """Describe a rating."""
    return cast(JSONObject, asdict(feedback))
