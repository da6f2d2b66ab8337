"""Many clients on hosts that fail in every known way: the invariants of a router, by random schedules."""

import pytest

from turnout_testing.simulation.chaos import run
from turnout_testing.simulation.invariants import InvariantError
from turnout_testing.simulation.policies import Chance, ReferencePolicy

SEEDS = 320


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_happens_every_request_ends_once_in_time_and_as_its_own(seed: int) -> None:
    """Faults, cancellations, jumps and people leave no wrong answer, no taken slot and no dead router."""
    course = run(seed)
    assert course.events > course.requests
    assert course.answered <= course.requests


def test_the_same_seed_is_the_same_course() -> None:
    """A seed that fails can be seen to fail again."""
    assert [run(seed) for seed in range(8)] == [run(seed) for seed in range(8)]


def broken_by_blind_forwarding() -> list[InvariantError]:
    """Run some seeds on a router without queues."""
    found = []
    for seed in range(12):
        try:
            run(seed, {"policy": ReferencePolicy(Chance())})
        except InvariantError as error:
            found.append(error)
    return found


def test_a_router_without_queues_does_not_hold_the_invariants() -> None:
    """The schedules find what they are there to find: overrun slots, and answers that our loads cut off."""
    found = {str(error).partition(";")[0] for error in broken_by_blind_forwarding()}
    assert "an instance has more clients than slots" in found
    assert "a load of ours has cut off what was generating" in found


def test_a_failing_seed_says_how_to_see_it_again() -> None:
    """The command that replays it stands in the error."""
    first = broken_by_blind_forwarding()[0]
    assert first.__notes__[0].endswith("again: turnout simulate --chaos --seed 0")
