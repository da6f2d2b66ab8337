"""Bayesian linear regression on blocks of features: how much each block counts follows from the evidence.

Each block has a prior variance of its own, relative to the noise. The variances are those under which the
training scores are most probable (MacKay, "Bayesian interpolation", Neural Computation 4, 1992), found on a
small grid: no row need be held out, and a block that says nothing gets the variance 0.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Self

import numpy as np
from attrs import frozen

from turnout_learned.arrays import Floats

GRID = (0.0, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Variances of a block's whole contribution, where the noise has the variance 1."""
SWEEPS = 2
_START = 0.01
_TINY = 1e-12


@frozen(eq=False)
class Blocks:
    """Features, with their blocks: block *b* is the columns ``edges[b]`` to ``edges[b + 1]``."""

    features: Floats
    edges: tuple[int, ...]
    gram: Floats

    @property
    def count(self) -> int:
        """How many blocks there are."""
        return len(self.edges) - 1

    def scales(self, variances: Sequence[float]) -> Floats:
        """Return for each column the standard deviation of its weight."""
        return np.repeat(np.sqrt(np.asarray(variances)), np.diff(self.edges))


def join(parts: Iterable[Floats]) -> Blocks:
    """Put the blocks side by side."""
    found = list(parts)
    features = np.hstack(found)
    edges = np.concatenate([[0], np.cumsum([part.shape[1] for part in found])])
    return Blocks(features, tuple(int(edge) for edge in edges), features.T @ features)


@frozen(eq=False)
class Posterior:
    """The mean weights of each column of the targets, and what is needed to leave one row out."""

    weights: Floats
    variances: tuple[float, ...]
    covariance: Floats


@frozen(eq=False)
class Moments:
    """What the evidence of centred targets depends on."""

    rows: int
    squares: Floats
    products: Floats

    @classmethod
    def of(cls, blocks: Blocks, targets: Floats) -> Self:
        """Sum over all rows, once."""
        return cls(len(targets), (targets**2).sum(0), blocks.features.T @ targets)


def log_evidence(blocks: Blocks, moments: Moments, variances: Sequence[float]) -> float:
    """Return the logarithm of the evidence, up to a constant, each column's noise maximised out."""
    scales = blocks.scales(variances)
    used = scales > 0
    scales, gram = scales[used], blocks.gram[np.ix_(used, used)]
    factor = np.linalg.cholesky(np.eye(len(scales)) + scales[:, None] * gram * scales)
    explained = np.linalg.solve(factor, scales[:, None] * moments.products[used])
    noise = np.maximum(moments.squares - (explained**2).sum(0), _TINY) / moments.rows
    volume = np.log(np.diag(factor)).sum() * len(moments.squares)
    return float(-0.5 * moments.rows * np.log(noise).sum() - volume)


def best_variances(blocks: Blocks, targets: Floats) -> tuple[float, ...]:
    """Return the variances with the most evidence, one block after the other, in a fixed order."""
    moments = Moments.of(blocks, targets)
    found = [_START] * blocks.count
    best = log_evidence(blocks, moments, found)
    for _ in range(SWEEPS):
        for changed in _neighbours(found):
            evidence = log_evidence(blocks, moments, changed)
            if evidence > best:
                best, found[:] = evidence, changed
    return tuple(found)


def _neighbours(variances: Sequence[float]) -> Iterator[list[float]]:
    """Yield what differs in one block; sees what becomes of *variances* meanwhile."""
    for block in range(len(variances)):
        for value in GRID:
            if value != variances[block]:
                yield [*variances[:block], value, *variances[block + 1 :]]


def posterior(blocks: Blocks, targets: Floats, variances: Sequence[float]) -> Posterior:
    """Return the weights of centred *targets* under these variances."""
    scales = blocks.scales(variances)
    inner = np.linalg.inv(np.eye(len(scales)) + scales[:, None] * blocks.gram * scales)
    covariance = scales[:, None] * inner * scales
    return Posterior(covariance @ (blocks.features.T @ targets), tuple(variances), covariance)


def left_out(blocks: Blocks, targets: Floats, found: Posterior) -> Floats:
    """Return for each row what would be predicted had that row not been seen (exact for these variances)."""
    leverage = np.einsum("ij,jk,ik->i", blocks.features, found.covariance, blocks.features, optimize=True)
    residual = targets - blocks.features @ found.weights
    predicted: Floats = targets - residual / np.maximum(1.0 - leverage, 1e-6)[:, None]
    return predicted
