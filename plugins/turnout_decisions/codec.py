"""Events as rows and back: JSON of a stated version, read leniently."""

import enum
import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Set
from functools import cache
from typing import TypeAlias, TypeVar

from attrs import frozen
from cattrs import BaseValidationError, Converter
from cattrs.errors import StructureHandlerNotFoundError

from turnout.fleet import Candidate, Deployment
from turnout.messages import JSON, JSONObject
from turnout.skills import Assessment
from turnout.types import ExecutionMetrics, Feedback, ModelSelection
from turnout_decisions.candidates import (
    ModelPart,
    Qualities,
    assessments_of,
    candidates_of,
    deployments_of,
    estimates_of,
    models_of,
    qualities_of,
)
from turnout_decisions.facts import RequestFacts
from turnout_decisions.journal import Event, LoggedDecision

VERSION = 1
"""Of what is written; it grows when a field changes its meaning, not when one is added that has a default."""
DECISION, OUTCOME, RATING = "decision", "outcome", "rating"
MOST_REMEMBERED = 8
WORTH_PACKING = 1_000
"""Characters from which a decision is compressed: a shorter one would take longer than it saves room."""

T = TypeVar("T")
Body: TypeAlias = str | bytes
NOT_AS_WRITTEN = (
    BaseValidationError,
    StructureHandlerNotFoundError,
    TypeError,
    ValueError,
    KeyError,
    RecursionError,
    zlib.error,
)
"""What a row raises that does not hold what was written."""


class UnreadableError(Exception):
    """A row does not hold what was written; ``newer`` says that a newer turnout wrote it."""

    def __init__(self, *, newer: bool = False) -> None:
        super().__init__()
        self.newer = newer


@frozen
class Part:
    """A piece that many decisions share, under the hash of its text."""

    digest: str
    body: bytes


@frozen
class Encoded:
    """An event as it is written; the columns are named alike."""

    at: float
    kind: str
    request_id: str
    task_type: str | None
    body: Body
    estimates: bytes | None = None
    fleet: Part | None = None
    qualities: Part | None = None


@frozen
class _Body:
    """What is a decision's own."""

    request: RequestFacts
    selection: ModelSelection


@cache
def converter() -> Converter:
    """Return what makes plain data of typed values and back; it ignores keys that it does not know."""
    made = Converter(omit_if_default=True, unstruct_collection_overrides={Set: sorted})
    made.register_unstructure_hook_func(_is_json, lambda value: value)
    made.register_structure_hook_func(_is_json, lambda value, _: value)
    # A stranger's strategy may have put the plain text where an enum stands.
    made.register_unstructure_hook(enum.Enum, lambda one: one.value if isinstance(one, enum.Enum) else one)
    return made


def _is_json(kind: object) -> bool:
    return kind in (JSON, JSONObject)


@cache
def _encoder() -> json.JSONEncoder:
    return json.JSONEncoder(separators=(",", ":"), default=str, skipkeys=True)


def _text(value: object, kind: object = None) -> str:
    return _encoder().encode(converter().unstructure(value, unstructure_as=kind))


def _structured(body: Body, kind: type[T]) -> T:
    """Raise what :data:`NOT_AS_WRITTEN` lists unless *body* is a *kind*."""
    text = zlib.decompress(body) if isinstance(body, bytes) else body
    return converter().structure(json.loads(text), kind)


def _part(value: object, kind: object) -> Part:
    text = _text(value, kind).encode()
    return Part(hashlib.sha256(text).hexdigest(), zlib.compress(text, 1))


def storable(text: str) -> str:
    """Return *text* as SQLite can hold it: half a surrogate pair, as a client may send, becomes ``?``."""
    return text if text.isascii() else text.encode(errors="replace").decode()


class Encoder:
    """Writes events down.

    Fleets and qualities change far less often than decisions are made. A deployment is compared by
    identity, and a plugin returns the same assessment while nothing has changed; so both are known again,
    and written down once.
    """

    def __init__(self) -> None:
        self._fleets: dict[tuple[Deployment, ...], Part] = {}
        self._qualities: dict[tuple[object, ...], tuple[Part, object]] = {}

    def encode(self, event: Event) -> Encoded:
        """Return *event* as it is written."""
        if isinstance(event, LoggedDecision):
            return self._decision(event)
        kind = OUTCOME if isinstance(event, ExecutionMetrics) else RATING
        task = None if event.task_type is None else str(event.task_type)
        return Encoded(event.timestamp, kind, storable(event.request_id), task, _text(event))

    def _decision(self, decision: LoggedDecision) -> Encoded:
        body = _text(_Body(decision.facts, decision.selection))
        task = decision.task_type
        fleet = self._fleet(decision.candidates)
        return Encoded(
            decision.at,
            DECISION,
            storable(decision.id),
            None if task is None else str(task),
            body if len(body) < WORTH_PACKING else zlib.compress(body.encode(), 1),
            estimates_of(decision.candidates),
            fleet,
            self._known(decision.candidates, fleet),
        )

    def _fleet(self, candidates: Iterable[Candidate]) -> Part:
        key = tuple(deployment for one in candidates for deployment in one.deployments)
        known = self._fleets.get(key)
        if known is None:
            known = _part(models_of(candidates), tuple[ModelPart, ...])
            _remember(self._fleets, key, known)
        return known

    def _known(self, candidates: tuple[Candidate, ...], fleet: Part) -> Part | None:
        sources = candidates[0].assessments if candidates else ()
        if not sources:
            return None
        key = (fleet.digest, *map(id, sources))
        known = self._qualities.get(key)
        if known is None:
            found = qualities_of(sources, (one.id for one in candidates))
            known = _part(found, Qualities), sources  # holding the sources keeps their identities theirs
            _remember(self._qualities, key, known)
        return known[0]


K = TypeVar("K")
V = TypeVar("V")


def _remember(known: dict[K, V], key: K, value: V) -> None:
    if len(known) >= MOST_REMEMBERED:
        del known[next(iter(known))]
    known[key] = value


@frozen
class Row:
    """An event as it was read."""

    at: float
    kind: str
    version: int
    body: Body
    estimates: bytes | None = None
    fleet: str | None = None
    qualities: str | None = None


class Decoder:
    """Reads events; *part* returns the text of a shared piece, each of which it is asked for once."""

    def __init__(self, part: Callable[[str], bytes]) -> None:
        self._part = part
        self._fleets: dict[str, tuple[tuple[ModelPart, ...], tuple[tuple[Deployment, ...], ...]]] = {}
        self._qualities: dict[str, tuple[Mapping[str, Assessment], ...]] = {}

    def decode(self, row: Row) -> Event:
        """Return the event; raises :class:`UnreadableError` where *row* does not hold one."""
        if row.version > VERSION:
            raise UnreadableError(newer=True)
        try:
            if row.kind == DECISION:
                return self._decision(row)
            if row.kind == OUTCOME:
                return _structured(row.body, ExecutionMetrics)
            return _structured(row.body, Feedback)
        except NOT_AS_WRITTEN as error:
            raise UnreadableError from error

    def _decision(self, row: Row) -> LoggedDecision:
        body = _structured(row.body, _Body)
        models, deployments = self._fleet(row.fleet or "")
        assessments = () if row.qualities is None else self._assessments(row.qualities)
        candidates = candidates_of(models, deployments, row.estimates or b"", assessments)
        return LoggedDecision(row.at, body.request, body.selection, candidates)

    def _fleet(self, digest: str) -> tuple[tuple[ModelPart, ...], tuple[tuple[Deployment, ...], ...]]:
        if digest not in self._fleets:
            models = _structured(self._part(digest), tuple[ModelPart, ...])
            self._fleets[digest] = models, deployments_of(models)
        return self._fleets[digest]

    def _assessments(self, digest: str) -> tuple[Mapping[str, Assessment], ...]:
        if digest not in self._qualities:
            self._qualities[digest] = assessments_of(_structured(self._part(digest), Qualities))
        return self._qualities[digest]
