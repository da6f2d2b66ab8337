"""What is reported of a simulation: quantiles, tables, JSON, CSV and the picture."""

import csv
import io
import json
import math
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout_testing.simulation import report
from turnout_testing.simulation.plot import STRETCHES, plot
from turnout_testing.simulation.result import HostDoings, Result, Sample, Stay, covered, quantile

SVG = "{http://www.w3.org/2000/svg}"


def result(count: int = 3, name: str = "turnout") -> Result:
    samples = [
        Sample(n * 1.0, 3.0, 1.0, 1.5, "acme/owl<8b>", "desk", 10) for n in range(count)
    ] + [Sample(1.0, 0.5, error="OverloadedError")]
    doings = [HostDoings("desk", 0.5, 0.25, 2, 1, 0)]
    return Result(name, samples, doings, [Stay("desk", "acme/owl<8b>", 0.0, 1.0, 4.0)])


@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_a_quantile_is_one_of_the_values_and_covers_its_share(values: list[float], share: float) -> None:
    """At least the share of all values is no larger, and of no smaller value this can be said."""
    ordered = sorted(values)
    found = quantile(ordered, share)
    assert sum(value <= found for value in ordered) >= share * len(ordered)
    assert sum(value < found for value in ordered) < share * len(ordered)


def test_a_quantile_of_nothing_is_no_number() -> None:
    """Nothing was answered, so there is nothing to say."""
    assert math.isnan(quantile([], 0.5))


SPAN = st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda two: (min(two), max(two)))


@given(st.lists(SPAN), SPAN)
def test_covered_time_counts_each_moment_once(spans: list[tuple[int, int]], window: tuple[int, int]) -> None:
    """What overlaps counts once, and what is outside does not count."""
    since, until = window
    seconds = {s for begins, ends in spans for s in range(begins, ends) if since <= s < until}
    assert covered(spans, since, until) == len(seconds)


def test_tables_have_a_cell_for_each_column() -> None:
    """Every row fits its heads, also where nothing was answered."""
    results = [result(), result(0, "nothing")]
    for columns, rows in (
        (report.COLUMNS, report.rows(results)),
        (report.TIME_COLUMNS, report.time_rows(results)),
        (report.HOST_COLUMNS, report.host_rows(results)),
    ):
        assert {len(row) for row in rows} == {len(columns)}
    assert report.rows(results)[0] == ["turnout", "3", "1", "5.0", "2", "1", "6.0"]
    assert report.time_rows(results)[3][2:] == ["–"] * 4


def test_json_says_all_sums() -> None:
    """What JSON cannot say, such as NaN, is null."""
    summary = json.loads(json.dumps(report.as_json([result(), result(0)]), allow_nan=False))
    first, second = summary["strategies"]
    assert (first["answered"], first["errors"], first["makespan"]) == (3, {"OverloadedError": 1}, 5.0)
    assert first["latency"] == {"p50": 3.0, "p95": 3.0, "p99": 3.0, "max": 3.0}
    assert first["hosts"]["desk"] == {"busy": 0.5, "loading": 0.25, "loads": 2, "swaps": 1, "killed": 0}
    assert second["wait"]["p50"] is None


def test_csv_has_a_line_for_each_request() -> None:
    """A program can read it back; a request without an answer has no times of one."""
    rows = list(csv.DictReader(io.StringIO(report.as_csv([result()]))))
    assert [row["number"] for row in rows] == ["0", "1", "2", "3"]
    assert (rows[0]["wait"], rows[0]["model"], rows[0]["error"]) == ("1.000000", "acme/owl<8b>", "")
    assert (rows[3]["wait"], rows[3]["latency"], rows[3]["error"]) == ("", "0.500000", "OverloadedError")


def test_the_picture_is_well_formed_and_names_everything() -> None:
    """Strategies, hosts, models and the axis stand in it, with their strange characters escaped."""
    root = ET.fromstring(plot([result(), result(5, "a & b")]))
    words = [text.text for text in root.iter(f"{SVG}text")]
    assert {"turnout", "a & b", "desk", "owl<8b>", "waiting", "loading", "0 s", "5 s"} <= {*words}
    assert words.count("desk") == 2


def test_nothing_lies_outside_the_picture() -> None:
    """Every box is within the width and the height that the picture claims."""
    root = ET.fromstring(plot([result(20), result(40, "more")]))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for box in root.iter(f"{SVG}rect"):
        if "x" in box.attrib:
            assert 0 <= float(box.attrib["x"]) + float(box.attrib["width"]) <= width
            assert 0 <= float(box.attrib["y"]) + float(box.attrib["height"]) <= height


def test_a_long_trace_draws_no_longer_line() -> None:
    """The picture of ten thousand requests has no more points than its width can show."""
    path = ET.fromstring(plot([result(10_000)])).findall(f"{SVG}path")[-1].attrib["d"]
    assert path.count("L") <= 4 * (STRETCHES + 1)


def test_what_has_waited_is_gone_after_it() -> None:
    """The line goes down to nobody after each burst, however fine the steps were."""
    bursts = [Sample(at + n / 1000, 1.0, 0.5) for at in range(0, 10_000, 2000) for n in range(100)]
    path = ET.fromstring(plot([Result("turnout", bursts, [], [])])).findall(f"{SVG}path")[-1].attrib["d"]
    points = [point.split() for point in path[1:].partition("V")[0].split("L")]
    ground = points[0][1]
    assert [y for _, y in points].count(ground) >= 5 + 1
    assert points[-1][1] == ground


def test_a_picture_of_nothing_is_a_picture() -> None:
    """No result, and a result without a request, are drawn too."""
    for results in ([], [Result("turnout", [], [], [])]):
        assert ET.fromstring(plot(results)).tag == f"{SVG}svg"


@pytest.mark.parametrize(
    ("seconds", "mark"), [(8, "8 s"), (700, "10 min"), (90, "1:10 min"), (7200, "60 min")]
)
def test_the_axis_is_marked_in_words(seconds: int, mark: str) -> None:
    """Marks are seconds, minutes, or minutes and seconds, as fits the length."""
    long = Result("turnout", [Sample(0.0, float(seconds))], [], [])
    words = [text.text for text in ET.fromstring(plot([long])).iter(f"{SVG}text")]
    assert mark in words
