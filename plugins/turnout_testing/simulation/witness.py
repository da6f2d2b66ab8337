"""What happens between the router and its hosts, as a plugin of the router sees it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from functools import partial
from math import inf
from typing import TypeAlias

from attrs import define

from turnout import Attempt, Deployment, Fleet, Lease, ModelSelection, hookimpl
from turnout.errors import LLMError
from turnout.events import Event

Place: TypeAlias = Awaitable[Lease] | None
Run: TypeAlias = Callable[[], AsyncIterator[Event]] | None


@define(eq=False)
class Sending:
    """A request on its way to a model on a host. Loop seconds; ``ended`` is infinite while it runs.

    ``resident``: whoever placed it took the model for loaded. ``failed``: it ended in an error. ``left``: it
    was given up.
    """

    host: str
    model: str
    resident: bool
    began: float
    ended: float = inf
    failed: bool = False
    left: bool = False

    @property
    def seconds(self) -> float:
        """How long it took, its load included."""
        return self.ended - self.began

    def covers(self, moment: float) -> bool:
        """Whether it was under way at that time."""
        return self.began <= moment <= self.ended


@define(eq=False)
class Wait:
    """A request's wait for a slot of *model* on one of ``hosts``. Loop seconds."""

    model: str
    hosts: frozenset[str]
    began: float
    ended: float = inf

    def beside(self, other: "Wait") -> bool:
        """Whether *other* waited for the same model at the same time."""
        return self.model == other.model and self.began <= other.ended and other.began <= self.ended


class Witness:
    """A plugin that sees every wait, every sending and every failed attempt, and decides nothing.

    It sees copies of a request too, which the router sends on its own account.
    """

    def __init__(self) -> None:
        self.errors: list[LLMError] = []
        self.sendings: list[Sending] = []
        self.waits: list[Wait] = []

    @hookimpl
    def on_failure(self, attempts: Sequence[Attempt]) -> None:
        """Note the error."""
        if attempts[-1].error is not None:
            self.errors.append(attempts[-1].error)

    @hookimpl(wrapper=True, tryfirst=True)
    def place_request(self, selection: ModelSelection, fleet: Fleet) -> Generator[None, Place, Place]:
        """Note how long a slot is waited for."""
        work = yield
        if work is None:
            return None
        out = {entry.host for entry in selection.explanation.ineligible if entry.model == selection.model}
        hosts = {d.host.name for d in fleet.models.get(selection.model, ())} - out
        return self._waited(work, selection.model, frozenset(hosts))

    async def _waited(self, work: Awaitable[Lease], model: str, hosts: frozenset[str]) -> Lease:
        wait = Wait(model, hosts, _now())
        self.waits.append(wait)
        try:
            return await work
        finally:
            wait.ended = _now()

    @hookimpl(wrapper=True, trylast=True)
    def execute_request(self, deployment: Deployment) -> Generator[None, Run, Run]:
        """Note what runs where, and from when to when."""
        run = yield
        return None if run is None else partial(self._sent, run, deployment)

    async def _sent(self, run: Callable[[], AsyncIterator[Event]], to: Deployment) -> AsyncIterator[Event]:
        sending = Sending(to.host.name, to.model, to.resident, _now())
        self.sendings.append(sending)
        events = run()
        try:
            async for event in events:
                yield event
        except Exception:
            sending.failed = True
            raise
        except BaseException:
            sending.left = True
            raise
        finally:
            sending.ended = _now()
            close = getattr(events, "aclose", None)
            if close is not None:
                await close()


def _now() -> float:
    return asyncio.get_running_loop().time()
