"""Train the prompt classifier of ``turnout_task_based``, and say honestly what it is worth.

Run with ``python benchmarks/task_classifier.py --data tasktype_prompts.csv.gz [--out weights.bin.gz]``.
The data file has the columns ``source``, ``label``, ``prompt`` and ``licence``. Nothing of a source that
is tested is in training; rows without a permissive licence are never in training. Our own prompts
(``task_corpus/``) always are. They were written with a view of what kinds of prompts the public sources
hold, so the fixtures under ``tests/plugins/task_based`` are the stricter test: ``everyday`` was looked at
while the corpus grew, ``unseen`` never.
"""

import argparse
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a program, `benchmarks` is no package

import numpy as np
from attrs import frozen
from benchmarks.task_grammar import TYPES, Grammar
from benchmarks.task_training import Floats, Ints, Rows, fit, fixture, packed, public, rows
from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

NATURAL = frozenset({"arena_hard_v2", "biggen_bench", "mt_bench", "user_oriented", "vicuna_bench"})
FIXTURES = Path(__file__).parents[1] / "tests" / "plugins" / "task_based"
THRESHOLDS = (0.0, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
KEYWORDS = (
    (
        "code_generation",
        r"(generate|write|create|implement)\s+(code|function|class|method)|write.*\.(py|js|ts|go|java)",
    ),
    ("code_review", r"(review|analyze|check|audit)\s+code|find.*bugs?"),
    ("analysis", r"(analyze|examine|investigate|explore)|what (is|are|does)"),
    ("planning", r"(plan|design|architect|outline)|how (should|would|to)"),
    ("complex_reasoning", r"(explain|reason|deduce|infer)|why (is|does|would)"),
)
"""Keyword rules, the first match counts; what matches none is a simple query."""


@frozen(eq=False)
class Tested:
    """Scores of prompts that their model has not seen, and the right answers."""

    names: tuple[str, ...]
    labels: Ints
    scores: Floats

    @property
    def right(self) -> Any:  # noqa: ANN401 an array of booleans
        return self.scores.argmax(1) == self.labels

    @property
    def by_source(self) -> dict[str, float]:
        names = np.array(self.names)
        return {name: float(self.right[names == name].mean()) for name in sorted(set(self.names))}

    @property
    def weights(self) -> Floats:
        """Weigh every source alike."""
        sizes = Counter(self.names)
        found: Floats = np.array([1.0 / sizes[name] for name in self.names]) / len(sizes)
        return found


def tested(parts: list[tuple[Rows, Floats]]) -> Tested:
    names = [family for part, _ in parts for family in part.families]
    labels = np.concatenate([part.labels for part, _ in parts])
    return Tested(tuple(names), labels, np.concatenate([scores for _, scores in parts]))


def leave_one_out(known: Rows, ours: Rows) -> Tested:
    """Test each source by a model trained on the others that may be trained on, and on ours."""
    parts = []
    for name in sorted(set(known.families)):
        others = known.where(f != name and free for f, free in zip(known.families, known.free, strict=True))
        held_out = known.where(family == name for family in known.families)
        parts.append((held_out, fit(others, ours).scores(held_out)))
    return tested(parts)


def natural(known: Rows, ours: Rows) -> Tested:
    """Test the natural sources by a model that knows none of them."""
    pairs = zip(known.families, known.free, strict=True)
    others = known.where(family not in NATURAL and free for family, free in pairs)
    held_out = known.where(family in NATURAL for family in known.families)
    return tested([(held_out, fit(others, ours).scores(held_out))])


def random_split(known: Rows, ours: Rows, seed: int) -> float:
    """Return the accuracy on a fifth of the rows, drawn at random: a number that flatters."""
    drawn = np.random.default_rng(seed).random(len(known.prompts)) < 0.2
    training = known.where(not out and free for out, free in zip(drawn, known.free, strict=True))
    held_out = known.where(bool(out) for out in drawn)
    return float(tested([(held_out, fit(training, ours).scores(held_out))]).right.mean())


def by_keywords(known: Rows) -> Tested:
    scores = np.zeros((len(known.prompts), len(TYPES)))
    for row, prompt in enumerate(known.prompts):
        lower = prompt.text.lower()
        named = (name for name, pattern in KEYWORDS if re.search(pattern, lower))
        scores[row, TYPES.index(next(named, "simple_query"))] = 1.0
    return Tested(tuple(known.families), known.labels, scores)


def by_words(known: Rows) -> Tested:
    """Test the plain way: TF-IDF of words and pairs, trained on all other sources."""
    parts = []
    for name in sorted(set(known.families)):
        others = known.where(family != name for family in known.families)
        held_out = known.where(family == name for family in known.families)
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, max_features=30_000)
        seen = words.fit_transform([prompt.text[:4000] for prompt in others.prompts])
        model = LogisticRegression(C=10, max_iter=100).fit(seen, others.labels)
        scores = np.full((len(held_out.prompts), len(TYPES)), -np.inf)
        found = model.decision_function(words.transform([prompt.text[:4000] for prompt in held_out.prompts]))
        scores[:, model.classes_] = found
        parts.append((held_out, scores))
    return tested(parts)


def probabilities(scores: Floats, temperature: float) -> Floats:
    powers = np.exp((scores - scores.max(1, keepdims=True)) / temperature)
    found: Floats = powers / powers.sum(1, keepdims=True)
    return found


def temperature_of(held_out: Tested) -> float:
    """Return the temperature at which unseen sources are least surprising, each counting alike."""

    def surprise(temperature: float) -> float:
        right = probabilities(held_out.scores, temperature)[np.arange(len(held_out.labels)), held_out.labels]
        return float(-(held_out.weights * np.log(np.maximum(right, 1e-12))).sum())

    return min((float(step) for step in np.arange(0.5, 5.0, 0.05)), key=surprise)


def show_sources(title: str, found: Tested) -> None:
    each = found.by_source
    mean = np.mean(list(each.values()))
    print(f"\n{title}: mean per source {mean:.3f}, of all rows {found.right.mean():.3f}")
    sizes = Counter(found.names)
    for name, accuracy in each.items():
        print(f"  {name:18} {accuracy:.3f}  of {sizes[name]}")


def show_confusion(found: Tested) -> None:
    print("\nconfusion over unseen sources: rows are right, columns are guessed")
    print(" " * 18 + "".join(f"{name[:9]:>10}" for name in TYPES))
    guesses = found.scores.argmax(1)
    for place, name in enumerate(TYPES[:-1]):
        row = [int(((found.labels == place) & (guesses == other)).sum()) for other in range(len(TYPES))]
        print(f"{name:18}" + "".join(f"{count:>10}" for count in row))


def show_calibration(title: str, found: Tested, temperature: float) -> None:
    print(f"\ncalibration, {title}: what a threshold of confidence gives, every source alike")
    sure = probabilities(found.scores, temperature).max(1)
    for threshold in THRESHOLDS:
        kept = sure >= threshold
        weight = found.weights[kept].sum()
        if weight:
            accuracy = (found.weights[kept] * found.right[kept]).sum() / weight
            print(f"  from {threshold:.1f}: covers {weight:6.1%}, right {accuracy:6.1%}")


def show_cost(known: Rows) -> None:
    """Show CPU time of the shipped classifier, beside a loop of additions in the same run."""
    from turnout_task_based.classifier import classify, weights

    began = time.process_time()
    weights()
    loading = time.process_time() - began
    texts = [prompt.text for prompt in known.prompts[::7]]
    texts += [" ".join(texts)[:size] for size in (100_000, 1_000_000)]
    costs = []
    for text in texts:
        began = time.process_time()
        classify(text)
        costs.append(1e3 * (time.process_time() - began))
    began = time.process_time()
    sum(number * number for number in range(10_000))
    reference = 1e3 * (time.process_time() - began)
    middle, most, long, longest = np.median(costs), np.quantile(costs, 0.99), costs[-2], costs[-1]
    print(f"\nCPU: loading {1e3 * loading:.1f} ms; a prompt {middle:.2f} ms, 99 % below {most:.2f} ms,")
    print(f"  100 kB {long:.2f} ms, 1 MB {longest:.2f} ms; 10,000 multiplications take {reference:.2f} ms")


def report(known: Rows, ours: Rows, seed: int) -> float:
    """Print what the classifier is worth; return the temperature."""
    print(f"{len(known.prompts)} public prompts, {sum(known.free)} to train on; {len(ours.prompts)} of ours")
    held_out = leave_one_out(known, ours)
    temperature = temperature_of(held_out)
    show_sources("leave one source out", held_out)
    everyday = natural(known, ours)
    show_sources("natural sources, none of them in training", everyday)
    print(f"\nrandom split: {random_split(known, ours, seed):.3f}")
    show_sources("keyword rules", by_keywords(known))
    show_sources("TF-IDF, leave one source out", by_words(known))
    show_confusion(held_out)
    print(f"\ntemperature {temperature:.2f}")
    show_calibration("unseen sources", held_out, temperature)
    show_calibration("natural sources", everyday, temperature)
    return temperature


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True, help="tasktype_prompts.csv.gz")
    options.add_argument("--out", type=Path, help="where to write the weights")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--each", type=int, default=40, help="prompts of each template")
    chosen = options.parse_args()
    known = public(chosen.data)
    ours = rows(Grammar().prompts(chosen.seed, chosen.each))
    temperature = report(known, ours, chosen.seed)
    model = fit(known.where(known.free), ours)
    for path in sorted(FIXTURES.glob("*_prompts.tsv")):
        held = fixture(path)
        found = tested([(held, model.scores(held))])
        show_sources("written by hand, not in training", found)
        show_calibration(path.stem, found, temperature)
    if chosen.out:
        chosen.out.write_bytes(packed(model, temperature))
        print(f"\nwrote {chosen.out}, {chosen.out.stat().st_size / 1e3:.0f} kB")
    show_cost(known)


if __name__ == "__main__":
    main()
