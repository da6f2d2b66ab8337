"""A simulation's results as an SVG: who waits, and what each host has in memory, over the time."""

import math
from collections.abc import Iterable, Iterator, Sequence
from xml.sax.saxutils import escape

from attrs import frozen

from turnout_testing.simulation.result import Result, Stay, quantile

WIDTH, LEFT, RIGHT, GAP = 960.0, 132.0, 28.0, 20.0
WAITING, LANE, TITLE, AXIS = 84.0, 22.0, 26.0, 22.0
COLOURS = (
    "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#76b7b2", "#edc948", "#ff9da7", "#9c755f",
    "#86bcb6",
)  # fmt: skip
INK, PALE, GRID = "#24292f", "#57606a", "#d0d7de"
STEPS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
STRETCHES = 900


@frozen
class Scale:
    """From seconds to the picture's horizontal coordinate."""

    span: float

    def x(self, seconds: float) -> float:
        """Return where a moment is drawn."""
        return LEFT + (WIDTH - LEFT - RIGHT) * min(max(seconds / self.span, 0.0), 1.0)

    @property
    def step(self) -> float:
        """Seconds between two marks, so that there are at most nine."""
        return next((step for step in STEPS if self.span / step <= 9), 86400.0)

    def marks(self) -> Iterator[float]:
        """Yield the moments that are marked."""
        return (number * self.step for number in range(int(self.span / self.step) + 1))


def plot(results: Sequence[Result]) -> str:
    """Draw all results on one scale of time, one below the other."""
    scale = Scale(max((result.makespan for result in results), default=0.0) or 1.0)
    models = sorted({stay.model for result in results for stay in result.stays})
    colours = {model: COLOURS[number % len(COLOURS)] for number, model in enumerate(models)}
    most = max((_peak(_waiting(result)) for result in results), default=0)
    parts, top = list(_legend(models, colours)), 52.0
    for result in results:
        parts += _panel(result, scale, colours, most, top)
        top += _height(result)
    return _document(parts, top + 6)


def _document(parts: Iterable[str], height: float) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH:g}" height="{height:g}" '
        f'viewBox="0 0 {WIDTH:g} {height:g}" font-family="system-ui, DejaVu Sans, sans-serif" font-size="12">'
    )
    hatch = (
        '<defs><pattern id="load" width="5" height="5" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><rect width="2.2" height="5" fill="#fff" opacity=".75"/>'
        "</pattern></defs>"
    )
    paper = f'<rect width="{WIDTH:g}" height="{height:g}" fill="#fff"/>'
    return "\n".join((head, hatch, paper, *parts, "</svg>", ""))


def _text(
    x: float, y: float, words: str, *, fill: str = INK, anchor: str = "start", bold: bool = False
) -> str:
    weight = ' font-weight="600"' if bold else ""
    place = f'x="{x:.1f}" y="{y:.1f}" fill="{fill}" text-anchor="{anchor}"{weight}'
    return f"<text {place}>{escape(words)}</text>"


def _box(x: float, y: float, width: float, height: float, *, fill: str, words: str = "") -> str:
    title = f"<title>{escape(words)}</title>" if words else ""
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.4):.1f}" height="{height:.1f}"'
    return f'<rect {place} fill="{fill}">{title}</rect>'


def _legend(models: Sequence[str], colours: dict[str, str]) -> Iterator[str]:
    x = LEFT
    for model in models:
        name = model.rpartition("/")[2]
        yield _box(x, 16, 12, 12, fill=colours[model])
        yield _text(x + 17, 26, name)
        x += 34 + 6.6 * len(name)
    yield _box(x, 16, 12, 12, fill=PALE) + _box(x, 16, 12, 12, fill="url(#load)")
    yield _text(x + 17, 26, "loading", fill=PALE)


def _height(result: Result) -> float:
    return TITLE + WAITING + 8 + LANE * len(result.hosts) + AXIS + GAP


def _panel(
    result: Result, scale: Scale, colours: dict[str, str], most: int, top: float
) -> Iterator[str]:
    yield _text(LEFT, top + 12, result.strategy, bold=True)
    yield _text(WIDTH - RIGHT, top + 12, _summary(result), fill=PALE, anchor="end")
    area, lanes = top + TITLE, top + TITLE + WAITING + 8
    bottom = lanes + LANE * len(result.hosts)
    yield from _axis(scale, area, bottom)
    yield from _queue(result, scale, most, area)
    for number, host in enumerate(result.hosts):
        y = lanes + LANE * number
        yield _text(LEFT - 8, y + 15, host.name, anchor="end")
        yield _box(LEFT, y + 3, WIDTH - LEFT - RIGHT, LANE - 6, fill="#f0f2f4")
        for stay in result.stays:
            if stay.host == host.name:
                yield _stay(stay, scale, colours[stay.model], y + 3)


def _summary(result: Result) -> str:
    failed = len(result.samples) - len(result.answered)
    middle, slow = quantile(result.latencies, 0.5), quantile(result.latencies, 0.95)
    parts = [f"{result.loads} loads", f"latency p50 {middle:.1f} s, p95 {slow:.1f} s"]
    return " · ".join([*parts, *([f"{failed} errors"] if failed else [])])


def _axis(scale: Scale, top: float, bottom: float) -> Iterator[str]:
    for seconds in scale.marks():
        x = scale.x(seconds)
        yield f'<path d="M{x:.1f} {top:.1f}V{bottom + 4:.1f}" stroke="{GRID}"/>'
        yield _text(x, bottom + 17, _clock(seconds), fill=PALE, anchor="middle")


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:g} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min" if not rest else f"{minutes}:{rest:02} min"


def _queue(result: Result, scale: Scale, most: int, top: float) -> Iterator[str]:
    bottom = top + WAITING
    yield _text(LEFT - 8, bottom, "0", fill=PALE, anchor="end")
    yield _text(LEFT - 8, top + 10, str(most), fill=PALE, anchor="end")
    yield _text(LEFT - 8, top + WAITING / 2 + 5, "waiting", anchor="end")
    points, y = [], bottom
    for seconds, waiting in _thinned(_waiting(result), scale.span):
        x = scale.x(seconds)
        points.append(f"L{x:.1f} {y:.1f}")
        y = bottom - WAITING * waiting / max(most, 1)
        points.append(f"L{x:.1f} {y:.1f}")
    path = f"M{LEFT:.1f} {bottom:.1f}{''.join(points)}V{bottom:.1f}Z"
    yield f'<path d="{path}" fill="#8c959f" fill-opacity=".45" stroke="{PALE}" stroke-width=".8"/>'


def _waiting(result: Result) -> list[tuple[float, int]]:
    """Return how many wait from which moment on; a request without an answer waits to its end."""
    changes: list[tuple[float, int]] = []
    for sample in result.samples:
        wait = sample.latency if math.isnan(sample.wait) else sample.wait
        if wait > 0:
            changes += [(sample.at, 1), (sample.at + wait, -1)]
    steps, waiting = [], 0
    for at, change in sorted(changes):
        waiting += change
        steps.append((at, waiting))
    return steps


def _peak(steps: Iterable[tuple[float, int]]) -> int:
    return max((waiting for _, waiting in steps), default=0)


def _thinned(steps: Sequence[tuple[float, int]], span: float) -> Iterator[tuple[float, int]]:
    """Yield the highest and the last step of each stretch of time: no picture grows with its trace."""
    highest: dict[int, tuple[float, int]] = {}
    last: dict[int, tuple[float, int]] = {}
    for step in steps:
        stretch = int(step[0] / span * STRETCHES)
        last[stretch] = step
        if stretch not in highest or step[1] > highest[stretch][1]:
            highest[stretch] = step
    for stretch, step in highest.items():
        yield step
        if last[stretch] is not step:
            yield last[stretch]


def _stay(stay: Stay, scale: Scale, colour: str, top: float) -> str:
    began, x, end = scale.x(stay.load_began), scale.x(stay.begins), scale.x(stay.ends)
    words = f"{stay.model}: {stay.load_began:.1f} s to {stay.ends:.1f} s"
    height = LANE - 6
    whole = _box(began, top, end - began, height, fill=colour, words=words)
    return whole + (_box(began, top, x - began, height, fill="url(#load)") if x > began else "")
