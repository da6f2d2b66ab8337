"""Simulations: right answers, right times, the same numbers for the same seed."""

import math

import pytest

from turnout import Config, ConfigError, TaskType
from turnout_testing.simulation.fleet_file import SimulatedFleet, SimulatedHost, SimulatedModel
from turnout_testing.simulation.policies import POLICIES
from turnout_testing.simulation.report import as_csv, as_json
from turnout_testing.simulation.result import Result
from turnout_testing.simulation.run import Simulation
from turnout_testing.simulation.strategies import DEFAULT, GATED
from turnout_testing.simulation.trace import Arrival

MODELS = {
    "owl": SimulatedModel(load_seconds=4, prefill=1000, decode=50, parallel=2),
    "wren": SimulatedModel(load_seconds=1, prefill=4000, decode=100),
}
TWO = SimulatedFleet({"desk": SimulatedHost(), "attic": SimulatedHost(speed=2)}, MODELS)
ONE = SimulatedFleet({"desk": SimulatedHost()}, MODELS)
WAYS = (DEFAULT, "performance", *POLICIES, *(f"{GATED}{name}" for name in POLICIES))


def arrivals(count: int = 40) -> list[Arrival]:
    return [Arrival(n * 0.4, 100 + n, 20 + n % 7, ("owl", "wren")[n * n % 3 % 2]) for n in range(count)]


def run(strategy: str, *, fleet: SimulatedFleet = TWO, seed: int = 1) -> Result:
    return Simulation(fleet, arrivals(), seed).run(strategy)


@pytest.mark.parametrize("way", WAYS)
def test_the_same_seed_gives_the_same_numbers(way: str) -> None:
    """Two runs agree to the last digit of every request."""
    first, second = run(way), run(way)
    assert as_csv([first]) == as_csv([second])
    assert as_json([first]) == as_json([second])


@pytest.mark.parametrize("way", [DEFAULT, *(f"{GATED}{name}" for name in POLICIES)])
def test_where_loads_wait_every_request_is_answered(way: str) -> None:
    """Nothing is cut off, by turnout or behind gates, and everything asked for is generated."""
    result = run(way)
    assert (len(result.answered), result.errors) == (40, {})
    assert sum(host.killed for host in result.hosts) == 0
    assert sum(one.output_tokens for one in result.samples) == sum(one.output_tokens for one in arrivals())
    assert {one.model for one in result.samples} == {"owl", "wren"}


def test_one_request_takes_what_it_must() -> None:
    """A load, a prompt and an answer are timed as the fleet file says."""
    simulation = Simulation(ONE, [Arrival(0, 500, 100, "owl"), Arrival(30, 500, 100, "owl")])
    cold, warm = simulation.run(DEFAULT).samples
    assert cold.wait == pytest.approx(4)
    assert cold.first_token == pytest.approx(4 + 0.5 + 0.02)
    assert cold.latency == pytest.approx(4 + 0.5 + 2)
    assert warm.wait == pytest.approx(0, abs=1e-6)
    assert warm.latency == pytest.approx(0.5 + 2)


def test_what_a_host_did_adds_up() -> None:
    """Loads, shares of the time and stays in memory are those of the one request."""
    result = Simulation(ONE, [Arrival(0, 500, 100, "owl")]).run(DEFAULT)
    (host,), (stay,) = result.hosts, result.stays
    assert (host.loads, host.swaps, host.killed) == (1, 0, 0)
    assert host.loading == pytest.approx(4 / 6.5)
    assert host.busy == pytest.approx(2.5 / 6.5)
    assert (stay.model, stay.load_began) == ("owl", 0.0)
    assert stay.begins == pytest.approx(4)
    assert stay.ends == pytest.approx(result.makespan) == pytest.approx(6.5)
    assert result.tokens_per_second == pytest.approx(100 / 6.5)


def test_blind_forwarding_costs_answers() -> None:
    """Without gates or queues, a load on an LM Studio host ends what others wait for."""
    result = run("random", fleet=ONE)
    assert result.errors
    assert sum(result.errors.values()) == len(result.samples) - len(result.answered)
    lost = next(one for one in result.samples if one.error)
    assert math.isnan(lost.wait)
    assert lost.output_tokens == 0


def test_a_strategy_chooses_where_no_model_is_named() -> None:
    """Free requests go to the model that the strategy or the policy takes."""
    free = [Arrival(n * 3.0, 100, 20, task_type=TaskType.SIMPLE_QUERY) for n in range(8)]
    for way in (DEFAULT, "performance", f"{GATED}random", f"{GATED}static"):
        result = Simulation(TWO, free).run(way)
        assert len(result.answered) == 8


def test_a_client_that_does_not_wait_long_enough_is_an_error() -> None:
    """The timeout is the clients', and its error is counted by name."""
    result = Simulation(ONE, [Arrival(0, 10, 10, "owl")], timeout=2).run(DEFAULT)
    assert result.errors == {"DeadlineExceededError": 1}
    assert result.latencies == []
    assert result.makespan == pytest.approx(2)


def test_settings_of_the_pool_matter() -> None:
    """A simulation runs under given settings: a queue without room refuses."""
    config = Config(tables={"pool": {"queue": 0}})
    result = Simulation(ONE, arrivals(), config=config).run(DEFAULT)
    assert "OverloadedError" in result.errors


@pytest.mark.parametrize("name", ["nobody", "gated-turnout", "gated-"])
def test_a_strategy_that_nobody_is_called_is_refused(name: str) -> None:
    """The error lists what there is."""
    with pytest.raises(ConfigError, match="resident-first"):
        run(name)


def test_a_plugin_that_is_no_strategy_is_refused() -> None:
    """The name of an installed plugin alone is not enough."""
    with pytest.raises(ConfigError, match="names no strategy: metrics"):
        run("metrics")
