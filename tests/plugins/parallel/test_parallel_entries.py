"""What is remembered of the lines of a batch, in little memory, and what is shown while they are checked."""

import io
import json
import tracemalloc

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from turnout import Operation
from turnout_parallel.batch_input import SEEN, BatchInput
from turnout_parallel.checking import Checking
from turnout_parallel.entries import Entries, Entry

names = st.text(max_size=6) | st.integers(-(2**70), 2**70) | st.sampled_from(["7", 7, "line-1", "\ud800", ""])
entries = st.builds(
    Entry,
    st.integers(1, 2**40),
    st.integers(0, 2**62),
    st.integers(0, 2**32),
    names,
    st.binary(min_size=12, max_size=12).map(bytes.hex),
    st.none() | st.sampled_from(["a", "b", ""]),
    st.sampled_from(Operation),
    st.sampled_from(["", "is no JSON", "has a problem"]),
    st.booleans(),
)


@given(st.lists(entries, max_size=150, unique_by=lambda entry: entry.key), st.lists(names, max_size=20))
def test_the_table_is_a_list_and_a_dictionary(made: list[Entry], others: list[str | int]) -> None:
    """Every entry comes back as it was, by its place and by its key, and no key finds another's."""
    table = Entries()
    for number, entry in enumerate(made):
        assert table.find(entry.key) is None
        table.append(entry)
        assert (len(table), table[number], table[-1]) == (number + 1, entry, entry)
    assert list(table) == made == table[:]
    assert table[::-1] == made[::-1]
    assert table.problems == [entry for entry in made if entry.problem]
    known = {entry.key: entry for entry in made}
    for key in [*known, *map(json.dumps, others)]:
        assert table.find(key) == known.get(key)


def test_a_place_that_is_not_there_is_an_error() -> None:
    """As in a list."""
    with pytest.raises(IndexError):
        Entries()[0]


def test_a_line_takes_little_memory() -> None:
    """Less than 150 bytes, whatever is in it: a million lines fit everywhere."""
    count = 20_000
    text = "".join(
        json.dumps({"id": f"request-{n:07}", "prompt": "x" * 200, "model": "acme/owl-8b"}) + "\n"
        for n in range(count)
    )
    file = io.BytesIO(text.encode())
    tracemalloc.start()
    try:
        lines = BatchInput(file)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(lines.entries) == count
    assert taken < 150 * count


# --- what is shown ----------------------------------------------------------------------------------


@define
class Shown:
    """A display that keeps what it shows."""

    shown: list[tuple[str, float | None]] = field(factory=list)

    def show(self, text: str, *, fraction: float | None = None) -> None:
        self.shown.append((text, fraction))


def test_the_check_tells_how_far_it_is() -> None:
    """Every few hundred lines, in lines and as a share of the file; blank lines count as lines."""
    seen: list[tuple[int, float]] = []
    lines = BatchInput(io.BytesIO(b"x\n\n" * SEEN), lambda *now: seen.append(now))
    assert len(lines.entries) == SEEN
    assert [count for count, _ in seen] == [SEEN, 2 * SEEN]
    assert [round(share, 2) for _, share in seen] == [0.5, 1.0]


def test_a_check_that_takes_long_is_shown_now_and_then() -> None:
    """A few times a second, from a quarter of a second on: one that is over at once shows nothing."""
    display, now = Shown(), [100.0]
    checking = Checking(display, lambda: now[0])
    for step in range(1, 11):
        now[0] += 0.1
        checking.see(1_000 * step, step / 10)
    assert display.shown == [
        ("checking: 3,000 lines", 0.3),
        ("checking: 6,000 lines", 0.6),
        ("checking: 9,000 lines", 0.9),
    ]
