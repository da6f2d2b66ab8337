"""What a replay found, in tables and in plain words."""

from collections.abc import Iterator, Sequence

from turnout.verbs import Output
from turnout_decisions.datafile import DataFile
from turnout_decisions.datareplay import Bounds, Pair, Played
from turnout_decisions.explain import say_left_out
from turnout_decisions.journal import Page
from turnout_decisions.offpolicy import Estimated, OffPolicy
from turnout_decisions.replaying import Replayed
from turnout_decisions.words import (
    UNKNOWN,
    gain,
    harmless,
    harmless_rows,
    interval,
    plural,
    reward,
    seconds,
    share,
    when,
)

MOST_MOVES = 10


def show_log(page: Page, replayed: Sequence[Replayed], patience: float, out: Output) -> None:
    """Show what strategies would have done with the log."""
    say_left_out(page, out)
    if not page.entries:
        out.say("No such decision has been logged yet: ask something first.")
        return
    first, last = page.entries[0].decision.at, page.entries[-1].decision.at
    choices = replayed[0].choices
    out.line(f"{plural(len(page.entries), 'decision')} from {when(first)} to {when(last)}, {choices} of them "
             "with more than one candidate")  # fmt: skip
    out.table(
        (
            "STRATEGY", ">CHOSE", ">ABSTAINED", ">DECLINED", ">FAILED",
            ">CHANGED", ">SECONDS SAVED", ">LOADS AVOIDED", ">LOADS ADDED",
        ),
        harmless_rows(_summary(one) for one in replayed),
    )  # fmt: skip
    _say_what_stands(replayed, out)
    for one in replayed:
        _moves(one, out)
    _rewards(replayed, patience, out)


def _summary(one: Replayed) -> tuple[str, ...]:
    said = one.outcomes
    return (
        one.strategy,
        *(str(said[outcome]) for outcome in ("selected", "abstained", "declined", "skipped")),
        f"{one.changed} ({share(one.changed / one.decisions)})",
        seconds(one.seconds_saved),
        str(one.loads_avoided),
        str(one.loads_added),
    )


def _say_what_stands(replayed: Sequence[Replayed], out: Output) -> None:
    if any(one.outcomes["selected"] < one.decisions for one in replayed):
        out.note("Where a strategy chose nothing, the logged choice stands: it counts as no change.")
    out.note("Seconds and loads are as they were predicted; what strategies learned since, they know now.")
    if any(one.outcomes["skipped"] for one in replayed):
        out.warn("A strategy failed on some decisions; --log-level DEBUG says why.")


def _moves(one: Replayed, out: Output) -> None:
    if not one.moves:
        return
    rows = [
        (move.origin, move.destination, str(move.decisions), seconds(move.seconds_saved))
        for move in one.moves[:MOST_MOVES]
    ]
    columns = ("FROM", "TO", ">DECISIONS", ">SECONDS SAVED")
    title = f"\nWith {harmless(one.strategy)}, these would have gone elsewhere"
    out.table(columns, harmless_rows(rows), title=title)
    if len(one.moves) > MOST_MOVES:
        out.note(f"and {plural(len(one.moves) - MOST_MOVES, 'more pair')}, all in --json.")


def _rewards(replayed: Sequence[Replayed], patience: float, out: Output) -> None:
    known = [(one.strategy, one.estimate) for one in replayed if one.estimate is not None]
    if not known:
        out.note("Nothing is known of any outcome yet, so no reward can be estimated.")
        return
    rows = [_row("as it was", "", known[0][1].logged, "what happened")]
    rows += [row for name, estimate in known for row in _estimates(name, estimate)]
    title = f"\nReward per decision, over {plural(known[0][1].decisions, 'decision')} with a known outcome"
    columns = ("STRATEGY", "ESTIMATE", ">REWARD", "95 % INTERVAL", "RESTS ON")
    out.table(columns, harmless_rows(rows), title=title)
    out.note(f"Reward: the rating, else 1 for an answer at once, 0.5 after {patience:g} s, 0 for none.")
    for name, estimate in known:
        _caution(harmless(name), estimate, out)


def _row(name: str, kind: str, estimated: Estimated | None, basis: str) -> tuple[str, ...]:
    if estimated is None:
        return name, kind, UNKNOWN, UNKNOWN, basis
    return name, kind, reward(estimated.value), interval(estimated.interval), basis


def _estimates(name: str, estimate: OffPolicy) -> Iterator[tuple[str, ...]]:
    effective = f"{plural(round(estimate.effective), 'effective decision')}"
    unknown = "nothing: the log gave the other picks no chance"
    yield _row(name, "IPS", estimate.ips, effective if estimate.ips else unknown)
    yield _row(name, "SNIPS", estimate.snips, effective if estimate.snips else unknown)
    yield _row(name, "DR", estimate.dr, _basis(estimate))
    difference = estimate.gain
    value = (gain(difference.value), interval(difference.interval))
    yield name, "DR less as it was", *value, _basis(estimate)


def _basis(estimate: OffPolicy) -> str:
    if estimate.model_alone:
        return f"the reward model alone, for {share(estimate.unsupported)} of the decisions"
    if estimate.unsupported > 0.0:
        return f"the reward model for {share(estimate.unsupported)}, else both"
    return "the log and the reward model"


def _caution(name: str, estimate: OffPolicy, out: Output) -> None:
    """Say plainly what these numbers cannot tell."""
    if estimate.model_alone:
        out.warn(
            f"{name}: this log left nothing to chance, so it does not know what other picks would have "
            "earned. DR is what the mean rewards of the models say, and no measurement."
        )
    elif estimate.ips is None:
        out.warn(
            f"{name}: {share(estimate.unsupported)} of its picks had no chance in this log, too much for IPS."
        )
    elif estimate.little_overlap:
        out.warn(
            f"{name}: the estimates rest on {plural(round(estimate.effective), 'effective decision')} of "
            f"{estimate.decisions}: little overlap, and the intervals are too narrow."
        )


def show_data(
    data: DataFile, limits: Bounds, played: Sequence[Played], compared: Sequence[Pair], out: Output
) -> None:
    """Show how strategies scored on a file."""
    out.line(f"{plural(len(data.rows), 'row')} of {harmless(data.name)}, {plural(len(data.models), 'model')}")
    left_out = {"marked as contaminated": data.contaminated, "without every score": data.incomplete}
    for reason, amount in left_out.items():
        if amount:
            out.note(f"{plural(amount, 'row')} left out: {reason}.")
    rows = [
        _bound("a pick at random", limits.random, limits),
        *(_played(one) for one in played),
        _bound(f"best single ({limits.best})", limits.best_score, limits),
        _bound("oracle", limits.oracle, limits),
    ]
    columns = ("POLICY", ">MEAN SCORE", "95 % INTERVAL", ">AGAINST BEST SINGLE", "95 % INTERVAL")
    out.table(columns, harmless_rows(rows))
    out.note("The best single model is best in hindsight; intervals by a paired bootstrap over rows.")
    if compared:
        rows = harmless_rows(_pair(one) for one in compared)
        out.table(("STRATEGY", "AGAINST", ">DIFFERENCE", "95 % INTERVAL"), rows, title="\nOne by one")
    _picked(played, out)
    if any(one.outcomes["selected"] < len(data.rows) for one in played):
        out.note("Where a strategy chose nothing, it scores as a pick at random.")


def _bound(name: str, score: float, limits: Bounds) -> tuple[str, ...]:
    return name, reward(score), UNKNOWN, gain(score - limits.best_score), UNKNOWN


def _played(one: Played) -> tuple[str, ...]:
    return (
        one.strategy,
        reward(one.score.value),
        interval(one.score.interval),
        gain(one.difference.value),
        interval(one.difference.interval),
    )


def _pair(one: Pair) -> tuple[str, ...]:
    return one.strategy, one.other, gain(one.difference.value), interval(one.difference.interval)


def _picked(played: Sequence[Played], out: Output) -> None:
    rows = [
        (one.strategy, model, str(times))
        for one in played
        for model, times in one.picked.most_common(MOST_MOVES)
    ]
    nothing = [(one.strategy, "(nothing)", str(none)) for one in played if (none := _unchosen(one))]
    picks = sorted(rows + nothing, key=lambda row: row[0])
    out.table(("STRATEGY", "PICKED", ">ROWS"), harmless_rows(picks), title="\nPicks")


def _unchosen(one: Played) -> int:
    return sum(one.outcomes.values()) - one.outcomes["selected"]
