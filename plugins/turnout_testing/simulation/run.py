"""A simulation: a trace comes upon a fleet, the clock is virtual, and everything else is as in earnest."""

import asyncio
from collections.abc import Mapping, Sequence

from attrs import frozen

from turnout import Config, Router
from turnout_testing.clock import virtual_loop_factory
from turnout_testing.emulator import Emulator
from turnout_testing.simulation.fleet_file import SimulatedFleet
from turnout_testing.simulation.result import Result, Sample, doings, stays
from turnout_testing.simulation.strategies import Strategy
from turnout_testing.simulation.trace import Arrival
from turnout_testing.simulation.traffic import Traffic, visit

START = 1.0
"""Virtual seconds in which the router looks around before the first request comes."""


@frozen(eq=False)
class Simulation:
    """What is simulated; equal simulations have equal results. ``timeout``: seconds that clients wait."""

    fleet: SimulatedFleet
    arrivals: Sequence[Arrival]
    seed: int = 0
    timeout: float = 600.0
    config: Config = Config()

    def run(self, strategy: str) -> Result:
        """Simulate one strategy. Must not be called from a running event loop.

        Raises ``ConfigError`` where nothing is called so, and `ForeignAnswerError` where a request got
        another one's answer.
        """
        with asyncio.Runner(loop_factory=virtual_loop_factory) as runner:
            return runner.run(self._run(Strategy(strategy)))

    async def _run(self, strategy: Strategy) -> Result:
        traffic = Traffic(self.arrivals, self.seed, self.timeout)
        emulators = self.fleet.emulators(traffic.reply, self.seed)
        loop = asyncio.get_running_loop()
        async with strategy.router(emulators, self.config) as router:
            await router.fleet()
            await asyncio.sleep(START - loop.time())
            samples = await _all(router, traffic, emulators)
            ended = max(START + sample.at + sample.latency for sample in samples)
        return _result(strategy.name, samples, emulators, ended)


async def _all(router: Router, traffic: Traffic, emulators: Mapping[str, Emulator]) -> list[Sample]:
    loop = asyncio.get_running_loop()
    visits: list[asyncio.Task[Sample]] = []
    async with asyncio.TaskGroup() as group:
        for number, arrival in enumerate(traffic.arrivals):
            await asyncio.sleep(START + arrival.at - loop.time())
            visits.append(group.create_task(visit(router, traffic, number, emulators)))
    return [one.result() for one in visits]


def _result(
    name: str, samples: Sequence[Sample], emulators: Mapping[str, Emulator], ended: float
) -> Result:
    done = [doings(host, emulator, START, ended) for host, emulator in emulators.items()]
    kept = [stay for host, emulator in emulators.items() for stay in stays(host, emulator, START, ended)]
    return Result(name, samples, done, kept)
