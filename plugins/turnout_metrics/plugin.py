"""The plugin: learns from every execution, remembers it across starts, and says what to expect."""

import asyncio
import math
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path

from attrs import field, frozen, validators
from loguru import logger

from turnout.clock import now
from turnout.fleet import Deployment, Estimate
from turnout.markers import hookimpl
from turnout.messages import JSON
from turnout.store import Store, data_path
from turnout.types import ExecutionMetrics
from turnout_metrics.estimator import Estimator, Key
from turnout_metrics.learned import Learned
from turnout_metrics.report import report
from turnout_metrics.schema import INSERT, DeploymentHistory, cells
from turnout_metrics.store import Opened, Retention, open_store

WRITE_EVERY_SECONDS = 0.2
"""Executions of this time are handed to the writer together; a kill loses at most these."""
NEWEST = 200
"""Executions per deployment from which the speeds are learned anew at a start: four half-lives."""
FEW = 32
"""Executions up to which each one renews the estimate of its deployment."""
RENEW_SECONDS = 0.25
"""After that, a success renews it no more often: under load the estimate is old by this at most."""
MEMORY = Path(":memory:")


@frozen
class MetricsSettings:
    """The table ``[metrics]``.

    ``enabled`` false learns and keeps nothing: estimates rest on model sizes alone. ``path`` is the
    SQLite file, by default ``metrics.db`` in the user's data directory; ``":memory:"`` learns without
    keeping. ``retention_days`` and ``retention_rows`` bound the file.
    """

    enabled: bool = True
    path: Path | None = field(default=None)
    retention_days: float = field(default=90.0, validator=validators.gt(0))
    retention_rows: int = field(default=100_000, validator=validators.gt(0))


class Metrics:
    """Speeds, loads and health of every deployment, learned from executions and kept in SQLite."""

    def __init__(self, settings: MetricsSettings) -> None:
        self._settings = settings
        self._learned: dict[Key, Learned] = {}
        self._estimator = Estimator(self._learned)
        self._store: Store | None = None
        self._warning: str | None = None
        self._pending: list[ExecutionMetrics] = []
        self._renewed: dict[Key, float] = {}

    @hookimpl
    def startup(self) -> Awaitable[None] | None:
        """Open the store in a thread, and learn from what it remembers."""
        if not self._settings.enabled or self._settings.path == MEMORY:
            return None
        return self._open(self._settings.path)

    @hookimpl
    def estimate(self, deployments: Sequence[Deployment]) -> Mapping[Deployment, Estimate]:
        """Return what each deployment is expected to need; queues are not known here."""
        return self._estimator.estimate(deployments, _time())

    @hookimpl
    def record_execution(self, metrics: ExecutionMetrics) -> None:
        """Learn from *metrics*, and have it written soon."""
        if not self._settings.enabled:
            return
        key = (metrics.host, metrics.model_id)
        learned = self._of(key)
        at = _time()
        learned.tally.count(metrics)
        learned.observe(metrics, at)
        if self._is_news(key, metrics, at):
            self._estimator.forget(key)
        if self._store is not None:
            self._write_soon(metrics)

    def _is_news(self, key: Key, metrics: ExecutionMetrics, at: float) -> bool:
        """Whether the estimate is to be made anew: a success of many changes it by less than its error."""
        few = self._learned[key].tally.requests <= FEW
        if metrics.success and not few and at - self._renewed.get(key, -math.inf) < RENEW_SECONDS:
            return False
        self._renewed[key] = at
        return True

    @hookimpl
    def report_stats(self) -> Mapping[str, JSON]:
        """Return counts and speeds, per deployment and in all, and where they are kept."""
        return {**report(self._learned, _time()), "store": self._described()}

    @hookimpl
    def shutdown(self) -> Awaitable[None] | None:
        """Write what is left, and close the store."""
        return self._close()

    def _of(self, key: Key) -> Learned:
        learned = self._learned.get(key)
        if learned is None:
            learned = self._learned[key] = Learned()
        return learned

    async def _open(self, path: Path | None) -> None:
        opened = await asyncio.to_thread(self._read, path, _time(), now().timestamp())
        self._store, self._warning = opened.store, opened.warning
        if opened.warning is not None:
            logger.warning("{}", opened.warning)

    def _read(self, path: Path | None, at: float, wall: float) -> Opened:
        """Open the store and learn from its history, before anything else is learned."""
        settings = self._settings
        retention = Retention(settings.retention_rows, settings.retention_days)
        opened = open_store((path or data_path("metrics.db")).expanduser(), retention, NEWEST)
        for history in opened.history or ():
            self._remember(history, at - wall)
        return opened

    def _remember(self, history: DeploymentHistory, to_loop_time: float) -> None:
        learned = self._of((history.host, history.model))
        learned.tally.add(history.tally)
        for metrics in history.newest:
            learned.observe(metrics, metrics.timestamp + to_loop_time)

    def _write_soon(self, metrics: ExecutionMetrics) -> None:
        if not self._pending:
            asyncio.get_running_loop().call_later(WRITE_EVERY_SECONDS, self._hand_over)
        self._pending.append(metrics)

    def _hand_over(self) -> None:
        if self._store is not None and self._pending:
            self._store.append(INSERT, map(cells, self._pending))
            self._pending = []

    async def _close(self) -> None:
        self._hand_over()
        store, self._store = self._store, None
        if store is not None:
            await asyncio.to_thread(store.close)

    def _described(self) -> JSON:
        if self._store is None:
            return {"path": None, "error": self._warning}
        return {"path": str(self._store.path), "error": self._store.error or self._warning}


def _time() -> float:
    return asyncio.get_running_loop().time()
