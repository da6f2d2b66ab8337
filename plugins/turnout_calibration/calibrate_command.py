"""``turnout calibrate``: probe the models, and say how well each does what."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from turnout.clock import now
from turnout.errors import LLMError, NoSuitableModelError
from turnout.fleet import Deployment
from turnout.verbs import App
from turnout_calibration.asking import Subject, Taken, subject
from turnout_calibration.choosing import chosen
from turnout_calibration.frontend import PARTIAL, look, missing_shape, ready, tell_missing
from turnout_calibration.ledger import Ledger
from turnout_calibration.report import COLUMNS, described, row
from turnout_calibration.results import Place
from turnout_calibration.running import Examination, Missing
from turnout_calibration.settings import CalibrationSettings
from turnout_calibration.tasks import Task

if TYPE_CHECKING:
    from turnout.messages import JSON


@frozen
class Wanted:
    """What the command line asks for."""

    names: tuple[str, ...] = ()
    host: str | None = None
    everything: bool = False
    skills: tuple[str, ...] = ()
    quick: bool = False
    again: bool = False
    yes: bool = False


def run(app: App, settings: CalibrationSettings, ledger: Ledger, wanted: Wanted) -> None:
    """Choose, ask, examine and report; raises ``LLMError`` where nothing could be examined."""
    tasks_of = maker(settings, wanted)
    with app.session() as session, app.out.waiting() as display:
        fleet = session.run(look(session.router))
        aliases = app.config.selection.aliases
        deployments = chosen(fleet, wanted.names, wanted.host, everything=wanted.everything, aliases=aliases)
        seen: list[Taken] = []
        examination = Examination(session.router, ledger, settings, tasks_of, display, seen.append)
        agreed = ready(app.out, examination, deployments, "probe", again=wanted.again, yes=wanted.yes)
        session.run(examination.run(agreed))
        if not seen and not examination.missing:
            app.out.note(_nothing_new(examination, deployments))
    _report(app, ledger, deployments, seen, examination.missing)


def maker(settings: CalibrationSettings, wanted: Wanted) -> Callable[[Subject], Sequence[Task]]:
    """Return what says which probes a deployment gets."""
    from turnout_calibration import recall
    from turnout_calibration.probes import probes

    def tasks_of(of: Subject) -> Sequence[Task]:
        room = settings.thinking_tokens if of.thinks else 0
        sizes = recall.sizes(of.context, settings.longest_recall, room)
        longs = [task for size in sizes for task in recall.probes(size)]
        able = [task for task in (*probes(), *longs) if settings.run_code or not task.runs_code]
        return [task for task in able if _is_wanted(task, wanted)]

    return tasks_of


def _is_wanted(task: Task, wanted: Wanted) -> bool:
    if wanted.quick and not task.quick:
        return False
    return not wanted.skills or any(str(skill) in wanted.skills for skill in task.skills)


def _nothing_new(examination: Examination, deployments: Sequence[Deployment]) -> str:
    if any(examination.left(one) for one in deployments):
        return "nothing was asked"
    return "every probe has been answered already (--again redoes them)"


def _report(
    app: App,
    ledger: Ledger,
    deployments: Sequence[Deployment],
    seen: Sequence[Taken],
    missing: Sequence[Missing],
) -> None:
    """Print what is known, also from before; the exit code says whether something is missing."""
    import click

    places = list(dict.fromkeys(subject(one).place for one in deployments))
    known = [place for place in places if ledger.evidence.at_place(place)]
    if missing and not known:
        raise _as_llm_error(missing[0])
    if app.out.as_json:
        _print_json(app, ledger, known, seen, missing)
    elif known:
        at = now().timestamp()
        app.out.table(COLUMNS, [row(ledger.evidence, place, at) for place in known])
        _tell_failed(app, seen)
    tell_missing(app.out, missing)
    if missing:
        click.get_current_context().exit(PARTIAL)


def _as_llm_error(missing: Missing) -> LLMError:
    if isinstance(missing.error, LLMError):
        return missing.error
    return NoSuitableModelError(f"{missing.subject}: {missing.error}")


def _print_json(
    app: App, ledger: Ledger, places: Sequence[Place], seen: Sequence[Taken], missing: Sequence[Missing]
) -> None:
    models = described(ledger.evidence, now().timestamp(), places)
    failed: list[JSON] = [_failure(taken) for taken in seen if taken.result.outcome == "failed"]
    gaps: list[JSON] = [*missing_shape(missing)]
    app.out.json({"models": models, "asked": len(seen), "failed": failed, "missing": gaps})


def _failure(taken: Taken) -> "JSON":
    result = taken.result
    return {
        "host": result.host, "model": result.model, "task": result.task, "error": result.error,
        "message": taken.why,
    }  # fmt: skip


def _tell_failed(app: App, seen: Sequence[Taken]) -> None:
    failed = [taken.result for taken in seen if taken.result.outcome == "failed"]
    if failed:
        errors = ", ".join(sorted({result.error for result in failed}))
        app.out.note(f"without an answer, and to be asked again in the next run: {len(failed)} ({errors})")
