"""``turnout explain``: a whole decision as tables, and a list of the recent ones."""

from collections.abc import Iterable, Iterator, Sequence

from turnout.fleet import Candidate, Deployment
from turnout.skills import Quality
from turnout.types import ExecutionMetrics, Feedback
from turnout.verbs import Output
from turnout_decisions.facts import RequestFacts
from turnout_decisions.journal import Entry, LoggedDecision, Page
from turnout_decisions.tries import Tried
from turnout_decisions.words import (
    UNKNOWN,
    count,
    harmless,
    harmless_rows,
    plural,
    rating,
    seconds,
    share,
    when,
)

SHORT_ID = 8


def show(page: Page, out: Output) -> None:
    """Show every decision about one request, in order, each with what became of it."""
    entries = page.entries
    for number, entry in enumerate(entries):
        following = entries[number + 1].decision.facts if number + 1 < len(entries) else None
        if number:
            out.line()
        _decision(entry, out, "" if len(entries) == 1 else f" ({number + 1} of {len(entries)})")
        _aftermath(entry, following, out)
    say_unreadable(page, out)


def _decision(entry: Entry, out: Output, which: str) -> None:
    decision = entry.decision
    chosen = decision.selection
    out.line(harmless(f"Request {decision.id}, {when(decision.at)}{which}"))
    out.line(harmless(f"{chosen.model}: {chosen.reason or 'no reason given'}"))
    out.line(harmless(f"chosen by {chosen.strategy_used or 'nobody'}, {_chance(chosen.propensity)}"))
    out.table(("FACT", "VALUE"), harmless_rows(_facts(decision.facts)), title="\nRequest")
    _candidates(decision, out)
    if chosen.explanation.verdicts:
        rows = [(one.strategy, one.outcome, one.detail) for one in chosen.explanation.verdicts]
        out.table(("STRATEGY", "SAID", "WHY"), harmless_rows(rows), title="\nStrategies, in the order asked")
    if chosen.explanation.reloads:
        small = [(one.model, one.host, one.reason) for one in chosen.explanation.reloads]
        title = "\nLoaded again first, with a larger context"
        out.table(("MODEL", "HOST", "REASON"), harmless_rows(small), title=title)
    if chosen.explanation.ineligible:
        left_out = [(one.model, one.host, one.reason) for one in chosen.explanation.ineligible]
        out.table(("MODEL", "HOST", "REASON"), harmless_rows(left_out), title="\nLeft out")
    for note in chosen.explanation.notes:
        out.line(f"\nNote: {harmless(note)}")


def _chance(propensity: float) -> str:
    if propensity >= 1.0:
        return "not by chance"
    return f"by chance: it takes this model with probability {propensity:.2f}"


def _facts(facts: RequestFacts) -> Iterator[tuple[str, str]]:
    """Yield what bears on the choice, and nothing that is as usual."""
    signals = facts.signals
    task = signals.task_type or facts.task_type
    sure = f" ({signals.confidence:.0%} sure)" if signals.task_type and signals.confidence else ""
    yield "task", f"{task or 'unknown'}{sure}"
    yield "tokens", f"about {count(signals.prompt_tokens)} in, {count(signals.output_tokens)} out expected"
    given = {
        "language": signals.language,
        "needs": ", ".join(sorted(signals.needs | facts.required_capabilities)),
        "asked for": facts.explicit_model and f"{facts.explicit_model}{_or_another(facts)}",
        "hosts": facts.hosts and ", ".join(sorted(facts.hosts)),
        "operation": facts.operation if facts.inputs else None,
        "texts": facts.inputs,
        "images": facts.images,
        "tools": facts.tools,
        "schema": "yes" if facts.schema else None,
        "messages": len(facts.roles),
        "at most": facts.max_tokens and f"{facts.max_tokens} tokens",
        "reasoning": facts.reasoning_effort,
        "wants speed": "yes" if facts.prefer_fast else None,
        "priority": facts.priority,
        "conversation": facts.conversation,
        "client": facts.client,
    }
    yield from ((name, str(value)) for name, value in given.items() if value)
    if facts.content is not None:
        yield "prompt", facts.content.task or (facts.content.messages or ("",))[-1]


def _or_another(facts: RequestFacts) -> str:
    return ", else another" if facts.allow_fallback else ""


def _candidates(decision: LoggedDecision, out: Output) -> None:
    columns = (
        "MODEL", "HOST", "LOADED", ">CONTEXT", ">SLOTS",
        ">EXPECTED", ">QUEUE", ">LOAD", ">WELL", ">MEASURED", ">QUALITY",
    )  # fmt: skip
    out.table(columns, harmless_rows(_rows(decision)), title="\nCandidates, with what was known then")


def _rows(decision: LoggedDecision) -> Iterator[tuple[str, ...]]:
    def expected(candidate: Candidate) -> float:
        return candidate.completion_seconds(*decision.tokens)

    for candidate in sorted(decision.candidates, key=expected):
        found = quality(decision, candidate)
        known = UNKNOWN if found is None else f"{found.score:.2f} ({found.weight:.3g})"
        for deployment in candidate.deployments:
            yield (*_deployment(decision, candidate, deployment), known)


def quality(decision: LoggedDecision, candidate: Candidate) -> Quality | None:
    """Return how well the candidate was known to do this kind of work."""
    return None if decision.task_type is None else candidate.quality(decision.task_type)


def _deployment(
    decision: LoggedDecision, candidate: Candidate, deployment: Deployment
) -> tuple[str, ...]:
    estimate = candidate.estimate(deployment)
    room = deployment.loaded_context or deployment.info.context_length
    return (
        candidate.id,
        deployment.host.name,
        "yes" if deployment.resident else "loading" if deployment.loading else "no",
        count(room),
        count(deployment.slots) if deployment.resident else UNKNOWN,
        seconds(estimate.completion_seconds(*decision.tokens)),
        seconds(estimate.queue_seconds),
        seconds(estimate.load_seconds),
        share(estimate.success_rate),
        count(estimate.measured),
    )


def _aftermath(entry: Entry, following: RequestFacts | None, out: Output) -> None:
    """Show what became of a decision; what was not executed is known from the next decision alone."""
    columns = ("MODEL", "HOST", "OUTCOME", ">QUEUE", ">LOAD", ">FIRST", ">TOOK", ">IN", ">OUT", ">TOKENS/S")
    failed = tried_after(entry.decision.facts, following)
    if entry.outcomes:
        rows = harmless_rows(_outcome(one) for one in entry.outcomes)
        out.table(columns, rows, title="\nWhat became of it")
    elif failed:
        rows = harmless_rows(
            (one.model, one.host, one.error, seconds(one.duration_seconds)) for one in failed
        )
        out.table(("MODEL", "HOST", "OUTCOME", ">TOOK"), rows, title="\nWhat became of it")
    else:
        out.line("\nWhat became of it is not known: it is under way, or ended before it was sent.")
    if entry.ratings:
        rows = harmless_rows(_rating(one) for one in entry.ratings)
        out.table(("RATED", "WHEN", "COMMENT"), rows, title="\nRatings")


def tried_after(facts: RequestFacts, following: RequestFacts | None) -> Sequence[Tried]:
    """Return the attempts between two decisions about a request."""
    return () if following is None else following.attempts[len(facts.attempts) :]


def _outcome(one: ExecutionMetrics) -> tuple[str, ...]:
    speed = UNKNOWN if one.tokens_per_second is None else f"{one.tokens_per_second:.1f}"
    return (
        one.model_id,
        one.host,
        outcome(one),
        seconds(one.queue_seconds),
        seconds(one.load_seconds),
        seconds(one.time_to_first_token),
        seconds(one.duration_seconds),
        count(one.prompt_tokens),
        count(one.tokens_generated),
        speed,
    )


def outcome(metrics: ExecutionMetrics) -> str:
    """Say how an attempt ended."""
    if metrics.success:
        return "cut short" if metrics.finish_reason == "length" else "answered"
    return "given up by the caller" if metrics.error == "CancelledError" else metrics.error or "failed"


def _rating(one: Feedback) -> tuple[str, str, str]:
    return rating(one.score), when(one.timestamp), one.comment


def show_list(page: Page, out: Output) -> None:
    """Show the decisions of a page, the newest first, one line each."""
    columns = ("WHEN", "ID", "TASK", "MODEL", "STRATEGY", "OUTCOME", ">TOOK", ">RATED")
    if page.entries:
        ids = {entry.decision.id for entry in page.entries}
        lines = (_line(entry, _short(entry.decision.id, ids)) for entry in reversed(page.entries))
        out.table(columns, harmless_rows(lines))
    else:
        out.say("No decision has been logged yet: ask something first.")
    say_left_out(page, out)


def _short(request_id: str, ids: Iterable[str]) -> str:
    """Return the beginning of an id, or all of it where another of *ids* begins alike."""
    short = request_id[:SHORT_ID]
    return short if sum(one.startswith(short) for one in ids) == 1 else request_id


def _line(entry: Entry, short: str) -> tuple[str, ...]:
    decision, last = entry.decision, entry.outcomes[-1] if entry.outcomes else None
    return (
        when(decision.at),
        short,
        str(decision.task_type or UNKNOWN),
        decision.selection.model,
        decision.selection.strategy_used,
        UNKNOWN if last is None else outcome(last),
        seconds(None if last is None else last.duration_seconds),
        rating(entry.ratings[-1].score if entry.ratings else None),
    )


def say_left_out(page: Page, out: Output) -> None:
    """Say how much of the log is not here, and why."""
    if page.unseen:
        left_out = plural(page.unseen, "decision")
        out.note(f"{left_out} left out: nobody was shown the answers of probes and copies. --all has them.")
    say_unreadable(page, out)


def say_unreadable(page: Page, out: Output) -> None:
    """Say how much of the log could not be read, and why."""
    if page.newer:
        out.warn(f"{plural(page.newer, 'row')} left out: written by a newer turnout.")
    if page.unreadable:
        out.warn(f"{plural(page.unreadable, 'row')} left out: damaged.")
