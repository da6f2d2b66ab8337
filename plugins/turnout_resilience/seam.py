"""Where two parts of one answer meet: what the second repeats of the first is left out."""

LONGEST = 16_384
"""Characters at the end of the first part that are compared."""
LEAST = 8
"""A shorter repetition may be chance, unless it is all that there was."""


def overlap(before: str, after: str) -> int:
    """Return how many characters *after* repeats of the end of *before*."""
    for length in range(min(len(before), len(after)), 0, -1):
        if before.endswith(after[:length]):
            return length if length >= LEAST or length == len(before) else 0
    return 0


class Seam:
    """Takes the second part piece by piece, and gives what is new in it.

    It holds back for as long as what has come may be a repetition, so that none is ever shown.
    """

    def __init__(self, before: str) -> None:
        self._before = before[-LONGEST:]
        self._held = ""
        self._open = True

    def feed(self, piece: str) -> str:
        """Take a *piece*; return what may be shown."""
        if not self._open:
            return piece
        self._held += piece
        return "" if self._may_go_on() else self.close()

    def close(self) -> str:
        """Return what was held and is new: nothing more comes that could repeat."""
        held, self._held, self._open = self._held, "", False
        return held[overlap(self._before, held) :]

    def _may_go_on(self) -> bool:
        """Whether what is held is the beginning of a longer repetition."""
        return self._before.find(self._held, 0, len(self._before) - 1) >= 0
