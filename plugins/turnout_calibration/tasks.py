"""A task: what is asked, how the answer is checked, and which skills it tells of."""

import hashlib
import json
from collections.abc import Mapping
from typing import TypeAlias

from attrs import field, frozen, validators

from turnout.messages import JSONObject, Tool
from turnout.skills import Skill, TaskType
from turnout_calibration.checks import Check
from turnout_calibration.code import Judged, PassesTests
from turnout_calibration.results import Source

AnyCheck: TypeAlias = Check | PassesTests | Judged
PROBES_VERSION = "1"
"""Of the built-in set; it changes when results of before and after cannot be compared."""
MOST_TOKENS = 640
"""What an answer may have, in tokens, where its task does not say."""


@frozen
class Task:
    """One thing to ask; ``skills`` says how much the result tells of each.

    ``fingerprint`` is the same for the same question with the same checks, whatever it is called.
    """

    id: str
    prompt: str
    checks: tuple[AnyCheck, ...] = field(validator=validators.min_len(1))
    system: str | None = None
    schema: JSONObject | None = None
    tools: tuple[Tool, ...] = ()
    max_tokens: int = MOST_TOKENS
    skills: Mapping[Skill, float] = field(factory=dict)
    task_type: TaskType | None = None
    weight: float = 1.0
    quick: bool = False
    source: Source = "prompt"
    fingerprint: str = ""

    @property
    def runs_code(self) -> bool:
        """Whether a check runs code of the answer."""
        return any(isinstance(check, PassesTests) for check in self.checks)

    @property
    def judged(self) -> tuple[Judged, ...]:
        """The checks that another model makes."""
        return tuple(check for check in self.checks if isinstance(check, Judged))


def fingerprint(raw: JSONObject) -> str:
    """Return a short hash of what decides about a result, out of the task as it was written."""
    deciding = ("prompt", "system", "schema", "tools", "max_tokens", "checks")
    text = json.dumps({key: raw[key] for key in deciding if key in raw}, sort_keys=True)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]
