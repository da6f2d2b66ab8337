"""Looking for shapes."""

from hypothesis import given
from hypothesis import strategies as st

from turnout_task_based.shapes import SHAPES, shapes_in

PIECES = (
    "x = 1", "f(x)", "a.b(", "a -> b", "std::sort", "f() {", "`ls`", "√", "−",
    "5 km", "٣ m", "7 %", "9 pm", "\n",
)  # fmt: skip


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=8)), max_size=6).map(" ".join))
def test_what_is_left_out_is_not_there(text: str) -> None:
    """A shape is found exactly where its pattern is, whatever was looked for before it."""
    assert list(shapes_in(text)) == [name for name, pattern in SHAPES.items() if pattern.search(text)]
