"""How well each model does what, added up from results and ratings; old ones fade."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import TypeAlias

from attrs import frozen

from turnout.fleet import Deployment
from turnout.skills import Assessment, Quality, Skill
from turnout_calibration.results import Place, Rating, Result

Assessments: TypeAlias = Mapping[str, Assessment]
Facts: TypeAlias = tuple[tuple[str, frozenset[tuple[str, str]]], ...]
"""The models that something is known of, each with the hosts and quantisations in question."""

FRESH_SECONDS = 6 * 3600.0
"""How long a mapping stands as it is: results that fade over months do not change in hours."""
_MOST_KEPT = 64
_NOTHING: Assessments = MappingProxyType({})


@frozen
class Fading:
    """How much a trial counts: half after ``half_life`` seconds, and of own prompts ``own`` times."""

    half_life: float
    own: float = 1.0

    def of(self, age: float) -> float:
        """Return what is left after *age* seconds; the clock may have been set back."""
        return float(0.5 ** (max(age, 0.0) / self.half_life))


class Evidence:
    """The newest result of each task and place, and all ratings; answers ``assess_models``."""

    def __init__(self, fading: Fading) -> None:
        self._fading = fading
        self._results: dict[str, dict[tuple[Place, str], Result]] = {}
        self._ratings: dict[str, dict[str, Rating]] = {}
        self._asked: Mapping[str, Sequence[Deployment]] | None = None
        self._answer = _NOTHING
        self._by_deployments: dict[tuple[Deployment, ...], Assessments] = {}
        self._by_facts: dict[Facts, Assessments] = {}
        self._stale_at = 0.0

    def add(self, result: Result) -> None:
        """Take a result, in place of an older one of the same task and place; a failure says nothing."""
        if result.outcome != "failed":
            self._results.setdefault(result.model, {})[result.place, result.fingerprint] = result
            self._forget()

    def rate(self, rating: Rating) -> None:
        """Take a rating, in place of an older one of the same request."""
        for rated in self._ratings.values():
            rated.pop(rating.request, None)
        self._ratings.setdefault(rating.model, {})[rating.request] = rating
        self._forget()

    def newest(self, place: Place, fingerprint: str) -> Result | None:
        """Return the newest result of a task at a place; None where there is none."""
        return self._results.get(place[1], {}).get((place, fingerprint))

    def results(self) -> Iterator[Result]:
        """Yield the newest results."""
        return chain.from_iterable(found.values() for found in self._results.values())

    def _forget(self) -> None:
        self._asked, self._stale_at = None, 0.0
        self._by_deployments.clear()
        self._by_facts.clear()

    # --- assess_models --------------------------------------------------------------------------------

    def assess(self, models: Mapping[str, Sequence[Deployment]], at: float) -> Assessments:
        """Return what is known of *models* at *at*; the same mapping while nothing is new."""
        if at >= self._stale_at:
            self._forget()
            self._stale_at = at + FRESH_SECONDS
        if models is self._asked:
            return self._answer
        deployments = tuple(chain.from_iterable(models.values()))
        found = self._by_deployments.get(deployments)
        if found is None:
            if len(self._by_deployments) >= _MOST_KEPT:
                self._by_deployments.clear()
            found = self._by_deployments[deployments] = self._of(models, at)
        self._asked, self._answer = models, found
        return found

    def _of(self, models: Mapping[str, Sequence[Deployment]], at: float) -> Assessments:
        """Return the mapping; another look at the same fleet has other deployments, and gets the same one."""
        facts = tuple(
            (model, frozenset((d.host.name, d.info.quantization or "") for d in group))
            for model, group in models.items()
            if model in self._results or model in self._ratings
        )
        if facts not in self._by_facts:
            if len(self._by_facts) >= _MOST_KEPT:
                self._by_facts.clear()
            made = {model: self._assessment(model, places, at) for model, places in facts}
            self._by_facts[facts] = MappingProxyType({model: one for model, one in made.items() if one})
        return self._by_facts[facts]

    def _assessment(self, model: str, places: frozenset[tuple[str, str]], at: float) -> Assessment:
        sums: dict[Skill, tuple[float, float]] = {}
        for score, skills in chain(self._tasks(model, places, at), self._rated(model, at)):
            for skill, weight in skills.items():
                points, total = sums.get(skill, (0.0, 0.0))
                sums[skill] = points + weight * score, total + weight
        return {skill: _quality(points, total) for skill, (points, total) in sums.items() if total > 0}

    def _rated(self, model: str, at: float) -> Iterator[tuple[float, Mapping[Skill, float]]]:
        for rating in self._ratings.get(model, {}).values():
            yield rating.score, {rating.skill: self._fading.of(at - rating.at)}

    def _tasks(
        self, model: str, places: frozenset[tuple[str, str]], at: float
    ) -> Iterator[tuple[float, Mapping[Skill, float]]]:
        """Yield each task once, with its mean score over the places; three hosts are not three trials."""
        by_task: dict[str, list[Result]] = {}
        for result in self._relevant(model, places):
            by_task.setdefault(result.fingerprint, []).append(result)
        for found in by_task.values():
            yield self._mean(found, at)

    def _relevant(self, model: str, places: frozenset[tuple[str, str]]) -> Sequence[Result]:
        """Return the results of *places*; where there are none, those of the same quantisation elsewhere."""
        scored = [one for one in self._results.get(model, {}).values() if one.outcome == "scored"]
        here = [one for one in scored if (one.host, one.quantization) in places]
        kinds = {quantization for _, quantization in places}
        return here or [one for one in scored if one.quantization in kinds]

    def _mean(self, found: Sequence[Result], at: float) -> tuple[float, Mapping[Skill, float]]:
        fresh = [self._fading.of(at - one.at) for one in found]
        points = sum(one.score * weight for one, weight in zip(found, fresh, strict=True))
        score = points / sum(fresh) if any(fresh) else 0.0
        worth = max(fresh) * (self._fading.own if found[0].source == "prompt" else 1.0)
        return score, {skill: weight * worth for skill, weight in found[0].skills.items()}

    # --- reports --------------------------------------------------------------------------------------

    def of_place(self, place: Place, at: float) -> Assessment:
        """Return what the results of one place alone say, without ratings."""
        sums: dict[Skill, list[float]] = {}
        for result in self.at_place(place):
            score, skills = self._mean([result], at)
            for skill, weight in skills.items():
                points = sums.setdefault(skill, [0.0, 0.0])
                points[0] += weight * score
                points[1] += weight
        return {skill: _quality(points, total) for skill, (points, total) in sums.items() if total > 0}

    def at_place(self, place: Place) -> list[Result]:
        """Return the scored results of one place."""
        found = self._results.get(place[1], {}).values()
        return [one for one in found if one.place == place and one.outcome == "scored"]

    def places(self) -> Iterable[Place]:
        """Return every place that has results, in order."""
        return sorted({result.place for result in self.results()})


def _quality(points: float, total: float) -> Quality:
    return Quality(min(max(points / total, 0.0), 1.0), total)
