"""Tries a rule in many worlds, and states it with the smallest example where it does not hold."""

from collections.abc import Callable
from typing import TypeAlias

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky

from turnout_testing import worlds
from turnout_testing.conformance_rules import Rule, asked, words_of
from turnout_testing.conformance_subject import Subject
from turnout_testing.example import World

Change: TypeAlias = Callable[[World], World]
Trial: TypeAlias = Callable[[World], None]


def hold(rule: Rule, subject: Subject, kind: str, needs: Change, examples: int) -> None:
    """Try *rule* in worlds of a *kind* (a name in :mod:`turnout_testing.worlds`), half changed by *needs*.

    Raises ``AssertionError`` with the smallest world where it does not hold.
    """
    __tracebackhide__ = True  # what a reader needs is in the message

    def trial(world: World) -> None:
        __tracebackhide__ = True
        but = rule(subject, world)
        if but:
            message = f"Rule: {words_of(rule)}\nBut: {but}\nFor example:\n{world}"
            raise AssertionError(message)

    drawn: st.SearchStrategy[World] = getattr(worlds, kind)
    try:
        _try(rule.__name__, trial, drawn | drawn.map(needs), examples)
    except Flaky as error:
        first = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error
        message = f"{first}\n(Not each time: the answers change from call to call.)"
        raise AssertionError(message) from error


def choose_at_all(subject: Subject, needs: Change, examples: int) -> str:
    """Say that *subject* never chose in worlds changed by *needs*, and what it did instead."""
    seen: dict[str, World] = {}

    def trial(world: World) -> None:
        seen.setdefault(asked(subject, world).outcome, world)

    _try("choose_at_all", trial, worlds.worlds.map(needs), examples)
    return "" if "selected" in seen else f"in {examples} worlds it only {' and '.join(sorted(seen))}"


def _try(name: str, trial: Trial, drawn: st.SearchStrategy[World], examples: int) -> None:
    __tracebackhide__ = True

    def every(world: World) -> None:
        __tracebackhide__ = True
        trial(world)

    every.__name__ = name  # a failure shows it
    settings(
        max_examples=examples,
        derandomize=True,  # what passes today passes tomorrow
        database=None,  # an example of yesterday's strategy would not be the smallest
        deadline=None,
        phases=set(Phase) - {Phase.explain},  # the message shows the whole example
        suppress_health_check=[HealthCheck.too_slow],
    )(given(drawn)(every))()
