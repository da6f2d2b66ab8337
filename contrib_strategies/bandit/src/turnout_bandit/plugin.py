"""The plugin: chooses by what was learned, learns from what came of it, and remembers."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING

from attrs import frozen
from loguru import logger

from turnout import (
    Candidate,
    ExecutionMetrics,
    Feedback,
    JSONObject,
    ModelRequest,
    ModelSelection,
    Operation,
    hookimpl,
)
from turnout.clock import now
from turnout.store import Store, data_path, open_store
from turnout_bandit import kept
from turnout_bandit.beliefs import Beliefs
from turnout_bandit.choice import Choice, choose, task_of
from turnout_bandit.commands import add_to
from turnout_bandit.reward import outcome_of, says_something
from turnout_bandit.settings import BanditSettings

if TYPE_CHECKING:
    import click

UNSHOWN = frozenset({"calibration", "shadow"})
"""The ``client`` of probes and copies: nobody is shown their answers, so nobody rates the wrong ones."""
UNDER_WAY = 4096
"""Requests that may be under way at once and still be known when they end."""


@frozen
class Seen:
    """What matters of a request when it ends: whether it teaches, and whether it set ``max_tokens``."""

    teaches: bool
    limited: bool


FORGOTTEN = Seen(teaches=True, limited=False)


class Bandit:
    """Learns which model does which kind of work, from answers, their times, and ratings."""

    def __init__(self, settings: BanditSettings) -> None:
        self.settings = settings
        self.beliefs = Beliefs(settings)
        self._path = (settings.path or data_path("bandit.db")).expanduser()
        self._store: Store | None = None
        self._warning: str | None = None
        self._under_way: OrderedDict[str, Seen] = OrderedDict()

    @hookimpl(optionalhook=True)
    def register_commands(self, cli: "click.Group") -> None:
        """Add ``turnout bandit show``."""
        add_to(cli, self.settings, self._path)

    @hookimpl
    def startup(self) -> Awaitable[None]:
        """Open the store in a thread, and learn anew from what it remembers."""
        return self._open()

    async def _open(self) -> None:
        opened = await asyncio.to_thread(
            open_store,
            self._path,
            kept.MIGRATIONS,
            kept.newest,
            name=kept.NAME,
            prune=kept.prune,
            meanwhile="What is learned is kept",
        )
        self._store, self._warning = opened.store, opened.warning
        if opened.warning is not None:
            logger.warning("{}", opened.warning)
        self.beliefs = Beliefs(self.settings, opened.history or ())
        self.beliefs.age(now().timestamp())

    @hookimpl
    def select_model(
        self, request: ModelRequest, candidates: Sequence[Candidate]
    ) -> ModelSelection | None:
        """Choose each candidate as often as it is the best, as far as is known; abstain for embeddings.

        In a conversation that runs, and after a failure, the one of the largest expected value.
        """
        if request.operation is not Operation.CHAT:
            return None
        choice = choose(self.settings, self.beliefs, request, candidates)
        if choice is None:
            return None
        return ModelSelection(
            choice.option.model,
            _reason(choice, task_of(request)),
            [option.model for option in choice.others],
            propensity=choice.propensity,
        )

    @hookimpl
    def record_selection(self, request: ModelRequest) -> None:
        """Remember what was asked, whoever chose the model; chats teach, but for what nobody is shown."""
        teaches = request.operation is Operation.CHAT and request.client not in UNSHOWN
        self._under_way[request.id] = Seen(teaches, request.max_tokens is not None)
        while len(self._under_way) > UNDER_WAY:
            self._under_way.popitem(last=False)

    @hookimpl
    def record_execution(self, metrics: ExecutionMetrics) -> None:
        """Learn from an answer, or from a failure that is the model's own."""
        seen = self._under_way.get(metrics.request_id, FORGOTTEN)
        if metrics.success:
            self._under_way.pop(metrics.request_id, None)
        if seen.teaches and says_something(metrics):
            outcome = outcome_of(metrics, limited=seen.limited)
            self.beliefs.observe(outcome)
            if self._store is not None:
                self._store.append(kept.KEEP, [kept.row(outcome)])

    @hookimpl
    def record_feedback(self, feedback: Feedback) -> None:
        """Learn from a rating."""
        self.beliefs.rate(feedback.request_id, feedback.score, feedback.model)
        if self._store is not None:
            self._store.append(kept.RATE, [(feedback.score, feedback.request_id, feedback.model)])

    @hookimpl
    def report_stats(self) -> JSONObject:
        """Say what is believed, and where it is kept."""
        store = self._store
        tasks: JSONObject = {
            name: {model: e.mean for model, e in sorted(task.arms.items())}
            for name, task in sorted(self.beliefs.tasks.items())
        }
        error = self._warning if store is None else store.error
        return {"tasks": tasks, "path": None if store is None else str(store.path), "error": error}

    @hookimpl
    def shutdown(self) -> Awaitable[None] | None:
        """Write what is left, and close the store."""
        store, self._store = self._store, None
        return None if store is None else _closed(store)


async def _closed(store: Store) -> None:
    await asyncio.to_thread(store.close)


def _reason(choice: Choice, task: str) -> str:
    option = choice.option
    mean = option.arm.alpha / (option.arm.alpha + option.arm.beta)
    runs = f"{option.answers:.3g} answers" if option.answers > 0.0 else "no answer yet"
    worth = f"earns about {mean:.2f} of 1 at {task} ({runs})"
    if not choice.explored:
        return f"{worth}, and now is no time to try another"
    return f"{worth}, and is the best with a chance of {choice.propensity:.0%}"
