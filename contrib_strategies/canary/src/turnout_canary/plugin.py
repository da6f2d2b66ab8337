"""The plugin: assigns, keeps what comes of it, and sends the copies of shadow experiments."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve, frozen
from loguru import logger

from turnout import (
    Candidate,
    ExecutionMetrics,
    Feedback,
    JSONObject,
    ModelRequest,
    ModelSelection,
    Router,
    hookimpl,
)
from turnout.store import Store, data_path, open_store
from turnout_canary import outcomes
from turnout_canary.assignment import Assignment, assign
from turnout_canary.commands import add_to
from turnout_canary.outcomes import Slot
from turnout_canary.settings import CanarySettings
from turnout_canary.shadow import Shadow, copied
from turnout_canary.shape import Run, has_shape, watched

if TYPE_CHECKING:
    import click

UNDER_WAY = 1024
"""Requests that may be under way at once and still be counted."""


@frozen
class Pending:
    """A request of an experiment that has not ended; ``copy`` is what is sent when it has ended well."""

    slot: Slot
    copy: ModelRequest | None = None


class Canary:
    """Runs experiments between models, and says when a difference is real."""

    def __init__(self, settings: CanarySettings) -> None:
        self.settings = settings
        self._path = (settings.path or data_path("canary.db")).expanduser()
        self._store: Store | None = None
        self._shadow: Shadow | None = None
        self._pending: OrderedDict[str, Pending] = OrderedDict()

    @hookimpl(optionalhook=True)
    def register_commands(self, cli: "click.Group") -> None:
        """Add ``turnout canary report``."""
        add_to(cli, self.settings, self._path)

    @hookimpl
    def startup(self, router: Router) -> Awaitable[None] | None:
        """Open the store, where there is an experiment."""
        if not self.settings.experiments:
            return None
        self._shadow = Shadow(router)
        return self._open()

    async def _open(self) -> None:
        opened = await asyncio.to_thread(
            open_store,
            self._path,
            outcomes.MIGRATIONS,
            outcomes.nothing,
            name=outcomes.NAME,
            prune=outcomes.prune,
            meanwhile="Outcomes are kept",
        )
        self._store = opened.store
        if opened.warning is not None:
            logger.warning("{}", opened.warning)

    @hookimpl
    def select_model(
        self, request: ModelRequest, candidates: Sequence[Candidate]
    ) -> ModelSelection | None:
        """Choose the arm of the first experiment whose arms may all answer; abstain where there is none."""
        assignment = self._assignment(request, candidates)
        if assignment is None:
            return None
        experiment = assignment.experiment
        others = sorted(experiment.models - {assignment.model}, key=lambda m: (m != experiment.control, m))
        return ModelSelection(
            assignment.model, assignment.reason, others, propensity=assignment.propensity
        )

    def _assignment(self, request: ModelRequest, candidates: Sequence[Candidate]) -> Assignment | None:
        return assign(self.settings.experiments, request, [candidate.id for candidate in candidates])

    @hookimpl
    def record_selection(
        self, request: ModelRequest, selection: ModelSelection, candidates: Sequence[Candidate]
    ) -> None:
        """Note what was assigned, and let no copy be in the way of a request."""
        known = self._pending.get(request.id)
        if self._shadow is not None and not (known is not None and known.slot.copy):
            chosen = next((c.deployments for c in candidates if c.id == selection.model), ())
            self._shadow.make_way({deployment.host.name for deployment in chosen})
        assignment = self._assignment(request, candidates)
        # A pin, or another strategy, may choose the same model for a reason of its own.
        if assignment is not None and selection.reason == assignment.reason:
            self._await(request.id, _pending(request, assignment))

    def _await(self, request_id: str, pending: Pending) -> None:
        self._pending[request_id] = pending
        while len(self._pending) > UNDER_WAY:
            self._pending.popitem(last=False)

    @hookimpl(wrapper=True)
    def execute_request(self, request: ModelRequest) -> Generator[None, Run | None, Run | None]:
        """Watch an arm's answer for the shape that was asked for."""
        run = yield
        pending = self._pending.get(request.id)
        if run is None or pending is None or not has_shape(request):
            return run
        self._judge(request.id, misshapen=False)
        return partial(watched, run, request, partial(self._judge, request.id, misshapen=True))

    def _judge(self, request_id: str, *, misshapen: bool) -> None:
        pending = self._pending.get(request_id)
        if pending is not None:  # it may have been forgotten, for too many others
            self._pending[request_id] = evolve(pending, slot=evolve(pending.slot, misshapen=misshapen))

    @hookimpl
    def record_execution(self, metrics: ExecutionMetrics) -> None:
        """Keep the outcome of an arm's execution; what another model made of it is not the arm's."""
        pending = self._pending.get(metrics.request_id)
        if pending is None or pending.slot.model != metrics.model_id:
            return
        # Who gives up says nothing of the answer that he did not wait for.
        if metrics.error != "CancelledError" and self._store is not None:
            self._store.append(outcomes.KEEP, [pending.slot.row(metrics)])
        if metrics.success or metrics.error == "CancelledError":
            del self._pending[metrics.request_id]
        if metrics.success and pending.copy is not None:
            self._send(pending.copy, pending.slot)

    def _send(self, copy: ModelRequest, of: Slot) -> None:
        if self._shadow is not None and not self._shadow.busy:
            self._await(copy.id, Pending(evolve(of, model=str(copy.explicit_model), copy=True)))
            self._shadow.send(copy)

    @hookimpl
    def record_feedback(self, feedback: Feedback) -> None:
        """Keep what somebody thinks of an arm's answer."""
        if self._store is not None:
            rating = (feedback.score, feedback.request_id, feedback.model)
            self._store.append(outcomes.RATE, [rating])

    @hookimpl
    def report_stats(self) -> JSONObject:
        """Say what is under way, and where the outcomes are kept."""
        store = self._store
        return {
            "under_way": len(self._pending),
            "path": None if store is None else str(store.path),
            "error": None if store is None else store.error,
        }

    @hookimpl
    def shutdown(self) -> Awaitable[None]:
        """Break off the copy that runs, write what is left, and close the store."""
        return self._close()

    async def _close(self) -> None:
        shadow, self._shadow = self._shadow, None
        if shadow is not None:
            await shadow.close()
        store, self._store = self._store, None
        if store is not None:
            await asyncio.to_thread(store.close)


def _pending(request: ModelRequest, assignment: Assignment) -> Pending:
    experiment, model = assignment.experiment, assignment.model
    limited = request.max_tokens is not None
    slot = Slot(
        experiment.name, model, assignment.unit, request.id, limited, in_shadow=experiment.shadow
    )
    copy = None if assignment.copy_to is None else copied(request, assignment.copy_to)
    return Pending(slot, copy)
