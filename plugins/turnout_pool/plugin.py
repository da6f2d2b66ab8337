"""The pool's hooks: one way to each host, and a slot for each request."""

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Mapping,
    Sequence,
)
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, TypeAlias

from turnout.events import Event
from turnout.fleet import Deployment, Fleet, Host, Instance, LoadOptions
from turnout.markers import hookimpl
from turnout.messages import JSONObject
from turnout.types import ExecutionMetrics, Lease, ModelRequest, ModelSelection
from turnout_pool.dispatch import Dispatcher, Estimates
from turnout_pool.line import Line
from turnout_pool.loader import ExplicitLoads
from turnout_pool.room import without_room
from turnout_pool.schedule import Schedule
from turnout_pool.settings import PoolSettings
from turnout_pool.silence import CRASHED, LOST, UNTOLD, LoadSigns
from turnout_pool.watch import Watch

if TYPE_CHECKING:
    import click
    import httpx

    from turnout.router import Router

Run: TypeAlias = Callable[[], AsyncIterator[Event]]
LoadWork: TypeAlias = Awaitable[Instance] | None


class Pool:
    """Connections, slots, queues and placement, for one router on one event loop."""

    def __init__(self, settings: PoolSettings) -> None:
        self.settings = settings
        self._dispatcher = Dispatcher(settings)
        self._watch: Watch | None = None
        self._loads: ExplicitLoads | None = None

    @hookimpl
    def startup(self, router: "Router") -> None:
        """Remember whom to tell that a model was loaded."""
        self._watch = Watch(self._dispatcher, router)
        self._loads = ExplicitLoads(self._dispatcher.yard, router, self._watch)
        self._dispatcher.yard.loader = self._loads.begin
        self._dispatcher.yard.vetoes = lambda *asked: router.plugins.veto_deployments(*asked).reasons

    @hookimpl(optionalhook=True)
    def register_commands(self, cli: "click.Group") -> None:
        """Add ``turnout plan``."""
        from turnout_pool.commands import add_to

        add_to(cli, self._dispatcher.yard)

    @hookimpl
    def open_transport(self, host: Host) -> "httpx.AsyncBaseTransport | None":
        """Open a way to an HTTP host; the libraries are imported with the first."""
        if not host.url.startswith(("http://", "https://")):
            return None
        from turnout_pool.transport import Transport

        return Transport(self.settings.keepalive, self.settings.connect_timeout)

    @hookimpl
    def place_request(
        self, request: ModelRequest, selection: ModelSelection, fleet: Fleet
    ) -> Coroutine[None, None, Lease]:
        """Wait for a slot on the best deployment of the selected model."""
        return self._dispatcher.place(request, selection, fleet)

    @hookimpl(wrapper=True)
    def estimate(
        self, request: ModelRequest, deployments: Sequence[Deployment]
    ) -> Generator[None, Estimates | None, Estimates | None]:
        """Add the queue to the estimates of busy deployments; placement goes by what the others predict."""
        estimates = yield
        # What is no mapping is the core's to refuse, and nothing to go by.
        known = estimates if isinstance(estimates, (dict, Mapping)) else {}
        self._dispatcher.estimates = known
        busy = self._dispatcher.busy_estimates(request, deployments, known)
        return {**known, **busy} if busy else estimates

    @hookimpl
    def veto_deployments(
        self, request: ModelRequest, deployments: Sequence[Deployment]
    ) -> Mapping[Deployment, str] | None:
        """Leave out what would need more memory than is set, once it is loaded with a larger context."""
        if not self.settings.memory:
            return None
        return without_room(self._dispatcher.yard, request, deployments)

    @hookimpl(wrapper=True)
    def load_model(self, deployment: Deployment, options: LoadOptions) -> Generator[None, LoadWork, LoadWork]:
        """Remember what requests need and nobody has asked to be loaded: that is ours to unload."""
        work = yield
        return work if work is None or not options.on_demand else self._loading(deployment, work)

    async def _loading(self, deployment: Deployment, work: Awaitable[Instance]) -> Instance:
        instance = await work
        self._dispatcher.claim(deployment, instance)
        return instance

    @hookimpl
    def record_execution(self, metrics: ExecutionMetrics) -> None:
        """Learn of a crash before its slot is given to the next, and look at the hosts where that is due."""
        if metrics.error == CRASHED:
            self._dispatcher.crashed(metrics.host, metrics.model_id)
        elif metrics.error in UNTOLD:
            suspect = self._dispatcher.suspect(metrics.host, metrics.model_id)
            lost = metrics.error == LOST and self._dispatcher.lost(metrics.host)
            if suspect or lost:
                self._look_again()
        if self._watch is not None and self._dispatcher.yard.waiting:
            self._watch.attend()

    @hookimpl(wrapper=True)
    def execute_request(self, deployment: Deployment) -> Generator[None, Run | None, Run | None]:
        """Watch a request that may load its model for the sign that the model is resident."""
        run = yield
        if run is None or deployment.instances or not deployment.loadable:
            return run
        return partial(self._watch_load, run, deployment)

    async def _watch_load(self, run: Run, deployment: Deployment) -> AsyncIterator[Event]:
        events, signs = run(), LoadSigns()
        if self._watch is not None:
            self._watch.follow(deployment)
        try:
            async for event in events:
                if signs.see(event):
                    self._loaded(deployment)
                yield event
        except BaseException as end:
            if signs.leave_a_load(end) and self._watch is not None:
                self._dispatcher.abandon(deployment)
            raise
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()

    def _loaded(self, deployment: Deployment) -> None:
        if self._watch is None:
            self._dispatcher.loaded(deployment)
        else:
            self._watch.shown(deployment)

    def _look_again(self) -> None:
        if self._watch is not None:
            self._watch.look_soon()

    @hookimpl
    def report_stats(self) -> JSONObject:
        """Report :meth:`get_stats`."""
        return self.get_stats()

    def get_stats(self) -> JSONObject:
        """Say, for each host and model: slots, in flight, queued, refused, waits in seconds."""
        return {name: _host_stats(schedule) for name, schedule in self._dispatcher.schedules.items()}

    @hookimpl
    def shutdown(self) -> Coroutine[None, None, None] | None:
        """Refuse those that still wait, and unload what is ours."""
        if self._watch is not None:
            self._watch.close()
        self._dispatcher.close()
        loads, self._loads = self._loads, None
        return loads.close() if loads is not None and self.settings.unload_at_close else None


def _host_stats(schedule: Schedule) -> JSONObject:
    return {
        "in_flight": schedule.in_flight,
        "queued": schedule.waiting,
        "loads": schedule.loads,
        "models": {model: _line_stats(line) for model, line in schedule.lines.items()},
    }


def _line_stats(line: Line) -> JSONObject:
    return {
        "slots": line.slots.size,
        "in_flight": line.slots.in_flight,
        "queued": line.queued,
        "refused": line.refused,
        "resident": line.resident,
        "wait_p50": median(line.waits) if line.waits else 0.0,
        "wait_max": max(line.waits, default=0.0),
        "service_seconds": line.service.value,
        "load_seconds": line.load_seconds.value,
    }
