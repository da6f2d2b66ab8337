"""Training the prompt classifier: the data, their weights, the fit, and the file that the plugin reads."""

import csv
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from attrs import field, frozen
from benchmarks.task_grammar import TYPES, Prompt
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

from turnout_task_based.features import features_of

FREE = ("MIT", "Apache-2.0", "CC-BY-3.0", "CC-BY-4.0")
"""Licences under which rows may be trained on; other rows only test."""

PUBLIC_SHARE = 0.4
"""What the public prompts weigh, all together, against ours."""

SOURCE_EXPONENT = 0.3
"""A source weighs its number of rows to this power."""

INVERSE_REGULARISATION = 0.3
FAMILIES = 2
"""In how many families, templates or sources, a feature must occur."""

Floats: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"
Ints: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"


@frozen(eq=False)
class Rows:
    """Prompts with their features."""

    prompts: tuple[Prompt, ...]
    free: tuple[bool, ...]
    features: tuple[frozenset[str], ...]

    @property
    def labels(self) -> Ints:
        """Return the task types as places in ``TYPES``."""
        return np.array([TYPES.index(prompt.label) for prompt in self.prompts], dtype=np.int64)

    @property
    def families(self) -> list[str]:
        return [prompt.family for prompt in self.prompts]

    def where(self, kept: Iterable[bool]) -> "Rows":
        """Return the rows that are *kept*."""
        places = [place for place, keep in enumerate(kept) if keep]
        return Rows(
            tuple(self.prompts[place] for place in places),
            tuple(self.free[place] for place in places),
            tuple(self.features[place] for place in places),
        )


def rows(prompts: Iterable[Prompt], free: Sequence[bool] = ()) -> Rows:
    """Return *prompts* with their features."""
    kept = tuple(prompts)
    return Rows(kept, tuple(free) or (True,) * len(kept), tuple(features_of(prompt.text) for prompt in kept))


def public(path: Path) -> Rows:
    """Read the labelled rows of a data file; parts of one source count as one."""
    csv.field_size_limit(1 << 30)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if line["label"]]
    prompts = [Prompt(line["prompt"], line["label"], source(line["source"])) for line in lines]
    return rows(prompts, [line["licence"] in FREE for line in lines])


def source(name: str) -> str:
    """Return the source that *name* is a part of."""
    return next((whole for whole in ("humanevalfix", "context_qa") if name.startswith(whole)), name)


def fixture(path: Path) -> Rows:
    r"""Read a test fixture: task type, tab, prompt with ``\n`` for line breaks."""
    lines = (line.split("\t", 1) for line in path.read_text("utf-8").splitlines())
    return rows(Prompt(text.replace("\\n", "\n"), label, path.stem) for label, text in lines)


@frozen(eq=False)
class Fitted:
    """A trained model."""

    vocabulary: dict[str, int]
    coefficients: Floats
    bias: Floats
    training: int = field(default=0)

    def scores(self, tested: Rows) -> Floats:
        """Return a row of scores for each prompt."""
        found: Floats = matrix(tested.features, self.vocabulary) @ self.coefficients.T + self.bias
        return found


def fit(known: Rows, ours: Rows) -> Fitted:
    """Train on public rows and on ours."""
    features = (*known.features, *ours.features)
    vocabulary = vocabulary_of(features, (*known.families, *ours.families))
    model = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=150, tol=1e-3)
    labels = np.concatenate([known.labels, ours.labels])
    model.fit(matrix(features, vocabulary), labels, sample_weight=sample_weights(known, ours))
    return Fitted(vocabulary, model.coef_, model.intercept_, len(features))


def vocabulary_of(features: Iterable[frozenset[str]], families: Iterable[str]) -> dict[str, int]:
    """Return the features that occur in several families: what only one has is its own mannerism."""
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for row, family in zip(features, families, strict=True):
        for feature in row:
            seen[feature].add(family)
    kept = sorted(feature for feature, where in seen.items() if len(where) >= FAMILIES)
    return {feature: place for place, feature in enumerate(kept)}


def matrix(features: Iterable[frozenset[str]], vocabulary: dict[str, int]) -> Any:  # noqa: ANN401 scipy has no types
    """Return a row of ones and zeros for each prompt."""
    starts, places = [0], list[int]()
    for row in features:
        places += sorted(vocabulary[feature] for feature in row if feature in vocabulary)
        starts.append(len(places))
    ones = np.ones(len(places), dtype=np.float32)
    return csr_matrix((ones, places, starts), shape=(len(starts) - 1, len(vocabulary)))


def sample_weights(known: Rows, ours: Rows) -> Floats:
    """Weigh sources and templates by families, not by rows; task types alike in ours."""
    sizes = Counter(known.families)
    there = np.array([min(sizes[name], 200) ** SOURCE_EXPONENT / sizes[name] for name in known.families])
    per_template = Counter(ours.families)
    here = np.array([per_template[family] ** -0.5 for family in ours.families])
    for place in range(len(TYPES)):
        here[ours.labels == place] /= here[ours.labels == place].sum()
    weights = np.concatenate([PUBLIC_SHARE * there / max(there.sum(), 1e-9), here / here.sum()])
    scaled: Floats = weights / weights.sum() * len(weights)
    return scaled


def packed(model: Fitted, temperature: float) -> bytes:
    """Return *model* as the plugin reads it; features that hardly count are left out."""
    step = float(np.abs(model.coefficients).max()) / 127
    units = np.rint(model.coefficients / step).astype(np.int8)
    kept = [feature for feature, place in model.vocabulary.items() if np.abs(units[:, place]).max() > 1]
    about = {
        "labels": TYPES,
        "bias": [round(float(value), 5) for value in model.bias],
        "step": step,
        "temperature": round(temperature, 4),
    }
    body = b"".join(units[:, model.vocabulary[feature]].tobytes() for feature in kept)
    text = "\n".join(kept).encode()
    return gzip.compress(json.dumps(about).encode() + b"\n" + text + b"\n\n" + body, mtime=0)
