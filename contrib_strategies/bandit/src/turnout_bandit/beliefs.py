"""What has been learned of each model at each kind of work, the recent weighing more.

Discounted Thompson sampling keeps decayed sums of rewards and of their complements for each arm (V. Raj and
S. Kalyani, "Taming non-stationary bandits: a Bayesian approach", arXiv:1707.09727). With a discount of 0.99
the last hundred answers count; an arm that is not chosen falls back to its prior, and is tried again.
"""

import math
from collections import OrderedDict, defaultdict
from collections.abc import Iterable

from attrs import define, evolve, field, frozen

from turnout_bandit.reward import Outcome, reward
from turnout_bandit.settings import BanditSettings

RATEABLE = 4096
"""Answers that may still be rated, the newest."""
SECONDS_PER_DAY = 86_400.0


@frozen
class Evidence:
    """Decayed sums of rewards (``good``) and of what was missing to 1 (``bad``)."""

    good: float = 0.0
    bad: float = 0.0

    @property
    def answers(self) -> float:
        """The decayed number of answers."""
        return self.good + self.bad

    @property
    def mean(self) -> float | None:
        """The mean reward; None where there is no evidence."""
        return self.good / self.answers if self.answers > 0.0 else None


NOTHING = Evidence()


@define
class Task:
    """One kind of work: its arms, the time of the newest answer, and the log of all decay so far."""

    arms: dict[str, Evidence] = field(factory=dict)
    at: float = -math.inf
    decay: float = 0.0

    def age(self, factor: float) -> None:
        """Let all evidence weigh *factor* times as much."""
        self.arms = {m: Evidence(e.good * factor, e.bad * factor) for m, e in self.arms.items()}
        self.decay += math.log(factor)

    def add(self, model: str, good: float, bad: float) -> None:
        """Add to the evidence of one arm; what a change takes away was there."""
        known = self.arms.get(model, NOTHING)
        self.arms[model] = Evidence(max(known.good + good, 0.0), max(known.bad + bad, 0.0))


@frozen
class Rateable:
    """An answer that is in the sums, and the log of the decay before it."""

    outcome: Outcome
    decay: float


class Beliefs:
    """All kinds of work. It changes only when something is observed, rated, or aged."""

    def __init__(self, settings: BanditSettings, history: Iterable[Outcome] = ()) -> None:
        self._settings = settings
        self._half_life = settings.half_life_days * SECONDS_PER_DAY
        self._rateable: OrderedDict[str, Rateable] = OrderedDict()
        self.tasks: defaultdict[str, Task] = defaultdict(Task)
        for outcome in history:
            self.observe(outcome)

    def evidence(self, task: str, model: str) -> Evidence:
        """Return what is known of *model* at *task*."""
        known = self.tasks.get(task)
        return NOTHING if known is None else known.arms.get(model, NOTHING)

    def observe(self, outcome: Outcome) -> None:
        """Learn from one answer: older ones of its kind of work lose weight."""
        task = self.tasks[outcome.task]
        task.age(self._settings.discount * self._fading(task, outcome.at))
        task.at = max(task.at, outcome.at)
        earned = reward(outcome, self._settings)
        task.add(outcome.model, earned, 1.0 - earned)
        if outcome.success:
            self._rateable[outcome.request_id] = Rateable(outcome, task.decay)
            while len(self._rateable) > RATEABLE:
                self._rateable.popitem(last=False)

    def rate(self, request_id: str, rating: float, model: str = "") -> None:
        """Count an answer again as it was rated, with the weight that it has by now."""
        known = self._rateable.get(request_id)
        if known is None or model not in ("", known.outcome.model):
            return
        rated = evolve(known.outcome, rating=rating)
        change = reward(rated, self._settings) - reward(known.outcome, self._settings)
        task = self.tasks[rated.task]
        weight = math.exp(task.decay - known.decay)
        task.add(rated.model, change * weight, -change * weight)
        self._rateable[request_id] = evolve(known, outcome=rated)

    def age(self, now: float) -> None:
        """Let evidence lose the weight of the time until *now*, in seconds since the epoch."""
        for task in self.tasks.values():
            task.age(self._fading(task, now))
            task.at = max(task.at, now)

    def _fading(self, task: Task, at: float) -> float:
        """Return the factor of the time from the newest answer to *at*; never 0, so that it has a log."""
        passed = max(at - task.at, 0.0)
        return max(0.5 ** (passed / self._half_life), 1e-12) if math.isfinite(passed) else 1.0
