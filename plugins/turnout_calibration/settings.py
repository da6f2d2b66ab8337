"""What a user can set about calibration; all of it has a default that works."""

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import Attribute, field, frozen, validators

if TYPE_CHECKING:
    from turnout_calibration.sandbox import Limits

MOST = 2**63
"""No number is as large: SQLite and the kernel take none."""
_at_least_one = (validators.ge(1), validators.lt(MOST))


def _above_zero(_: object, attribute: "Attribute[float]", value: float) -> None:
    if not 0 < value < MOST:  # NaN too
        message = f"'{attribute.name}' must be above 0 and below 2**63, not {value:g}"
        raise ValueError(message)


def _a_file(_: object, attribute: "Attribute[Path | None]", value: Path | None) -> None:
    if value is not None and value.name in {"", ".."}:
        message = f"'{attribute.name}' must name a file, and {str(value)!r} is a folder"
        raise ValueError(message)


@frozen
class CalibrationSettings:
    """``[calibration]``: how models are probed, and how much that counts.

    ``path`` is the SQLite file, by default ``calibration.db`` in the user's data directory; ``":memory:"``
    keeps nothing. A result or a rating counts half as much after ``half_life_days``. ``own_weight`` is what
    one result of your own prompts (``turnout eval``) counts, in probes. ``timeout`` is in seconds, for one
    question. ``thinking_tokens`` is what a model that reasons may write before its answer.
    ``longest_recall`` is the longest text that is asked about, in tokens. ``run_code`` false runs no code
    that models write, and leaves out what needs that. ``code_seconds`` (of CPU) and ``code_memory_mb`` bound
    what such code may use: at most a day and a TiB. ``keep_rows`` bounds the file.
    """

    path: Path | None = field(default=None, validator=_a_file)
    half_life_days: float = field(default=90.0, validator=_above_zero)
    own_weight: float = field(default=3.0, validator=_above_zero)
    timeout: float = field(default=300.0, validator=_above_zero)
    thinking_tokens: int = field(default=4096, validator=_at_least_one)
    longest_recall: int = field(default=30_000, validator=_at_least_one)
    run_code: bool = True
    code_seconds: float = field(default=5.0, validator=(_above_zero, validators.le(86_400)))
    code_memory_mb: int = field(default=512, validator=(validators.ge(64), validators.le(1_048_576)))
    keep_rows: int = field(default=50_000, validator=_at_least_one)

    @property
    def limits(self) -> "Limits":
        """What code in an answer may use; on the wall it has three times its CPU seconds, and 5 s more."""
        from turnout_calibration.sandbox import Limits

        return Limits(self.code_seconds, 3 * self.code_seconds + 5, self.code_memory_mb * 1024 * 1024)
