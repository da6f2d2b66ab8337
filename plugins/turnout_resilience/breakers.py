"""All breakers: one for each host and each model on it that has failed lately; the healthy have none."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from attrs import frozen

from turnout.fleet import Deployment
from turnout.messages import JSONObject
from turnout.types import Vetoes
from turnout_resilience.breaker import Breaker, Policy, State
from turnout_resilience.settings import ResilienceSettings
from turnout_resilience.verdict import Verdict

Key: TypeAlias = tuple[str, str]
"""(host name, model key)."""

HOST_COOLDOWN = 1.0
LONGEST_HOST_COOLDOWN = 30.0
"""A host is asked for its listing again after these: that costs it nothing."""


@frozen
class Outcome:
    """How an execution on ``key`` ended: ``who`` it was, when it began and ended, and what that says."""

    key: Key
    who: str
    began: float
    ended: float
    verdict: Verdict
    reason: str = ""


class Breakers:
    """The state of every host and deployment that is not well. Times are the loop's seconds."""

    def __init__(self, settings: ResilienceSettings) -> None:
        self._deployment = Policy(settings.failures, settings.cooldown, settings.longest_cooldown)
        longest = min(LONGEST_HOST_COOLDOWN, settings.longest_cooldown)
        self._host = Policy(settings.failures, HOST_COOLDOWN, longest)
        self._longest = settings.longest_cooldown
        self.hosts: dict[str, Breaker] = {}
        self.deployments: dict[Key, Breaker] = {}
        self._memory: set[Key] = set()
        self.last_resorts = 0

    # --- what is learned ----------------------------------------------------------------------------

    def learn(self, outcome: Outcome) -> None:
        """Take in how an execution ended."""
        (host, _), verdict = outcome.key, outcome.verdict
        if verdict is Verdict.GOOD:
            self._went_well(outcome)
        elif verdict is Verdict.NEUTRAL:
            for breaker in self._known(outcome.key):
                breaker.gave_up(outcome.who)
        elif verdict in (Verdict.HOST, Verdict.UNREACHABLE):
            breaker = self.hosts.setdefault(host, Breaker(self._host))
            at_once = verdict is Verdict.UNREACHABLE
            breaker.failed(outcome.began, outcome.ended, outcome.reason, at_once=at_once)
        else:
            breaker = self.deployments.setdefault(outcome.key, Breaker(self._deployment))
            memory = verdict is Verdict.MEMORY
            breaker.failed(outcome.began, outcome.ended, outcome.reason, at_once=memory)
            (self._memory.add if memory else self._memory.discard)(outcome.key)

    def _known(self, key: Key) -> list[Breaker]:
        found = (self.hosts.get(key[0]), self.deployments.get(key))
        return [breaker for breaker in found if breaker is not None]

    def _went_well(self, outcome: Outcome) -> None:
        host, key = outcome.key[0], outcome.key
        if (own := self.deployments.get(key)) is not None:
            own.succeeded(outcome.began)
            if own.recovered:
                del self.deployments[key]
                self._memory.discard(key)
        if (shared := self.hosts.get(host)) is not None:
            shared.succeeded(outcome.began)
            if shared.recovered:
                del self.hosts[host]

    @property
    def all_well(self) -> bool:
        """Whether nobody has failed lately."""
        return not (self.hosts or self.deployments)

    def runs(self, who: str, key: Key) -> None:
        """Learn that the request *who* runs on *key*, and so is the probe of nobody else."""
        for host, breaker in self.hosts.items():
            if host != key[0]:
                breaker.gave_up(who)
        for other, breaker in self.deployments.items():
            if other != key:
                breaker.gave_up(who)

    def listed(self, host: str, began: float) -> None:
        """Learn that a look at *host* that *began* then has found its models: a probe that loads nothing."""
        breaker = self.hosts.get(host)
        if breaker is not None and breaker.state(began) is State.HALF_OPEN:
            breaker.succeeded(began)

    # --- what follows -------------------------------------------------------------------------------

    def vetoes(self, who: str, deployments: Sequence[Deployment], now: float) -> Vetoes | None:
        """Return those that the request *who* may not have, with reasons; never all of them.

        Where every circuit is open, the least bad deployment is let through, and a note says so.
        """
        if self.all_well:
            return None
        closed = {d: reason for d in deployments if (reason := self._closed_to(who, d, now)) is not None}
        if not closed:
            return None
        if len(closed) < len(deployments):
            return Vetoes(closed)
        best = min(deployments, key=lambda d: self._badness(d, now))
        why = closed.pop(best)
        self.last_resorts += 1
        note = f"every circuit is open: {best.model} on {best.host.name} is the least bad, though {why}"
        return Vetoes(closed, note)

    def admit(self, who: str, deployments: Iterable[Deployment], now: float) -> None:
        """Make *who*, which is about to go to one of *deployments*, the probe of those that need one."""
        for deployment in deployments:
            for breaker in self._known(deployment.key):
                breaker.admit(who, now)

    def _closed_to(self, who: str, deployment: Deployment, now: float) -> str | None:
        host = self.hosts.get(deployment.host.name)
        if host is not None and not host.admits(who, now):
            return _words(host, now, "its host's circuit")
        breaker = self.deployments.get(deployment.key)
        if breaker is None:
            return None
        if not breaker.admits(who, now):
            return _words(breaker, now, "its circuit")
        if breaker.state(now) is State.HALF_OPEN and not self._may_probe(deployment, breaker, now):
            return f"its circuit is half-open ({breaker.reason}), and a probe would load it"
        return None

    def _may_probe(self, deployment: Deployment, breaker: Breaker, now: float) -> bool:
        """Whether a real request may be the probe: it must not load what crashed, unless that is long ago.

        Where memory was missing the load itself is the question.
        """
        if deployment.resident or not deployment.loadable or deployment.key in self._memory:
            return True
        return now >= breaker.began + self._longest

    def _badness(self, deployment: Deployment, now: float) -> tuple[float, bool]:
        known = self._known(deployment.key)
        return max(max(breaker.until - now, 0.0) for breaker in known), not deployment.resident

    def is_open(self, key: Key, now: float) -> bool:
        """Whether a request goes there only because nothing better is left, or as a probe."""
        return any(breaker.state(now) is not State.CLOSED for breaker in self._known(key))

    def allowance(self, key: Key) -> int | None:
        """Return how many requests a deployment takes at once while it recovers; None: no limit."""
        limits = [one for breaker in self._known(key) if (one := breaker.allowance()) is not None]
        return min(limits, default=None)

    def report(self, now: float) -> JSONObject:
        """Return the state of all that are not well."""
        return {
            "hosts": {name: _described(breaker, now) for name, breaker in self.hosts.items()},
            "deployments": [
                {"host": host, "model": model, **_described(breaker, now)}
                for (host, model), breaker in self.deployments.items()
            ],
            "last_resorts": self.last_resorts,
        }


def _words(breaker: Breaker, now: float, what: str) -> str:
    if breaker.state(now) is State.HALF_OPEN:
        return f"{what} is half-open, and another request is the probe"
    return f"{what} is open ({breaker.reason}), for {breaker.until - now:.1f} s more"


def _described(breaker: Breaker, now: float) -> JSONObject:
    return {
        "state": breaker.state(now).value,
        "reason": breaker.reason,
        "probe_in": max(breaker.until - now, 0.0) if breaker.state(now) is not State.CLOSED else None,
        "allowance": breaker.allowance(),
    }
