"""What an answer is worth, and how long it is remembered."""

import math
from pathlib import Path

from attrs import field, frozen, validators

_share = [validators.ge(0.0), validators.le(1.0)]
_positive = [validators.gt(0.0), validators.lt(math.inf)]


@frozen
class BanditSettings:
    """The table ``[bandit]``.

    ``path`` is the SQLite file, by default ``bandit.db`` in the user's data directory. Each answer makes all
    earlier ones of its kind of work weigh ``discount`` times as much, and they lose half their weight in
    ``half_life_days`` too. ``unrated`` is what a valid answer is worth that nobody rated. Waiting costs up to
    ``latency_weight``, and a load before it up to ``switch_weight``: half of that at ``latency_seconds``.
    ``prior_cap`` bounds the trials that a known quality counts for.
    """

    path: Path | None = None
    discount: float = field(default=0.99, validator=[validators.gt(0.0), validators.le(1.0)])
    half_life_days: float = field(default=30.0, validator=_positive)
    unrated: float = field(default=0.8, validator=_share)
    latency_weight: float = field(default=0.2, validator=_share)
    switch_weight: float = field(default=0.5, validator=_share)
    latency_seconds: float = field(default=30.0, validator=_positive)
    prior_cap: float = field(default=10.0, validator=[validators.ge(0.0), validators.lt(math.inf)])
