"""The lines of a batch as they are remembered: there may be millions, so each takes some eighty bytes."""

import json
from array import array
from collections.abc import Iterator, Sequence
from itertools import count
from typing import overload

from attrs import frozen

from turnout.messages import JSONObject
from turnout.types import Operation
from turnout_parallel.batch_line import DIGEST_BYTES, openai_failure, simple_failure

_OPENAI, _EMBEDDINGS = 1, 2


@frozen
class Entry:
    """One line of the input; ``problem`` says why it is none that could be sent.

    ``number`` counts from 1. ``offset`` and ``length`` are bytes. ``name`` and ``digest`` tell it from all
    others, today and in the next run.
    """

    number: int
    offset: int
    length: int
    name: str | int
    digest: str
    model: str | None = None
    operation: Operation = Operation.CHAT
    problem: str = ""
    openai: bool = False

    @property
    def key(self) -> str:
        """The name as JSON: 7 and "7" are two names."""
        return json.dumps(self.name)

    def refusal(self) -> JSONObject:
        """Return the line of the output that says what is wrong."""
        make = openai_failure if self.openai else simple_failure
        message = f"line {self.number}: {self.problem}"
        return make(self.name, self.digest, "InvalidLine", message)


class Entries(Sequence[Entry]):
    """Entries in columns, each made when it is asked for; :meth:`find` knows them by their keys."""

    def __init__(self) -> None:
        self._numbers, self._offsets, self._lengths = array("Q"), array("Q"), array("Q")
        self._digests, self._flags = bytearray(), bytearray()
        self._keys = _Keys()
        self._models = array("I")
        self._known: dict[str | None, int] = {}
        self._names: list[str | None] = []
        self._problems: dict[int, str] = {}

    def append(self, entry: Entry) -> None:
        """Add an entry, whose key no other has."""
        self._keys.append(entry.key)
        self._numbers.append(entry.number)
        self._offsets.append(entry.offset)
        self._lengths.append(entry.length)
        self._digests += bytes.fromhex(entry.digest)
        self._flags.append(
            _OPENAI * entry.openai | _EMBEDDINGS * (entry.operation is Operation.EMBEDDINGS)
        )
        self._models.append(self._number_of(entry.model))
        if entry.problem:
            self._problems[len(self) - 1] = entry.problem

    def _number_of(self, model: str | None) -> int:
        number = self._known.setdefault(model, len(self._names))
        if number == len(self._names):
            self._names.append(model)
        return number

    def find(self, key: str) -> Entry | None:
        """Return the entry of that key."""
        place = self._keys.find(key)
        return None if place is None else self._made(place)

    @property
    def problems(self) -> list[Entry]:
        """The lines that cannot be sent."""
        return [self._made(place) for place in self._problems]

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> Entry: ...
    @overload
    def __getitem__(self, place: slice) -> list[Entry]: ...
    def __getitem__(self, place: int | slice) -> Entry | list[Entry]:
        if isinstance(place, slice):
            return [self._made(one) for one in range(*place.indices(len(self)))]
        return self._made(range(len(self))[place])

    def __iter__(self) -> Iterator[Entry]:
        return map(self._made, range(len(self)))

    def _made(self, place: int) -> Entry:
        flags = self._flags[place]
        return Entry(
            self._numbers[place],
            self._offsets[place],
            self._lengths[place],
            json.loads(self._keys[place]),
            self._digests[place * DIGEST_BYTES : (place + 1) * DIGEST_BYTES].hex(),
            self._names[self._models[place]],
            Operation.EMBEDDINGS if flags & _EMBEDDINGS else Operation.CHAT,
            self._problems.get(place, ""),
            bool(flags & _OPENAI),
        )


class _Keys:
    """Keys by place, and places by key: a hash table of numbers, for a dictionary takes ten times as much."""

    def __init__(self) -> None:
        self._text = bytearray()
        self._ends = array("Q")
        self._slots = array("I", bytes(4 * 64))
        """Places from 1 on; 0 is free. At least half of them are."""

    def __getitem__(self, place: int) -> bytes:
        begin = self._ends[place - 1] if place else 0
        return bytes(self._text[begin : self._ends[place]])

    def append(self, key: str) -> None:
        raw = key.encode()
        self._text += raw
        self._ends.append(len(self._text))
        if 2 * len(self._ends) > len(self._slots):
            self._grow()
        else:
            self._slots[self._slot(raw)] = len(self._ends)

    def find(self, key: str) -> int | None:
        held: int = self._slots[self._slot(key.encode())]
        return held - 1 if held else None

    def _slot(self, raw: bytes) -> int:
        """Return the slot that holds *raw*, or the free one where it belongs."""
        slots, mask = self._slots, len(self._slots) - 1
        for slot in count(hash(raw)):
            held = slots[slot & mask]
            if not held or self[held - 1] == raw:
                return slot & mask
        raise AssertionError  # half of the slots are free

    def _grow(self) -> None:
        self._slots = array("I", bytes(8 * len(self._slots)))
        for place in range(len(self._ends)):
            self._slots[self._slot(self[place])] = place + 1
