"""Traces: Azure's format and our own, mixed, scaled and limited the same for the same seed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout import ConfigError, TaskType
from turnout_testing.simulation.trace import Arrival, read_trace

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:04.0319600,3180,8
2023-11-16 18:18:03.9799600,110,27
"""
OWN = """arrival,ContextTokens,GeneratedTokens,model,client,task_type
5,100,10,owl,ann,code_review
2.5,50,0,,,
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "trace.csv"
    path.write_text(text)
    return path


def test_azures_format_is_read_as_it_is(tmp_path: Path) -> None:
    """Times of day become seconds since the first request."""
    first, second, third = read_trace(written(tmp_path, AZURE))
    assert first == Arrival(0.0, 4808, 10)
    assert second == Arrival(0.052, 3180, 8)
    assert third.at == 60.0


def test_our_own_columns_are_read_and_sorted(tmp_path: Path) -> None:
    """Seconds, model, client and task type may stand in the file, in any order of time."""
    assert read_trace(written(tmp_path, OWN)) == (
        Arrival(0.0, 50, 0),
        Arrival(2.5, 100, 10, "owl", "ann", TaskType.CODE_REVIEW),
    )


def test_scale_and_limit(tmp_path: Path) -> None:
    """Twice the speed is half the time, and a limit takes the first ones of the file."""
    path = written(tmp_path, AZURE)
    assert [one.at for one in read_trace(path, scale=2)] == [0.0, 0.026, 30.0]
    assert len(read_trace(path, limit=2)) == 2


@given(st.integers(0, 1000))
def test_a_mix_is_drawn_by_seed(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """The same seed gives every request the same model, by weights in which 0 is never drawn."""
    path = written(tmp_path_factory.mktemp("mix"), AZURE)
    mix = {"owl": 3.0, "wren": 1.0, "hawk": 0.0}
    drawn = [one.model for one in read_trace(path, mix=mix, seed=seed)]
    assert drawn == [one.model for one in read_trace(path, mix=mix, seed=seed)]
    assert {*drawn} <= {"owl", "wren"}


def test_another_seed_draws_another_mix(tmp_path: Path) -> None:
    """The seed matters."""
    path = written(tmp_path, "arrival,ContextTokens,GeneratedTokens\n" + "0,1,1\n" * 40)
    mixes = {tuple(one.model for one in read_trace(path, mix={"a": 1, "b": 1}, seed=s)) for s in range(5)}
    assert len(mixes) == 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "arrival or TIMESTAMP, ContextTokens, GeneratedTokens"),
        ("arrival,ContextTokens\n", "no column GeneratedTokens"),
        ("arrival,ContextTokens,GeneratedTokens\n", "no request in it"),
        ("arrival,ContextTokens,GeneratedTokens\n1,x,2\n", "csv:2"),
        ("arrival,ContextTokens,GeneratedTokens\n1,2\n", "csv:2"),
        ("arrival,ContextTokens,GeneratedTokens\n1,2,-3\n", "csv:2"),
        ("arrival,ContextTokens,GeneratedTokens\nnan,2,3\n", "csv:2"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,2,3\n", "csv:2"),
        ("arrival,ContextTokens,GeneratedTokens,task_type\n1,2,3,juggling\n", "juggling"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    """A trace that is not right is refused, with the file and the line."""
    with pytest.raises(ConfigError, match=words):
        read_trace(written(tmp_path, text))


def test_a_file_that_is_no_text_or_not_there_is_named(tmp_path: Path) -> None:
    """Neither is a traceback."""
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    for name in ("binary.csv", "none.csv"):
        with pytest.raises(ConfigError, match=name):
            read_trace(tmp_path / name)


def test_a_trace_longer_than_the_clock_counts_is_refused(tmp_path: Path) -> None:
    """It would be simulated for ever; on a faster scale it may pass."""
    path = written(tmp_path, "arrival,ContextTokens,GeneratedTokens\n0,1,1\n1e9,1,1\n")
    with pytest.raises(ConfigError, match="longer than"):
        read_trace(path)
    assert read_trace(path, scale=1e3)[-1].at == 1e6
