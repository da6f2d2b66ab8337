"""The base of all errors: whose fault, where, and what to do."""

import datetime as dt
import enum
from collections.abc import Mapping
from typing import ClassVar, TypedDict, Unpack

from turnout.clock import now
from turnout.messages import JSON, JSONObject


class Fault(enum.Enum):
    """Whose fault an error is; it decides what happens next, unless ``on_failure`` says otherwise."""

    REQUEST = "request"
    """It would fail anywhere: stop."""
    DEPLOYMENT = "deployment"
    """This model on this host fails: choose again without it."""
    HOST = "host"
    """This host fails: choose again without the host."""
    PASSING = "passing"
    """It may succeed in a moment: try the same deployment again."""


class Where(TypedDict, total=False):
    """Keywords that every error takes: its place, and what to do instead of what the class says."""

    host: str | None
    model: str | None
    advice: str | None
    fault: Fault | None


class LLMError(Exception):
    """Base of all errors here: what happened, where (``host``, ``model``), and what to do (``advice``).

    ``context`` holds further facts for logs. ``partial`` is the text that had come before an answer broke
    off. Secrets never belong in any of these.
    """

    fault: Fault = Fault.REQUEST
    default_advice: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        original_exception: BaseException | None = None,
        context: Mapping[str, JSON] | None = None,
        **where: Unpack[Where],
    ) -> None:
        super().__init__(message)
        self.message = message
        self.original_exception = original_exception
        self.context: JSONObject = dict(context or {})
        self.partial = ""
        self.host = where.get("host")
        self.model = where.get("model")
        self.advice = where.get("advice") or self.default_advice
        self.timestamp: dt.datetime = now()
        self.fault = where.get("fault") or type(self).fault

    def __str__(self) -> str:
        place = " on ".join(part for part in (self.model, self.host) if part)
        known = place and all(part in self.message for part in (self.model, self.host) if part)
        where = f" ({place})" if place and not known else ""
        advice = f" {self.advice}" if self.advice else ""
        stop = "" if self.message.endswith((".", "!", "?", "…")) or not advice else "."
        return f"{self.message}{where}{stop}{advice}"

    def to_dict(self) -> JSONObject:
        """Return the error as JSON, for structured logs and ``--json``."""
        original = self.original_exception
        return {
            "type": type(self).__name__,
            "message": str(self),
            "fault": self.fault.value,
            "host": self.host,
            "model": self.model,
            "context": self.context,
            "timestamp": self.timestamp.isoformat(),
            "original": str(original) if original is not None else None,
        }
