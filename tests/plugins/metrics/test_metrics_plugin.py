"""The plugin as the router uses it: through hooks, over a start, a stop and the next start."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pluggy
import pytest
from attrs import evolve

from turnout import hookspecs
from turnout.errors import ConfigError
from turnout.fleet import Deployment, Estimate, Host, Instance, ModelInfo
from turnout.markers import NAME
from turnout.store import data_path
from turnout.structure import structure
from turnout.types import ExecutionMetrics, ModelRequest
from turnout_metrics import Metrics, MetricsSettings
from turnout_metrics.plugin import WRITE_EVERY_SECONDS

pytestmark = pytest.mark.anyio

HOST = Host("desk", "http://desk:1234", "lmstudio")
DEPLOYMENT = Deployment(ModelInfo("qwen/qwen3-8b", size_bytes=5 * 10**9), HOST, instances=(Instance("q"),))
EXECUTION = ExecutionMetrics(
    "qwen/qwen3-8b", "desk", 6.0, success=True, tokens_generated=200, tokens_per_second=80.0,
    prompt_tokens=1000, time_to_first_token=0.5,
)  # fmt: skip
MEMORY = MetricsSettings(path=Path(":memory:"))


class Plugins:
    """The plugin behind real hook specifications, called as the core calls it."""

    def __init__(self, settings: MetricsSettings) -> None:
        self.pluggy = pluggy.PluginManager(NAME)
        self.pluggy.add_hookspecs(hookspecs)
        self.plugin = Metrics(settings)
        self.pluggy.register(self.plugin)
        self.pluggy.check_pending()

    async def start(self) -> None:
        for work in self.pluggy.hook.startup(router=None):
            await work

    async def stop(self) -> None:
        for work in self.pluggy.hook.shutdown(router=None):
            await work

    def record(self, metrics: ExecutionMetrics) -> None:
        self.pluggy.hook.record_execution(metrics=metrics)

    def estimate(self, deployment: Deployment = DEPLOYMENT) -> Estimate:
        found = self.pluggy.hook.estimate(request=ModelRequest("hi"), deployments=[deployment])
        estimate = found[deployment]
        assert isinstance(estimate, Estimate)
        return estimate

    def stats(self) -> dict:  # type: ignore[type-arg]
        (found,) = self.pluggy.hook.report_stats()
        copied = json.loads(json.dumps(found))
        assert copied == found
        assert isinstance(copied, dict)
        return copied


async def session(settings: MetricsSettings, use: Callable[[Plugins], None]) -> None:
    plugins = Plugins(settings)
    await plugins.start()
    use(plugins)
    await plugins.stop()


async def test_yesterdays_speeds_count_today(tmp_path: Path) -> None:
    """What one session learned, the next one knows before its first execution."""
    settings = MetricsSettings(path=tmp_path / "metrics.db")
    before: list[Estimate] = []

    def yesterday(plugins: Plugins) -> None:
        for n in range(30):
            day_ago = EXECUTION.timestamp - 86_400 + n
            plugins.record(evolve(EXECUTION, timestamp=day_ago))
        before.append(plugins.estimate())

    await session(settings, yesterday)
    plugins = Plugins(settings)
    unlearned = plugins.estimate()
    await plugins.start()
    learned = plugins.estimate(evolve(DEPLOYMENT))
    await plugins.stop()
    assert unlearned.measured == 0
    assert learned.measured == 30
    assert learned.decode_seconds_per_token == pytest.approx(1 / 80, rel=0.05)
    assert learned.decode_seconds_per_token == pytest.approx(before[0].decode_seconds_per_token, rel=0.01)


async def test_yesterdays_failures_are_forgiven_today(tmp_path: Path) -> None:
    """The age of stored rows counts: old failures do not condemn a deployment at the next start."""
    settings = MetricsSettings(path=tmp_path / "metrics.db")
    failed = evolve(EXECUTION, success=False, error="LLMConnectionError")

    def fail(at: float) -> Callable[[Plugins], None]:
        return lambda plugins: [plugins.record(evolve(failed, timestamp=at)) for _ in range(20)]  # type: ignore[func-returns-value, return-value]

    rates = []
    for age in (86_400.0, 0.0):
        await session(settings, fail(EXECUTION.timestamp - age))
        plugins = Plugins(settings)
        await plugins.start()
        rates.append(plugins.estimate().success_rate)
        await plugins.stop()
    yesterday, just_now = rates
    assert just_now < 0.3
    assert yesterday > 0.95


async def test_shutdown_writes_what_is_left(tmp_path: Path) -> None:
    """An execution recorded just before the end is in the file, and is there once."""
    path = tmp_path / "metrics.db"
    await session(MetricsSettings(path=path), lambda plugins: plugins.record(EXECUTION))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT model FROM executions").fetchall() == [("qwen/qwen3-8b",)]


async def test_executions_are_written_while_the_router_runs(tmp_path: Path) -> None:
    """Nobody needs to stop the router to have its executions on disk."""
    path = tmp_path / "metrics.db"
    plugins = Plugins(MetricsSettings(path=path))
    await plugins.start()
    handed_over = asyncio.Event()
    for _ in range(3):
        plugins.record(EXECUTION)
    asyncio.get_running_loop().call_later(WRITE_EVERY_SECONDS, handed_over.set)
    await handed_over.wait()
    store = plugins.plugin._store
    assert store is not None
    assert await asyncio.to_thread(store.flush)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM executions").fetchone() == (3,)
    plugins.record(EXECUTION)
    await plugins.stop()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM executions").fetchone() == (4,)


async def test_an_unusable_store_costs_one_warning_and_no_learning(
    tmp_path: Path, warnings: list[str]
) -> None:
    """Without a store speeds are learned all the same, and the statistics say why nothing is kept."""
    plugins = Plugins(MetricsSettings(path=tmp_path))
    await plugins.start()
    for _ in range(5):
        plugins.record(EXECUTION)
    assert plugins.estimate().measured == 5
    assert plugins.stats()["store"]["path"] is None
    assert plugins.stats()["store"]["error"] == warnings[0]
    await plugins.stop()
    assert len(warnings) == 1


async def test_memory_keeps_nothing() -> None:
    """``:memory:`` learns for as long as the router runs, and has nothing to open or to warn of."""
    plugins = Plugins(MEMORY)
    assert plugins.pluggy.hook.startup(router=None) == []
    plugins.record(EXECUTION)
    assert plugins.estimate().measured == 1
    assert plugins.stats()["store"] == {"path": None, "error": None}
    await plugins.stop()


async def test_disabled_learns_nothing_and_still_knows_sizes(tmp_path: Path) -> None:
    """``enabled = false`` records nothing and makes no file; estimates rest on model sizes alone."""
    path = tmp_path / "metrics.db"
    plugins = Plugins(MetricsSettings(enabled=False, path=path))
    await plugins.start()
    first = plugins.estimate()
    plugins.record(EXECUTION)
    assert plugins.estimate() == first
    assert first.decode_seconds_per_token == pytest.approx(0.052)
    assert plugins.stats()["totals"]["requests"] == 0
    await plugins.stop()
    assert not path.exists()


async def test_statistics_tell_counts_and_speeds_per_model_and_in_all(tmp_path: Path) -> None:
    """Requests, outcomes, tokens and quantiles are reported as plain JSON, from the store on."""
    settings = MetricsSettings(path=tmp_path / "metrics.db")
    attic = evolve(EXECUTION, host="attic", tokens_per_second=10.0, resident=False, load_seconds=9.0)

    def use(plugins: Plugins) -> None:
        for _ in range(19):
            plugins.record(EXECUTION)
        plugins.record(evolve(EXECUTION, tokens_per_second=20.0, time_to_first_token=4.0))
        plugins.record(evolve(EXECUTION, success=False, error="LLMTimeoutError", time_to_first_token=None))
        plugins.record(attic)

    await session(settings, use)
    plugins = Plugins(settings)
    await plugins.start()
    stats = plugins.stats()
    await plugins.stop()
    assert stats["store"] == {"path": str(settings.path), "error": None}
    totals, (attic_stats, desk) = stats["totals"], stats["models"]
    assert (totals["requests"], totals["successes"], totals["failures"]) == (22, 21, {"LLMTimeoutError": 1})
    assert (totals["prompt_tokens"], totals["tokens_generated"]) == (22_000, 4_400)
    assert (desk["host"], desk["model"], desk["requests"]) == ("desk", "qwen/qwen3-8b", 21)
    assert desk["time_to_first_token"] == {
        "p50": pytest.approx(0.5, rel=0.02),
        "p95": pytest.approx(4.0, rel=0.02),
    }
    assert desk["tokens_per_second"]["p50"] == pytest.approx(80.0, rel=0.02)
    assert desk["tokens_per_second"]["p95"] == pytest.approx(20.0, rel=0.02)
    assert desk["prefill_tokens_per_second"]["p50"] == pytest.approx(2000.0, rel=0.02)
    assert desk["load_seconds"] is None
    assert 0.8 < desk["success_rate"] < 0.98
    assert attic_stats["load_seconds"]["p50"] == pytest.approx(9.0, rel=0.02)
    assert attic_stats["since"].endswith("+00:00")


async def test_statistics_of_nothing_are_no_error() -> None:
    """A router that has done nothing reports zeros and unknowns."""
    stats = Plugins(MEMORY).stats()
    assert stats["models"] == []
    assert stats["totals"]["requests"] == 0
    assert stats["totals"]["since"] is stats["totals"]["tokens_per_second"] is None


async def test_settings_come_from_their_table() -> None:
    """The table ``[metrics]`` is typed: paths are paths, and bounds must be positive."""
    table = {"path": "~/m.db", "retention_days": 7, "retention_rows": 10, "enabled": True}
    made = structure(MetricsSettings, table, "metrics", lambda _: "turnout.toml")  # type: ignore[arg-type]
    assert made == MetricsSettings(path=Path("~/m.db"), retention_days=7.0, retention_rows=10)
    for wrong in ({"retention_rows": 0}, {"retention_days": -1}, {"paht": "x"}):
        with pytest.raises(ConfigError, match="metrics"):
            structure(MetricsSettings, wrong, "metrics", lambda _: "turnout.toml")  # type: ignore[arg-type]


async def test_the_store_lies_in_the_users_data_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a setting it is ``metrics.db`` where the platform keeps a user's data; ``~`` is home."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    await session(MetricsSettings(), lambda plugins: plugins.record(EXECUTION))
    assert data_path("metrics.db").is_relative_to(tmp_path)
    assert data_path("metrics.db").exists()
    await session(MetricsSettings(path=Path("~/mine.db")), lambda plugins: plugins.record(EXECUTION))
    assert (tmp_path / "mine.db").exists()
