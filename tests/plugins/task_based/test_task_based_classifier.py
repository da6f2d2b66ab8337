"""The classifier: right where it must be, the same each time, and never an error."""

import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from turnout import TaskType
from turnout_task_based.classifier import classify, guess, scores, unpacked, weights
from turnout_task_based.features import features_of

CODE = "def add(a, b):\n    return a - b\n"
FIXTURES = Path(__file__).parent
anything = st.text(st.characters(), max_size=3000)  # surrogates and NUL among them


def prompts(name: str) -> list[tuple[TaskType, str]]:
    r"""Read a fixture: task type, tab, prompt with ``\n`` for line breaks."""
    lines = (FIXTURES / f"{name}_prompts.tsv").read_text("utf-8").splitlines()
    pairs = (line.split("\t", 1) for line in lines)
    return [(TaskType(label), text.replace("\\n", "\n")) for label, text in pairs]


def accuracy(known: list[tuple[TaskType, str]]) -> float:
    return sum(classify(text).task_type is label for label, text in known) / len(known)


@pytest.mark.parametrize(
    ("text", "task_type"),
    [
        ("Write a function to sort a list", TaskType.CODE_GENERATION),
        ("implement quicksort", TaskType.CODE_GENERATION),
        ("review this code", TaskType.CODE_REVIEW),
        (f"review this code\n\n{CODE}", TaskType.CODE_REVIEW),
        (f"{CODE}\nreview this code", TaskType.CODE_REVIEW),
        ("fix the failing test", TaskType.CODE_REVIEW),
        ("what is 2+2", TaskType.SIMPLE_QUERY),
        ("What is the capital of France?", TaskType.SIMPLE_QUERY),
        ("Compare PostgreSQL and MySQL for a small shop", TaskType.ANALYSIS),
        ("plan a weekend in Rome", TaskType.PLANNING),
        ("Prove that the square root of 3 is irrational", TaskType.COMPLEX_REASONING),
        ("According to the attached report, who paid for the bridge?", TaskType.RAG_EXPLORATION),
        ("write a poem about the sea", TaskType.OTHER),
    ],
)
def test_plain_prompts_are_told_apart(text: str, task_type: TaskType) -> None:
    """What nobody would doubt is got right."""
    assert classify(text).task_type is task_type


def test_everyday_prompts_are_mostly_right() -> None:
    """Of prompts that were looked at while training, but not trained on, nine in ten are right."""
    assert accuracy(prompts("everyday")) >= 0.9


def test_unseen_prompts_are_mostly_right() -> None:
    """Of prompts that nobody looked at while training, three in four are right."""
    assert accuracy(prompts("unseen")) >= 0.75


def test_confidence_means_something() -> None:
    """Of unseen prompts, those with a confidence of at least 0.7 are right nine times in ten."""
    sure = [pair for pair in prompts("unseen") if classify(pair[1]).confidence >= 0.7]
    assert len(sure) >= 0.3 * len(prompts("unseen"))
    assert accuracy(sure) >= 0.9


def test_the_fixtures_hold_every_task_type() -> None:
    """Each task type has at least ten prompts in each fixture."""
    for name in ("everyday", "unseen"):
        counts = Counter(label for label, _ in prompts(name))
        assert all(counts[task_type] >= 10 for task_type in TaskType)


@given(anything)
@example("")
@example("\0")
@example("\ud800\udfff")
@example("🙂" * 500)
@example("\n" * 1000)
@example("```")
@example("x" * 1_000_000)
@example('<file name="' * 2000)
@example("| a | b |\n" * 5000)
def test_any_text_has_a_guess(text: str) -> None:
    """Whatever the text, there is a task type, and a confidence from 0 to 1; and the same one again."""
    first = classify(text)
    assert isinstance(first.task_type, TaskType)
    assert 0.0 < first.confidence <= 1.0
    assert classify(text) == first


@given(st.sampled_from(prompts("everyday") + prompts("unseen")), st.sampled_from([" ", "\n", "\n\n"]))
def test_space_around_a_prompt_says_nothing(pair: tuple[TaskType, str], space: str) -> None:
    """White space before a prompt does not change its task type."""
    assert classify(space + pair[1]).task_type is classify(pair[1]).task_type


def test_the_middle_of_a_long_prompt_is_not_read() -> None:
    """What is far from both ends changes nothing."""
    question = "Based on the document below, who signed the lease?\n\n"
    ends = ("The tenant moved in. " * 200, " The keys were handed over." * 200)
    with_code = f"{question}{ends[0]}{CODE * 20}{ends[1]}"
    with_verse = f"{question}{ends[0]}{'Roses are red. ' * 44}{ends[1]}"
    length = max(len(with_code), len(with_verse))
    assert features_of(with_code.ljust(length)) == features_of(with_verse.ljust(length))


def test_the_guess_is_the_greatest_score() -> None:
    """The guess is the label with the greatest score, and certainty grows with its lead."""
    labels = weights().labels
    found = [0.0] * len(labels)
    for place, label in enumerate(labels):
        ahead, far_ahead = list(found), list(found)
        ahead[place], far_ahead[place] = 1.0, 5.0
        assert guess(ahead).task_type is guess(far_ahead).task_type is label
        assert guess(ahead).confidence < guess(far_ahead).confidence


def test_a_text_without_known_features_is_judged_by_the_bias() -> None:
    """The weights of features are added to the bias, and nothing else is."""
    learned = weights()
    features = features_of("implement quicksort")
    known = [learned.by_feature[name] for name in features if name in learned.by_feature]
    sums = [bias + learned.step * sum(row[place] for row in known) for place, bias in enumerate(learned.bias)]
    assert scores("implement quicksort") == pytest.approx(sums)


def test_weights_are_read_as_they_were_packed() -> None:
    """A file of weights is a line of JSON, the features, and one signed byte for each feature and label."""
    head = b'{"labels": ["analysis", "other"], "bias": [0.5, -0.5], "step": 0.1, "temperature": 2.0}'
    learned = unpacked(head + "\nwé a\n#x\n\n".encode() + bytes([1, 255, 10, 10]))
    assert learned.by_feature == {"wé a": (1, -1), "#x": (10, 10)}
    assert learned.labels == (TaskType.ANALYSIS, TaskType.OTHER)


def test_a_file_of_weights_that_is_cut_short_is_refused() -> None:
    """Fewer rows than features are no weights."""
    head = b'{"labels": ["analysis", "other"], "bias": [0, 0], "step": 1, "temperature": 1}'
    with pytest.raises(ValueError, match=r"zip\(\)"):
        unpacked(head + b"\na\nb\n\n" + bytes([1, 2]))


def test_weights_fit_into_the_package() -> None:
    """The weights have all task types, and take a few hundred kilobytes at most."""
    import turnout_task_based.classifier as module

    assert set(weights().labels) == set(TaskType)
    assert Path(module.__file__).with_name(module.WEIGHTS).stat().st_size < 400_000


def cpu_seconds(text: str, rounds: int = 20) -> float:
    """Return the CPU time of one classification, the best of some."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        classify(text)
        best = min(best, time.process_time() - began)
    return best


@pytest.mark.parametrize("size", [100, 2_000, 100_000, 1_000_000])
def test_a_long_prompt_costs_no_more_than_a_page(size: int) -> None:
    """Classifying takes no longer than some ten thousand additions, however long the prompt is."""
    weights()
    page = f"Explain the results (p < 0.05) and fix it, please.\n{CODE}| a | 1 |\nWhy? 12:30, $5. "
    text = (page * (1 + size // len(page)))[:size]
    began = time.process_time()
    assert sum(number * number for number in range(100_000)) > 0
    assert cpu_seconds(text) < time.process_time() - began


@pytest.mark.parametrize("filler", ["\n", " \n", "\t\n \n", "(\n", "- ", "a\n"])
def test_empty_lines_cost_no_more_than_words(filler: str) -> None:
    """No pattern looks again and again at the same white space."""
    weights()
    began = time.process_time()
    assert sum(number * number for number in range(100_000)) > 0
    assert cpu_seconds(f"Explain this{filler * 5_000}please", rounds=5) < time.process_time() - began
