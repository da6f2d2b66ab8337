"""The JSON that ``turnout replay`` prints; a field never changes its meaning."""

from collections.abc import Iterable

from turnout.messages import JSON, JSONObject
from turnout_decisions.datafile import DataFile
from turnout_decisions.datareplay import Bounds, Pair, Played
from turnout_decisions.estimators import Interval
from turnout_decisions.journal import Page
from turnout_decisions.offpolicy import Estimated, OffPolicy
from turnout_decisions.replaying import Move, Replayed


def _list(values: Iterable[JSON]) -> list[JSON]:
    return list(values)


def log_shape(page: Page, replayed: Iterable[Replayed]) -> JSONObject:
    """Describe the part of the log that was replayed, and what each strategy would have done."""
    times = [entry.decision.at for entry in page.entries]
    return {
        "decisions": len(times),
        "first": min(times, default=None),
        "last": max(times, default=None),
        "unreadable": page.unreadable,
        "newer": page.newer,
        "unseen": page.unseen,
        "replayed": _list(_replayed(one) for one in replayed),
    }


def data_shape(
    data: DataFile, limits: Bounds, played: Iterable[Played], compared: Iterable[Pair]
) -> JSONObject:
    """Describe the file that was replayed, what it allows, and how each strategy scored."""
    return {
        "file": data.name,
        "rows": len(data.rows),
        "models": list(data.models),
        "contaminated": data.contaminated,
        "incomplete": data.incomplete,
        "random": limits.random,
        "best_single": {"model": limits.best, "score": limits.best_score},
        "oracle": limits.oracle,
        "played": _list(_played(one) for one in played),
        "pairs": _list(_pair(one) for one in compared),
    }


def _replayed(replayed: Replayed) -> JSONObject:
    return {
        "strategy": replayed.strategy,
        "decisions": replayed.decisions,
        "choices": replayed.choices,
        "outcomes": dict(replayed.outcomes),
        "changed": replayed.changed,
        "moves": _list(_move(one) for one in replayed.moves),
        "seconds_saved": replayed.seconds_saved,
        "loads_avoided": replayed.loads_avoided,
        "loads_added": replayed.loads_added,
        "estimate": None if replayed.estimate is None else _estimate(replayed.estimate),
    }


def _move(move: Move) -> JSONObject:
    return {
        "from": move.origin,
        "to": move.destination,
        "decisions": move.decisions,
        "seconds_saved": move.seconds_saved,
    }


def _estimate(estimate: OffPolicy) -> JSONObject:
    return {
        "decisions": estimate.decisions,
        "logged": _estimated(estimate.logged),
        "ips": None if estimate.ips is None else _estimated(estimate.ips),
        "snips": None if estimate.snips is None else _estimated(estimate.snips),
        "dr": _estimated(estimate.dr),
        "gain": _estimated(estimate.gain),
        "effective_sample_size": estimate.effective,
        "unsupported": estimate.unsupported,
        "explored": estimate.explored,
        "model_alone": estimate.model_alone,
    }


def _estimated(estimated: Estimated) -> JSONObject:
    return {"value": estimated.value, "interval": _interval(estimated.interval)}


def _interval(interval: Interval | None) -> JSON:
    return None if interval is None else [interval.low, interval.high]


def _played(played: Played) -> JSONObject:
    return {
        "strategy": played.strategy,
        "score": _estimated(played.score),
        "against_best_single": _estimated(played.difference),
        "outcomes": dict(played.outcomes),
        "picked": dict(played.picked.most_common()),
    }


def _pair(pair: Pair) -> JSONObject:
    return {"strategy": pair.strategy, "other": pair.other, "difference": _estimated(pair.difference)}
