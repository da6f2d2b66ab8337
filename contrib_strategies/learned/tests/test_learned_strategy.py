"""The choice: expected score less the price of the seconds, and silence where it knows too little."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, cast

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from turnout_learned import Learned, LearnedSettings
from turnout_learned.fitted import Fitted
from turnout_learned.names import by_name, column_of, plain

from turnout import (
    Candidate,
    Config,
    ConfigError,
    Deployment,
    Estimate,
    Host,
    ModelInfo,
    ModelRequest,
    ModelSelection,
    Operation,
)
from turnout.loading import build

HOST = Host("desk", "http://desk.local:1234", "lmstudio")
VERSE = ModelRequest("write a sonnet with a metaphor on the autumn moon")
SUMS = ModelRequest("add and divide the total by a fraction, then multiply the number")


def candidate(model: str, seconds: float = 1.0) -> Candidate:
    """Make a candidate that is predicted to need so many seconds."""
    info = ModelInfo(model)
    deployment = Deployment(info, HOST)
    return Candidate(info, (deployment,), {deployment: Estimate(0.0, 0.0, queue_seconds=seconds)})


BOTH = (candidate("acme/bard"), candidate("acme/abacus"))


class Choose(Protocol):
    """Asks a strategy that knows the fitted models."""

    def __call__(
        self, request: ModelRequest, candidates: Sequence[Candidate] = BOTH, **settings: float
    ) -> ModelSelection | None:
        """Ask it with these settings."""


@pytest.fixture(name="ask")
def _ask(fitted: Fitted) -> Choose:
    def ask(
        request: ModelRequest, candidates: Sequence[Candidate] = BOTH, **settings: float
    ) -> ModelSelection | None:
        plugin = build("learned", Learned, Config(tables={"learned": dict(settings)}))
        assert isinstance(plugin, Learned)
        plugin.use(fitted)
        return plugin.select_model(request, candidates)

    return ask


@pytest.fixture(name="choose")
def _choose(ask: Choose) -> Callable[..., ModelSelection]:
    def choose(*arguments: object, **settings: float) -> ModelSelection:
        found = cast("Callable[..., ModelSelection | None]", ask)(*arguments, **settings)
        assert found is not None
        return found

    return choose


def test_each_prompt_gets_its_specialist(choose: Callable[..., ModelSelection]) -> None:
    """The model that is expected to score best is chosen, the other follows, and the reason names both."""
    verse, sums = choose(VERSE), choose(SUMS)
    assert (verse.model, verse.ranking) == ("acme/bard", ("acme/abacus",))
    assert (sums.model, sums.ranking) == ("acme/abacus", ("acme/bard",))
    assert verse.reason.startswith("expected to score 0.")
    assert "next is acme/abacus with 0." in verse.reason
    assert verse.estimated_duration == 1.0


def test_seconds_have_a_price(choose: Callable[..., ModelSelection]) -> None:
    """A specialist that takes much longer is chosen only where a second costs little."""
    slow = (candidate("acme/bard", 400.0), candidate("acme/steady", 1.0))
    assert choose(VERSE, slow, time_weight=0.0001).model == "acme/bard"
    assert choose(VERSE, slow, time_weight=0.01).model == "acme/steady"


def test_seconds_can_be_free(choose: Callable[..., ModelSelection]) -> None:
    """At the weight 0 a model that takes forever is judged by its score, and its duration is not known."""
    forever = (candidate("acme/bard", math.inf), candidate("acme/steady"))
    found = choose(VERSE, forever, time_weight=0.0)
    assert (found.model, found.estimated_duration) == ("acme/bard", None)
    assert choose(VERSE, forever).model == "acme/steady"


def test_an_unknown_model_is_taken_to_be_ordinary(choose: Callable[..., ModelSelection]) -> None:
    """A model that was never scored ranks between one that is good at it and one that is bad."""
    found = choose(VERSE, (*BOTH, candidate("new/comer")))
    assert (found.model, found.ranking) == ("acme/bard", ("new/comer", "acme/abacus"))
    assert "never scored" in found.reason


def test_it_abstains_where_it_knows_too_little(ask: Choose) -> None:
    """With fewer than two models that it knows, counting copies of one once, it leaves the word to others."""
    assert ask(VERSE, ()) is None
    assert ask(VERSE, (candidate("acme/bard"), candidate("new/comer"))) is None
    assert ask(VERSE, (candidate("acme/bard"), candidate("other/Bard@q4"))) is None


def test_it_abstains_where_nothing_is_at_stake(ask: Choose) -> None:
    """Candidates whose expected scores differ by less than min_gain are for others to choose among."""
    assert ask(VERSE, min_gain=0.99) is None


@pytest.mark.parametrize(
    "request_",
    [evolve(VERSE, prefer_fast=True), ModelRequest(" "), ModelRequest("hi", operation=Operation.EMBEDDINGS)],
)
def test_it_abstains_where_quality_is_not_the_question(ask: Choose, request_: ModelRequest) -> None:
    """A request for speed, for vectors, or for nothing is not for it."""
    assert ask(request_) is None


def test_without_a_fitted_file_it_abstains() -> None:
    """Before anything was fitted it says nothing."""
    assert Learned().select_model(VERSE, BOTH) is None


@pytest.mark.anyio
async def test_the_file_is_read_at_the_start(fitted: Fitted, tmp_path: Path) -> None:
    """What was saved is used after the start, and the plugin says so."""
    path = tmp_path / "mine.npz"
    fitted.save(path)
    plugin = build("learned", Learned, Config(tables={"learned": {"path": str(path)}}))
    assert isinstance(plugin, Learned)
    assert plugin.report_stats() == {"path": str(path), "fitted": False, "models": []}
    work = plugin.startup()
    assert work is not None
    await work
    assert plugin.report_stats() == {"path": str(path), "fitted": True, "models": list(fitted.models)}
    found = plugin.select_model(VERSE, BOTH)
    assert found is not None
    assert found.model == "acme/bard"
    assert plugin.startup() is None


@pytest.mark.anyio
async def test_a_missing_file_is_no_error_and_a_broken_one_is(tmp_path: Path) -> None:
    """Who has fitted nothing yet is left in peace, and who has a broken file hears of it."""
    plugin = Learned(LearnedSettings(tmp_path / "learned.npz"))
    work = plugin.startup()
    assert work is not None
    await work
    assert plugin.select_model(VERSE, BOTH) is None
    (tmp_path / "learned.npz").write_text("prompt")
    again = plugin.startup()
    assert again is not None
    with pytest.raises(ConfigError, match=r"learned\.npz"):
        await again


@pytest.mark.parametrize("wrong", [{"time_weight": -1.0}, {"time_weight": math.inf}, {"min_gain": -0.1}])
def test_settings_are_checked(wrong: dict[str, float]) -> None:
    """Weights and gains are numbers from 0 on."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        build("learned", Learned, Config(tables={"learned": dict(wrong)}))


def test_names_are_matched_exactly_before_plainly() -> None:
    """Publisher, variant and copy do not matter, unless two fitted models differ in nothing else."""
    known = by_name(["acme/Owl", "Qwen2-7b", "other/owl"])
    assert plain("Acme/Owl@q8_0:2") == "owl"
    assert column_of("qwen/qwen2-7B@q4", known) == 1
    assert column_of("other/owl", known) == 2
    assert column_of("third/owl", known) is None


@given(st.permutations(["acme/bard", "acme/abacus", "acme/steady", "new/comer"]))
def test_the_order_of_the_candidates_does_not_matter(fitted: Fitted, names: list[str]) -> None:
    """Whoever comes first, the choice is the same."""
    plugin = Learned()
    plugin.use(fitted)
    found = plugin.select_model(SUMS, [candidate(name) for name in names])
    assert found is not None
    assert found.model == "acme/abacus"
