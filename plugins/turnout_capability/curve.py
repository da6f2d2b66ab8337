"""What size, year and quantisation say of a model's quality, as fitted on real results.

Every constant with a fit behind it is what ``benchmarks/size_curve.py`` prints (2026-11). It reads per-prompt
scores of 44 models on MMLU-Pro, CRUXEval, MATH level 5 and common-sense questions (TIGER-AI-Lab/MMLU-Pro,
WildEval/ZeroEval, LLMRouterBench), and the figures published in ``families.toml``.

Quality is counted in logits of MMLU-Pro's share of right answers; "ability" below. Within a family and a
benchmark it is ``level − SPAN · billions^−POWER`` (R² 0.91, 80 results), where a mixture of experts counts as
the geometric mean of all its weights and of those used per token: of the exponents tried between the two,
that one fits best.
"""

import math
from collections.abc import Sequence
from datetime import date
from typing import Literal, TypeAlias

from attrs import frozen

from turnout_capability.sizes import Size

Kind: TypeAlias = Literal["general", "coder", "reasoning"]

POWER = 0.30
SPAN = 2.61
# Over all families (R² 0.89, 86 results): where a base model of mid-2024 stands, and what adds to it.
LEVEL = 0.927
INSTRUCTION = 0.236
THINKING = 0.540
GROWTH = 0.924
"""Per year of release in mid-2024: newer families know more at the same size, but ever less so."""
SLOWING = 2.0
"""Years after which the growth is at 37 %. Between 1.5 and 4 the fit is as good."""
YEAR_ZERO = 2024.5
TYPICAL_YEAR = 2025.0
"""The year of a model that the catalogue does not know: the middle of the families in it."""

CODER_LOSS = -0.25
"""What a coder knows less in general: TriviaQA and NaturalQuestions of DeepSeek-Coder-V2 beside
DeepSeek-V2 (github.com/deepseek-ai/DeepSeek-Coder-V2, README, general natural language)."""
UNTUNED = 1.0
"""What a base model lacks in a chat beside ``INSTRUCTION``. A judgement: benchmarks show it examples."""

# Quantisation: MMLU-Pro at 8.5, 6.5, 5.5 and 4.5 bits of two Qwen3 models (ml-explore/mlx-lm, BENCHMARKS.md).
# Below 4.5 bits it extrapolates: 0.24 at Q2_K, against 0.09 at Q4_K_M. Perplexity agrees on the order and on
# where it gets steep: +9 % at Q2_K, +1 % at Q4_K_M (llama.cpp, Llama 2 70B).
FULL_LOSS_BITS = 4.5
LOSS = 0.112
LOSS_PER_BIT = -0.66

_SMALLEST = 0.01
"""Billions of weights below which no curve was fitted; it gets steep there."""


@frozen
class Benchmark:
    """Logit of a benchmark's score = ``difficulty`` + ``slope`` · ability, + what the model's kind adds."""

    difficulty: float
    slope: float
    coder: float = 0.0
    reasoning: float = 0.0

    def expected(self, ability: float) -> float:
        """Return the logit that a general model of this *ability* gets."""
        return self.difficulty + self.slope * ability

    def added(self, kind: Kind) -> float:
        """Return what models of *kind* do better than general models of the same ability, in logits."""
        return {"general": 0.0, "coder": self.coder, "reasoning": self.reasoning}[kind]


BENCHMARKS = {
    "bfcl_v3": Benchmark(-0.24, 0.58, reasoning=-0.13),
    "crux": Benchmark(-0.10, 1.32),
    "easy": Benchmark(1.37, 1.19),
    "gpqa": Benchmark(-0.53, 0.82, reasoning=0.25),
    "humaneval": Benchmark(1.14, 1.01, coder=0.58),
    "ifeval": Benchmark(0.84, 0.93, reasoning=-0.39),
    # No coder was found beside others here: that it leads as on HumanEval is a judgement.
    "livecodebench_v5": Benchmark(-1.88, 1.22, coder=0.58, reasoning=0.78),
    "livecodebench_v6": Benchmark(-1.71, 0.98, coder=0.58, reasoning=0.89),
    "mmlu_pro": Benchmark(0.0, 1.0),
    "mmlu_redux": Benchmark(0.85, 1.15, reasoning=-0.18),
    "mmmu": Benchmark(-0.21, 0.94),
    "ruler_128k": Benchmark(0.44, 0.98, reasoning=0.25),
}


def average(benchmarks: Sequence[Benchmark]) -> Benchmark:
    """Return the benchmark in the middle of several."""
    count = len(benchmarks)
    return Benchmark(
        sum(one.difficulty for one in benchmarks) / count,
        sum(one.slope for one in benchmarks) / count,
        sum(one.coder for one in benchmarks) / count,
        sum(one.reasoning for one in benchmarks) / count,
    )


def effective_size(size: Size) -> float | None:
    """Return the billions of weights of a dense model as good as one of this *size*; None when unknown."""
    total, active = size
    if total is None:
        return None
    return math.sqrt(total) * math.sqrt(min(active or total, total)) / 1e9


def year_of(day: date) -> float:
    """Return 2024.5 for mid-2024."""
    return day.year + (day.timetuple().tm_yday - 1) / 365.25


def matured(year: float, slowing: float = SLOWING) -> float:
    """Return the years of growth since mid-2024, each worth less than the one before."""
    return slowing * (1.0 - math.exp(-(year - YEAR_ZERO) / slowing))


def ability(billions: float, year: float, *, thinking: bool) -> float:
    """Return the ability of an instruction model of this size and year that nothing else is known of."""
    return (
        LEVEL
        + INSTRUCTION
        + GROWTH * matured(year)
        + THINKING * thinking
        - SPAN * math.pow(max(billions, _SMALLEST), -POWER)
    )


def quantisation_loss(bits: float) -> float:
    """Return the ability that is lost at so many *bits* per weight, scales included."""
    return LOSS * math.exp(LOSS_PER_BIT * (bits - FULL_LOSS_BITS))


def logit(share: float) -> float:
    """Return the logit of a share between 0 and 1."""
    return math.log(share / (1.0 - share))


def share_of(value: float) -> float:
    """Return the share whose logit is *value*; never quite 0 or 1."""
    return 1.0 / (1.0 + math.exp(-min(max(value, -_FAR), _FAR)))


_FAR = 8.0
