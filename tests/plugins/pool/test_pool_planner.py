"""The plan of loads: what is urgent, where it goes, what goes for it, and what never may."""

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from turnout_pool.planner import Stay, plan
from turnout_pool.situation import Loading, Move, Place, Spot, Want

NOW = 100.0
NO_STAY = Stay()
GB = 1_000_000_000


def place(host: str, *spots: Spot, loading: Loading = Loading.EVICTS, memory: float | None = None) -> Place:
    return Place(host, loading, {spot.model: spot for spot in spots}, memory)


def want(model: str, *hosts: str, waiting: int = 1, oldest: float = NOW, priority: int = 0) -> Want:
    return Want(model, frozenset(hosts), waiting, oldest, priority)


def planned(places: list[Place], wants: list[Want], stay: Stay = NO_STAY) -> tuple[Move, ...]:
    return plan({one.host: one for one in places}, wants, NOW, stay)


def test_an_idle_host_loads_what_is_waited_for() -> None:
    """At once, in the place of what nobody uses."""
    (move,) = planned([place("desk", Spot("a", resident=True), Spot("b"))], [want("b", "desk")])
    assert (move.model, move.evicts, move.ready) == ("b", ("a",), True)
    assert move.reason == "1 waits for it; load 20.0 s; takes the place of a"


def test_nothing_is_ready_while_the_host_generates() -> None:
    """A load would end what runs (bt#1796)."""
    busy = Spot("a", resident=True, running=1, service_seconds=3.0)
    (move,) = planned([place("desk", busy, Spot("b"))], [want("b", "desk")])
    assert not move.ready
    assert "busy for 3.0 s" in move.reason


def test_what_waits_for_the_resident_model_comes_first() -> None:
    """Until the turn of the other has come; then only what runs is waited for."""
    wants = [want("a", "desk", waiting=9), want("b", "desk")]
    resident = Spot("a", resident=True)
    assert not planned([place("desk", resident, Spot("b"))], wants)[0].ready
    assert planned([place("desk", resident, Spot("b", overdue=True))], wants)[0].ready


def test_who_waited_before_the_turn_of_another_came_is_served_where_that_is_shorter_than_a_load() -> None:
    """Who came since then waits, and so does a queue that takes longer than to come back would."""
    late = Spot("b", overdue=True, due=NOW - 5)
    resident = Spot("a", resident=True, slots=2, load_seconds=15.0, service_seconds=4.0)
    came_before, came_since = NOW - 20, NOW - 1

    def finishing(waiting: int, oldest: float) -> tuple[str, ...]:
        wants = [want("a", "desk", waiting=waiting, oldest=oldest), want("b", "desk")]
        (move,) = planned([place("desk", resident, late)], wants)
        assert move.ready != bool(move.finishing)
        return move.finishing

    assert finishing(5, came_before) == ("a",)
    assert finishing(6, came_before) == ()
    assert finishing(1, came_since) == ()


def test_what_more_wait_for_is_loaded_first() -> None:
    """For each second of its load."""
    spots = [Spot("a"), Spot("b", load_seconds=5.0), Spot("c")]
    wants = [want("a", "desk", waiting=3), want("b", "desk", waiting=2), want("c", "desk", waiting=4)]
    assert planned([place("desk", *spots)], wants)[0].model == "b"


def test_priority_goes_before_numbers_and_what_is_overdue_before_all() -> None:
    """Of several that are overdue, the one whose load has been waited for the longest."""
    wants = [
        want("a", "desk", waiting=9),
        want("b", "desk", priority=1),
        want("c", "desk", oldest=10.0),
        want("d", "desk", oldest=40.0),
    ]
    late = [Spot("c", overdue=True, wanted=50.0), Spot("d", overdue=True, wanted=40.0)]
    spots = [Spot("a"), Spot("b"), *late]
    assert planned([place("desk", *spots)], wants)[0].model == "d"
    assert planned([place("desk", *spots[:2])], wants[:2])[0].model == "b"


def test_two_hosts_load_two_models_and_not_one_twice() -> None:
    """What is not there at all comes before a second copy."""
    wants = [want("a", "desk", "attic", waiting=50), want("b", "desk", "attic")]
    places = [place(host, Spot("a"), Spot("b")) for host in ("desk", "attic")]
    assert {move.model for move in planned(places, wants)} == {"a", "b"}


def test_the_host_that_is_done_sooner_loads() -> None:
    """A faster disk, or an idle host, or one whose model nobody misses."""
    spots = {"slow": Spot("b", load_seconds=30.0), "fast": Spot("b", load_seconds=5.0)}
    places = [place(host, spot) for host, spot in spots.items()]
    assert planned(places, [want("b", "slow", "fast")])[0].host == "fast"
    loved = place("fast", Spot("a", resident=True, rate=5.0, load_seconds=60.0), Spot("b", load_seconds=5.0))
    assert planned([places[0], loved], [want("b", "slow", "fast")])[0].host == "slow"


def test_what_goes_is_paid_for_by_all_who_wait() -> None:
    """Many who wait send a popular model away, and one alone does not where there is a slower way."""
    loved = Spot("a", resident=True, rate=0.5, load_seconds=10.0)
    fast = place("fast", loved, Spot("b", load_seconds=10.0))
    slow = place("slow", Spot("b", load_seconds=40.0))
    assert planned([fast, slow], [want("b", "fast", "slow")])[0].host == "slow"
    assert planned([fast, slow], [want("b", "fast", "slow", waiting=40)])[0].host == "fast"


def test_a_second_copy_has_to_pay() -> None:
    """It is loaded where the last who waits would otherwise wait for longer than that."""
    there = place("desk", Spot("a", resident=True, running=1, slots=1, service_seconds=2.0))
    other = place("attic", Spot("a", load_seconds=10.0, service_seconds=2.0))
    assert not planned([there, other], [want("a", "desk", "attic", waiting=3)])
    assert planned([there, other], [want("a", "desk", "attic", waiting=8)])[0].host == "attic"


def test_a_host_that_loads_is_left_alone() -> None:
    """One load at a time, where loads disturb each other."""
    loading = Spot("a", loading=3.0)
    assert not planned([place("desk", loading, Spot("b"))], [want("b", "desk")])
    adds = place("desk", loading, Spot("b"), loading=Loading.ADDS)
    assert planned([adds], [want("b", "desk")])[0].ready


def test_a_model_stays_for_its_minimum_and_for_a_question_that_follows() -> None:
    """Until then the load is planned and not begun."""
    fresh = Spot("a", resident=True, since=NOW - 5, used=NOW - 0.5)
    desk = place("desk", fresh, Spot("b", load_seconds=20.0))
    (move,) = planned([desk], [want("b", "desk")], Stay(residence=60.0))
    assert (move.ready, move.not_before) == (False, NOW + 55)
    (move,) = planned([desk], [want("b", "desk")], Stay(linger=0.05))
    assert (move.ready, move.not_before) == (False, NOW + 0.5)


# --- hosts whose memory is managed ------------------------------------------------------------------


def managed(*spots: Spot, memory: float | None = 24.0 * GB) -> Place:
    return place("desk", *spots, loading=Loading.MANAGED, memory=memory)


def held(model: str, size: int, *, running: int = 0, rate: float = 0.0) -> Spot:
    return Spot(model, resident=True, running=running, size=size * GB, ours=True, rate=rate)


def test_where_there_is_room_nothing_goes() -> None:
    """Models live beside each other as far as the memory goes, though one of them generates."""
    spots = [held("a", 8, running=1), Spot("b", size=8 * GB)]
    (move,) = planned([managed(*spots)], [want("b", "desk")])
    assert (move.evicts, move.ready) == ((), True)


def test_what_is_missed_least_makes_room() -> None:
    """And no more of it than needed."""
    spots = [held("a", 8, rate=1.0), held("b", 8, rate=0.001), Spot("c", size=8 * GB)]
    (move,) = planned([managed(*spots)], [want("c", "desk")])
    assert move.evicts == ("b",)


def test_what_a_person_loaded_and_what_is_kept_stays() -> None:
    """Also where the new model does not fit then: the server has the last word."""
    by_hand = evolve(held("a", 10), ours=False)
    kept = evolve(held("b", 8), kept=True)
    (move,) = planned([managed(by_hand, kept, Spot("c", size=8 * GB))], [want("c", "desk")])
    assert move.evicts == ()


def test_where_memory_or_size_is_unknown_one_of_ours_is_there_at_a_time() -> None:
    """Nothing is risked on a guess."""
    spots = [held("a", 1), Spot("b", size=GB)]
    assert planned([managed(*spots, memory=None)], [want("b", "desk")])[0].evicts == ("a",)
    assert planned([managed(held("a", 1), Spot("b"))], [want("b", "desk")])[0].evicts == ("a",)


# --- whatever there is ------------------------------------------------------------------------------

MODELS, HOSTS = "abcd", ("desk", "attic", "cellar")
spots = st.builds(
    Spot,
    st.just(""),
    resident=st.booleans(),
    running=st.integers(0, 3),
    slots=st.integers(1, 3),
    load_seconds=st.floats(0.1, 60),
    service_seconds=st.floats(0.1, 60),
    size=st.none() | st.integers(1, 12).map(lambda size: size * GB),
    overdue=st.booleans(),
    ours=st.booleans(),
    kept=st.booleans(),
    rate=st.floats(0, 5),
)
fleets = st.fixed_dictionaries(
    {
        host: st.builds(
            lambda host, loading, found, memory: Place(
                host, loading, {m: evolve(s, model=m) for m, s in zip(MODELS, found, strict=True)}, memory
            ),
            st.just(host),
            st.sampled_from(Loading),
            st.lists(spots, min_size=4, max_size=4),
            st.none() | st.floats(0, 40 * GB),
        )
        for host in HOSTS
    }
)
some_wants = st.lists(
    st.builds(
        Want,
        st.sampled_from(MODELS),
        st.frozensets(st.sampled_from(HOSTS), min_size=1),
        st.integers(1, 50),
        st.floats(0, NOW),
        st.integers(-1, 1),
    ),
    max_size=5,
)


@given(fleets, some_wants)
@settings(max_examples=300, deadline=None)
def test_no_plan_takes_what_it_must_not(places: dict[str, Place], wants: list[Want]) -> None:
    """Nothing that generates, is kept or is not ours goes; each host and model has one move."""
    moves = plan(places, wants, NOW, NO_STAY)
    assert len({move.model for move in moves}) == len(moves)
    busy = [move.host for move in moves if places[move.host].loading is not Loading.ADDS]
    assert len(set(busy)) == len(busy)
    for move in moves:
        here = places[move.host]
        gone = [here.spots[model] for model in move.evicts]
        assert not here.spots[move.model].there
        assert move.host in move.want.hosts
        if move.ready:
            assert not any(spot.running for spot in gone)
        if here.loading is Loading.MANAGED:
            assert all(spot.ours and not spot.kept for spot in gone)
        if here.loading is Loading.EVICTS and move.ready:
            assert not any(s.running for m, s in here.spots.items() if m != move.model)


@given(fleets, some_wants)
@settings(deadline=None)
def test_what_is_nowhere_gets_a_host_if_there_is_one(places: dict[str, Place], wants: list[Want]) -> None:
    """A model that is wanted is planned, unless each of its hosts loads already or has another load next."""
    moves = plan(places, wants, NOW, NO_STAY)
    taken = {move.host for move in moves} | {name for name, one in places.items() if one.occupied}
    for one in wants:
        nowhere = not any(places[host].spots[one.model].there for host in one.hosts)
        if nowhere and one.model not in {move.model for move in moves}:
            assert one.hosts <= taken


class ClosedSystem(RuleBasedStateMachine):
    """One host that holds one of three models; time passes, requests come, and the planner decides."""

    PATIENCE, LOAD, ANSWER = 10.0, 4.0, 1.0

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.resident = "a"
        self.loaded_at = 0.0
        self.loading: tuple[str, float] | None = None
        self.running: list[float] = []
        self.waiting: dict[str, list[float]] = {"a": [], "b": [], "c": []}
        self.left = dict.fromkeys("abc", 0.0)

    @initialize(model=st.sampled_from("abc"))
    def begin(self, model: str) -> None:
        self.resident = model

    @rule(model=st.sampled_from("abc"), count=st.integers(1, 4))
    def ask(self, model: str, count: int) -> None:
        self.waiting[model] += [self.now] * count

    @rule(steps=st.integers(1, 20))
    def wait(self, steps: int) -> None:
        for _ in range(steps):
            self.step()

    def step(self) -> None:
        """Let half a second pass."""
        self.now += 0.5
        self.running = [end for end in self.running if end > self.now]
        if self.loading is not None and self.loading[1] <= self.now:
            self.resident, self.loading, self.loaded_at = self.loading[0], None, self.now
        if self.loading is None:
            self.decide()

    def decide(self) -> None:
        wants = [want(m, "desk", waiting=len(w), oldest=w[0]) for m, w in self.waiting.items() if w]
        spots = [self.spot(model) for model in self.waiting]
        moves = plan({"desk": place("desk", *spots)}, wants, self.now, NO_STAY)
        if moves and moves[0].ready:
            assert not self.running, "a load unloads what generates"
            self.loading = moves[0].model, self.now + self.LOAD
            self.left[self.resident] = self.now
        elif all(self.resident in m.finishing or not self.spot(m.model).overdue for m in moves):
            self.start()

    def start(self) -> None:
        queue = self.waiting[self.resident]
        while queue and len(self.running) < 2:
            queue.pop(0)
            self.running.append(self.now + self.ANSWER)

    def spot(self, model: str) -> Spot:
        wanted = max(self.left[model], min(self.waiting[model], default=self.now))
        here = model == self.resident
        due = max(wanted, self.loaded_at) + self.PATIENCE
        return Spot(
            model,
            resident=here,
            running=len(self.running) if here else 0,
            slots=2,
            load_seconds=self.LOAD,
            wanted=wanted,
            service_seconds=self.ANSWER,
            overdue=not here and self.now >= due,
            due=due,
        )

    @invariant()
    def nobody_starves(self) -> None:
        """Let no model wait for longer than a turn of each other one, and its own load."""
        turn = self.PATIENCE + 2 * self.LOAD + self.ANSWER + 1.5
        for model, queue in self.waiting.items():
            if queue and model != self.resident:
                assert self.now - queue[0] <= len(self.waiting) * turn


ClosedSystem.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestClosedSystem = ClosedSystem.TestCase
