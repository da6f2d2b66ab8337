"""Prompts as numbers: weighted words, pairs and pieces of words, and random features of their surface.

A :class:`Lexicon` and a :class:`Frame` are learned once from the training prompts and are then fixed.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
from attrs import field, frozen

from turnout_learned.arrays import Floats, Ints
from turnout_learned.words import SURFACE, surface, terms

if TYPE_CHECKING:
    from scipy.sparse import csr_array  # type: ignore[import-untyped]

MOST_TERMS = 60_000
LEAST_PROMPTS = 2
"""A term that only one training prompt has says nothing about others."""
WAVES = 128
LIMIT = 3.0
"""Standard deviations beyond which a surface fact counts no more."""


@frozen(eq=False)
class Weighted:
    """The known terms of one text: their places in the lexicon, and weights of the length 1 in all."""

    places: Ints
    weights: Floats


@frozen(eq=False)
class Lexicon:
    """The terms that count, with the logarithm of how rare each is (sublinear tf-idf)."""

    terms: tuple[str, ...]
    rarity: Floats
    place: Mapping[str, int] = field(init=False)

    @place.default
    def _place(self) -> Mapping[str, int]:
        return {term: place for place, term in enumerate(self.terms)}

    @classmethod
    def of(cls, texts: Sequence[str]) -> Self:
        """Keep the terms of at least two texts, the most frequent ones where there are too many."""
        seen: Counter[str] = Counter()
        for text in texts:
            seen.update(terms(text).keys())
        ranked = sorted((t for t in seen if seen[t] >= LEAST_PROMPTS), key=lambda t: (-seen[t], t))
        kept = ranked[:MOST_TERMS]
        rarity = [1.0 + math.log((1 + len(texts)) / (1 + seen[term])) for term in kept]
        return cls(tuple(kept), np.array(rarity, float))

    def weigh(self, text: str) -> Weighted:
        """Look the terms of *text* up."""
        place = self.place
        found = [(place[term], count) for term, count in terms(text).items() if term in place]
        places = np.array([where for where, _ in found], np.int64)
        weights = (1.0 + np.log(np.array([count for _, count in found], float))) * self.rarity[places]
        return Weighted(places, weights / max(float(np.linalg.norm(weights)), 1e-12))

    def matrix(self, texts: Sequence[str]) -> "csr_array":
        """Return one sparse row for each text."""
        from scipy.sparse import csr_array

        rows = [self.weigh(text) for text in texts]
        starts = np.cumsum([0, *(len(row.places) for row in rows)])
        data = np.concatenate([row.weights for row in rows] or [np.empty(0)])
        places = np.concatenate([row.places for row in rows] or [np.empty(0, np.int64)])
        return csr_array((data, places, starts), shape=(len(rows), len(self.terms)))


@frozen(eq=False)
class Frame:
    """Random Fourier features of the surface: smooth functions of it, as linear ones of many waves.

    Rahimi and Recht, "Random features for large-scale kernel machines", NeurIPS 2007; the kernel's width
    is the typical distance of two texts.
    """

    centre: Floats
    spread: Floats
    directions: Floats
    phases: Floats

    @classmethod
    def of(cls, texts: Sequence[str], seed: int) -> Self:
        """Learn what is usual, and draw the waves by *seed*."""
        facts = np.array([surface(text) for text in texts])
        chance = np.random.default_rng(seed)
        directions = chance.normal(0.0, 1.0 / math.sqrt(SURFACE), (SURFACE, WAVES))
        return cls(facts.mean(0), facts.std(0) + 1e-9, directions, chance.uniform(0.0, math.tau, WAVES))

    def waves(self, text: str) -> Floats:
        """Return the features of *text*, each between -1 and 1."""
        facts = (np.array(surface(text)) - self.centre) / self.spread
        found: Floats = np.cos(np.clip(facts, -LIMIT, LIMIT) @ self.directions + self.phases)
        return found

    def matrix(self, texts: Sequence[str]) -> Floats:
        """Return one row for each text."""
        return np.array([self.waves(text) for text in texts])
