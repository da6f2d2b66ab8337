"""From what the hooks note to the rows of the file; it runs in the store's own thread."""

from collections.abc import Iterable, Iterator

from loguru import logger

from turnout.store import Row
from turnout_decisions.codec import VERSION, Encoded, Encoder
from turnout_decisions.journal import event_of
from turnout_decisions.noted import Noted


def cells(event: Encoded) -> Row:
    """Return the values for :data:`INSERT`."""
    fleet, qualities = event.fleet, event.qualities
    return (
        event.at,
        event.kind,
        event.request_id,
        event.task_type,
        VERSION,
        None if fleet is None else fleet.digest,
        None if qualities is None else qualities.digest,
        event.estimates,
        event.body,
        None if fleet is None else fleet.body,
        None if qualities is None else qualities.body,
    )


class Writing:
    """Makes rows, with the words of requests only where *content* is to be kept."""

    def __init__(self, *, content: bool) -> None:
        self._content = content
        self._encoder = Encoder()

    def rows(self, noted: Iterable[Noted]) -> Iterator[Row]:
        """Yield a row for each; what cannot be written down is left out, with a warning."""
        for one in noted:
            try:
                yield cells(self._encoder.encode(event_of(one, content=self._content)))
            except Exception as error:  # noqa: BLE001  other plugins' values
                logger.warning("decisions: cannot be written down: {}: {}", type(error).__name__, error)
