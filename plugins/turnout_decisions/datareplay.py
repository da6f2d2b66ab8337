"""Strategies over a file of scored prompts: every answer's score is known, so nothing is estimated."""

from collections import Counter
from collections.abc import Mapping, Sequence

from attrs import evolve, frozen

from turnout.config import Config
from turnout.fleet import Candidate, Deployment, Host, Instance, ModelInfo, by_model
from turnout.plugins import Plugins
from turnout.selection import prepare
from turnout.types import ModelRequest
from turnout_decisions.datafile import DataFile, Scored
from turnout_decisions.estimators import bootstrap, mean
from turnout_decisions.offpolicy import Estimated
from turnout_decisions.policies import Pick

HOST = Host("data", "data:", "data")


@frozen
class Played:
    """How a strategy scored: its mean, and by how much that differs from the best single model's.

    ``outcomes`` counts what it said, ``picked`` its picks by model.
    """

    strategy: str
    score: Estimated
    difference: Estimated
    outcomes: Counter[str]
    picked: Counter[str]


@frozen
class Pair:
    """By how much a strategy scores more than another, on the same rows."""

    strategy: str
    other: str
    difference: Estimated


@frozen
class Bounds:
    """What a file allows: a pick at random, the best single model in hindsight, and the best of each row."""

    random: float
    best: str
    best_score: float
    oracle: float


def deployments_of(data: DataFile) -> tuple[Deployment, ...]:
    """Return the file's models as deployments on one host, all of them loaded."""
    return tuple(Deployment(ModelInfo(model), HOST, (Instance(model),)) for model in data.models)


async def prepared(plugins: Plugins, config: Config, file: str, row: Scored) -> ModelRequest:
    """Return the request of a row, with the signals of the installed plugins and no default model."""
    free = evolve(config, selection=evolve(config.selection, default_model=None))
    return await prepare(plugins, ModelRequest(row.prompt, id=f"{file}:{row.id}"), free)


def candidates_for(
    plugins: Plugins, request: ModelRequest, deployments: Sequence[Deployment]
) -> tuple[Candidate, ...]:
    """Return the candidates, with what the installed plugins expect and know of them."""
    groups = by_model(deployments)
    estimates, assessments = plugins.estimate(request, deployments), plugins.assess_models(request, groups)
    return tuple(Candidate(group[0].info, group, estimates, assessments) for group in groups.values())


def bounds(rows: Sequence[Scored]) -> Bounds:
    """Return what can be had from *rows* without and with hindsight."""
    means = {model: mean([row.scores[model] for row in rows]) for model in rows[0].scores}
    best = max(means, key=lambda model: means[model])
    oracle = mean([max(row.scores.values()) for row in rows])
    return Bounds(mean(list(means.values())), best, means[best], oracle)


def scored(strategy: str, rows: Sequence[Scored], picks: Sequence[Pick], *, seed: int = 0) -> Played:
    """Score *picks*, one for each of *rows*, with 95 % intervals over redrawn rows.

    Where a strategy chose nothing, it scores as a pick at random would.
    """
    scores = scores_of(rows, picks)
    best = bounds(rows).best
    differences = [score - row.scores[best] for score, row in zip(scores, rows, strict=True)]
    return Played(
        strategy,
        _estimated(scores, seed),
        _estimated(differences, seed),
        Counter(made.outcome for made in picks),
        Counter(made.model for made in picks if made.model is not None),
    )


def scores_of(rows: Sequence[Scored], picks: Sequence[Pick]) -> list[float]:
    """Return the score of each pick."""
    return [_score(row, made.model) for row, made in zip(rows, picks, strict=True)]


def _score(row: Scored, model: str | None) -> float:
    return mean(list(row.scores.values())) if model is None else row.scores[model]


def pairs(
    rows: Sequence[Scored], picks: Mapping[str, Sequence[Pick]], *, seed: int = 0
) -> tuple[Pair, ...]:
    """Compare every strategy after the first with the first, row by row."""
    (first, one), *others = ((name, scores_of(rows, made)) for name, made in picks.items())
    return tuple(
        Pair(name, first, _estimated([a - b for a, b in zip(scores, one, strict=True)], seed))
        for name, scores in others
    )


def _estimated(values: Sequence[float], seed: int) -> Estimated:
    return Estimated(mean(values), bootstrap(values, seed=seed))
