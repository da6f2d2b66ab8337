"""The pool's own state as the planner sees it."""

from collections.abc import Iterable, Mapping
from math import inf

from turnout_pool.demand import Demand
from turnout_pool.line import Line
from turnout_pool.schedule import Schedule
from turnout_pool.settings import PoolSettings
from turnout_pool.situation import Place, Spot, Want


class Survey:
    """Describes hosts and their models, and knows how often each model is asked for. Loop's seconds."""

    def __init__(self, schedules: Mapping[str, Schedule], settings: PoolSettings) -> None:
        self._schedules = schedules
        self._settings = settings
        self._demands: dict[str, Demand] = {}

    def asked(self, model: str, now: float) -> None:
        """Count a request for *model*."""
        demand = self._demands.get(model)
        if demand is None:
            demand = self._demands[model] = Demand(now)
        demand.add(now)

    def places(self, wants: Iterable[Want], now: float) -> dict[str, Place]:
        """Describe the hosts, with the models that matter: wanted, resident, loading or in use."""
        wanted = {want.model for want in wants}
        return {
            name: Place(
                name,
                schedule.loading,
                {
                    model: self._spot(schedule, line, now)
                    for model, line in schedule.lines.items()
                    if model in wanted or line.resident or line.load is not None or line.slots.in_flight
                },
                self._settings.memory_bytes(name),
            )
            for name, schedule in self._schedules.items()
        }

    def _spot(self, schedule: Schedule, line: Line, now: float) -> Spot:
        model = line.model
        demand = self._demands.get(model)
        return Spot(
            model,
            resident=line.resident and line.load is None,
            running=line.slots.in_flight,
            slots=line.slots.size,
            load_seconds=schedule.loading_takes(line),
            service_seconds=schedule.serving_takes(line),
            loading=None if line.load is None else line.load.remaining(now),
            size=line.slots.deployment.info.size_bytes,
            since=line.since,
            used=line.used,
            wanted=inf if line.turn is None else line.turn.wanted,
            overdue=schedule.due(line) <= now,
            due=schedule.due(line),
            ours=line.ours is not None,
            kept=self._settings.keeps(model, schedule.host),
            rate=0.0 if demand is None else demand.rate(now),
        )
