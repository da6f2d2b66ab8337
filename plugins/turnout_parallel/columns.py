"""Outcomes as people read them: side by side where there is room, else one under the other."""

import shutil
import sys
from collections.abc import Sequence

from attrs import frozen

from turnout_parallel.faces import Output
from turnout_parallel.outcome import Outcome
from turnout_parallel.words import rate, seconds

COLUMN = 38
"""Characters that an answer needs at least to be read well beside others."""


@frozen
class Shown:
    """What to show: the ``outcomes``, and which of them is the ``best`` by what ``reason``, if any."""

    outcomes: Sequence[Outcome]
    best: Outcome | None = None
    title: str = ""
    reason: str = ""


def show(shown: Shown, out: Output) -> None:
    """Write all answers, each with its time and speed, and then who won."""
    if wide(len(shown.outcomes)):
        _beside(shown, out)
    else:
        _below(shown, out)
    if shown.best is not None:
        out.line()
        why = f": {shown.reason}" if shown.reason else ""
        out.line(f"{shown.title}: {shown.best.model}{why}")


def wide(columns: int) -> bool:
    """Return whether *columns* answers find room side by side; in a pipe they never do."""
    return 1 < columns <= shutil.get_terminal_size().columns // COLUMN and sys.stdout.isatty()


def _beside(shown: Shown, out: Output) -> None:
    names = [_name(one, shown.best) for one in shown.outcomes]
    answers = [_answer(one) for one in shown.outcomes]
    facts = [_facts(one) for one in shown.outcomes]
    out.table(names, [answers, ["" for _ in names], facts])


def _below(shown: Shown, out: Output) -> None:
    for number, one in enumerate(shown.outcomes):
        if number:
            out.line()
        out.line(f"── {_name(one, shown.best)} · {_facts(one)}")
        out.line(_answer(one))


def _name(outcome: Outcome, best: Outcome | None) -> str:
    return f"★ {outcome.model}" if outcome is best else outcome.model


def _answer(outcome: Outcome) -> str:
    if outcome.error is None:
        return outcome.text.strip() or ("" if outcome.cancelled else "(nothing)")
    partial = outcome.partial.strip()
    return f"{partial} …\n\nError: {outcome.error}" if partial else f"Error: {outcome.error}"


def _facts(outcome: Outcome) -> str:
    """Say what an answer took, and what is wrong with it."""
    if outcome.cancelled:
        return f"stopped after {seconds(outcome.seconds)}"
    parts = [seconds(outcome.seconds)]
    reply = outcome.reply
    if reply is not None:
        if reply.timings.tokens_per_second is not None:
            parts.append(rate(reply.timings.tokens_per_second))
        if reply.timings.load:
            parts.append(f"{seconds(reply.timings.load)} to load")
        parts.append(f"on {reply.host}")
        if reply.truncated:
            parts.append("cut short")
    return ", ".join(parts)
