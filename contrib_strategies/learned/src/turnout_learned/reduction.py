"""From tens of thousands of terms to some hundreds of directions, and back.

The directions are the principal ones of the terms of some rows, the landmarks (the Nyström method: Williams
and Seeger, NeurIPS 2000); with as many landmarks as rows they are exact.
"""

from typing import TYPE_CHECKING, Self

import numpy as np
from attrs import frozen

from turnout_learned.arrays import Floats

if TYPE_CHECKING:
    from scipy.sparse import csr_array  # type: ignore[import-untyped]

LANDMARKS = 1500
RANK = 600
_FLAT = 1e-9


@frozen(eq=False)
class Reduction:
    """The landmarks, and how each direction is mixed from them; the strongest direction comes first."""

    landmarks: "csr_array"
    mixture: Floats

    @classmethod
    def of(cls, matrix: "csr_array", seed: int) -> Self:
        """Choose landmarks among the rows of *matrix* by *seed*, and find their directions."""
        from scipy.linalg import eigh  # type: ignore[import-untyped]

        rows = matrix.shape[0]
        chosen = np.sort(np.random.default_rng(seed).permutation(rows)[:LANDMARKS])
        landmarks = matrix[chosen]
        likeness = (landmarks @ landmarks.T).toarray()
        first = max(0, len(chosen) - RANK)
        strengths, vectors = eigh(likeness, subset_by_index=[first, len(chosen) - 1])
        kept = strengths > _FLAT * max(float(strengths[-1]), _FLAT)
        mixture = vectors[:, kept][:, ::-1] / np.sqrt(strengths[kept][::-1])
        return cls(landmarks, mixture)

    def along(self, matrix: "csr_array") -> Floats:
        """Return each row of *matrix* along the directions."""
        found: Floats = (matrix @ self.landmarks.T).toarray() @ self.mixture
        return found

    def back(self, weights: Floats) -> Floats:
        """Return the weights of the terms that these weights of the directions amount to."""
        found: Floats = self.landmarks.T @ (self.mixture @ weights)
        return found
