"""Looking at hosts: what a look says of their health, and no waiting for one that does not even refuse.

A host that lets a look time out would cost every later look as long as its limit. So, as long as another
host answers, it is looked at in the background, at growing intervals, and meanwhile reported as silent.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial

from attrs import define, evolve
from loguru import logger

from turnout.errors import LLMError, LLMTimeoutError
from turnout.fleet import Deployment, Discovery, Instance

SHORTEST_SECONDS = 2.0
LONGEST_SECONDS = 30.0
TICK = 1e-3
"""A timer may fire a clock tick early."""


@define
class Silence:
    """A host that does not answer looks: since when, and when it is looked at again. Seconds."""

    since: float
    again: float
    pause: float = SHORTEST_SECONDS


class Lookout:
    """Wraps the backends' offers. ``listed`` is told of each host that answers, and when the look began.

    ``answers`` is told when a silent host answers again.
    """

    def __init__(self, listed: Callable[[str, float], None], answers: Callable[[], None]) -> None:
        self._listed = listed
        self._answers = answers
        self._silent: dict[str, Silence] = {}
        self._answering: set[str] = set()
        self._looks: dict[str, asyncio.Task[None]] = {}

    def guarded(self, offer: Discovery, limit: float) -> Discovery:
        """Return *offer* such that its look, which has *limit* seconds, is not waited for in vain."""
        return Discovery(offer.host, partial(self._look, offer, limit))

    async def _look(self, offer: Discovery, limit: float) -> Sequence[Deployment]:
        name, began = offer.host.name, _now()
        silence = self._silent.get(name)
        if silence is not None and self._answering - {name}:
            if began >= silence.again and name not in self._looks:
                self._spawn(name, self._look_again(offer, limit, silence))
            raise self._not_yet(offer, silence)
        self._answering.discard(name)
        try:
            found = await offer.run()
        except asyncio.CancelledError:
            if _now() - began >= limit - TICK:
                self._silent.setdefault(name, Silence(began, _now() + SHORTEST_SECONDS))
            raise
        except LLMError:
            self._silent.pop(name, None)
            raise
        self._heard(name, began)
        return found

    def _heard(self, name: str, began: float) -> None:
        self._silent.pop(name, None)
        self._answering.add(name)
        self._listed(name, began)

    def _not_yet(self, offer: Discovery, silence: Silence) -> LLMError:
        message = (
            f"{offer.host.url} has not listed its models for {_now() - silence.since:.0f} s; "
            f"it is looked at every {silence.pause:.0f} s"
        )
        return LLMTimeoutError(message, host=offer.host.name)

    async def _look_again(self, offer: Discovery, limit: float, silence: Silence) -> None:
        name, began = offer.host.name, _now()
        try:
            async with asyncio.timeout(limit):
                await offer.run()
        except TimeoutError:
            silence.pause = min(silence.pause * 2, LONGEST_SECONDS)
            silence.again = _now() + silence.pause
            return
        except Exception as error:  # noqa: BLE001  a backend's; whatever it is, the host is not silent any more
            logger.debug("host {!r} answers again, with {}: {}", name, type(error).__name__, error)
            self._silent.pop(name, None)
        else:
            self._heard(name, began)
        self._answers()

    def _spawn(self, name: str, look: Coroutine[None, None, None]) -> None:
        self._looks[name] = asyncio.create_task(look)
        self._looks[name].add_done_callback(lambda _: self._looks.pop(name, None))

    def silent(self, now: float) -> dict[str, float]:
        """Return the hosts that do not even refuse, with the seconds since when."""
        return {name: now - silence.since for name, silence in self._silent.items()}

    async def close(self) -> None:
        """Give up the looks that are under way."""
        looks = list(self._looks.values())
        for look in looks:
            look.cancel()
        if looks:
            await asyncio.wait(looks)


def narrowed(
    deployments: Iterable[Deployment], allowed: Callable[[Deployment, int], int]
) -> list[Deployment]:
    """Return *deployments* with no more slots in each instance than are *allowed* of them.

    So whoever places requests keeps to it, without knowing why.
    """
    return [_narrowed(deployment, allowed) for deployment in deployments]


def _narrowed(deployment: Deployment, allowed: Callable[[Deployment, int], int]) -> Deployment:
    slots = deployment.slots or deployment.default_parallel
    most = allowed(deployment, slots)
    if most >= slots:
        return deployment
    instances = tuple(_shared_out(deployment, most))
    return evolve(deployment, instances=instances, default_parallel=min(most, deployment.default_parallel))


def _shared_out(deployment: Deployment, most: int) -> Iterable[Instance]:
    """Yield the instances with *most* slots in all; each keeps one, for a slot of none is not known."""
    left = most
    for number, instance in enumerate(deployment.instances):
        others = len(deployment.instances) - number - 1
        own = max(min(instance.parallel or deployment.default_parallel, left - others), 1)
        left -= own
        yield evolve(instance, parallel=own)


def _now() -> float:
    return asyncio.get_running_loop().time()
