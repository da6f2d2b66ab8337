"""How good models of a size and a year are: the fit behind ``turnout_capability.curve``.

Reads real per-prompt scores (``mmlu_pro_dev``, ``zeroeval_crux_mathl5`` and ``llmrouter9_dev``, gzip CSV with
columns ``score:<model>``) and the figures published in ``families.toml``, and prints the constants, R² and
the residual of each model. Steps: (1) *within* families and benchmarks, so that a lab's skill or a year does
not pass for size, logit(score) = level − span · size^−power; a mixture of experts counts as the geometric
mean of all its weights and of those used per token; (2) the levels on MMLU-Pro by year, thinking and
instruction; (3) what each other benchmark is, beside MMLU-Pro; (4) what quantisation costs.

Run: ``python benchmarks/size_curve.py --data DIR``.
"""

import argparse
import csv
import gzip
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from turnout_capability import curve
from turnout_capability.curve import Kind
from turnout_capability.families import catalogue

Floats: TypeAlias = NDArray[np.float64]

# column: family, billions of weights, of those used per token, year of release, instruction model
MODELS: dict[str, tuple[str, float, float, float, bool]] = {
    "Llama-2-7b-hf": ("Llama 2", 6.74, 6.74, 2023.55, False),
    "Llama-2-13b-hf": ("Llama 2", 13, 13, 2023.55, False),
    "Llama-2-70b-hf": ("Llama 2", 69, 69, 2023.55, False),
    "Meta-Llama-3-8B": ("Llama 3", 8.03, 8.03, 2024.3, False),
    "Meta-Llama-3-70B": ("Llama 3", 70.6, 70.6, 2024.3, False),
    "Meta-Llama-3-8B-Instruct": ("Llama 3", 8.03, 8.03, 2024.3, True),
    "Meta-Llama-3-70B-Instruct": ("Llama 3", 70.6, 70.6, 2024.3, True),
    "Meta-Llama-3_1-8B": ("Llama 3.1", 8.03, 8.03, 2024.56, False),
    "Meta-Llama-3_1-70B": ("Llama 3.1", 70.6, 70.6, 2024.56, False),
    "Meta-Llama-3_1-8B-Instruct": ("Llama 3.1", 8.03, 8.03, 2024.56, True),
    "Meta-Llama-3_1-70B-Instruct": ("Llama 3.1", 70.6, 70.6, 2024.56, True),
    "Meta-Llama-3.1-8B-Instruct": ("Llama 3.1", 8.03, 8.03, 2024.56, True),
    "Meta-Llama-3.1-70B-Instruct": ("Llama 3.1", 70.6, 70.6, 2024.56, True),
    "Llama-3.1-405B-Inst@sambanova": ("Llama 3.1", 406, 406, 2024.56, True),
    "Athene-70B": ("Athene", 70.6, 70.6, 2024.56, True),
    "Mistral-7B-v0.1": ("Mistral", 7.24, 7.24, 2023.74, False),
    "Mixtral-8x7B-v0.1": ("Mistral", 46.7, 12.9, 2023.94, False),
    "Mistral-7B-v0.2-hf": ("Mistral 7B v0.2", 7.24, 7.24, 2024.23, False),
    "Mistral-7B-Instruct-v0.1": ("Mistral 7B v0.1", 7.24, 7.24, 2023.74, True),
    "Mistral-7B-Instruct-v0.2": ("Mistral", 7.24, 7.24, 2023.95, True),
    "Mixtral-8x7B-Instruct-v0.1": ("Mistral", 46.7, 12.9, 2023.94, True),
    "Mistral-Large-2": ("Mistral Large 2", 123, 123, 2024.56, True),
    "Phi-3-mini-4k-instruct": ("Phi-3", 3.82, 3.82, 2024.31, True),
    "Phi-3.5-mini-instruct": ("Phi-3.5", 3.82, 3.82, 2024.64, True),
    "Qwen1.5-7B-Chat": ("Qwen1.5", 7.72, 7.72, 2024.1, True),
    "Qwen1.5-72B-Chat": ("Qwen1.5", 72.3, 72.3, 2024.1, True),
    "Qwen1.5-110B": ("Qwen1.5", 111, 111, 2024.32, False),
    "Qwen2-7B-Instruct": ("Qwen2", 7.62, 7.62, 2024.43, True),
    "Qwen2-72B-Instruct": ("Qwen2", 72.7, 72.7, 2024.43, True),
    "Yi-6B": ("Yi", 6.06, 6.06, 2023.84, False),
    "Yi-34B": ("Yi", 34.4, 34.4, 2023.84, False),
    "Yi-6b-Chat": ("Yi", 6.06, 6.06, 2023.9, True),
    "Yi-1.5-9B-Chat": ("Yi-1.5", 8.83, 8.83, 2024.36, True),
    "Yi-1.5-34B-Chat": ("Yi-1.5", 34.4, 34.4, 2024.36, True),
    "gemma-7b": ("Gemma", 8.54, 8.54, 2024.14, False),
    "gemma-2-2b-it": ("Gemma 2", 2.61, 2.61, 2024.58, True),
    "gemma-2-9b-it": ("Gemma 2", 9.24, 9.24, 2024.49, True),
    "c4ai-command-r-v01": ("Command R", 35, 35, 2024.2, True),
    "jamba-1.5-large": ("Jamba", 398, 94, 2024.64, True),
    "mathstral-7B": ("Mathstral", 7.25, 7.25, 2024.54, True),
    "deepseek-v2.5-0908": ("DeepSeek V2.5", 236, 21, 2024.69, True),
    "qwen2.5-7b-instruct": ("Qwen2.5", 7.62, 7.62, 2024.72, True),
    "llama-3.1-8b-instruct": ("Llama 3.1", 8.03, 8.03, 2024.56, True),
    "mistral-7b-instruct-v0.3": ("Mistral 7B v0.3", 7.25, 7.25, 2024.39, True),
}
EASY = ("commonsense_qa", "openbook_qa", "arc_challenge")

# MMLU-Pro by bits per weight, scale and bias included: github.com/ml-explore/mlx-lm, BENCHMARKS.md (2025-10).
QUANTISED = {
    "Qwen3-4B-Instruct-2507": (64.05, {8.5: 63.85, 6.5: 63.53, 5.5: 62.38, 4.5: 60.72}),
    "Qwen3-30B-A3B-Instruct-2507": (72.62, {8.5: 72.46, 6.5: 72.41, 5.5: 71.97, 4.5: 70.71}),
}


@frozen
class Point:
    """One model on one benchmark; ``size`` in billions, ``source`` tells measured from published."""

    family: str
    benchmark: str
    model: str
    size: float
    year: float
    score: float
    instruct: bool = True
    thinking: bool = False
    kind: Kind = "general"
    source: str = "measured"

    @property
    def logit(self) -> float:
        return math.log(self.score / (1 - self.score))


def geometric(total: float, active: float) -> float:
    return math.sqrt(total * active)


def column_means(path: Path, by: str | None) -> dict[tuple[str, str], float]:
    """Return the mean score by (column, group)."""
    sums: dict[tuple[str, str], list[float]] = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            for column, cell in row.items():
                if column.startswith("score:") and cell:
                    sums[column[6:], row[by] if by else path.name].append(float(cell))
    return {key: sum(values) / len(values) for key, values in sums.items()}


def measured(data: Path) -> list[Point]:
    knowledge = column_means(data / "mmlu_pro_dev.csv.gz", None)
    found = {(model, "mmlu_pro"): score for (model, _), score in knowledge.items()}
    found |= column_means(data / "zeroeval_crux_mathl5.csv.gz", "task")
    router = column_means(data / "llmrouter9_dev.csv.gz", "task")
    for model in {model for model, _ in router}:
        found[model, "easy"] = sum(router[model, task] for task in EASY) / len(EASY)
    return [point(model, benchmark, score) for (model, benchmark), score in found.items() if model in MODELS]


def point(model: str, benchmark: str, score: float) -> Point:
    family, total, active, year, instruct = MODELS[model]
    return Point(family, benchmark, model, geometric(total, active), year, score, instruct)


def published() -> list[Point]:
    return [
        Point(
            family.name,
            benchmark,
            f"{family.name} {(size[0] or 0) / 1e9:g}B",
            curve.effective_size(size) or 0.0,
            curve.year_of(family.released),
            score,
            thinking=bool(family.reasoning),
            kind=family.kind,
            source="published",
        )
        for family in catalogue().families
        for benchmark, figures in family.scores.items()
        for size, score in figures
    ]


def distinct(points: Sequence[Point]) -> list[Point]:
    """Drop the published figures that come from the very answers that were measured."""
    old = [p for p in points if p.source == "measured"]
    return [p for p in points if p.source == "measured" or not any(same(p, other) for other in old)]


def same(one: Point, other: Point) -> bool:
    alike = abs(math.log(one.size / other.size)) < 0.05
    return alike and one.benchmark == other.benchmark and abs(one.score - other.score) < 0.0006


def r_squared(values: Floats, residuals: Floats) -> float:
    return float(1 - residuals @ residuals / ((values - values.mean()) @ (values - values.mean())))


def grouped(points: Sequence[Point]) -> dict[tuple[str, str, bool, str], list[Point]]:
    groups: dict[tuple[str, str, bool, str], list[Point]] = defaultdict(list)
    for point in points:
        groups[point.family, point.benchmark, point.instruct, point.source].append(point)
    return groups


def within(points: Sequence[Point], power: float) -> tuple[dict[str, float], Floats, Floats]:
    """Return the span of each benchmark, the centred logits and their residuals, family by family."""
    ladders = [group for group in grouped(points).values() if len(group) > 1]
    names = sorted({group[0].benchmark for group in ladders})
    rows, values = [], []
    for group in ladders:
        x = np.array([-(point.size**-power) for point in group])
        y = np.array([point.logit for point in group])
        for dx, dy in zip(x - x.mean(), y - y.mean(), strict=True):
            rows.append([dx * (group[0].benchmark == name) for name in names])
            values.append(dy)
    matrix, target = np.array(rows), np.array(values)
    spans, *_ = np.linalg.lstsq(matrix, target, rcond=None)
    return dict(zip(names, map(float, spans), strict=True)), target, target - matrix @ spans


def best_power(points: Sequence[Point]) -> float:
    def loss(power: float) -> float:
        residuals = within(points, power)[2]
        return float(residuals @ residuals)

    return min((n / 100 for n in range(2, 101)), key=loss)


def rounded(numbers: dict[str, float]) -> dict[str, float]:
    return {name: round(number, 2) for name, number in numbers.items()}


def show_sizes(points: Sequence[Point]) -> tuple[float, dict[str, float]]:
    knowledge = [p for p in points if p.benchmark in ("mmlu_pro", "crux", "math-l5")]
    print("1. Size, within families: logit = level − span · billions^−power")
    for name, chosen in (
        ("measured alone", [p for p in knowledge if p.source == "measured"]),
        ("measured and published", knowledge),
    ):
        power = best_power(chosen)
        spans, values, residuals = within(chosen, power)
        quality = r_squared(values, residuals)
        print(f"   {name:24} power {power:.2f}  R² {quality:.3f}  n {len(values)}  {rounded(spans)}")
    return power, within(points, power)[0]


@frozen
class Level:
    """Where a model of a size stands on MMLU-Pro: the curve of which the plugin has the constants."""

    power: float
    span: float
    slowing: float
    terms: Floats = field(factory=lambda: np.zeros(4))  # level, growth, thinking, instruction

    def row(self, point: Point) -> list[float]:
        return [1.0, curve.matured(point.year, self.slowing), float(point.thinking), float(point.instruct)]

    def expected(self, point: Point) -> float:
        return float(self.row(point) @ self.terms - self.span * math.pow(point.size, -self.power))

    def residuals(self, points: Sequence[Point]) -> Floats:
        return np.array([point.logit - self.expected(point) for point in points])


def fitted(points: Sequence[Point], plain: Level) -> Level:
    matrix = np.array([plain.row(point) for point in points])
    target = evolve(plain, terms=np.zeros(4)).residuals(points)
    terms, *_ = np.linalg.lstsq(matrix, target, rcond=None)
    return evolve(plain, terms=terms)


def show_levels(points: Sequence[Point], power: float, span: float) -> Level:
    chosen = [p for p in points if p.benchmark == "mmlu_pro"]
    logits = np.array([p.logit for p in chosen])
    print("\n2. Level on MMLU-Pro: level, growth per year, thinking, instruction; by how fast growth slows")
    tried = [fitted(chosen, Level(power, span, slowing)) for slowing in (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 1e6)]
    for one in tried:
        quality = r_squared(logits, one.residuals(chosen))
        print(f"   slowing {one.slowing:<9g} {one.terms.round(3)}  R² {quality:.3f}  n {len(chosen)}")
    level = max(tried, key=lambda one: r_squared(logits, one.residuals(chosen)))
    old = [p for p in chosen if p.source == "measured"]
    print(f"   measured alone (2023-07 to 2024-08): {fitted(old, level).terms.round(3)}")
    for point, residual in sorted(
        zip(chosen, level.residuals(chosen), strict=True), key=lambda it: it[0].year
    ):
        print(f"   {point.year:7.1f} {point.source:9} {point.model:36} {point.score:.3f}  {residual:+.2f}")
    return level


def leads(points: Sequence[Point], level: Level) -> dict[str, float]:
    """Return how far each family, or else the one that it is made from, is above the curve, on MMLU-Pro."""
    found: dict[str, list[float]] = defaultdict(list)
    for point in points:
        if point.benchmark == "mmlu_pro" and point.instruct:
            found[point.family].append(point.logit - level.expected(point))
    known = {family: sum(one) / len(one) for family, one in found.items()}
    for family in catalogue().families:
        loss = curve.CODER_LOSS * (family.kind == "coder")
        known.setdefault(family.name, known.get(family.like or "", 0.0) + loss)
    return known


def show_benchmarks(points: Sequence[Point], spans: dict[str, float], level: Level) -> None:
    """Print difficulty and slope beside MMLU-Pro, and what coders and thinkers add."""
    print("\n3. Benchmarks: logit = difficulty + slope · ability; then what a kind adds, by its families")
    above = leads(points, level)
    ability = {point: level.expected(point) + above.get(point.family, 0.0) for point in points}
    for benchmark in sorted(spans | {"easy": 0.0}):
        chosen = [p for p in points if p.benchmark == benchmark]
        slope = spans.get(benchmark, 0.0) / spans["mmlu_pro"]
        if benchmark == "easy":
            slope = float(np.polyfit([ability[p] for p in chosen], [p.logit for p in chosen], 1)[0])
        rest = {p: p.logit - slope * ability[p] for p in chosen}
        kinds = {kind: by_family(rest, kind) for kind in ("general", "coder", "reasoning")}
        difficulty = float(np.mean(list(kinds["general"].values())))
        print(f"   {benchmark:18} difficulty {difficulty:+.2f}  slope {slope:.2f}  n {len(chosen):3}", end="")
        for kind in ("coder", "reasoning"):
            if kinds[kind]:
                added = np.mean(list(kinds[kind].values())) - difficulty
                print(f"  {kind} {added:+.2f} of {len(kinds[kind])}", end="")
        print()


def by_family(rest: dict[Point, float], kind: str) -> dict[str, float]:
    found: dict[str, list[float]] = defaultdict(list)
    for point, value in rest.items():
        if point.kind == kind:
            found[point.family].append(value)
    return {family: sum(values) / len(values) for family, values in found.items()}


def show_quantisation() -> None:
    bits, losses = [], []
    for whole, figures in QUANTISED.values():
        for width, percent in figures.items():
            bits.append(width)
            losses.append(logit(whole / 100) - logit(percent / 100))
    slope, _ = np.polyfit(bits, np.log(losses), 1)
    weights = np.exp(float(slope) * (np.array(bits) - curve.FULL_LOSS_BITS))
    at = float(weights @ np.array(losses) / (weights @ weights))
    print(f"\n4. Quantisation: loss = {at:.3f} · exp({float(slope):.2f} · (bits − {curve.FULL_LOSS_BITS:g}))")
    print("  ", [(b, round(loss, 3)) for b, loss in zip(bits, losses, strict=True)])


def logit(share: float) -> float:
    return math.log(share / (1 - share))


def report(points: Sequence[Point]) -> None:
    power, spans = show_sizes(points)
    print("   every benchmark at that power:", rounded(spans))
    level = show_levels(points, power, spans["mmlu_pro"])
    show_benchmarks(points, spans, level)
    show_quantisation()


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the three .csv.gz files")
    chosen = parser.parse_args(None if arguments is None else list(arguments))
    csv.field_size_limit(10**9)
    report(distinct(measured(chosen.data) + published()))


if __name__ == "__main__":
    main()
