"""Examinations: one model after the other, those that are loaded first, each result kept as it comes."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from attrs import define, evolve, field, frozen

from turnout.errors import (
    AuthenticationError,
    LLMConnectionError,
    LLMError,
    LLMValidationError,
    ModelLoadError,
    ModelNotFoundError,
    NoSuitableModelError,
)
from turnout.fleet import Deployment
from turnout.router import Router
from turnout.verbs import Display
from turnout_calibration.asking import Subject, Taken, subject, take
from turnout_calibration.ledger import Ledger
from turnout_calibration.settings import CalibrationSettings
from turnout_calibration.tasks import Task

HOPELESS = (
    AuthenticationError, LLMConnectionError, ModelLoadError, ModelNotFoundError, NoSuitableModelError,
    OSError,
)  # fmt: skip
"""After one of these nothing more is asked of the same deployment."""
_MOST_IN_A_ROW = 3
LEAST_CONTEXT = 4096
"""Tokens with which servers load a model at least, where nobody says otherwise."""


MakeTasks = Callable[[Subject], Sequence[Task]]
"""Which tasks a deployment gets: they depend on its context."""


@frozen
class Missing:
    """What could not be examined, and why: a load that failed, or a host that does not answer."""

    subject: Subject
    error: LLMError | OSError


@define
class Pace:
    """How fast it goes, for the time to expect; seconds by the loop's clock."""

    total: int
    done: int = 0
    spent: float = 0.0

    def add(self, seconds: float) -> None:
        """Count a task that was asked."""
        self.done += 1
        self.spent += seconds

    @property
    def left(self) -> float | None:
        """Seconds to the end; None before anything is known."""
        return self.spent / self.done * max(self.total - self.done, 0) if self.done else None


@define(eq=False)
class Examination:
    """One run over several deployments; ``see`` is told of every answer as it comes."""

    router: Router
    ledger: Ledger
    settings: CalibrationSettings
    tasks_of: MakeTasks
    display: Display
    see: Callable[[Taken], None] = lambda _: None
    missing: list[Missing] = field(factory=list)

    async def run(self, deployments: Iterable[Deployment]) -> None:
        """Examine each deployment in turn, as far as it is not done already."""
        todo = [(one, self.left(one)) for one in resident_first(deployments)]
        pace = Pace(sum(len(tasks) for _, tasks in todo))
        for deployment, tasks in todo:
            if tasks:
                await self._with_model(deployment, pace)

    def left(self, deployment: Deployment) -> Sequence[Task]:
        """Return the tasks still to be asked of *deployment*, as far as is known before it is loaded.

        With which context it will be loaded is not known: it is not loaded for long texts alone.
        """
        of = subject(deployment)
        return self._left(of if deployment.resident else evolve(of, context=min(of.context, LEAST_CONTEXT)))

    def _left(self, of: Subject) -> Sequence[Task]:
        return [task for task in self.tasks_of(of) if self.ledger.done(of.place, task) is None]

    async def _with_model(self, deployment: Deployment, pace: Pace) -> None:
        """Load the model if need be, examine it, and unload it again if it was not loaded before."""
        of = subject(deployment)
        if deployment.resident or not deployment.loadable:
            return await self._examine(of, pace)
        self.display.show(f"loading {of}")
        try:
            await self.router.load(of.model, host=of.host)
        except LLMError as error:
            self.missing.append(Missing(of, error))
            return None
        try:
            fleet = await self.router.fleet(refresh=True)
            return await self._examine(subject(fleet.find(of.host, of.model) or deployment), pace)
        finally:
            await self._unload(of)

    async def _unload(self, of: Subject) -> None:
        try:
            await self.router.unload(of.model, host=of.host)
        except LLMError as error:
            self.missing.append(Missing(of, error))

    async def _examine(self, of: Subject, pace: Pace) -> None:
        tasks, in_a_row = self._left(of), 0
        for number, task in enumerate(tasks):
            self._show(of, task, number / len(tasks), pace)
            taken = await self._take(task, of, pace)
            of = evolve(of, thinks=of.thinks or taken.thought)
            in_a_row = in_a_row + 1 if _counts(taken) else 0
            if taken.error is not None and (isinstance(taken.error, HOPELESS) or in_a_row == _MOST_IN_A_ROW):
                self.missing.append(Missing(of, taken.error))
                return

    def _show(self, of: Subject, task: Task, done: float, pace: Pace) -> None:
        left = pace.left
        rest = "" if left is None else f", about {duration(left)} left"
        self.display.show(f"{of}: {task.id} ({pace.done + 1} of {pace.total}{rest})", fraction=done)

    async def _take(self, task: Task, of: Subject, pace: Pace) -> Taken:
        loop = asyncio.get_running_loop()
        began = loop.time()
        taken = await take(self.router, task, of, self.settings)
        pace.add(loop.time() - began)
        await self.ledger.record(taken.result)
        self.see(taken)
        return taken


def _counts(taken: Taken) -> bool:
    """Whether a failure speaks against going on; one of a single request does not."""
    return taken.error is not None and not isinstance(taken.error, LLMValidationError)


def resident_first(deployments: Iterable[Deployment]) -> list[Deployment]:
    """Return those that are loaded before those that are not, host by host, so that nothing swaps."""
    return sorted(deployments, key=lambda one: (not one.resident, one.host.name, one.model))


def duration(seconds: float) -> str:
    """Say a duration in words: ``40 s``, ``3 min``."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
