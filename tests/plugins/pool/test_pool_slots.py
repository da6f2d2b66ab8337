"""Slots never go to more requests than the instances take, and are never lost."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from turnout.fleet import Deployment, Host, Instance, ModelInfo
from turnout_pool.slots import Slots

HOST = Host("desk", "http://desk:1234", "lmstudio")
instances = st.lists(
    st.builds(Instance, st.sampled_from(["a", "b", "c"]), parallel=st.none() | st.integers(1, 4)),
    max_size=3,
    unique_by=lambda instance: instance.id,
)
deployments = st.builds(
    Deployment,
    st.just(ModelInfo("m")),
    st.just(HOST),
    instances.map(tuple),
    default_parallel=st.integers(1, 3),
)
steps = st.lists(st.sampled_from(["take", "give back"]) | deployments, max_size=60)


@given(deployments, steps, st.randoms())
def test_no_instance_gets_more_than_it_takes(
    first: Deployment, steps: list[str | Deployment], chance: Random
) -> None:
    """Whatever snapshots come in between, a slot is granted only where one is free, and all come back."""
    slots, held = Slots(first), list[str]()
    for step in steps:
        if isinstance(step, Deployment):
            slots.show(step)
        elif step == "give back" and held:
            slots.give_back(held.pop(chance.randrange(len(held))))
        elif step == "take" and slots.free > 0:
            name, leased = slots.take()
            held.append(name)
            assert len(held) <= (slots.deployment.slots or slots.deployment.default_parallel)
            if leased.instances:
                (instance,) = leased.instances
                assert instance.id == name
                assert held.count(name) <= (instance.parallel or leased.default_parallel)
        assert slots.in_flight == len(held)
    for name in held:
        slots.give_back(name)
    assert slots.free == slots.size


def test_the_instance_with_the_most_free_slots_is_taken() -> None:
    """Requests spread over the copies of a model by what each has left."""
    copies = (Instance("m", parallel=1), Instance("m:2", parallel=3))
    slots = Slots(Deployment(ModelInfo("m"), HOST, copies))
    assert [slots.take()[0] for _ in range(4)] == ["m:2", "m:2", "m", "m:2"]


def test_leases_on_one_instance_share_one_deployment() -> None:
    """A lease is for one instance, and costs nothing to make again."""
    slots = Slots(Deployment(ModelInfo("m"), HOST, (Instance("m", parallel=2),)))
    assert slots.take()[1] is slots.take()[1]


def test_a_request_goes_to_an_instance_whose_context_it_fits() -> None:
    """Copies of one model may have been loaded with different contexts."""
    copies = (Instance("m", 1000, 4), Instance("m:2", 8000, 4))
    slots = Slots(Deployment(ModelInfo("m"), HOST, copies))
    assert slots.take(500)[0] == "m"
    assert slots.fits(6000)
    assert slots.take(6000)[0] == "m:2"
    assert not slots.fits(6000)
    assert slots.fits(400)
    assert slots.take(400)[0] == "m"
    slots.give_back("m:2", 6000)
    assert slots.fits(6000)
