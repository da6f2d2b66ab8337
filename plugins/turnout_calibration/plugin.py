"""The plugin: what calibration, own prompts and ratings have taught of each model, for the strategies."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import evolve

from turnout.clock import now
from turnout.fleet import Deployment
from turnout.markers import hookimpl
from turnout.messages import JSON
from turnout.skills import Assessment, ModelCapability
from turnout.types import Feedback
from turnout_calibration.ledger import Ledger
from turnout_calibration.report import described
from turnout_calibration.results import Rating
from turnout_calibration.settings import CalibrationSettings

if TYPE_CHECKING:
    import click

_DEFAULTS = CalibrationSettings()


class Calibration:
    """Knows how well each model does what: from probes, from the person's own prompts, and from ratings."""

    def __init__(self, settings: CalibrationSettings = _DEFAULTS) -> None:
        self.settings = settings
        self.ledger = Ledger(settings)

    @hookimpl
    def startup(self) -> Awaitable[None]:
        """Open the store in a thread, and learn what it remembers."""
        return self.ledger.open()

    @hookimpl
    def shutdown(self) -> Awaitable[None]:
        """Write what is left, and close the store."""
        return self.ledger.close()

    @hookimpl
    def assess_models(self, models: Mapping[str, Sequence[Deployment]]) -> Mapping[str, Assessment]:
        """Say how well *models* did, each score with the number of trials behind it."""
        return self.ledger.evidence.assess(models, now().timestamp())

    @hookimpl
    def record_feedback(self, feedback: Feedback) -> None:
        """Count a rating as one trial of its task type; of one without, as one of general use.

        Whoever rates the same answer again has changed their mind: the last rating counts.
        """
        if feedback.model:
            skill = feedback.task_type or ModelCapability.GENERAL
            rating = Rating(feedback.timestamp, feedback.model, skill, feedback.score)
            known = feedback.request_id
            self.ledger.rate(evolve(rating, request=known) if known else rating)

    @hookimpl
    def report_stats(self) -> Mapping[str, JSON]:
        """Return the scores of each model on each host, with their date, and where they are kept."""
        path, error = self.ledger.described()
        models = described(self.ledger.evidence, now().timestamp())
        return {"models": models, "store": {"path": path, "error": error}}

    @hookimpl(optionalhook=True)
    def register_commands(self, cli: "click.Group") -> None:
        """Add ``turnout calibrate`` and ``turnout eval``."""
        from turnout_calibration.commands import add_to

        add_to(cli, self.settings, self.ledger)
