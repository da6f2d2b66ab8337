"""What is sent next: rules that hold for every fleet and every heap of work."""

from hypothesis import given
from hypothesis import strategies as st

from turnout import Deployment, Fleet, Host, Instance, ModelInfo
from turnout_parallel.plan import UNKNOWN_ROOM, Batch, Plan
from turnout_parallel.source import Need

from .conftest import HAWK, OWL, WREN

KEYS = (OWL, HAWK, WREN)
HOSTS = ("desk", "attic", "cellar")
PLACES = st.dictionaries(
    st.tuples(st.sampled_from(HOSTS), st.sampled_from(KEYS)), st.sampled_from([None, 1, 4]), max_size=9
)
WORK = st.dictionaries(
    st.tuples(st.sampled_from([*KEYS, "acme/nobody"]), st.sampled_from([None, frozenset({"desk"})])),
    st.integers(1, 50),
    min_size=1,
)


def fleet_of(places: dict[tuple[str, str], int | None]) -> Fleet:
    """Return a fleet with so many slots of each model on each host; None is not loaded."""
    return Fleet(
        tuple(
            Deployment(
                ModelInfo(key),
                Host(host, f"http://{host}", "lmstudio"),
                () if slots is None else (Instance(key, parallel=slots),),
                default_parallel=4,
            )
            for (host, key), slots in places.items()
        )
    )


def planned(fleet: Fleet, work: dict[tuple[str, frozenset[str] | None], int], seconds: float = 0.0) -> Plan:
    plan, numbers = Plan({"owl": OWL}), iter(range(10_000))
    for (model, hosts), count in work.items():
        for _ in range(count):
            plan.add(next(numbers), Need(model, hosts), fleet)
    for batch, _ in plan.rooms(fleet):
        batch.seconds = seconds
    return plan


@given(PLACES, WORK, st.sampled_from([0.0, 1.0, 500.0]))
def test_something_may_always_be_sent(
    places: dict[tuple[str, str], int | None],
    work: dict[tuple[str, frozenset[str] | None], int],
    seconds: float,
) -> None:
    """However the models lie, while anything waits and nothing is in flight there is room for something."""
    fleet = fleet_of(places)
    rooms = list(planned(fleet, work, seconds).rooms(fleet))
    assert any(room > 0 for _, room in rooms)
    assert all(room >= 0 for _, room in rooms)


@given(PLACES, WORK)
def test_a_load_takes_no_host_that_has_work(
    places: dict[tuple[str, str], int | None], work: dict[tuple[str, frozenset[str] | None], int]
) -> None:
    """What must be loaded waits until one of its hosts has nothing resident left that somebody waits for."""
    fleet = fleet_of(places)
    rooms = list(planned(fleet, work).rooms(fleet))
    wanted = {(batch.key.model, batch.key.hosts) for batch, _ in rooms}
    busy = {
        host
        for (host, key), slots in places.items()
        if slots is not None and any(key == model and (not on or host in on) for model, on in wanted)
    }
    for batch, room in rooms:
        hosts = {h: slots for (h, key), slots in places.items() if key == batch.key.model and _on(batch, h)}
        if room and hosts and not any(slots is not None for slots in hosts.values()):
            assert set(hosts) - busy


def _on(batch: Batch, host: str) -> bool:
    return batch.key.hosts is None or host in batch.key.hosts


@given(PLACES, WORK)
def test_what_is_loaded_has_all_its_slots(
    places: dict[tuple[str, str], int | None], work: dict[tuple[str, frozenset[str] | None], int]
) -> None:
    """A resident model's room is the sum of its slots on all hosts that its requests allow."""
    fleet = fleet_of(places)
    for batch, room in planned(fleet, work).rooms(fleet):
        slots = [n for (h, key), n in places.items() if key == batch.key.model and _on(batch, h) and n]
        if slots:
            assert room == sum(slots)


def test_an_unknown_name_makes_its_batch_later() -> None:
    """A model whose host is away keeps a batch of its own, and has its slots when the host is back."""
    away = fleet_of({})
    plan = planned(away, {("owl", None): 3, (HAWK, None): 2})
    assert [(batch.key.model, room) for batch, room in plan.rooms(away)] == [
        ("owl", UNKNOWN_ROOM),
        (HAWK, UNKNOWN_ROOM),
    ]
    back = fleet_of({("desk", OWL): 4, ("desk", HAWK): None})
    assert [(batch.key.model, room) for batch, room in plan.rooms(back)] == [("owl", 4), (HAWK, 0)]


def test_however_many_names_nobody_knows() -> None:
    """They make few batches, so that a hostile list costs no more than an honest one."""
    fleet, plan = fleet_of({("desk", OWL): 4}), Plan({})
    for number in range(5000):
        plan.add(number, Need(f"acme/nobody-{number}"), fleet)
    assert len(list(plan.rooms(fleet))) < 100


def test_a_refusal_slows_down_and_an_answer_speeds_up() -> None:
    """After a refusal fewer are sent at once, and with each answer one more."""
    fleet = fleet_of({("desk", OWL): 4})
    plan = planned(fleet, {(OWL, None): 10})
    ((batch, _),) = plan.rooms(fleet)
    numbers = [batch.take() for _ in range(4)]
    batch.refused(numbers[3], until=9.0)
    assert (batch.waiting[0], batch.paused_until) == (numbers[3], 9.0)
    assert [room for _, room in plan.rooms(fleet)] == [3]
    batch.served(1.0)
    assert [room for _, room in plan.rooms(fleet)] == [4]
    assert (batch.seconds, batch.paused_until) == (1.0, 0.0)
