"""One deployment as the pool sees it: what runs, and whether it is resident as far as known."""

from collections import deque
from math import inf

from attrs import define, evolve, field

from turnout.fleet import UNKNOWN, Deployment, Estimate, Instance
from turnout_pool.placement import Work, load_seconds
from turnout_pool.slots import Slots

NEWEST_WEIGHT = 0.25
REMEMBERED_WAITS = 512
BELIEVED = 2.0
"""How many times as long as a load should take it is believed to be under way, unseen."""


@define
class Average:
    """A mean in which each new value counts a quarter; None until there is one."""

    value: float | None = None

    def add(self, value: float) -> None:
        """Take *value* into account."""
        self.value = value if self.value is None else self.value + NEWEST_WEIGHT * (value - self.value)


@define(eq=False)
class Load:
    """A load under way; ``began`` and ``expected`` in seconds. ``explicit``: we asked for it alone.

    Where it belongs to a request whose client has gone, the host goes on with it all the same: it is
    ``abandoned``, since that time, and not over. ``patience``: for how long that is believed. ``certain``:
    the model was not there before, so that the time until it is there is that of a load.
    """

    began: float
    expected: float
    patience: float
    explicit: bool = False
    abandoned: float | None = None
    certain: bool = True

    def given_up(self, now: float) -> bool:
        """Whether it is to be taken for over, although nobody knows."""
        return self.abandoned is not None and now >= self.abandoned + self.patience

    def remaining(self, now: float) -> float:
        """Return the seconds it should still take."""
        return max(self.began + self.expected - now, 0.0)


@define
class Turn:
    """What a load waits for on its host.

    ``wanted``: since when. ``began``: since then, or since the last load there; and ``starts`` requests had
    started on the host by that time.
    """

    wanted: float
    began: float
    starts: int


@define(eq=False)
class Line:
    """One deployment's slots, and what is expected of it. Seconds throughout.

    ``queued`` requests wait that are expected to be served here; ``prompt`` and ``output`` are the tokens
    that they and those in flight need, and ``pace`` is how much longer requests take than predicted.
    ``known_at`` is when a load of ours last showed whether it is resident; older snapshots know less.
    ``since`` is when its load ended, ``used`` when an answer did. ``ours`` is the instance that was loaded
    explicitly, by us or by another plugin on demand. ``longest_load`` is the longest that was measured;
    ``suspected`` means that it may be resident still, and counts as gone until somebody has looked;
    ``listed``, that the newest snapshot has it: a host that is down has nothing.
    """

    slots: Slots
    load: Load | None = None
    turn: Turn | None = None
    known_at: float = -inf
    since: float = -inf
    used: float = -inf
    queued: int = 0
    prompt: float = 0.0
    output: float = 0.0
    ours: str | None = None
    refused: int = 0
    usual_load: float = 0.0
    usual_service: float = 0.0
    longest_load: float = 0.0
    suspected: bool = False
    listed: bool = True
    pace: Average = field(factory=Average)
    service: Average = field(factory=Average)
    load_seconds: Average = field(factory=Average)
    waits: deque[float] = field(factory=lambda: deque(maxlen=REMEMBERED_WAITS))

    @property
    def model(self) -> str:
        """The model's key."""
        return self.slots.deployment.model

    @property
    def resident(self) -> bool:
        """Whether a request starts without a load: it is loaded, or its host never loads on demand."""
        deployment = self.slots.deployment
        return bool(deployment.instances) or not deployment.loadable

    @property
    def needs_load(self) -> bool:
        """Whether the next request on it would load it."""
        return self.load is None and not self.resident

    def show(self, deployment: Deployment, taken_at: float) -> None:
        """Go by a snapshot, unless something newer is known."""
        if taken_at > self.known_at:
            self.slots.show(deployment)
            self.suspected, self.listed = False, True
            if self.ours is not None and all(i.id != self.ours for i in deployment.instances):
                self.ours = None

    def loaded(self, now: float, instance: Instance) -> None:
        """Learn that its load has ended well, with *instance*, until a snapshot tells more."""
        if self.load is not None:
            if self.load.certain:
                self.load_seconds.add(now - self.load.began)
                self.longest_load = max(self.longest_load, now - self.load.began)
            self.load, self.since = None, now
        if not self.resident:
            self._become((instance,), now)

    def claim(self, now: float, instance: Instance) -> None:
        """Learn that *instance* was loaded because requests need it: it is ours to unload."""
        self._become((instance,), now)
        self.ours = instance.id

    def gone(self, now: float) -> None:
        """Learn that it is not there any more: it crashed, or we unload it."""
        self.ours = None
        self._become((), now)

    def doubt(self, now: float) -> None:
        """Learn that it may have gone. What is ours stays so, until a snapshot lacks it."""
        suspected = self.suspected or bool(self.slots.deployment.instances)
        self._become((), now)
        self.suspected = suspected

    def suspect(self, now: float) -> bool:
        """Doubt it, if it is resident and could be loaded twice; tell whether that is news."""
        deployment = self.slots.deployment
        news = self.load is None and bool(deployment.instances) and deployment.loadable
        if news:
            self.doubt(now)
        return news

    def lost(self, now: float) -> bool:
        """Learn that its host cannot be asked; tell whether that is news."""
        news, self.listed = self.listed, False
        self.known_at = now
        return news

    def believed_for(self, expected: float) -> float:
        """Return for how long a load, of *expected* seconds, is believed to go on when nobody can tell.

        One that was never measured here is not judged by other models' loads alone.
        """
        known = self.longest_load or load_seconds(self.slots.deployment, UNKNOWN)
        return BELIEVED * max(expected, self.usual_load, known)

    def expect(self, work: Work) -> None:
        """Count what somebody will need here."""
        self.prompt += work.prompt
        self.output += work.output

    def settle(self, work: Work) -> None:
        """Count it no more."""
        if not self.slots.in_flight and not self.queued:
            self.prompt = self.output = 0.0  # rather than what rounding has left
        else:
            self.prompt -= work.prompt
            self.output -= work.output

    def queue_seconds(self, estimate: Estimate = UNKNOWN, pace: float | None = 1.0) -> float:
        """Predict the wait of one more request; *pace* is what counts where none is measured."""
        known = self.slots.in_flight + self.queued
        ahead = known + 1 - self.slots.size
        paced = pace if self.pace.value is None else self.pace.value
        if ahead <= 0 or not paced:
            return 0.0
        reading = self.prompt * estimate.prefill_seconds_per_token
        writing = self.output * estimate.decode_seconds_per_token
        return ahead * (reading + writing) / known * paced / self.slots.size

    def measure(self, seconds: float, predicted: float) -> None:
        """Learn that a request took *seconds* where it was predicted to take *predicted*."""
        self.service.add(seconds)
        if predicted > 0.0:
            self.pace.add(seconds / predicted)

    def _become(self, instances: tuple[Instance, ...], now: float) -> None:
        self.suspected = False
        self.slots.show(evolve(self.slots.deployment, instances=instances))
        self.known_at = now
