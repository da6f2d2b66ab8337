"""The results that this plugin has and keeps: in memory for who asks, in SQLite for the next time."""

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from turnout.clock import now
from turnout.store import Store, data_path, open_store
from turnout_calibration.evidence import Evidence, Fading
from turnout_calibration.results import (
    FORGET,
    INSERT,
    INSERT_RATING,
    INSERT_RENEWAL,
    MIGRATIONS,
    History,
    Place,
    Rating,
    Result,
    Source,
    cells,
    prune,
    rating_cells,
    read,
    sound,
)
from turnout_calibration.settings import CalibrationSettings

if TYPE_CHECKING:
    from turnout_calibration.tasks import Task

DAY = 86_400.0
MEMORY = Path(":memory:")


class Ledger:
    """What was found out about the models."""

    def __init__(self, settings: CalibrationSettings) -> None:
        self.evidence = Evidence(Fading(settings.half_life_days * DAY, settings.own_weight))
        self._path = (settings.path or data_path("calibration.db")).expanduser()
        self._keep_rows = settings.keep_rows
        self._renewals: dict[tuple[Place, Source], float] = {}
        self._store: Store | None = None
        self._warning: str | None = None

    async def open(self) -> None:
        """Open the store, and learn what it knows."""
        if self._path == MEMORY:
            return
        if self._path.is_dir():
            self._warn(f"calibration: {self._path} is a folder. Results are kept in memory only.")
            return
        keep = partial(prune, rows=self._keep_rows)
        opened = await asyncio.to_thread(
            open_store, self._path, MIGRATIONS, read, name="calibration", prune=keep,
            meanwhile="Results are kept",
        )  # fmt: skip
        self._store = opened.store
        if opened.warning is not None:
            self._warn(opened.warning)
        self._remember(opened.history or History())

    def _warn(self, warning: str) -> None:
        self._warning = warning
        logger.warning("{}", warning)

    def _remember(self, history: History) -> None:
        for result in history.results:
            self.evidence.add(result)
        for rating in history.ratings:
            self.evidence.rate(rating)
        self._renewals.update(history.renewals)

    async def close(self) -> None:
        """Write what is left, and close the store."""
        store, self._store = self._store, None
        if store is not None:
            await asyncio.to_thread(store.close)

    async def record(self, result: Result) -> None:
        """Take a result; when this returns it is on the disk, or a warning has said why not."""
        self.evidence.add(result)
        if self._store is not None:
            self._store.append(INSERT, [cells(result)])
            if result.outcome != "failed":  # an older answer waits for no judge any more
                self._store.append(FORGET, [(*map(sound, result.place), result.fingerprint, result.key)])
            await asyncio.to_thread(self._store.flush)

    def rate(self, rating: Rating) -> None:
        """Take a rating, and have it written soon."""
        self.evidence.rate(rating)
        if self._store is not None:
            self._store.append(INSERT_RATING, [rating_cells(rating)])

    def renew(self, place: Place, source: Source) -> None:
        """From now on what this place has of *source* is to be done again; until then it still counts."""
        at = self._renewals[place, source] = now().timestamp()
        if self._store is not None:
            self._store.append(INSERT_RENEWAL, [(*place, source, at)])

    def done(self, place: Place, task: "Task") -> Result | None:
        """Return the result that *task* has at *place*, unless it is older than the last renewal."""
        found = self.evidence.newest(place, task.fingerprint)
        if found is None or found.at < self._renewals.get((place, task.source), 0.0):
            return None
        return found

    def described(self) -> tuple[str | None, str | None]:
        """Return where results are kept, and what is wrong with that."""
        if self._store is None:
            return None, self._warning
        return str(self._store.path), self._store.error or self._warning
