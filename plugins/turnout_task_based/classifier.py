"""Which kind of work a prompt is: a linear model over :mod:`turnout_task_based.features`.

The task types
    ``code_generation`` is a program, query, formula, configuration or test that does not exist yet, and a
    program carried over to another language. ``code_review`` is anything about code that exists: judge,
    explain, mend, speed up, or an error message to be understood. ``analysis`` is judging, comparing and
    interpreting, reading figures, extracting and classifying. ``planning`` is an order of things to do.
    ``simple_query`` is a short question with a short answer, or a command for an assistant.
    ``complex_reasoning`` takes several steps: mathematics, logic, estimates, tracing a program.
    ``rag_exploration`` is to be answered from given or stored documents. ``other`` is the rest: creative
    writing, ideas, play, chat, and the user's own text rewritten, translated or summed up.

The model
    Multinomial logistic regression, trained by ``benchmarks/task_classifier.py`` on prompts of our own
    (``benchmarks/task_corpus``) and on public ones under MIT, Apache-2.0, CC BY 3.0 (CLINC150, Larson et al.,
    EMNLP 2019) and CC BY 4.0 (MBPP, Austin et al., arXiv:2108.07732). Its weights are one signed byte each.

What it is worth
    Measured by that program on public sources that were not in training, each counting alike: 80 % are right.
    Confidence is scaled so that it means the same there. A threshold of 0.5 keeps 84 % of the prompts and is
    right on 88 % of them, 0.7 keeps 64 % and is right on 94 %, 0.9 keeps 38 % and is right on 98 %.
"""

import gzip
import json
import math
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from struct import iter_unpack

from attrs import frozen

from turnout import TaskType
from turnout_task_based.features import features_of

WEIGHTS = "weights.bin.gz"


@frozen
class Guess:
    """A task type, and how likely it is (0 to 1) that it is the right one."""

    task_type: TaskType
    confidence: float


@frozen
class Weights:
    """What was learned: for each feature, and for none, one number for each of ``labels``.

    A sum of ``by_feature`` counts ``step`` a unit. ``temperature`` makes of the sums probabilities.
    """

    labels: tuple[TaskType, ...]
    by_feature: dict[str, tuple[int, ...]]
    bias: tuple[float, ...]
    step: float
    temperature: float


def classify(text: str) -> Guess:
    """Return the task type of the prompt *text*: the same for the same text, and for any text."""
    return guess(scores(text))


def scores(text: str) -> list[float]:
    """Return how much speaks for each of the labels of :func:`weights`."""
    learned = weights()
    found = [row for feature in features_of(text) if (row := learned.by_feature.get(feature)) is not None]
    sums = map(sum, zip(*found, strict=True)) if found else [0] * len(learned.bias)
    return [bias + learned.step * each for bias, each in zip(learned.bias, sums, strict=True)]


def guess(found: Sequence[float]) -> Guess:
    """Return the likeliest task type by its :func:`scores`."""
    learned = weights()
    best = max(found)
    confidence = 1.0 / math.fsum(math.exp((score - best) / learned.temperature) for score in found)
    return Guess(learned.labels[found.index(best)], confidence)


@cache
def weights() -> Weights:
    """Return the weights that come with the package, read once."""
    return unpacked(gzip.decompress(files(__package__).joinpath(WEIGHTS).read_bytes()))


def unpacked(data: bytes) -> Weights:
    """Read weights: a line of JSON, the features one a line, an empty line, then a row of bytes for each."""
    head, _, rest = data.partition(b"\n")
    names, _, rows = rest.partition(b"\n\n")
    about = json.loads(head)
    labels = tuple(map(TaskType, about["labels"]))
    by_feature = dict(zip(names.decode().split("\n"), iter_unpack(f"{len(labels)}b", rows), strict=True))
    return Weights(labels, by_feature, tuple(about["bias"]), about["step"], about["temperature"])
