"""The rules of a strategy. Each is a function that says what is wrong, or nothing.

Its docstring is the rule as a failure states it.
"""

import inspect
import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, cast

from attrs import evolve

from turnout_testing.conformance_subject import Answer, Subject
from turnout_testing.conformance_watch import Kind, watched
from turnout_testing.example import World, bare, view

Rule: TypeAlias = Callable[[Subject, World], str]

LONGEST_REASON = 300
"""Characters of a reason that fit on a person's screen."""
AGAIN = 4
"""How often the same question is put."""
DRAWS = 200
"""How many requests the frequencies of a strategy with chance are counted over."""


def words_of(rule: Rule) -> str:
    """Return the rule in words."""
    return " ".join((inspect.getdoc(rule) or "").split())


def asked(subject: Subject, world: World) -> Answer:
    """Return the answer in *world*."""
    return subject.answer(world.request, world.candidates)


# --- what an answer is --------------------------------------------------------------------------------


def answers(subject: Subject, world: World) -> str:
    """Choose, abstain with None, or decline with NoSuitableModelError, whatever is asked."""
    answer = asked(subject, world)
    return str(answer) if answer.outcome == "failed" else ""


def answers_at_once(subject: Subject, world: World) -> str:
    """Answer at once: a strategy is a plain def, and returns no coroutine or generator."""
    answer = asked(subject, world)
    return str(answer) if answer.outcome == "late" else ""


def chooses_nobody(subject: Subject, world: World) -> str:
    """Abstain or decline where there is no candidate."""
    answer = asked(subject, world)
    return "" if answer.outcome in ("abstained", "declined") else str(answer)


def chooses_a_candidate(subject: Subject, world: World) -> str:
    """Choose among the candidates, and rank others of them, each once and never the chosen one."""
    answer = asked(subject, world)
    return "" if answer.selection is None else _outside(answer, world)


def _outside(answer: Answer, world: World) -> str:
    if answer.selection is None:
        return ""
    known = [candidate.id for candidate in world.candidates]
    named = (answer.selection.model, *answer.selection.ranking)
    wrong = [str(name) for name in named if name not in known]
    if wrong:
        return f"{answer}, and {', '.join(wrong)} is no candidate"
    twice = [name for name, times in Counter(named).items() if times > 1]
    return f"{answer}, which names {', '.join(twice)} more than once" if twice else ""


def gives_a_reason(subject: Subject, world: World) -> str:
    """Give a reason that a person can read: one line of at most 300 characters."""
    answer = asked(subject, world)
    if answer.selection is None:
        return ""
    reason = answer.selection.reason
    if not isinstance(reason, str) or not reason.strip():
        return f"the reason is {reason!r}"
    if any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in reason):
        return f"the reason has line breaks or control characters: {reason!r}"
    return f"the reason has {len(reason)} characters" if len(reason) > LONGEST_REASON else ""


# --- what it must not depend on -----------------------------------------------------------------------


def repeats_itself(subject: Subject, world: World) -> str:
    """Give the same answer to the same question, each time and from each instance of the plugin."""
    first = asked(subject, world)
    for _ in range(AGAIN):
        again = subject.answer(evolve(world.request), tuple(world.candidates))
        if again != first:
            return f"first {first}, then {again}, with the same arguments"
    other = first if subject.twin is None else asked(subject.twin, world)
    return "" if other == first else f"of one instance {first}, and of another {other}"


def ignores_the_order(subject: Subject, world: World) -> str:
    """Choose the same whatever the order of the candidates and of their deployments."""
    first = asked(subject, world)
    for turned in _turns(world):
        again = asked(subject, turned)
        if not _alike(first, again):
            return f"{first}; and in another order {again}, namely:\n{turned}"
    return ""


def _turns(world: World) -> Iterator[World]:
    found = world.candidates
    turned = tuple(evolve(one, deployments=one.deployments[::-1]) for one in found)
    for candidates in (found[::-1], found[1:] + found[:1], turned, turned[::-1]):
        yield evolve(world, candidates=candidates)


def _alike(one: Answer, other: Answer) -> bool:
    """Whether two answers choose the same; sums may differ in their last digits, and words in all."""
    a, b = one.selection, other.selection
    if a is None or b is None:
        return one.outcome == other.outcome
    same = (a.model, a.ranking) == (b.model, b.ranking) and math.isclose(a.propensity, b.propensity)
    return same and _close(a.estimated_duration, b.estimated_duration)


def _close(one: float | None, other: float | None) -> bool:
    return one == other if one is None or other is None else math.isclose(one, other)


def ignores_what_it_must(subject: Subject, world: World) -> str:
    """Ignore what bears on no choice, such as whose request it is, its priority and its time limit."""
    first = asked(subject, world)
    for name in subject.ignores:
        value = _another(getattr(world.request, name))
        change = cast("dict[str, Any]", {name: value})
        again = subject.answer(evolve(world.request, **change), world.candidates)
        if not _alike(first, again):
            return f"{first}; and with {name}={value!r} {again}"
    return ""


def _another(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return f"{value}x" if isinstance(value, str) else 7


def reads_no_clock(subject: Subject, world: World) -> str:
    """Read no clock: what is asked again later is answered the same."""
    return "" if subject.reads_clock else _noticed(subject, world, "clock")


def draws_from_the_request(subject: Subject, world: World) -> str:
    """Take chance from request.rng alone, so that a decision can be replayed."""
    return _noticed(subject, world, "chance")


def never_waits(subject: Subject, world: World) -> str:
    """Never wait: no sleep, no file, no database, no network."""
    return _noticed(subject, world, "wait")


def _noticed(subject: Subject, world: World, kind: Kind) -> str:
    asked(subject, world)  # what is imported or read once and kept is no part of an answer
    fresh = evolve(world.request, id=f"{world.request.id}-again")
    with watched() as seen:
        subject.answer(fresh, world.candidates)
    return "; ".join(dict.fromkeys(f"it called {words}" for found, words in seen if found == kind))


# --- chance -------------------------------------------------------------------------------------------


def is_certain(subject: Subject, world: World) -> str:
    """Tell the propensity: above 0 and at most 1, and 1 where no chance is used."""
    answer = asked(subject, world)  # a selection with a propensity out of bounds cannot be made
    if answer.selection is None or subject.uses_chance or answer.selection.propensity == 1:
        return ""
    return f"the propensity is {answer.selection.propensity:g} without chance"


def is_honest_of_its_chance(subject: Subject, world: World) -> str:
    """Choose a model as often as the propensity says, over requests that differ in their ids alone."""
    said: defaultdict[str, list[float]] = defaultdict(list)
    for number in range(DRAWS):
        answer = subject.answer(evolve(world.request, id=f"draw-{number}"), world.candidates)
        if answer.selection is not None:
            said[answer.selection.model].append(answer.selection.propensity)
    drawn = sum(map(len, said.values()))
    for model, shares in said.items():
        mean, seen = sum(shares) / len(shares), len(shares) / drawn
        if abs(mean - seen) > 0.05 + 5 * math.sqrt(mean * (1 - mean) / drawn):
            return f"{model} was chosen {seen:.0%} of {drawn} times, with a propensity of {mean:.0%}"
    return ""


# --- what may be missing, and what must stay ----------------------------------------------------------


def survives_missing_data(subject: Subject, world: World) -> str:
    """Survive where nothing is known and where numbers are absurd: choose, abstain or decline as ever."""
    for one in (world, bare(world)):
        answer = asked(subject, one)
        wrong = str(answer) if answer.outcome == "failed" else _outside(answer, one)
        if wrong:
            return wrong if one is world else f"{wrong} (without estimates, assessments, signals and facts)"
    return ""


def changes_nothing(subject: Subject, world: World) -> str:
    """Leave the arguments as they are."""
    candidates = list(world.candidates)
    before = view(world.request), view(candidates)
    subject.answer(world.request, candidates)
    after = view(world.request), view(candidates)
    names = ("the request", "the candidates")
    changed = [name for name, one, other in zip(names, before, after, strict=True) if one != other]
    return f"it changed {' and '.join(changed)}" if changed else ""
