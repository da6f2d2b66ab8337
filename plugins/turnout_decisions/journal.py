"""What the log holds, in the order in which it happened: decisions, outcomes and ratings."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeAlias, TypeVar

from attrs import define, field, frozen

from turnout.fleet import Candidate
from turnout.skills import TaskType
from turnout.types import (
    ExecutionMetrics,
    Explanation,
    Feedback,
    ModelRequest,
    ModelSelection,
    Signals,
    Verdict,
)
from turnout_decisions.facts import RequestFacts, facts_of, request_of
from turnout_decisions.noted import Made, Noted

T = TypeVar("T")
UNSEEN = frozenset({"calibration", "shadow"})
"""The ``client`` of requests whose answers nobody is shown: probes, copies, and what a model asks itself."""


@frozen(eq=False)
class LoggedDecision:
    """A decision as it was kept.

    The selection's explanation has the verdicts, who was ineligible, and the notes; candidates and signals
    are here.
    """

    at: float
    facts: RequestFacts
    selection: ModelSelection
    candidates: tuple[Candidate, ...]

    @property
    def id(self) -> str:
        """The id of the request."""
        return self.facts.id

    @property
    def unseen(self) -> bool:
        """Whether nobody was shown the answer; see :data:`UNSEEN`."""
        return self.facts.client in UNSEEN

    @property
    def task_type(self) -> TaskType | None:
        """The kind of work, as it was taken for this decision."""
        return self.facts.signals.task_type or self.facts.task_type

    @property
    def tokens(self) -> tuple[int, int]:
        """The tokens of the prompt, and those expected of the answer."""
        return self.facts.signals.prompt_tokens or 0, self.facts.signals.output_tokens or 0

    def request(self) -> ModelRequest:
        """Return the request as a strategy sees it."""
        return request_of(self.facts)

    def candidate(self, model: str) -> Candidate | None:
        """Return the candidate of that name."""
        return next((one for one in self.candidates if one.id == model), None)


Event: TypeAlias = LoggedDecision | ExecutionMetrics | Feedback


def logged(made: Made, *, content: bool) -> LoggedDecision:
    """Return what is kept of a decision."""
    explanation = made.selection.explanation
    verdicts = explanation.verdicts if content else tuple(map(_without_words, explanation.verdicts))
    selection = ModelSelection(
        made.selection.model,
        made.selection.reason,
        made.selection.ranking,
        made.selection.estimated_duration,
        made.selection.strategy_used,
        Explanation(
            (), explanation.ineligible, verdicts, Signals(), explanation.notes, explanation.reloads
        ),
        made.selection.propensity,
    )
    facts = facts_of(made.request, content=content)
    return LoggedDecision(made.at, facts, selection, tuple(made.candidates))


def event_of(noted: Noted, *, content: bool) -> Event:
    """Return what is kept of what a hook noted."""
    return logged(noted, content=content) if isinstance(noted, Made) else noted


def _without_words(verdict: Verdict) -> Verdict:
    """Return *verdict*; of one that failed only the kind of error, whose words may quote the prompt."""
    if verdict.outcome != "skipped":
        return verdict
    failed, _, error = verdict.detail.partition(": ")
    kind = error.partition(":")[0]
    said = f"failed: {kind}" if failed == "failed" else "answered with no selection of a candidate"
    return Verdict(verdict.strategy, verdict.outcome, said)


@define(eq=False)
class Entry:
    """A decision with what became of it.

    ``outcomes`` are the executions that followed it and came before the request's next decision;
    ``ratings`` those of the request, at the decision for the model that was rated, the newest last.
    """

    decision: LoggedDecision
    outcomes: list[ExecutionMetrics] = field(factory=list)
    ratings: list[Feedback] = field(factory=list)


@frozen(eq=False)
class Page:
    """A part of the log, oldest first, and how many rows of it could not be read.

    ``newer`` counts those that a newer turnout has written, ``unseen`` the decisions that were passed over
    because nobody was shown the answer.
    """

    entries: tuple[Entry, ...] = ()
    unreadable: int = 0
    newer: int = 0
    unseen: int = 0


@frozen
class Wanted:
    """Which decisions: the newest ``limit`` (None: all) that were made since ``since`` (epoch seconds).

    Those whose answers nobody was shown only where ``unseen``.
    """

    limit: int | None = None
    since: float = 0.0
    task_type: TaskType | None = None
    unseen: bool = False

    def passes_over(self, decision: LoggedDecision) -> bool:
        """Whether *decision* is one that nobody was shown the answer of, and such are not wanted."""
        return decision.unseen and not self.unseen


class Log(Protocol):
    """Where decisions can be looked up. It blocks."""

    def newest(self, wanted: Wanted) -> Page:
        """Return the newest decisions that are wanted."""

    def request(self, request_id: str) -> Page:
        """Return all decisions about one request."""

    def ids(self) -> Sequence[str]:
        """Return the ids of all requests that were decided about, the newest first."""


Query: TypeAlias = Callable[[Log], T]


def joined(events: Iterable[Event]) -> tuple[Entry, ...]:
    """Join decisions with what became of them; *events* stand in the order in which they happened."""
    entries: list[Entry] = []
    latest: dict[str, list[Entry]] = {}
    ratings: list[Feedback] = []
    for event in events:
        if isinstance(event, LoggedDecision):
            entries.append(Entry(event))
            latest.setdefault(event.id, []).append(entries[-1])
        elif isinstance(event, Feedback):
            ratings.append(event)
        elif event.request_id in latest:
            latest[event.request_id][-1].outcomes.append(event)
    for rating in ratings:
        _rated(latest.get(rating.request_id, ()), rating)
    return tuple(entries)


def _rated(decisions: Sequence[Entry], rating: Feedback) -> None:
    meant = [one for one in decisions if one.decision.selection.model == rating.model] or decisions
    if meant:
        meant[-1].ratings.append(rating)
