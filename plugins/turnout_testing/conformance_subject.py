"""The strategy under test: called as the core calls it, with an answer that says how it went."""

import inspect
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from attrs import field, frozen

from turnout import Candidate, ModelRequest, ModelSelection, NoSuitableModelError, PluginError
from turnout.plugins import Plugins

Outcome: TypeAlias = Literal["selected", "abstained", "declined", "late", "failed"]
NAME = "strategy"


@frozen
class Answer:
    """What a strategy said; ``words`` tell of an answer that is no selection."""

    outcome: Outcome
    selection: ModelSelection | None = None
    words: str = ""

    def __str__(self) -> str:
        if self.selection is None:
            return f"it {self.outcome} {self.words}".rstrip()
        ranking = f", then {', '.join(map(str, self.selection.ranking))}" if self.selection.ranking else ""
        return f"it selected {self.selection.model}{ranking} ({self.selection.reason})"


@frozen(eq=False)
class Subject:
    """One instance of the strategy, and what its test says of it; ``twin`` is another instance."""

    ask: Callable[..., object]
    declines: tuple[type[Exception], ...] = (NoSuitableModelError,)
    uses_chance: bool = False
    reads_clock: bool = False
    ignores: tuple[str, ...] = ()
    twin: "Subject | None" = field(default=None, kw_only=True)

    def answer(self, request: ModelRequest, candidates: Sequence[Candidate]) -> Answer:
        """Ask it; whatever it does is an answer."""
        try:
            given = self.ask(request=request, candidates=candidates)
        except self.declines as declined:
            return Answer("declined", words=f"with {type(declined).__name__}: {declined}")
        except Exception as error:  # noqa: BLE001  the plugin boundary
            return Answer("failed", words=f"with {type(error).__name__}: {error}")
        if given is None:
            return Answer("abstained")
        if isinstance(given, ModelSelection):
            return Answer("selected", given)
        if inspect.isawaitable(given) or inspect.isgenerator(given) or inspect.isasyncgen(given):
            _close(given)
            return Answer("late", words=f"with a {type(given).__name__}")
        return Answer("failed", words=f"with {given!r}, which is no ModelSelection")


def _close(given: object) -> None:
    """End a coroutine, so that only the rule complains that nobody awaits it."""
    close = getattr(given, "close", None)
    if callable(close):
        close()


def registered(plugin: object) -> Callable[..., object]:
    """Return what asks *plugin* as the core would; raises ``AssertionError`` where it is no strategy."""
    plugins = Plugins()
    try:
        plugins.add(NAME, plugin)
    except PluginError as error:
        message = f"Rule: It registers as a plugin.\nBut: {error}"
        raise AssertionError(message) from error
    if not plugins.strategies:
        message = "Rule: It registers as a plugin.\nBut: it has no hook select_model marked with @hookimpl."
        raise AssertionError(message)
    return plugins.strategies[0][1]
