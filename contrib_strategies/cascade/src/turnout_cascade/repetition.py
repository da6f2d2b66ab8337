"""Texts that go round in circles."""

TAIL = 2000
LEAST_LENGTH = 240
LEAST_ROUNDS = 6


def repeats(text: str) -> bool:
    """Whether *text* ends in at least six rounds of the same, over 240 characters or more.

    What has no letter and no digit in it is a line or a table, and no loop until it is as long as is looked
    at: 2,000 characters.
    """
    tail = text[-TAIL:][::-1]
    if len(tail) < LEAST_LENGTH:
        return False
    borders = _borders(tail)
    for length in range(len(tail), LEAST_LENGTH - 1, -1):
        period = length - borders[length - 1]
        if length >= LEAST_ROUNDS * period:
            return length == TAIL or any(map(str.isalnum, tail[:period]))
    return False


def _borders(text: str) -> list[int]:
    """Return for each prefix the length of its longest proper border (Knuth, Morris and Pratt, 1977).

    A prefix less its longest border is its shortest period.
    """
    borders = [0] * len(text)
    length = 0
    for at in range(1, len(text)):
        while length and text[at] != text[length]:
            length = borders[length - 1]
        if text[at] == text[length]:
            length += 1
        borders[at] = length
    return borders
