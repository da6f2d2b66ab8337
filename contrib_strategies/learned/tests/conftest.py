"""What all tests of the strategy share: score tables of its own making."""

from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from turnout_learned.fitted import Fitted
from turnout_learned.fitting import fit
from turnout_learned.tables import ScoreTable

MODELS = ("acme/bard", "acme/abacus", "acme/steady")
VERSE = ("rhyme", "moon", "river", "sonnet", "verse", "stanza", "lyric", "heart", "autumn", "metaphor")
SUMS = ("add", "subtract", "total", "divide", "percent", "number", "multiply", "fraction", "ratio")
FILLER = ("please", "the", "a", "about", "with", "my", "for", "of", "and", "today", "some", "then", "it")
ABLE = {"verse": (0.9, 0.2, 0.55), "sums": (0.2, 0.9, 0.55)}

MakeTable = Callable[..., ScoreTable]


def prompt_of(kind: str, chance: Random) -> str:
    """Write a prompt: a few telling words among others."""
    telling = chance.sample(VERSE if kind == "verse" else SUMS, 3)
    found = telling + chance.choices(FILLER, k=chance.randrange(4, 12))
    chance.shuffle(found)
    return " ".join(found)


def make_table(rows: int = 160, *, seed: int = 0, labelled: bool = True, missing: float = 0.0) -> ScoreTable:
    """Make a table in which one model is good at verse, one at sums, and one passable at both."""
    chance = Random(seed)
    kinds = [chance.choice(("verse", "sums")) for _ in range(rows)]
    scores = [[float(chance.random() < able) for able in ABLE[kind]] for kind in kinds]
    known = np.array([[chance.random() >= missing for _ in MODELS] for _ in range(rows)])
    return ScoreTable(
        tuple(prompt_of(kind, chance) for kind in kinds),
        MODELS,
        np.where(known, np.array(scores), np.nan),
        tuple(kind if labelled else "" for kind in kinds),
        ("",) * rows,
    )


@pytest.fixture(name="table_of", scope="session")
def _table_of() -> MakeTable:
    return make_table


@pytest.fixture(name="fitted", scope="session")
def _fitted() -> Fitted:
    """Fit once for all tests that only look."""
    return fit(make_table(), about={"rows": 160})


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio."""
    return "asyncio"
