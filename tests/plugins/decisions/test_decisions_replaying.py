"""Comparing picks with the log, and what is said of it."""

import math
from collections.abc import Sequence
from random import Random

import pytest
from attrs import evolve

from turnout import Assessment, Ineligible, ModelCapability, Quality, Reload, TaskType
from turnout_cli.output import Output
from turnout_decisions import words
from turnout_decisions.explain import show, show_list
from turnout_decisions.facts import Content
from turnout_decisions.journal import Entry, Page
from turnout_decisions.offpolicy import evaluate
from turnout_decisions.policies import Pick
from turnout_decisions.replaying import Move, compare
from turnout_decisions.report import show_log
from turnout_decisions.tries import Tried

from .logging_world import OUTCOME, an_entry, candidates

ABSTAINED = Pick("abstained")


def taking(model: str) -> Pick:
    return Pick("selected", model, {model: 1.0})


def test_differences_are_counted() -> None:
    """What would have gone elsewhere is counted by pair, with predicted seconds and loads."""
    among = candidates({"a": 5.0, "b": 2.0, "c": 1.0}, loaded=("b",))
    log = [an_entry(model, among=among) for model in ("a", "a", "b", "a")]
    found = compare("mine", log, [taking("b"), taking("b"), taking("c"), ABSTAINED])
    assert found.moves == (Move("a", "b", 2, 6.0), Move("b", "c", 1, 1.0))
    assert (found.decisions, found.choices, found.changed) == (4, 4, 3)
    assert (found.seconds_saved, found.loads_avoided, found.loads_added) == (7.0, 2, 1)
    assert found.outcomes == {"selected": 3, "abstained": 1}


def test_the_same_picks_change_nothing() -> None:
    """Who picks what was picked moves nothing, and one candidate leaves no choice."""
    found = compare("mine", [an_entry("a", among=candidates({"a": 1.0}))], [taking("a")])
    assert (found.changed, found.choices, found.seconds_saved) == (0, 0, 0)


def test_a_logged_model_that_was_no_candidate() -> None:
    """Where the log does not know its own pick, the move counts, without seconds or loads."""
    found = compare("mine", [an_entry("gone")], [taking("a")])
    assert found.moves == (Move("gone", "a", 1, 0.0),)


# --- words --------------------------------------------------------------------------------------------


def shown(page: Page, capsys: pytest.CaptureFixture[str]) -> str:
    show(page, Output())
    return capsys.readouterr().out


def test_facts_that_are_unusual_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Pins, hosts, images, tools and the rest appear where a request has them, words where they are kept."""
    entry = an_entry()
    facts = evolve(
        entry.decision.facts, explicit_model="b", allow_fallback=True, hosts=frozenset({"two", "one"}),
        images=2, tools=3, schema=True, roles="uau", max_tokens=50, prefer_fast=True, priority=4, inputs=1,
        required_capabilities=frozenset({ModelCapability.VISION}),
        content=Content(messages=("", "what is it?")),
    )  # fmt: skip
    text = shown(Page((Entry(evolve(entry.decision, facts=facts)),)), capsys)
    for line in (
        "b, else another", "one, two", "images        2", "tools         3", "schema        yes",
        "messages      3", "50 tokens", "wants speed   yes", "priority      4", "needs         vision",
        "what is it?", "texts         1",
    ):  # fmt: skip
        assert line in text


def test_chance_quality_and_who_was_left_out_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A decision by chance says its probability; qualities are those for the kind of work."""
    among = candidates()
    known: Assessment = {TaskType.CODE_GENERATION: Quality(0.8, 12)}
    entry = an_entry("a", propensity=0.25, among=[evolve(one, assessments=[{"a": known}]) for one in among])
    blind = Ineligible("c", "one", "cannot see images")
    explanation = evolve(
        entry.decision.selection.explanation,
        ineligible=(blind,),
        verdicts=(),
        reloads=(Reload("a", "one", 9000, 4096),),
    )
    selection = evolve(entry.decision.selection, explanation=explanation)
    text = shown(Page((Entry(evolve(entry.decision, selection=selection)),)), capsys)
    assert "with probability 0.25" in text
    assert "0.80 (12)" in text
    assert "cannot see images" in text
    assert "the request needs about 9000 tokens, and 4096 are loaded" in text
    assert "STRATEGY" not in text


def test_every_end_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A decision ends answered, cut short, given up, failed before it was sent, or nobody knows how."""
    entry, second = an_entry("a", seconds=None), an_entry("b", seconds=None)
    failure = Tried("a", "one", "OverloadedError", duration_seconds=3.0)
    later = evolve(second.decision, facts=evolve(second.decision.facts, attempts=(failure,)))
    text = shown(Page((entry, Entry(later))), capsys)
    assert text.index("OverloadedError") < text.index("(2 of 2)") < text.index("is not known")
    entry.outcomes = [
        evolve(OUTCOME, success=False, error="CancelledError"),
        evolve(OUTCOME, success=False, error=None),
        evolve(OUTCOME, finish_reason="length", tokens_per_second=12.34, load_seconds=75.0),
    ]
    text = shown(Page((entry,)), capsys)
    for end in ("given up by the caller", "failed", "cut short", "12.3", "1 min 15 s"):
        assert end in text


def test_a_list_with_odd_values(capsys: pytest.CaptureFixture[str]) -> None:
    """A time that no calendar has, and an end that is not known, are dashes."""
    show_list(Page((an_entry("a", seconds=None, at=1e300),)), Output())
    (_, line) = capsys.readouterr().out.splitlines()
    assert line.split()[0] == "-"
    assert line.split()[-3:] == ["-", "-", "-"]


def report(
    log: Sequence[Entry], picks: Sequence[Pick], capsys: pytest.CaptureFixture[str]
) -> tuple[str, str]:
    replayed = compare("mine", log, picks, evaluate(log, picks))
    show_log(Page(tuple(log)), [replayed], 30.0, Output())
    written = capsys.readouterr()
    return written.out, written.err


def test_a_log_with_chance_gets_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the log explored, all estimates have a value, an interval and what they rest on."""
    rng = Random(2)
    log = [an_entry(rng.choice("ab"), propensity=0.5, seconds=10.0) for _ in range(80)]
    out, err = report(log, [taking("b")] * 80, capsys)
    mine = [line for line in out.splitlines() if line.startswith("mine ") and "DR less" not in line]
    rows = {line.split()[1]: line for line in mine}
    assert set(rows) >= {"IPS", "SNIPS", "DR"}
    assert "effective decisions" in rows["IPS"]
    assert "0.750" in rows["SNIPS"]
    assert "the log and the reward model" in rows["DR"]
    assert "Warning" not in err


def test_a_log_with_little_chance_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    """Few effective decisions, and picks that mostly had no chance, are said plainly."""
    rare = [an_entry("a", propensity=0.99)] * 97 + [an_entry("b", propensity=0.01)] * 3
    _, err = report(rare, [taking("b")] * 100, capsys)
    assert "rest on 3 effective decisions of 100: little overlap" in err
    mixed = [an_entry("a")] * 50 + [an_entry("b", propensity=0.5)] * 50
    out, err = report(mixed, [taking("b")] * 100, capsys)
    assert "50% of its picks had no chance in this log" in err
    assert "the reward model for 50%, else both" in out


def test_quantities() -> None:
    """Durations read as people say them, to either side of nothing and without end."""
    said = [words.seconds(value) for value in (None, 0.0, 0.001, 0.25, 4.26, 75.0, -75.0, math.inf)]
    assert said == ["-", "0 s", "<0.01 s", "0.25 s", "4.3 s", "1 min 15 s", "-1 min 15 s", "never"]


def test_many_moves_and_no_rewards(capsys: pytest.CaptureFixture[str]) -> None:
    """Only the greatest moves are shown, and where nothing became known no reward is."""
    among = candidates({f"m{number}": 1.0 for number in range(13)})
    log = [an_entry(f"m{number}", seconds=None, among=among) for number in range(12)]
    out, err = report(log, [taking("m12")] * 12, capsys)
    assert sum(line.split()[1:2] == ["m12"] for line in out.splitlines()) == 10
    assert "and 2 more pairs" in err
    assert "no reward can be estimated" in err
