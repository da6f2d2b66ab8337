"""The rules that every strategy keeps, as tests that a class inherits."""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from attrs import evolve

from turnout import JSON, Candidate, Config, ModelRequest, NoSuitableModelError
from turnout.loading import build
from turnout_testing import conformance_rules as rules
from turnout_testing.conformance_cost import crowd, reference, seconds
from turnout_testing.conformance_subject import NAME, Subject, registered
from turnout_testing.example import World

IGNORED = ("client", "priority", "seed", "streaming", "timeout")
"""What bears on no choice: it says who asks, how urgently, and how the answer is written and sent."""
FEW = 8
"""The examples of the rule that asks hundreds of times for each."""
WORST_GROWTH = 10.0
"""Of a fourfold: sorting grows to 5, comparing all with all to 16."""


class StrategyConformance:
    """Tests that a strategy keeps the rules. Subclass it, and say which strategy::

        class TestMine(StrategyConformance):
            strategy = turnout_mine

    ``strategy`` is a module, an instance, or a class, which is made with the table ``settings``; or override
    :meth:`make`. ``uses_chance`` says that it may choose differently for another request id.
    ``reads_clock`` allows it the time. ``declines`` are the errors by which it declines. ``ignores`` names
    the fields of a request that must not matter to it. ``max_cost`` bounds its CPU time for 50 candidates,
    in multiples of predicting and sorting them. ``examples`` is how many worlds each rule is tried in.
    """

    strategy: object
    settings: Mapping[str, JSON] = MappingProxyType({})
    uses_chance: bool = False
    reads_clock: bool = False
    declines: tuple[type[Exception], ...] = (NoSuitableModelError,)
    ignores: tuple[str, ...] = IGNORED
    max_cost: float = 25.0
    examples: int = 50

    def make(self) -> object:
        """Return the plugin, a new one each time where that is possible."""
        return build(NAME, self.strategy, Config(tables={NAME: dict(self.settings)}))

    def needs(self, request: ModelRequest, candidates: Sequence[Candidate]) -> ModelRequest:
        """Return *request* changed into one that the strategy answers, such as one with a task type.

        Half of the requests of each rule are so changed. There is at least one candidate.
        """
        del candidates
        return request

    # --- what it is -----------------------------------------------------------------------------------

    def test_it_registers(self) -> None:
        """It registers as a plugin, without a warning."""
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            registered(self.make())
        _check("It registers as a plugin, without a warning.", "; ".join(str(one.message) for one in seen))

    def test_it_is_synchronous(self) -> None:
        """It returns its answer, not a coroutine or a generator that would."""
        function = getattr(self.make(), "select_model", None)
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            _check(rules.words_of(rules.answers_at_once), "select_model is an async def")
        self._hold(rules.answers_at_once)

    def test_it_chooses_at_all(self) -> None:
        """It chooses a model in some world, so that the other rules are rules about something."""
        from turnout_testing.conformance_trial import choose_at_all

        rule = "It chooses in some world. Say with `needs` which requests it answers."
        _check(rule, choose_at_all(self._subject(), self._needed, self.examples))

    # --- what it answers ------------------------------------------------------------------------------

    def test_it_answers_whatever_it_is_asked(self) -> None:
        """It chooses, abstains or declines, and raises nothing else."""
        self._hold(rules.answers)

    def test_it_needs_no_candidates(self) -> None:
        """It abstains or declines where there is nobody."""
        self._hold(rules.chooses_nobody, "empty_worlds")

    def test_it_chooses_among_the_candidates(self) -> None:
        """It chooses a candidate and ranks others, each once."""
        self._hold(rules.chooses_a_candidate)

    def test_it_gives_a_reason(self) -> None:
        """Its reason is a line for people."""
        self._hold(rules.gives_a_reason)

    def test_it_survives_missing_data(self) -> None:
        """It gets by with no estimates, no assessments, no signals, no facts, and with absurd numbers."""
        self._hold(rules.survives_missing_data, "odd_worlds")

    # --- what it depends on ---------------------------------------------------------------------------

    def test_it_repeats_itself(self) -> None:
        """The same question gets the same answer."""
        self._hold(rules.repeats_itself)

    def test_it_ignores_the_order(self) -> None:
        """The order of the candidates and of their deployments does not matter."""
        self._hold(rules.ignores_the_order)

    def test_it_ignores_what_it_must(self) -> None:
        """What bears on no choice does not matter, nor the request's id where no chance is used."""
        self._hold(rules.ignores_what_it_must)

    def test_it_reads_no_clock(self) -> None:
        """The time does not matter."""
        self._hold(rules.reads_no_clock)

    def test_it_draws_from_the_request(self) -> None:
        """Chance comes from the request alone."""
        self._hold(rules.draws_from_the_request)

    def test_it_never_waits(self) -> None:
        """It does no input or output."""
        self._hold(rules.never_waits)

    def test_it_changes_nothing(self) -> None:
        """Its arguments stay as they are."""
        self._hold(rules.changes_nothing)

    # --- chance ---------------------------------------------------------------------------------------

    def test_it_says_how_certain_it_is(self) -> None:
        """Its propensity is a probability, and 1 where no chance is used."""
        self._hold(rules.is_certain)

    def test_it_is_honest_of_its_chance(self) -> None:
        """It chooses a model as often as its propensity says."""
        if self.uses_chance:
            self._hold(rules.is_honest_of_its_chance, examples=FEW)

    # --- what it costs --------------------------------------------------------------------------------

    def test_it_is_fast(self) -> None:
        """Fifty candidates take no more CPU time than ``max_cost`` times a plain loop over them."""
        world = crowd(50)
        own, plain = seconds(self._asking(world), partial(reference, world))
        but = f"it took {own / plain:.1f} times as long: {own * 1e6:.0f} µs of CPU time"
        rule = f"50 candidates take at most {self.max_cost:g} times as long as predicting and sorting them."
        _check(rule, but if own > self.max_cost * plain else "")

    def test_it_scales(self) -> None:
        """Four times the deployments take about four times as long, up to 2,000 of them."""
        few, many = (self._asking(crowd(models, hosts=4)) for models in (125, 500))
        small, large = seconds(few, many)
        but = f"500 take {small * 1e3:.2f} ms of CPU time, and 2,000 take {large * 1e3:.2f} ms"
        rule = "2,000 deployments take about four times as long as 500."
        _check(rule, but if large > WORST_GROWTH * small else "")

    # --- how it is tried ------------------------------------------------------------------------------

    def _hold(self, rule: rules.Rule, kind: str = "worlds", examples: int = 0) -> None:
        __tracebackhide__ = True
        from turnout_testing.conformance_trial import hold

        hold(rule, self._subject(), kind, self._needed, examples or self.examples)

    def _subject(self) -> Subject:
        ignores = self.ignores if self.uses_chance else (*self.ignores, "id")
        twin = Subject(registered(self.make()), self.declines)
        return Subject(
            registered(self.make()), self.declines, self.uses_chance, self.reads_clock, ignores, twin=twin
        )

    def _asking(self, world: World) -> Callable[[], object]:
        needed = self._needed(world)
        return partial(self._subject().answer, needed.request, needed.candidates)

    def _needed(self, world: World) -> World:
        if not world.candidates:
            return world
        return evolve(world, request=self.needs(world.request, world.candidates))


def _check(rule: str, but: str) -> None:
    __tracebackhide__ = True
    if but:
        message = f"Rule: {rule}\nBut: {but}"
        raise AssertionError(message)
