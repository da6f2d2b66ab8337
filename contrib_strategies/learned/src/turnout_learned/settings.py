"""What a user can set about the strategy."""

import math
from pathlib import Path

from attrs import field, frozen, validators

_share = (validators.ge(0.0), validators.lt(math.inf))


@frozen
class LearnedSettings:
    """The table ``[learned]``.

    ``path`` is the fitted file, by default ``learned.npz`` in the user's data directory. ``time_weight`` is
    what a predicted second costs, in expected score: at 0.001 a model that needs 100 seconds more must be
    expected to score 0.1 more. ``min_gain``: where the candidates' expected scores differ by less than this,
    it abstains, because then other things matter more.
    """

    path: Path | None = None
    time_weight: float = field(default=0.001, validator=_share)
    min_gain: float = field(default=0.01, validator=_share)


def default_path() -> Path:
    """Return where the fitted file lies unless the configuration says otherwise."""
    import platformdirs

    return Path(platformdirs.user_data_dir("turnout", appauthor=False)) / "learned.npz"


def place(settings: LearnedSettings) -> Path:
    """Return where the fitted file lies."""
    return (settings.path or default_path()).expanduser()
