"""``turnout replay``: asks strategies again, about the log or about a file of scored prompts."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from turnout.router import Router
from turnout.verbs import App, Display, Output
from turnout_decisions import replay_shapes, report
from turnout_decisions.datafile import DataFile, read_data
from turnout_decisions.datareplay import bounds, candidates_for, deployments_of, pairs, prepared, scored
from turnout_decisions.journal import Entry, Wanted
from turnout_decisions.offpolicy import evaluate
from turnout_decisions.policies import Pick, Policy, pick, policy
from turnout_decisions.reader import Reader
from turnout_decisions.replaying import Replayed, compare

BREATHE_EVERY = 20
"""Requests after which Ctrl-C is heard."""


@frozen
class Replay:
    """What is to be replayed; ``patience`` is in seconds, see :func:`turnout_decisions.rewards.reward`."""

    strategies: tuple[str, ...]
    wanted: Wanted
    patience: float
    seed: int = 0
    data: Path | None = None


def run(app: App, read: Reader, replay: Replay, *, as_json: bool) -> None:
    """Replay, and report.

    Raises ``UnknownStrategyError``, ``DataFileError``, and ``StoreError`` where the log cannot be read.
    """
    if replay.data is not None:
        _over_data(app, replay, read_data(replay.data), as_json=as_json)
        return
    page = read(lambda log: log.newest(replay.wanted))
    entries = page.entries
    replayed = app.run(lambda router: over_log(router, replay, entries, app.out)) if entries else []
    if as_json:
        app.out.json(replay_shapes.log_shape(page, replayed))
    else:
        report.show_log(page, replayed, replay.patience, app.out)


async def over_log(
    router: Router, replay: Replay, entries: Sequence[Entry], out: Output
) -> list[Replayed]:
    """Ask each strategy about each of *entries*, and compare."""
    policies = {name: policy(router.plugins, name) for name in replay.strategies}
    replayed = []
    with out.waiting() as display:
        for name, ask in policies.items():
            picks = await _picks(name, ask, entries, display)
            estimate = evaluate(entries, picks, patience=replay.patience, seed=replay.seed)
            replayed.append(compare(name, entries, picks, estimate))
    return replayed


async def _picks(name: str, ask: Policy, entries: Sequence[Entry], display: Display) -> list[Pick]:
    picks = []
    for number, entry in enumerate(entries):
        if number % BREATHE_EVERY == 0:
            display.show(f"asking {name}", fraction=number / len(entries))
            await asyncio.sleep(0)
        picks.append(pick(ask, entry.decision.request(), entry.decision.candidates))
    return picks


def _over_data(app: App, replay: Replay, data: DataFile, *, as_json: bool) -> None:
    picks = app.run(lambda router: over_data(router, replay, data, app.out))
    limits = bounds(data.rows)
    played = [scored(name, data.rows, made, seed=replay.seed) for name, made in picks.items()]
    compared = pairs(data.rows, picks, seed=replay.seed)
    if as_json:
        app.out.json(replay_shapes.data_shape(data, limits, played, compared))
    else:
        report.show_data(data, limits, played, compared, app.out)


async def over_data(
    router: Router, replay: Replay, data: DataFile, out: Output
) -> dict[str, list[Pick]]:
    """Ask each strategy about each row of *data*, with the signals of the installed plugins."""
    policies = {name: policy(router.plugins, name) for name in replay.strategies}
    picks: dict[str, list[Pick]] = {name: [] for name in policies}
    deployments = deployments_of(data)
    with out.waiting() as display:
        for number, row in enumerate(data.rows):
            if number % BREATHE_EVERY == 0:
                display.show(f"asking about {data.name}", fraction=number / len(data.rows))
                await asyncio.sleep(0)
            request = await prepared(router.plugins, router.config, data.name, row)
            candidates = candidates_for(router.plugins, request, deployments)
            for name, ask in policies.items():
                picks[name].append(pick(ask, request, candidates))
    return picks
