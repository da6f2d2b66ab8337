"""How much each block of features counts follows from the scores themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from turnout_learned.arrays import Floats
from turnout_learned.evidence import (
    GRID,
    Blocks,
    Moments,
    best_variances,
    join,
    left_out,
    log_evidence,
    posterior,
)

seeds = st.integers(0, 2**32 - 1)
variances = st.tuples(st.sampled_from(GRID), st.sampled_from(GRID))


def blocks_and_targets(seed: int, rows: int = 30) -> tuple[Blocks, Floats]:
    """Draw two blocks of three columns, and two targets of which the first block explains most."""
    chance = np.random.default_rng(seed)
    telling, idle = chance.normal(size=(rows, 3)), chance.normal(size=(rows, 3))
    targets = telling @ chance.normal(size=(3, 2)) + 0.1 * chance.normal(size=(rows, 2))
    return join([telling, idle]), targets


@given(seeds, variances)
def test_the_weights_are_those_of_the_kernel_view(seed: int, chosen: tuple[float, float]) -> None:
    """The predictions are those of a Gaussian process with the sum of the blocks' kernels."""
    blocks, targets = blocks_and_targets(seed)
    scaled = blocks.features * blocks.scales(chosen)
    kernel = scaled @ scaled.T
    wanted = kernel @ np.linalg.solve(kernel + np.eye(len(kernel)), targets)
    assert np.allclose(blocks.features @ posterior(blocks, targets, chosen).weights, wanted)


@given(seeds, variances)
def test_the_evidence_is_that_of_the_kernel_view(seed: int, chosen: tuple[float, float]) -> None:
    """Two choices of variances differ in evidence as their Gaussian processes do."""
    blocks, targets = blocks_and_targets(seed)

    def plain(one: tuple[float, ...]) -> float:
        scaled = blocks.features * blocks.scales(one)
        matrix = scaled @ scaled.T + np.eye(len(scaled))
        noise = (targets * np.linalg.solve(matrix, targets)).sum(0) / len(targets)
        return float(-0.5 * len(targets) * np.log(noise).sum() - np.linalg.slogdet(matrix)[1])

    moments, start = Moments.of(blocks, targets), (0.1, 0.1)
    found = log_evidence(blocks, moments, chosen) - log_evidence(blocks, moments, start)
    assert found == pytest.approx(plain(chosen) - plain(start), abs=1e-6)


@given(seeds, variances, st.integers(0, 29))
def test_a_row_is_left_out_exactly(seed: int, chosen: tuple[float, float], row: int) -> None:
    """The left-out prediction of a row is what a fit without that row predicts for it."""
    blocks, targets = blocks_and_targets(seed)
    rest = np.arange(len(targets)) != row
    others = join([blocks.features[rest, :3], blocks.features[rest, 3:]])
    wanted = blocks.features[row] @ posterior(others, targets[rest], chosen).weights
    found = left_out(blocks, targets, posterior(blocks, targets, chosen))
    assert np.allclose(found[row], wanted)


@pytest.mark.parametrize("seed", range(5))
def test_what_says_nothing_counts_little(seed: int) -> None:
    """The block that explains the targets gets more variance than the one that does not."""
    telling, idle = best_variances(*blocks_and_targets(seed))
    assert telling > idle


def test_a_block_without_columns_does_no_harm() -> None:
    """Prompts that share no words leave an empty block, and the rest is fitted as ever."""
    blocks, targets = blocks_and_targets(1)
    wider = join([blocks.features[:, :0], blocks.features])
    assert wider.count == 2
    found = posterior(wider, targets, best_variances(wider, targets))
    assert np.isfinite(found.weights).all()
