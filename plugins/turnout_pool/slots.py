"""Slots of one deployment: as many requests at once as its instances take, if they fit the contexts.

The slots of an instance share its context (protocol §4.4): one prompt too many ends all that run there
(lmstudio-bug-tracker 1757).
"""

from math import inf

from turnout.fleet import Deployment, Instance

UNKNOWN_INSTANCE = ""
"""Stands for the instance of a model that the request itself loads."""


class Slots:
    """The requests in flight on one deployment, counted by instance, with the tokens that they may need.

    Every :meth:`take` is followed by one :meth:`give_back`; a lease's release sees to that.
    """

    __slots__ = ("_busy", "_leased", "_tokens", "deployment", "in_flight", "size")

    def __init__(self, deployment: Deployment) -> None:
        self.in_flight = 0
        self._busy: dict[str, int] = {}
        self._tokens: dict[str, float] = {}
        self.show(deployment)

    def show(self, deployment: Deployment) -> None:
        """Go by a newer snapshot; what is in flight stays counted, also where its instance is gone."""
        self.deployment = deployment
        self.size = deployment.slots or deployment.default_parallel
        self._leased: dict[str, Deployment] = {}

    @property
    def free(self) -> int:
        """Slots left; below 0 when an instance went away under its requests."""
        return self.size - self.in_flight

    def fits(self, tokens: float) -> bool:
        """Whether there is a slot for one more request that may need *tokens*.

        One that runs alone always fits: selection has compared it with the whole context.
        """
        if self.in_flight >= self.size:
            return False
        if not self.in_flight or not self.deployment.instances:
            return True
        return any(self._fits_on(instance, tokens) for instance in self.deployment.instances)

    def take(self, tokens: float = 0.0) -> tuple[str, Deployment]:
        """Take a slot on the instance with the most free ones; return its id and what to lease."""
        instance = self._freest(tokens)
        name = instance.id if instance else UNKNOWN_INSTANCE
        self._busy[name] = self._busy.get(name, 0) + 1
        self._tokens[name] = self._tokens.get(name, 0.0) + tokens
        self.in_flight += 1
        return name, self._lease(instance)

    def give_back(self, name: str, tokens: float = 0.0) -> None:
        """Free a slot on the instance of that id, and the *tokens* with it."""
        self.in_flight -= 1
        self._busy[name] -= 1
        self._tokens[name] -= tokens
        if not self._busy[name]:
            del self._busy[name], self._tokens[name]

    def _fits_on(self, instance: Instance, tokens: float) -> bool:
        if self._free_on(instance) <= 0:
            return False
        used = self._tokens.get(instance.id, 0.0) + self._tokens.get(UNKNOWN_INSTANCE, 0.0)
        return not used or used + tokens <= (instance.context_length or inf)

    def _freest(self, tokens: float) -> Instance | None:
        instances = self.deployment.instances
        if len(instances) > 1:
            able = [instance for instance in instances if self._fits_on(instance, tokens)]
            return max(able or instances, key=self._free_on)
        return instances[0] if instances else None

    def _free_on(self, instance: Instance) -> int:
        return (instance.parallel or self.deployment.default_parallel) - self._busy.get(instance.id, 0)

    def _lease(self, instance: Instance | None) -> Deployment:
        if instance is None:
            return self.deployment
        if instance.id not in self._leased:
            self._leased[instance.id] = self.deployment.leased(instance)
        return self._leased[instance.id]
