"""Estimates are kept while nothing has changed, and never longer."""

import pytest
from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from turnout.fleet import Deployment, Estimate, Host, Instance, ModelInfo
from turnout.types import ExecutionMetrics
from turnout_metrics.estimates import predict
from turnout_metrics.estimator import RECOVERY_SECONDS, Estimator, Key
from turnout_metrics.learned import Learned

HOSTS = [Host(name, f"http://{name}:1234", "lmstudio") for name in ("desk", "attic")]
MODELS = [ModelInfo(f"m{size}", size_bytes=size * 10**9) for size in (2, 5, 20)]
LOADED = (Instance("i"),)


def fleet() -> list[Deployment]:
    return [Deployment(info, host) for host in HOSTS for info in MODELS]


def execution(key: Key, rate: float = 50.0) -> ExecutionMetrics:
    return ExecutionMetrics(
        key[1], key[0], 6.0, success=True, tokens_generated=200, tokens_per_second=rate, prompt_tokens=1000,
        time_to_first_token=1.0,
    )  # fmt: skip


class World:
    """An estimator with what it learns from."""

    def __init__(self) -> None:
        self.learned: dict[Key, Learned] = {}
        self.estimator = Estimator(self.learned)
        self.at = 0.0

    def record(self, metrics: ExecutionMetrics) -> None:
        key = (metrics.host, metrics.model_id)
        self.learned.setdefault(key, Learned()).observe(metrics, self.at)
        self.estimator.forget(key)

    def estimate(self, deployments: list[Deployment]) -> dict[Deployment, Estimate]:
        return self.estimator.estimate(deployments, self.at)


@pytest.fixture(name="world")
def _world() -> World:
    return World()


def test_an_estimate_is_made_once(world: World) -> None:
    """Asking again gives the same objects, in any selection of the deployments."""
    deployments = fleet()
    first = world.estimate(deployments)
    again = world.estimate(deployments[::-2])
    assert set(again) == set(deployments[::-2])
    assert all(again[deployment] is first[deployment] for deployment in again)


def test_new_data_renews_the_estimate_of_its_deployment(world: World) -> None:
    """What was learned shows at the next estimate, and does not touch another host that was measured."""
    deployments = fleet()
    world.record(execution(("attic", "m5")))
    first = world.estimate(deployments)
    world.record(execution(deployments[0].key, 500.0))
    second = world.estimate(deployments)
    assert second[deployments[0]].measured == 1
    assert second[deployments[0]].decode_seconds_per_token < first[deployments[0]].decode_seconds_per_token
    assert all(second[d] is first[d] for d in deployments if d.host.name == "attic")


def test_a_newer_snapshot_counts(world: World) -> None:
    """A deployment that was loaded since, or whose size became known, is estimated as it is now."""
    deployment = Deployment(MODELS[2], HOSTS[0])
    loaded = evolve(deployment, instances=LOADED)
    assert world.estimate([deployment])[deployment].load_seconds > 0
    assert world.estimate([loaded])[loaded].load_seconds == 0
    grown = evolve(loaded, info=evolve(MODELS[2], size_bytes=80 * 10**9))
    slower = world.estimate([grown])[grown].decode_seconds_per_token
    assert slower > world.estimate([loaded])[loaded].decode_seconds_per_token


def test_two_copies_of_one_deployment_are_both_answered(world: World) -> None:
    """Deployments of one key in one call each get their own estimate."""
    deployment = Deployment(MODELS[0], HOSTS[0])
    copies = [deployment, evolve(deployment, instances=LOADED)]
    found = world.estimate(copies)
    assert [found[copy].load_seconds > 0 for copy in copies] == [True, False]


def test_a_measured_model_speeds_up_its_neighbours_in_the_same_call(world: World) -> None:
    """A host's speed is known before any of its models is estimated, whatever their order."""
    deployments = fleet()
    before = World().estimate(deployments)
    world.record(execution(("desk", "m20"), 60.0))
    found = world.estimate(deployments)
    neighbour = deployments[0]
    assert found[neighbour].decode_seconds_per_token < before[neighbour].decode_seconds_per_token / 5


def test_a_host_that_nobody_has_measured_is_taken_for_one_like_the_others(world: World) -> None:
    """By the same model where another host has it, else by what hosts are like; its own times soon count."""
    deployments = [*fleet(), *(Deployment(info, Host("cellar", "", "lmstudio")) for info in MODELS)]
    first = world.estimate(deployments)
    for model, rate in (("m20", 500.0), ("m5", 100.0)):
        for _ in range(20):
            world.record(execution(("desk", model), rate))
    second = world.estimate(deployments)
    speeds = {d.key: second[d].decode_seconds_per_token for d in deployments}
    for model in ("m5", "m20"):
        assert speeds["attic", model] == pytest.approx(speeds["desk", model], rel=0.05)
    assert speeds["attic", "m2"] < first[deployments[3]].decode_seconds_per_token / 2
    for _ in range(20):
        world.record(execution(("attic", "m20"), 10.0))
    third = world.estimate(deployments)
    assert third[deployments[5]].decode_seconds_per_token == pytest.approx(0.1, rel=0.05)
    assert third[deployments[3]].decode_seconds_per_token > speeds["attic", "m2"]


def test_what_loads_take_elsewhere_says_nothing_of_a_host_that_nobody_has_measured(world: World) -> None:
    """To find out by a load that it is slower would cost more than it could save."""
    deployments = fleet()
    first = world.estimate(deployments)
    world.record(evolve(execution(("desk", "m20")), resident=False, load_seconds=1.0))
    second = world.estimate(deployments)
    desk, attic = deployments[2], deployments[5]
    assert second[desk].load_seconds < first[desk].load_seconds / 2
    assert second[attic].load_seconds == first[attic].load_seconds


def test_a_steady_host_does_not_renew_its_other_models(world: World) -> None:
    """Neighbours are estimated anew when the host's speed has moved, and not at each execution."""
    deployments = fleet()
    for _ in range(50):
        world.record(execution(("desk", "m20")))
    first = world.estimate(deployments)
    world.record(execution(("desk", "m20"), 51.0))
    second = world.estimate(deployments)
    assert second[deployments[2]] is not first[deployments[2]]
    assert second[deployments[0]] is first[deployments[0]]


def test_a_failed_deployment_recovers_without_new_executions(world: World) -> None:
    """Nobody sends requests to what failed, so time alone must bring its success rate back."""
    deployment = Deployment(MODELS[0], HOSTS[0])
    for _ in range(10):
        world.record(evolve(execution(deployment.key), success=False, error="LLMConnectionError"))
    failed = world.estimate([deployment])[deployment].success_rate
    world.at = RECOVERY_SECONDS
    soon = world.estimate([deployment])[deployment].success_rate
    world.at = 6 * 3600.0
    later = world.estimate([deployment])[deployment].success_rate
    assert failed < soon < 0.5
    assert later > 0.9


class FreshEstimates(RuleBasedStateMachine):
    """However executions, loads and time mix, what is kept is close to what would be made anew."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.deployments = fleet()

    @rule(n=st.integers(0, 5), rate=st.floats(1.0, 300.0), success=st.booleans())
    def execute(self, n: int, rate: float, success: bool) -> None:
        metrics = execution(self.deployments[n].key, rate)
        self.world.record(evolve(metrics, success=success, error=None if success else "ModelCrashedError"))

    @rule(n=st.integers(0, 5))
    def swap(self, n: int) -> None:
        old = self.deployments[n]
        self.deployments[n] = evolve(old, instances=() if old.resident else LOADED)

    @rule(seconds=st.floats(0.0, 7200.0))
    def wait(self, seconds: float) -> None:
        self.world.at += seconds

    @rule(some=st.sets(st.integers(0, 5)))
    def ask(self, some: set[int]) -> None:
        wanted = [self.deployments[n] for n in sorted(some)]
        assert list(self.world.estimate(wanted)) == wanted

    @invariant()
    def kept_is_fresh(self) -> None:
        found = self.world.estimate(self.deployments)
        for deployment, estimate in found.items():
            learned = self.world.learned.get(deployment.key)
            assert (estimate.load_seconds == 0) == deployment.resident
            if learned is not None and learned.measured:
                fresh = predict(
                    deployment.info, resident=deployment.resident, evidence=learned.evidence(self.world.at)
                )
                assert estimate.measured == fresh.measured
                assert estimate.decode_seconds_per_token == pytest.approx(
                    fresh.decode_seconds_per_token, rel=0.35
                )
            if learned is not None:
                rate = predict(deployment.info, resident=True, evidence=learned.evidence(self.world.at))
                assert estimate.success_rate == pytest.approx(rate.success_rate, abs=0.02)


FreshEstimates.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestFreshEstimates = FreshEstimates.TestCase


def test_how_much_a_model_writes_is_known_of_it_wherever_it_runs(world: World) -> None:
    """Where it has written little, what it wrote elsewhere tells; where it has written more, that does."""
    desk, attic = fleet()[0], fleet()[3]
    brief = evolve(execution(desk.key), tokens_generated=20, expected_tokens=200)
    long = evolve(execution(attic.key), tokens_generated=400, expected_tokens=200)
    for metrics in (*[brief] * 30, long):
        world.record(metrics)
        found = world.estimate([desk, attic])
    assert found[desk].output_factor == pytest.approx(0.1, rel=0.5)
    assert found[attic].output_factor == found[desk].output_factor
    for _ in range(90):
        world.record(long)
        found = world.estimate([desk, attic])
    assert found[attic].output_factor == pytest.approx(2.0, rel=0.2)
    assert found[desk].output_factor == pytest.approx(found[attic].output_factor, rel=0.1)
