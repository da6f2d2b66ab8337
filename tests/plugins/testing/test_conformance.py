"""The author's kit catches a strategy that breaks a rule, says which, and lets a good one pass."""

import gc
import os
import random
import sqlite3
import subprocess
import sys
import time
from datetime import date, datetime
from types import FrameType

import pytest
from hypothesis import given
from tests.plugins.testing import offenders

from turnout import ModelKind, Operation
from turnout_testing import StrategyConformance, World, worlds
from turnout_testing.conformance_watch import excused, kind_of, watched

RULES = sorted(name for name in vars(StrategyConformance) if name.startswith("test_"))
CLOSED = sqlite3.connect(":memory:")
CLOSED.close()
MEASURED = ("test_it_is_fast", "test_it_scales", "test_it_registers", "test_it_chooses_at_all")


class TestAnInstance(StrategyConformance):
    """A strategy may be given as it is."""

    strategy = offenders.Good()


class TestCareful(StrategyConformance):
    """A strategy may decline, and may write a log."""

    strategy = offenders.Careful()


class TestAClassWithSettings(StrategyConformance):
    """A class is made with its settings."""

    strategy = offenders.Limited
    settings = {"limit": 12}  # noqa: RUF012  a test's own


class TestChance(StrategyConformance):
    """A strategy may throw dice, if it says so."""

    uses_chance = True

    def make(self) -> object:
        return offenders.Dice()


def complaint(strategy: object, rule: str, **knobs: object) -> str:
    """Return what is said when *strategy* is held to *rule*, and must not pass."""
    held = type("Held", (StrategyConformance,), {"strategy": strategy, **knobs})()
    with pytest.raises(AssertionError) as failure:
        getattr(held, rule)()
    return str(failure.value)


@pytest.mark.parametrize(
    ("rule", "strategy", "words"),
    offenders.OFFENDERS,
    ids=[f"{rule}-{words}" for rule, _, words in offenders.OFFENDERS],
)
def test_a_strategy_that_breaks_a_rule_is_caught(rule: str, strategy: object, words: str) -> None:
    """The rule that it breaks fails, says what happened, and shows an example."""
    said = complaint(strategy, rule)
    assert said.startswith("Rule: ")
    assert words in said.partition("\nBut: ")[2]
    assert ("\nFor example:\nrequest " in said) is (rule not in MEASURED and "async def" not in words)


def test_dice_that_lie_are_caught() -> None:
    """A propensity that does not fit what is drawn is no propensity."""
    said = complaint(
        offenders.Strategy(offenders.unfair), "test_it_is_honest_of_its_chance", uses_chance=True
    )
    assert "with a propensity of 50%" in said


def test_every_rule_has_its_offender() -> None:
    """No rule is without a strategy that shows that it can fail."""
    caught = {rule for rule, _, _ in offenders.OFFENDERS} | {"test_it_is_honest_of_its_chance"}
    assert caught == set(RULES)


def test_a_failure_that_does_not_come_again_is_told() -> None:
    """What is seen once is said, with the note that it is not so each time."""
    said = complaint(offenders.Once(), "test_it_answers_whatever_it_is_asked")
    assert "failed with 'once', which is no ModelSelection" in said
    assert "Not each time" in said


def test_the_smallest_example_is_shown() -> None:
    """Of all the worlds in which a rule fails, the message shows one of two candidates with nothing known."""
    said = complaint(
        offenders.Strategy(lambda _, c: offenders.picked(c[0].id)), "test_it_ignores_the_order"
    )
    shown = said.partition("For example:\n")[2].splitlines()
    assert shown[0].startswith("request r0: ModelRequest(")
    assert shown[1] == "candidates:"
    assert [line.partition(":")[0] for line in shown[2::2]] == ["  acme/owl-8b", "  qwen/qwen3-coder-30b"]
    assert shown[3::2] == ["    on desk, not loaded, no estimate"] * 2


def test_the_kit_costs_nothing_until_it_is_used() -> None:
    """The pytest plugin and the class are there without Hypothesis being imported."""
    code = "import sys, turnout_testing.plugin; from turnout_testing import StrategyConformance"
    run = subprocess.run(
        [sys.executable, "-c", f"{code}; print('hypothesis' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "False\n"


@given(worlds.worlds)
def test_a_world_is_one_that_the_core_could_make(world: World) -> None:
    """Each candidate has deployments, all of one model and of the request's kind, and a name of its own."""
    embeddings = world.request.operation is Operation.EMBEDDINGS
    for candidate in world.candidates:
        assert {d.model for d in candidate.deployments} == {candidate.id}
        assert (candidate.info.kind is ModelKind.EMBEDDING) is embeddings
        assert len({d.host.name for d in candidate.deployments}) == len(candidate.deployments)
    assert len({candidate.id for candidate in world.candidates}) == len(world.candidates) > 0


def test_a_profiler_that_runs_goes_on() -> None:
    """Watching a strategy leaves whoever watches the thread, and the collection of garbage, as they were."""
    before = sys.getprofile(), gc.isenabled()
    with watched() as seen:
        time.monotonic()
    assert [kind for kind, _ in seen] == ["clock"]
    assert (sys.getprofile(), gc.isenabled()) == before


@pytest.mark.parametrize(
    ("called", "kind"),
    [
        (time.time, "clock"),
        (time.monotonic_ns, "clock"),
        (datetime.now, "clock"),
        (date.today, "clock"),
        (random.random, "chance"),
        (random.getrandbits, "chance"),
        (os.urandom, "chance"),
        (time.sleep, "wait"),
        (open, "wait"),
        (CLOSED.execute, "wait"),
        (time.strftime, None),
        (datetime.fromtimestamp, None),
        (random.Random(1).random, None),
        (len, None),
    ],
)
def test_what_a_strategy_must_not_call(called: object, kind: str | None) -> None:
    """Clocks, chance of its own and input or output are told from what is harmless."""
    assert kind_of(called) == kind


def test_an_error_and_a_log_may_carry_the_time() -> None:
    """What a log or an error calls is not the strategy's doing."""
    for module in ("loguru._logger", "mine"):
        names: dict[str, object] = {"__name__": module, "sys": sys}
        exec("frame = (lambda: sys._getframe())()", names)
        frame = names["frame"]
        assert isinstance(frame, FrameType)
        assert excused(frame) is module.startswith("loguru")
