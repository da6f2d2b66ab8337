"""Which host loads which model next: a pure function of what is where and what waits.

A host serves what waits for its resident models first, and then loads what is waited for most per second of
load: with loads that cost more than answers, nothing that waits longer than that ends sooner (exhaustive
service; the measurements are in ``benchmarks/swaps.py``). What has waited too long comes before all else.
"""

from collections.abc import Iterable, Sequence
from math import inf

from attrs import frozen

from turnout_pool.situation import Cost, Loading, Move, Place, Places, Spot, Want

SPARE_CAPACITY = 0.5
"""A model is not missed where its other copies are busy for less than this part of their slots."""


@frozen
class Stay:
    """How long a model stays although nobody waits for it.

    ``residence``: seconds since its load. ``linger``: since its last answer, as a part of the time that the
    next load takes; whoever got that answer may ask again at once.
    """

    residence: float = 0.0
    linger: float = 0.0

    def until(self, spot: Spot, load_seconds: float, *, overdue: bool) -> float:
        """Return the time until which *spot* stays, for a load of *load_seconds*."""
        lingers = -inf if overdue else spot.used + self.linger * load_seconds
        return max(spot.since + self.residence, lingers)


def plan(places: Places, wants: Sequence[Want], now: float, stay: Stay) -> tuple[Move, ...]:
    """Return the next load of each host that should have one, the most urgent first.

    No two moves are for one host or for one model; what runs is in nobody's way when a move is ready.
    """
    board = _Board(places, wants, now, stay)
    moves: list[Move] = []
    taken: set[str] = set()
    moved: set[str] = set()
    for want in sorted(wants, key=board.urgency):
        if want.model in moved:
            continue
        found = [move for host in want.hosts if host not in taken for move in board.moves(host, want)]
        if found:
            best = min(found, key=lambda move: (not move.overdue, move.cost.total, move.host))
            moves.append(best)
            moved.add(best.model)
            if places[best.host].loading is not Loading.ADDS:
                taken.add(best.host)
    return tuple(moves)


@frozen
class _Board:
    places: Places
    wants: Sequence[Want]
    now: float
    stay: Stay

    def urgency(self, want: Want) -> tuple[bool, float, int, bool, float, float]:
        """Return what to be low in: overdue by age, else by priority, and by what waits per second of load.

        Another copy of what is there comes last.
        """
        spots = [self.places[host].spots[want.model] for host in want.hosts]
        overdue = min((spot.wanted for spot in spots if spot.overdue), default=None)
        if overdue is not None:
            # By its load and not by its oldest request: who has a long queue would have turn after turn.
            return False, overdue, 0, False, 0.0, 0.0
        load = min((spot.load_seconds for spot in spots), default=1.0)
        copy = any(spot.there for spot in spots)
        return True, 0.0, -want.priority, copy, -want.waiting / max(load, 1e-6), want.oldest

    def moves(self, host: str, want: Want) -> Iterable[Move]:
        """Return the move that loads what is wanted on *host*, if it is possible and pays."""
        place = self.places[host]
        spot = place.spots[want.model]
        if spot.there or place.occupied:
            return
        evicted = self._evicted(place, spot, want)
        drain = max((self._drain(place, other, spot) for other in evicted), default=0.0)
        others = sum(self._missed(place, other, spot, want) for other in evicted)
        cost = Cost(drain, spot.load_seconds, others)
        if not spot.overdue and cost.total + spot.service_seconds >= self._served_in(want):
            return
        stays = [self.stay.until(other, spot.load_seconds, overdue=spot.overdue) for other in evicted]
        not_before = max(stays, default=-inf)
        full = spot.running >= spot.slots  # those whose instance has crashed are still there
        blocked = full or any(self._blocks(place, other, spot, want) for other in evicted)
        yield Move(
            host,
            want.model,
            tuple(other.model for other in evicted if other.resident),
            ready=not blocked and self.now >= not_before,
            cost=cost,
            want=want,
            overdue=spot.overdue,
            not_before=not_before,
            finishing=tuple(other.model for other in evicted if self._finishes(place, other, spot)),
        )

    def _evicted(self, place: Place, spot: Spot, want: Want) -> list[Spot]:
        if place.loading is Loading.ADDS:
            return []
        others = [other for other in place.spots.values() if other is not spot]
        if place.loading is Loading.EVICTS:
            return [other for other in others if other.resident or other.running]
        return self._made_room(place, spot, want, others)

    def _made_room(self, place: Place, spot: Spot, want: Want, others: list[Spot]) -> list[Spot]:
        """Choose what we have loaded ourselves and is missed least, until there is room."""
        staying = [other for other in others if other.there]
        movable = (other for other in staying if other.resident and other.ours and not other.kept)
        gone: list[Spot] = []
        for other in sorted(movable, key=lambda other: self._price(place, other, spot, want)):
            if place.memory is not None and spot.need + sum(s.need for s in staying) <= place.memory:
                break
            staying.remove(other)
            gone.append(other)
        return gone

    def _price(self, place: Place, other: Spot, spot: Spot, want: Want) -> tuple[float, float]:
        return self._drain(place, other, spot) + self._missed(place, other, spot, want), other.rate

    def _waiting(self, place: Place, spot: Spot) -> list[Want]:
        return [want for want in self.wants if want.model == spot.model and place.host in want.hosts]

    def _blocks(self, place: Place, other: Spot, spot: Spot, want: Want) -> bool:
        """Whether *other* must not go yet: it generates, or has work and its turn is not over."""
        if other.running:
            return True
        if not other.resident:
            return False
        if spot.overdue:
            return self._finishes(place, other, spot)
        return any(one.waiting and one.priority >= want.priority for one in self._waiting(place, other))

    def _finishes(self, place: Place, other: Spot, spot: Spot) -> bool:
        """Whether *other* still serves who waited before the turn of *spot* came.

        It does where that is done sooner than it could be back.
        """
        waiting = sum(w.waiting for w in self._waiting(place, other) if w.oldest < spot.due)
        left = spot.due + other.load_seconds - self.now
        return other.resident and 0 < waiting * other.service_seconds <= left * other.slots

    def _drain(self, place: Place, other: Spot, spot: Spot) -> float:
        cut = not other.resident or (spot.overdue and not self._finishes(place, other, spot))
        behind = () if cut else self._waiting(place, other)
        waiting = sum(want.waiting for want in behind)
        if not other.running and not waiting:
            return 0.0
        return other.service_seconds * (1 + waiting / other.slots)

    def _missed(self, place: Place, other: Spot, spot: Spot, want: Want) -> float:
        """Return what it costs others that *other* goes, for each of those who wait for *spot*.

        Who asks for it until it is back waits for half of that time, on the average.
        """
        if not other.resident or not other.rate:
            return 0.0
        elsewhere = (p.spots.get(other.model) for name, p in self.places.items() if name != place.host)
        slots = sum(s.slots for s in elsewhere if s is not None and s.there)
        if other.rate * other.service_seconds <= SPARE_CAPACITY * slots:
            return 0.0
        away = spot.load_seconds + _serving(spot, want) + other.load_seconds
        return other.rate * away * away / 2 / max(want.waiting, 1)

    def _served_in(self, want: Want) -> float:
        """Predict when the last of those who wait is served by the copies that are there."""
        spots = [self.places[host].spots[want.model] for host in want.hosts]
        there = [spot for spot in spots if spot.there]
        if not there:
            return inf
        capacity = sum(spot.slots / max(spot.service_seconds, 1e-9) for spot in there)
        ahead = sum(spot.running - spot.slots for spot in there) + want.waiting
        left = 0.0 if any(spot.resident for spot in there) else min(spot.loading or 0.0 for spot in there)
        own = min(spot.service_seconds for spot in there)
        return left + max(ahead, 0) / capacity + own


def _serving(spot: Spot, want: Want) -> float:
    """Predict the seconds to serve all who wait on this host alone."""
    return spot.service_seconds * max(want.waiting / spot.slots, 1.0)
