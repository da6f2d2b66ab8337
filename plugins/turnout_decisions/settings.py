"""What may be set in the table ``[decisions]``."""

from pathlib import Path

from attrs import field, frozen, validators

MEMORY = Path(":memory:")


@frozen
class DecisionsSettings:
    """The table ``[decisions]``.

    ``enabled`` false logs nothing. ``path`` is the SQLite file, by default ``decisions.db`` in the user's
    data directory; with ``":memory:"`` the newest decisions are held in the process alone. Rows (decisions,
    outcomes of attempts and ratings, one each) are kept for ``retention_days``, and at most
    ``retention_rows`` of them. ``content`` true keeps the words of requests too, for strategies that read
    them.
    """

    enabled: bool = True
    path: Path | None = field(default=None)
    retention_days: float = field(default=90.0, validator=validators.gt(0))
    retention_rows: int = field(default=20_000, validator=validators.gt(0))
    content: bool = False
