"""Estimates kept per deployment, and made anew only when what they rest on has changed."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from attrs import evolve

from turnout.fleet import Deployment, Estimate
from turnout_metrics import estimates
from turnout_metrics.estimates import NOTHING, ORDINARY, Evidence, Measured, Scale
from turnout_metrics.learned import Learned

Key: TypeAlias = tuple[str, str]
"""(host name, model key)."""

SCALE_TOLERANCE = 1.05
"""A host's scale that moved by less does not renew the estimates of its other models."""
RECOVERY_SECONDS = 15.0
"""How often the success rate of a deployment that failed is looked at again without new executions."""


class Estimator:
    """The estimates of all deployments seen so far.

    A deployment is immutable and compared by identity, so an estimate found under it can be stale only
    through what was learned since: :meth:`forget` says so. One of a newer snapshot replaces its
    predecessor of the same key.
    """

    def __init__(self, learned: Mapping[Key, Learned]) -> None:
        self._learned = learned
        self._estimates: dict[Deployment, Estimate] = {}
        self._current: dict[Key, Deployment] = {}
        self._ratios: defaultdict[str, dict[str, Scale]] = defaultdict(dict)
        self._scales: dict[str, Scale] = {}
        self._written: dict[str, tuple[str, Measured]] = {}
        self._recovering: set[Key] = set()
        self._recover_at = 0.0

    def estimate(self, deployments: Sequence[Deployment], at: float) -> dict[Deployment, Estimate]:
        """Return the estimate of each of *deployments* at *at*, in the loop's seconds."""
        if self._recovering and at >= self._recover_at:
            self._recover(at)
        known = self._estimates
        missing = [deployment for deployment in deployments if deployment not in known]
        if missing:
            return self._renew(missing, deployments, at)
        return {deployment: known[deployment] for deployment in deployments}

    def forget(self, key: Key) -> None:
        """Make the estimate of *key* anew when it is next asked for: something was learned."""
        deployment = self._current.pop(key, None)
        if deployment is not None:
            del self._estimates[deployment]

    def _recover(self, at: float) -> None:
        for key in self._recovering:
            self.forget(key)
        self._recovering.clear()
        self._recover_at = at + RECOVERY_SECONDS

    def _renew(
        self, missing: Iterable[Deployment], deployments: Iterable[Deployment], at: float
    ) -> dict[Deployment, Estimate]:
        evidence = {deployment: self._evidence(deployment, at) for deployment in missing}
        self._compare(evidence)
        found: dict[Deployment, Estimate] = {}
        for deployment in deployments:
            estimate = self._estimates.get(deployment)
            if estimate is None:
                shown = evidence.get(deployment) or self._evidence(deployment, at)
                estimate = self._predict(deployment, shown)
            found[deployment] = estimate
        return found

    def _evidence(self, deployment: Deployment, at: float) -> Evidence:
        """Return what is known of *deployment*.

        How much a model writes is its own, wherever it runs: the host on which it has written most tells.
        """
        (host, model), learned = deployment.key, self._learned.get(deployment.key)
        evidence = NOTHING if learned is None else learned.evidence(at)
        own, (best_host, best) = evidence.output, self._written.get(model, ("", None))
        if own is not None and (best is None or best_host == host or own.weight > best.weight):
            self._written[model] = host, own
            if best is None or not 1 / SCALE_TOLERANCE < own.value / best.value < SCALE_TOLERANCE:
                self._forget_elsewhere(host, model)
            return evidence
        return evidence if best is None else evolve(evidence, output=best)

    def _forget_elsewhere(self, host: str, model: str) -> None:
        for key in [key for key in self._current if key[1] == model and key[0] != host]:
            self.forget(key)

    def _compare(self, evidence: Mapping[Deployment, Evidence]) -> None:
        """Learn what the measured ones say of their hosts, before any is estimated with it."""
        hosts = set()
        for deployment, shown in evidence.items():
            if shown.measured:
                host, model = deployment.key
                ratio, before = estimates.compare(deployment.info, shown), self._ratios[host].get(model)
                self._ratios[host][model] = ratio
                hosts.add(host)
                if before is None or not _close(ratio, before):
                    self._forget_unmeasured()
        for host in hosts:
            self._rescale(host)

    def _forget_unmeasured(self) -> None:
        for key in [key for key in self._current if key[0] not in self._scales]:
            self.forget(key)

    def _rescale(self, host: str) -> None:
        scale = estimates.typical(self._ratios[host].values())
        if _close(scale, self._scales.get(host, ORDINARY)):
            return
        self._scales[host] = scale
        for key in [key for key in self._current if key[0] == host]:
            self.forget(key)

    def _predict(self, deployment: Deployment, evidence: Evidence) -> Estimate:
        key = deployment.key
        scale = self._scales.get(key[0]) or self._elsewhere(key[1])
        resident = deployment.resident
        estimate = estimates.predict(deployment.info, resident=resident, evidence=evidence, scale=scale)
        self.forget(key)
        self._current[key] = deployment
        self._estimates[deployment] = estimate
        if evidence.outcomes and estimate.success_rate < estimates.SUCCESS_PRIOR:
            self._recovering.add(key)
        return estimate

    def _elsewhere(self, model: str) -> Scale:
        """Return what the other hosts say of one on which nothing was measured: of *model*, else of all."""
        same = [ratios[model] for ratios in self._ratios.values() if model in ratios]
        return estimates.like(same or self._scales.values())


def _close(scale: Scale, other: Scale) -> bool:
    pairs = ((scale.decode, other.decode), (scale.prefill, other.prefill), (scale.load, other.load))
    return all(
        a == b or (a is not None and b is not None and 1 / SCALE_TOLERANCE < a / b < SCALE_TOLERANCE)
        for a, b in pairs
    )
