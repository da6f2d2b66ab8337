"""``turnout eval``: a person's own prompts, asked of several models, checked and compared."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from turnout.errors import LLMError, LLMValidationError, NoSuitableModelError
from turnout.verbs import App, Display, Session
from turnout_calibration.asking import Taken, subject
from turnout_calibration.choosing import chosen
from turnout_calibration.frontend import (
    PARTIAL,
    look,
    missing_shape,
    ready,
    tell_missing,
)
from turnout_calibration.judging import Bench, waiting
from turnout_calibration.ledger import Ledger
from turnout_calibration.own import read_file
from turnout_calibration.results import Place
from turnout_calibration.running import Examination
from turnout_calibration.settings import CalibrationSettings
from turnout_calibration.tasks import Task
from turnout_calibration.verdicts import COLUMNS, Verdicts, check_writable

if TYPE_CHECKING:
    from turnout.messages import JSON
    from turnout_calibration.results import Result
    from turnout_calibration.running import Missing


@frozen
class Wanted:
    """What the command line asks for."""

    file: Path
    names: tuple[str, ...] = ()
    host: str | None = None
    judge: str | None = None
    results: Path | None = None
    table: Path | None = None
    again: bool = False
    yes: bool = False


def run(app: App, settings: CalibrationSettings, ledger: Ledger, wanted: Wanted) -> None:
    """Read, choose, ask, judge and report; raises ``LLMError`` for a file that cannot be used."""
    for path in filter(None, (wanted.results, wanted.table)):
        check_writable(path)
    tasks = read_file(wanted.file, wanted.judge)
    _check_code(tasks, settings)
    with app.session() as session, app.out.waiting() as display:
        evaluation = Evaluation(app, settings, ledger, tasks, wanted)
        evaluation.run(session, display)
    evaluation.report()


def _check_code(tasks: Sequence[Task], settings: CalibrationSettings) -> None:
    running = next((task.id for task in tasks if task.runs_code), None)
    if running is not None and not settings.run_code:
        message = f"{running}: a code check runs what a model writes, and `[calibration] run_code` is false"
        raise LLMValidationError(message, advice="Nothing was asked.")


class Evaluation:
    """One run of ``turnout eval``."""

    def __init__(
        self, app: App, settings: CalibrationSettings, ledger: Ledger, tasks: Sequence[Task], wanted: Wanted
    ) -> None:
        self._app = app
        self._settings = settings
        self._ledger = ledger
        self._tasks = tasks
        self._wanted = wanted
        self._seen: list[Taken] = []
        self._places: list[Place] = []
        self._missing: Sequence[Missing] = ()
        self._judges: Sequence[LLMError] = ()
        self._reasons: Mapping[str, str] = {}

    def run(self, session: Session, display: Display) -> None:
        """Ask what is not done yet, then judge what is open."""
        router, wanted = session.router, self._wanted
        fleet = session.run(look(router))
        aliases = self._app.config.selection.aliases
        deployments = chosen(fleet, wanted.names, wanted.host, everything=False, aliases=aliases)
        self._places = list(dict.fromkeys(subject(one).place for one in deployments))
        settings, see = self._settings, self._seen.append
        examination = Examination(router, self._ledger, settings, lambda _: self._tasks, display, see)
        out, again = self._app.out, wanted.again
        agreed = ready(out, examination, deployments, "prompt", again=again, yes=wanted.yes)
        session.run(examination.run(agreed))
        bench = Bench(router, self._ledger, display, wanted.judge, settings)
        session.run(bench.run(waiting(self._ledger, self._tasks, self._places)))
        self._missing, self._judges = examination.missing, bench.errors
        self._reasons = bench.reasons

    def report(self) -> None:
        """Print and write what was found; the exit code says whether something is missing."""
        import click

        verdicts = self._verdicts()
        if not verdicts.results:
            raise self._nothing()
        if self._wanted.results is not None:
            verdicts.write_results(self._wanted.results)
        if self._wanted.table is not None:
            verdicts.write_table(self._wanted.table)
        if self._app.out.as_json:
            gaps: list[JSON] = [*missing_shape(self._missing)]
            left: list[JSON] = [str(error) for error in self._judges]
            self._app.out.json({**verdicts.shape(), "missing": gaps, "judges": left})
        else:
            self._print(verdicts)
        tell_missing(self._app.out, self._missing)
        self._tell_unjudged()
        if self._missing or self._judges:
            click.get_current_context().exit(PARTIAL)

    def _verdicts(self) -> Verdicts:
        results: dict[Place, dict[str, Result]] = {}
        for place in self._places:
            for task in self._tasks:
                result = self._ledger.done(place, task)
                if result is not None and result.outcome == "scored":
                    results.setdefault(place, {})[task.fingerprint] = result
        answers = {taken.result.key: taken.text for taken in self._seen if taken.text is not None}
        return Verdicts(self._tasks, results, answers, self._words())

    def _words(self) -> Mapping[str, str]:
        """Return what was wrong with the answers of this run, by the key of their result."""
        seen = {taken.result.key: taken.why for taken in self._seen}
        keys = dict.fromkeys((*seen, *self._reasons))
        return {key: "; ".join(filter(None, (seen.get(key), self._reasons.get(key)))) for key in keys}

    def _nothing(self) -> LLMError:
        """Say why there is nothing to report."""
        errors = [*(one.error for one in self._missing), *self._judges]
        errors += [taken.error for taken in self._seen if taken.error is not None]
        known = next((error for error in errors if isinstance(error, LLMError)), None)
        words = "; ".join(map(str, errors[:1])) or "nothing was asked"
        return known or NoSuitableModelError(words)

    def _print(self, verdicts: Verdicts) -> None:
        out = self._app.out
        out.table(COLUMNS, [one.row() for one in verdicts.standings()])
        if verdicts.kinds():
            out.line()
            names = [f">{verdicts.name(place)}" for place in verdicts.results]
            out.table(("TASK TYPE", ">PROMPTS", *names), verdicts.kind_rows())
        comparisons = verdicts.comparisons()
        if comparisons:
            out.line()
        for one in comparisons:
            out.line(f"{one}")

    def _tell_unjudged(self) -> None:
        if self._judges:
            self._app.out.warn(f"{len(self._judges)} answers are not judged: {self._judges[0]}")
