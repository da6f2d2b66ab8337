"""Where many requests come from: a list that is there already, or whatever gives one after the other."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from typing import Protocol, TypeAlias

from attrs import frozen

from turnout.types import ModelRequest

Requests: TypeAlias = (
    Sequence[ModelRequest | str] | Iterable[ModelRequest | str] | AsyncIterable[ModelRequest | str]
)
BREATH = 256
"""Requests that are read before others may run."""


@frozen
class Need:
    """What of a request decides where it can run: the ``model`` that it names, and its ``hosts``."""

    model: str | None = None
    hosts: frozenset[str] | None = None


class Source(Protocol):
    """Gives requests by number, from 0 without a gap."""

    total: int | None
    """How many there are; None where only the end will tell."""
    eager: bool
    """Whether reading ahead waits for nobody."""

    def needs(self) -> AsyncIterator[Need]:
        """Yield what each request needs, in order."""

    def request(self, number: int) -> ModelRequest:
        """Return a request; it may be asked for again until it is dropped."""

    def drop(self, number: int) -> None:
        """Forget a request that has ended."""


class Listed:
    """Requests that can be taken by number; nothing is copied."""

    eager = True

    def __init__(self, requests: Sequence[ModelRequest | str]) -> None:
        self.total: int | None = len(requests)
        self._requests = requests

    async def needs(self) -> AsyncIterator[Need]:
        """Read them all, letting others run now and then."""
        for number, request in enumerate(self._requests):
            if number % BREATH == BREATH - 1:
                await asyncio.sleep(0)
            yield need_of(request)

    def request(self, number: int) -> ModelRequest:
        """Return the request of that place."""
        return as_request(self._requests[number])

    def drop(self, number: int) -> None:
        """Forget nothing: they are the caller's."""


class Streamed:
    """Requests that come one after the other; each is held from when it is read until it has ended."""

    def __init__(self, requests: Iterable[ModelRequest | str] | AsyncIterable[ModelRequest | str]) -> None:
        self.total: int | None = None
        self.eager = not isinstance(requests, AsyncIterable)
        self._requests = requests
        self._held: dict[int, ModelRequest] = {}

    async def needs(self) -> AsyncIterator[Need]:
        """Read on; how far ahead is the reader's to decide."""
        number = 0
        async for request in _each(self._requests):
            self._held[number] = as_request(request)
            number += 1
            yield need_of(request)

    def request(self, number: int) -> ModelRequest:
        """Return a request that was read."""
        return self._held[number]

    def drop(self, number: int) -> None:
        """Let a request go."""
        del self._held[number]


async def _each(
    requests: Iterable[ModelRequest | str] | AsyncIterable[ModelRequest | str],
) -> AsyncIterator[ModelRequest | str]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
        return
    for number, request in enumerate(requests):
        if number % BREATH == BREATH - 1:
            await asyncio.sleep(0)
        yield request


def source_of(requests: Requests) -> Source:
    """Return *requests* as a source; a single string is refused, for it is no list of prompts."""
    if isinstance(requests, str):
        message = "give a list of prompts, not one string"
        raise ValueError(message)
    return Listed(requests) if isinstance(requests, Sequence) else Streamed(requests)


def as_request(request: ModelRequest | str) -> ModelRequest:
    """Return a prompt as a request; raises ``TypeError`` for what is neither."""
    if isinstance(request, str):
        return ModelRequest(request)
    if not isinstance(request, ModelRequest):
        message = f"prompts are strings or ModelRequests, not {request!r}"
        raise TypeError(message)
    return request


def need_of(request: ModelRequest | str) -> Need:
    """Return what *request* needs; it is its owner's choice where a fallback is allowed too."""
    if isinstance(request, str):
        return Need()
    made = as_request(request)
    return Need(made.explicit_model, made.hosts)
