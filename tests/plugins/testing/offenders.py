"""Strategies that break one rule each, and some that break none."""

import random
import secrets
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from random import Random

from attrs import field, frozen
from loguru import logger

from turnout import Candidate, ModelRequest, ModelSelection, NoSuitableModelError, hookimpl

Candidates = Sequence[Candidate]


def best(candidates: Candidates) -> ModelSelection | None:
    """Choose well: the first name in the alphabet."""
    names = sorted(candidate.id for candidate in candidates)
    return ModelSelection(names[0], "first in the alphabet", names[1:]) if names else None


def picked(model: str, reason: str = "because", *ranking: str, propensity: float = 1.0) -> ModelSelection:
    return ModelSelection(model, reason, ranking, propensity=propensity)


class Strategy:
    """Chooses as it is told, and abstains where there is nobody."""

    def __init__(self, choose: Callable[[ModelRequest, Candidates], object]) -> None:
        self.choose = choose

    @hookimpl
    def select_model(self, request: ModelRequest, candidates: Candidates) -> object:
        return self.choose(request, candidates) if candidates else None


class Good:
    """Keeps every rule."""

    @hookimpl
    def select_model(self, candidates: Candidates) -> ModelSelection | None:
        return best(candidates)


@frozen
class LimitSettings:
    """``limit`` is in characters."""

    limit: int = field(default=100)


class Limited:
    """Keeps every rule, and has settings."""

    def __init__(self, settings: LimitSettings) -> None:
        self.settings = settings

    @hookimpl
    def select_model(self, candidates: Candidates) -> ModelSelection | None:
        return best([one for one in candidates if len(one.id) <= self.settings.limit])


class Dice:
    """Keeps every rule, and uses chance: each candidate is as likely."""

    @hookimpl
    def select_model(self, request: ModelRequest, candidates: Candidates) -> ModelSelection | None:
        if not candidates:
            return None
        names = sorted(candidate.id for candidate in candidates)
        return picked(request.rng.choice(names), "drawn", propensity=1 / len(names))


class Careful:
    """Keeps every rule: it declines by an error, which carries the time, and writes a log, which does too."""

    @hookimpl
    def select_model(self, request: ModelRequest, candidates: Candidates) -> ModelSelection | None:
        logger.debug("asked for {}", request.id)
        if request.attempts:
            message = "once is enough"
            raise NoSuitableModelError(message)
        return best(candidates)


# --- those that do what no strategy may ---------------------------------------------------------------


class Async:
    @hookimpl
    async def select_model(self, candidates: Candidates) -> ModelSelection | None:
        return best(candidates)


class Unmarked:
    def select_model(self, candidates: Candidates) -> ModelSelection | None:
        return best(candidates)


class Defaulted:
    @hookimpl
    def select_model(self, candidates: Candidates = ()) -> ModelSelection | None:
        return best(candidates)


class Deprecated(Good):
    def __init__(self) -> None:
        warnings.warn("this plugin is old", DeprecationWarning, stacklevel=1)


class Fragile:
    @hookimpl
    def select_model(self, candidates: Candidates) -> ModelSelection | None:
        return picked(min(candidate.id for candidate in candidates))


class Eager:
    @hookimpl
    def select_model(self, candidates: Candidates) -> ModelSelection | None:
        return best(candidates) or picked("acme/owl-8b")


class RoundRobin:
    def __init__(self) -> None:
        self.turn = count()

    @hookimpl
    def select_model(self, candidates: Candidates) -> ModelSelection | None:
        names = sorted(candidate.id for candidate in candidates)
        return picked(names[next(self.turn) % len(names)]) if names else None


class Moody(Strategy):
    """Each instance has another mood than the one before it."""

    born = count()

    def __init__(self) -> None:
        chosen = min if next(self.born) % 2 else max
        super().__init__(lambda _, candidates: picked(chosen(one.id for one in candidates)))


class Once(Strategy):
    """Fails once in its life."""

    def __init__(self) -> None:
        calls = count()
        super().__init__(lambda _, candidates: best(candidates) if next(calls) != 20 else "once")


async def _later(candidates: Candidates) -> ModelSelection | None:
    return best(candidates)


def _generated(candidates: Candidates) -> Iterator[ModelSelection | None]:
    yield best(candidates)


def _by_last_place(_: ModelRequest, candidates: Candidates) -> ModelSelection:
    return picked(min(candidates, key=lambda one: (one.deployments[-1].host.name, one.id)).id)


def _sorts(_: ModelRequest, candidates: Candidates) -> ModelSelection | None:
    if isinstance(candidates, list):
        candidates.sort(key=lambda one: one.id, reverse=True)
    return best(candidates)


def _notes(request: ModelRequest, candidates: Candidates) -> ModelSelection | None:
    request.signals.notes["seen"] = True  # type: ignore[index]
    return best(candidates)


def _marks(_: ModelRequest, candidates: Candidates) -> ModelSelection | None:
    object.__setattr__(min(candidates, key=lambda one: one.id).info, "loaded", True)
    return best(candidates)


def _by_the_clock(_: ModelRequest, candidates: Candidates) -> ModelSelection | None:
    return best(candidates) if time.time() > 0 else None


def _by_file(_: ModelRequest, candidates: Candidates) -> ModelSelection | None:
    return best(candidates) if Path(__file__).read_text(encoding="utf-8") else None


def _sleepily(_: ModelRequest, candidates: Candidates) -> ModelSelection | None:
    time.sleep(0)
    return best(candidates)


def _fastest(_: ModelRequest, candidates: Candidates) -> ModelSelection:
    def rate(one: Candidate) -> float:
        return max(1 / one.estimate(d).decode_seconds_per_token for d in one.deployments)

    return picked(max(candidates, key=lambda one: (rate(one), one.id)).id)


def _largest(_: ModelRequest, candidates: Candidates) -> ModelSelection:
    return picked(max(candidates, key=lambda one: (one.info.parameters, one.id)).id)


def _all_with_all(_: ModelRequest, candidates: Candidates) -> ModelSelection:
    beaten = {one.id: sum(one.id < other.id for other in candidates) for one in candidates}
    return picked(max(beaten, key=lambda model: (beaten[model], model)))


def _slowly(_: ModelRequest, candidates: Candidates) -> ModelSelection | None:
    sum(range(1_000_000))
    return best(candidates)


def unfair(request: ModelRequest, candidates: Candidates) -> ModelSelection:
    names = sorted(candidate.id for candidate in candidates)
    chosen = names[0] if request.rng.random() < 0.9 else names[-1]
    return picked(chosen, "drawn", propensity=1 / len({names[0], names[-1]}))


def _by(field: str) -> Strategy:
    """Return a strategy that goes by a field that it must ignore."""

    def choose(request: ModelRequest, candidates: Candidates) -> ModelSelection:
        names = sorted(candidate.id for candidate in candidates)
        return picked(Random(repr(getattr(request, field))).choice(names))

    return Strategy(choose)


def _image_hater(request: ModelRequest, candidates: Candidates) -> ModelSelection | None:
    if any(message.images for message in request.messages):
        raise LookupError("images")
    return best(candidates)


OFFENDERS: Sequence[tuple[str, object, str]] = (
    ("test_it_registers", Async(), "async def"),
    ("test_it_registers", Unmarked(), "no hook select_model"),
    ("test_it_registers", Defaulted(), "may have no default"),
    ("test_it_registers", Deprecated, "this plugin is old"),
    ("test_it_is_synchronous", Async(), "select_model is an async def"),
    ("test_it_is_synchronous", Strategy(lambda _, c: _later(c)), "late with a coroutine"),
    ("test_it_is_synchronous", Strategy(lambda _, c: _generated(c)), "late with a generator"),
    ("test_it_chooses_at_all", Strategy(lambda _, __: None), "only abstained"),
    ("test_it_answers_whatever_it_is_asked", Strategy(_image_hater), "failed with LookupError: images"),
    ("test_it_answers_whatever_it_is_asked", Strategy(lambda _, c: c[0].id), "which is no ModelSelection"),
    ("test_it_needs_no_candidates", Fragile(), "failed with ValueError"),
    ("test_it_needs_no_candidates", Eager(), "selected acme/owl-8b"),
    ("test_it_chooses_among_the_candidates", Strategy(lambda *_: picked("nobody")), "nobody is no candidate"),
    (
        "test_it_chooses_among_the_candidates",
        Strategy(lambda _, c: picked(c[0].id, "because", "nobody")),
        "nobody is no candidate",
    ),
    (
        "test_it_chooses_among_the_candidates",
        Strategy(lambda _, c: picked(c[0].id, "because", c[0].id)),
        "more than once",
    ),
    ("test_it_gives_a_reason", Strategy(lambda _, c: picked(c[0].id, " ")), "the reason is ' '"),
    ("test_it_gives_a_reason", Strategy(lambda _, c: picked(c[0].id, "one\ntwo")), "line breaks"),
    ("test_it_gives_a_reason", Strategy(lambda _, c: picked(c[0].id, "so " * 101)), "303 characters"),
    ("test_it_survives_missing_data", Strategy(_fastest), "ZeroDivisionError"),
    ("test_it_survives_missing_data", Strategy(_largest), "TypeError"),
    ("test_it_repeats_itself", RoundRobin(), "with the same arguments"),
    ("test_it_repeats_itself", Moody, "of another"),
    (
        "test_it_repeats_itself",
        Strategy(lambda _, c: picked(secrets.choice([one.id for one in c]))),
        "with the same arguments",
    ),
    ("test_it_ignores_the_order", Strategy(lambda _, c: picked(c[0].id)), "in another order"),
    ("test_it_ignores_the_order", Strategy(lambda _, c: picked(c[-1].id)), "in another order"),
    ("test_it_ignores_the_order", Strategy(_by_last_place), "in another order"),
    ("test_it_ignores_what_it_must", _by("client"), "client='x'"),
    ("test_it_ignores_what_it_must", _by("timeout"), "timeout=7"),
    ("test_it_ignores_what_it_must", _by("priority"), "priority=1"),
    ("test_it_ignores_what_it_must", _by("id"), "id='r"),
    ("test_it_reads_no_clock", Strategy(_by_the_clock), "time.time() in"),
    ("test_it_draws_from_the_request", Strategy(lambda _, c: random.choice([best(c)])), "Random.getrandbits"),
    ("test_it_draws_from_the_request", Strategy(lambda _, c: secrets.choice([best(c)])), "urandom()"),
    ("test_it_never_waits", Strategy(_sleepily), "time.sleep()"),
    ("test_it_never_waits", Strategy(_by_file), "open()"),
    ("test_it_changes_nothing", Strategy(_sorts), "changed the candidates"),
    ("test_it_changes_nothing", Strategy(_notes), "changed the request"),
    ("test_it_changes_nothing", Strategy(_marks), "changed the candidates"),
    ("test_it_says_how_certain_it_is", Dice(), "without chance"),
    ("test_it_is_fast", Strategy(_slowly), "times as long"),
    ("test_it_scales", Strategy(_all_with_all), "and 2,000 take"),
)
"""Which rule each breaks, and what must be said of it."""
