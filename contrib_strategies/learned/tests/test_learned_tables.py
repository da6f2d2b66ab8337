"""Score tables are read strictly, and divided by their own column or by a seed."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from turnout_learned.tables import read_table, read_tables, split

from turnout import ConfigError

from .conftest import MakeTable, make_table

GOOD = "prompt,task,score:a,score:b,cost:a\nhello,greeting,1,0.5,3\n\"two\nlines\",other,,0,3\n"


def written(folder: Path, text: str, name: str = "scores.csv") -> Path:
    """Write a file."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_has_prompts_models_and_scores(tmp_path: Path) -> None:
    """Columns that begin with score: are models, an empty cell is unknown, and other columns are ignored."""
    table = read_table(written(tmp_path, GOOD))
    assert table.prompts == ("hello", "two\nlines")
    assert table.models == ("a", "b")
    assert table.tasks == ("greeting", "other")
    assert table.splits == ("", "")
    assert np.array_equal(table.scores, [[1.0, 0.5], [np.nan, 0.0]], equal_nan=True)


def test_gzip_is_read_by_its_content(tmp_path: Path) -> None:
    """A compressed file is read whatever its name."""
    path = tmp_path / "scores.csv"
    path.write_bytes(gzip.compress(GOOD.encode()))
    assert read_table(path).models == ("a", "b")


def test_contaminated_rows_are_dropped(tmp_path: Path) -> None:
    """A row whose column contaminated says 1 is in no table."""
    text = "prompt,score:a,score:b,contaminated\nx,1,0,1\ny,1,0,0\n"
    assert read_table(written(tmp_path, text)).prompts == ("y",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "needs a column prompt"),
        ("prompt,score:a\nx,1\n", "at least two columns"),
        ("score:a,score:b\n1,1\n", "needs a column prompt"),
        ("prompt,score:a,score:b\n", "has no rows"),
        ("prompt,score:a,score:b\nx,1,good\n", "line 2: score:b must be a number"),
        ("prompt,score:a,score:b\nx,1,inf\n", "not 'inf'"),
        ('prompt,score:a,score:b\nx,1,"1"2\n', "scores.csv"),
    ],
)
def test_what_is_no_table_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    """The error names the file and what is wrong in it."""
    with pytest.raises(ConfigError, match=r"scores\.csv") as caught:
        read_table(written(tmp_path, text))
    assert words in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    """Nothing there, half a gzip file, and bytes that are no text are all the same kind of error."""
    (tmp_path / "half.gz").write_bytes(gzip.compress(GOOD.encode())[:-9])
    (tmp_path / "latin").write_bytes(b"prompt,score:\xe4")
    for name in ("none", "half.gz", "latin"):
        with pytest.raises(ConfigError, match=name):
            read_table(tmp_path / name)


def test_several_files_are_one_table(tmp_path: Path) -> None:
    """Models that only one of the files scored are unknown on the rows of the other."""
    first = written(tmp_path, "prompt,score:a,score:b\nx,1,0\n", "first.csv")
    second = written(tmp_path, "prompt,score:c,score:b\ny,0,1\n", "second.csv")
    table = read_tables([first, second])
    assert table.models == ("a", "b", "c")
    assert np.array_equal(table.scores, [[1, 0, np.nan], [np.nan, 1, 0]], equal_nan=True)


def test_models_are_chosen_by_name(table_of: MakeTable) -> None:
    """Columns come in the order that was asked for, and one that is not there is an error that lists them."""
    table = table_of(30)
    assert np.array_equal(table.only(("acme/steady", "acme/bard")).scores, table.scores[:, [2, 0]])
    with pytest.raises(ConfigError, match="no column score:nobody; there are acme/bard"):
        table.only(("acme/bard", "nobody"))


@given(st.integers(2, 60), st.integers(0, 99), st.floats(0.05, 0.9))
def test_each_row_is_on_one_side(rows: int, seed: int, share: float) -> None:
    """A split has every row once, the same for the same seed, and at least one to report on."""
    table = make_table(rows)
    mine, others = split(table, seed, share)
    assert sorted([*mine, *others]) == list(range(rows))
    assert len(others) == max(1, round(share * rows))
    assert np.array_equal(split(table, seed, share)[1], others)


def test_the_column_split_counts_more_than_the_seed(tmp_path: Path) -> None:
    """Where the file says which rows are for the test, those are."""
    text = "prompt,split,score:a,score:b\nx,train,1,0\ny,test,1,0\nz,train,1,1\n"
    mine, others = split(read_table(written(tmp_path, text)), 5)
    assert (mine.tolist(), others.tolist()) == ([0, 2], [1])
