"""Fitting: prompts × scores become expected scores of each model for any prompt.

1. The prompts become words, pairs and pieces of words (tf-idf, reduced to their principal directions) and
   random features of their surface.
2. Where the table says of what kind each prompt is, the kind is regressed on these. A row's own kind is left
   out of what is predicted for it, so that the next step sees what it will see of a new prompt.
3. The scores are rotated: the mean over the models, which is how easy the prompt is, and the principal
   components of what is left, which is what routing is about. Each is regressed on words, surface and
   kinds, with its own prior for each block by evidence (:mod:`turnout_learned.evidence`): where few labels
   say little, all shrinks to the best single model, and models that answer alike borrow from each other.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from attrs import frozen

from turnout import ConfigError, JSONObject
from turnout_learned.arrays import Floats
from turnout_learned.evidence import Blocks, best_variances, join, left_out, posterior
from turnout_learned.features import Frame, Lexicon
from turnout_learned.fitted import Fitted, Linear, shares
from turnout_learned.reduction import Reduction
from turnout_learned.tables import ScoreTable
from turnout_learned.words import excerpt

DIRECT = 20
"""Directions of words that bear on the scores themselves; all of them tell the kinds of work apart."""
MANY_KINDS = 10
"""From so many kinds on, words bear on the scores through the kinds alone: nothing gained from more."""
FEWEST = 20
"""Rows below which there is nothing to be learned."""
MOST_KINDS = 100
FEWEST_OF_A_KIND = 3

Progress = Callable[[str, float], None]
"""Told what is going on, and the share of the work that is done."""


def _quiet(text: str, done: float) -> None:
    del text, done


@frozen(eq=False)
class Block:
    """Features as they are regressed on: centred, and of the mean squared length 1."""

    features: Floats
    centre: Floats
    size: float

    @classmethod
    def of(cls, raw: Floats) -> "Block":
        """Centre and scale."""
        centre = raw.mean(0)
        size = float(np.sqrt(((raw - centre) ** 2).sum(1).mean())) or 1.0
        return cls((raw - centre) / size, centre, size)

    def folded(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return the weights on the raw features, and what they add to the bias."""
        raw = weights / self.size
        return raw, -self.centre @ raw


@frozen(eq=False)
class Inputs:
    """The training prompts as blocks, and the way back from weights on the blocks to weights on terms."""

    lexicon: Lexicon
    frame: Frame
    reduction: Reduction
    words: Block
    waves: Block

    @classmethod
    def of(cls, texts: Sequence[str], seed: int) -> "Inputs":
        """Learn the features from *texts*."""
        lexicon, frame = Lexicon.of(texts), Frame.of(texts, seed)
        matrix = lexicon.matrix(texts)
        reduction = Reduction.of(matrix, seed)
        return cls(
            lexicon, frame, reduction, Block.of(reduction.along(matrix)), Block.of(frame.matrix(texts))
        )

    def linear(self, bias: Floats, words: Floats, waves: Floats) -> Linear:
        """Return the map from a text's own features that weights on the (first) columns make."""
        all_words = np.vstack([words, np.zeros((self.words.features.shape[1] - len(words), words.shape[1]))])
        terms, first = self.words.folded(all_words)
        direct, second = self.waves.folded(waves)
        return Linear(bias + first + second, self.reduction.back(terms), direct)


@frozen(eq=False)
class Kinds:
    """The kinds of work: their names, the map to them, and each training row's shares."""

    names: tuple[str, ...]
    linear: Linear
    rows: Floats


def fit(
    table: ScoreTable, *, seed: int = 0, progress: Progress = _quiet, about: JSONObject | None = None
) -> Fitted:
    """Fit on all rows of *table*; the same table and *seed* give the same. Raises ``ConfigError``.

    A missing score is taken as the model's mean, moved by how the other models did on that prompt.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    _check(table)
    with threadpool_limits(1):  # small matrices: more threads only wait for each other, and round differently
        return _fit(table, seed, progress, about or {})


def _fit(table: ScoreTable, seed: int, progress: Progress, about: JSONObject) -> Fitted:
    progress("reading the prompts", 0.0)
    inputs = Inputs.of([excerpt(prompt) for prompt in table.prompts], seed)
    progress("telling kinds of work apart", 0.2)
    kinds = _kinds(inputs, table.tasks)
    shares_block = Block.of(kinds.rows)
    direct = 0 if len(kinds.names) >= MANY_KINDS else DIRECT
    blocks = join([inputs.words.features[:, :direct], inputs.waves.features, shares_block.features])
    scores = filled(table.scores)
    weights = _weights(blocks, scores, progress)
    words, waves, by_kind = np.split(weights, blocks.edges[1:-1])
    raw, shift = shares_block.folded(by_kind)
    quality = inputs.linear(scores.mean(0) + shift, words, waves)
    return Fitted(
        table.models, kinds.names, inputs.lexicon, inputs.frame, kinds.linear, quality, raw, about
    )


def _check(table: ScoreTable) -> None:
    if len(table) < FEWEST:
        message = f"{len(table)} rows are too few to learn from: it takes {FEWEST}, and gets good with 1,000"
        raise ConfigError(message)
    known = np.isfinite(table.scores)
    empty = [model for column, model in enumerate(table.models) if not known[:, column].any()]
    if empty:
        message = f"no score at all of {', '.join(empty)}"
        raise ConfigError(message)


def _kinds(inputs: Inputs, tasks: Sequence[str]) -> Kinds:
    names = _worth_telling(tasks)
    if len(names) < 2:
        names = ()
    truth = np.array([[float(task == name) for name in names] for task in tasks]).reshape(len(tasks), -1)
    blocks = join([inputs.words.features, inputs.waves.features])
    mean = truth.mean(0)
    found = posterior(blocks, truth - mean, best_variances(blocks, truth - mean))
    words, waves = np.split(found.weights, blocks.edges[1:-1])
    rows = shares(mean + left_out(blocks, truth - mean, found)) if names else truth
    return Kinds(names, inputs.linear(mean, words, waves), rows)


def _worth_telling(tasks: Sequence[str]) -> tuple[str, ...]:
    counts = Counter(task for task in tasks if task)
    ranked = sorted(counts, key=lambda task: (-counts[task], task))
    return tuple(task for task in ranked[:MOST_KINDS] if counts[task] >= FEWEST_OF_A_KIND)


def filled(scores: Floats) -> Floats:
    """Return the scores without gaps: a missing one is the model's mean and the prompt's ease together."""
    known = np.isfinite(scores)
    means = np.nanmean(scores, axis=0)
    ease = np.where(known, scores - means, 0.0).sum(1) / np.maximum(known.sum(1), 1)
    return np.where(known, scores, np.clip(means + ease[:, None], 0.0, 1.0))


def rotation(scores: Floats) -> Floats:
    """Return the orthonormal columns: the mean over the models, then the components of what is left."""
    models = scores.shape[1]
    ease = np.full((models, 1), models**-0.5)
    rest = (scores - scores.mean(0)) @ (np.eye(models) - ease @ ease.T)
    _, _, components = np.linalg.svd(rest, full_matrices=True)
    free = components.T - ease @ (ease.T @ components.T)
    basis, _ = np.linalg.qr(np.hstack([ease, free]))
    return basis


def _weights(blocks: Blocks, scores: Floats, progress: Progress) -> Floats:
    """Regress component by component; return the weights on each model's score."""
    basis = rotation(scores)
    targets = (scores - scores.mean(0)) @ basis
    found = np.zeros((blocks.edges[-1], targets.shape[1]))
    for component in range(targets.shape[1]):
        progress("learning what each model is good at", 0.4 + 0.6 * component / targets.shape[1])
        target = targets[:, component : component + 1]
        if target.std() > 1e-9:
            chosen = best_variances(blocks, target)
            found[:, component : component + 1] = posterior(blocks, target, chosen).weights
    return found @ basis.T
