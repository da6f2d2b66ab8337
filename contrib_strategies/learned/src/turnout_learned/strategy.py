"""The strategy: the candidate that is expected to answer this prompt best, less the price of its seconds."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import frozen
from loguru import logger

from turnout import JSON, Candidate, ModelRequest, ModelSelection, Operation, hookimpl
from turnout_learned.commands import add_to
from turnout_learned.names import by_name, column_of
from turnout_learned.settings import LearnedSettings, place

if TYPE_CHECKING:
    import click

    from turnout_learned.fitted import Fitted

_DEFAULTS = LearnedSettings()


@frozen
class Option:
    """A candidate as this strategy sees it; ``known`` is false where the score is the others' mean."""

    model: str
    score: float
    seconds: float
    known: bool

    def value(self, time_weight: float) -> float:
        """Return the expected score less the price of the seconds; a weight of 0 makes them free."""
        return self.score - time_weight * self.seconds if time_weight else self.score


class Learned:
    """Chooses by expected score, fitted on prompts × model scores. Without a fitted file it abstains."""

    def __init__(self, settings: LearnedSettings = _DEFAULTS) -> None:
        self._settings = settings
        self._path = place(settings)
        self._fitted: Fitted | None = None
        self._columns: Mapping[str, int] = {}

    def use(self, fitted: Fitted) -> None:
        """Choose by *fitted* from now on, and read no file at the start."""
        self._fitted, self._columns = fitted, by_name(fitted.models)

    @hookimpl(optionalhook=True)
    def register_commands(self, cli: click.Group) -> None:
        """Add ``turnout learned fit`` and ``turnout learned show``."""
        add_to(cli, self._path)

    @hookimpl
    def startup(self) -> Awaitable[None] | None:
        """Read the fitted file in a thread, once; where it is broken, the plugin is left out by name."""
        return self._load() if self._fitted is None else None

    async def _load(self) -> None:
        fitted = await asyncio.to_thread(self._read)
        if fitted is not None:
            self.use(fitted)

    def _read(self) -> Fitted | None:
        if not self._path.exists():
            logger.info("learned: nothing was fitted yet, there is no {}", self._path)
            return None
        from turnout_learned.fitted import load

        return load(self._path)

    @hookimpl
    def select_model(
        self, request: ModelRequest, candidates: Sequence[Candidate]
    ) -> ModelSelection | None:
        """Choose the best value.

        Abstain without a fitted file, where it knows fewer than two of the candidates, where they are
        expected to be about as good, and where the request asks for speed or for no answer in words.
        """
        fitted = self._fitted
        if fitted is None or request.operation is not Operation.CHAT or request.prefer_fast:
            return None
        columns = {c.id: column_of(c.id, self._columns) for c in candidates}
        known = {model: column for model, column in columns.items() if column is not None}
        if len(set(known.values())) < 2 or not request.text.strip():
            return None
        scores = fitted.expect(request.text).tolist()
        expected = {model: scores[column] for model, column in known.items()}
        if max(expected.values()) - min(expected.values()) < self._settings.min_gain:
            return None
        return self._chosen(_options(request, candidates, expected))

    def _chosen(self, options: Sequence[Option]) -> ModelSelection:
        weight = self._settings.time_weight
        best, *others = sorted(options, key=lambda o: (-o.value(weight), -o.score, o.model))
        return ModelSelection(
            best.model,
            _reason(best, others),
            [option.model for option in others],
            estimated_duration=best.seconds if best.seconds < math.inf else None,
        )

    @hookimpl
    def report_stats(self) -> Mapping[str, JSON]:
        """Say which file is used, and which models it knows."""
        models: list[JSON] = [] if self._fitted is None else list(self._fitted.models)
        return {"path": str(self._path), "fitted": self._fitted is not None, "models": models}


def _options(
    request: ModelRequest, candidates: Sequence[Candidate], expected: Mapping[str, float]
) -> list[Option]:
    """Return all candidates; one that was never scored is taken to be like the others: unknown is not bad."""
    mean = math.fsum(expected.values()) / len(expected)
    prompt, output = request.signals.prompt_tokens or 0, request.signals.output_tokens or 0
    return [
        Option(
            c.id,
            expected.get(c.id, mean),
            _sensible(c.completion_seconds(prompt, output)),
            c.id in expected,
        )
        for c in candidates
    ]


def _sensible(seconds: float) -> float:
    return max(seconds, 0.0) if seconds < math.inf else math.inf  # NaN is infinite too


def _reason(best: Option, others: Sequence[Option]) -> str:
    return f"expected to score {_words(best)}; next is {others[0].model} with {_words(others[0])}"


def _words(option: Option) -> str:
    score = f"{option.score:.2f}" if option.known else f"{option.score:.2f} (never scored, the others' mean)"
    return f"{score} in about {option.seconds:.1f} s" if option.seconds < math.inf else score
