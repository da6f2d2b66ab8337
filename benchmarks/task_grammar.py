r"""Prompts for training, made from our own templates in ``task_corpus/``: varied, and the same for the
same seed.

``<a|b>`` in a template is a choice, ``{name}`` a slot, ``\n`` a line break. A slot is a line ``name = a
| b`` in ``slots.txt`` or ``@name = a | b`` among the templates. Pasted things, such as code and tables,
have files of their own, their items parted by ``%%``.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from attrs import frozen

FOLDER = Path(__file__).parent / "task_corpus"
PASTED = ("code", "stub", "oj", "ojstory", "trace", "diff", "testcode", "table")
TYPES = (
    "code_generation", "code_review", "analysis", "planning", "simple_query", "complex_reasoning",
    "rag_exploration", "other",
)  # fmt: skip
ENDINGS = ("py", "js", "ts", "go", "java", "rs", "c", "cpp", "rb", "sql", "sh")
NAMES = ("main", "utils", "report", "notes", "a", "order_service", "2023-summary", "handbook", "x1")
PAPERS = ("md", "txt", "pdf", "docx", "html", "eml")

_CHOICE = re.compile(r"<([^<>]*\|[^<>]*)>")
_SLOT = re.compile(r"\{(\w+)\}")


@frozen
class Prompt:
    """A prompt, its task type, and the family that it comes from: a template, or a public source."""

    text: str
    label: str
    family: str


class Grammar:
    """All templates and slots."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._slots = dict(_slots((folder / "slots.txt").read_text("utf-8")))
        self._sentences = _lines((folder / "sentences.txt").read_text("utf-8"))
        self._pasted = {name: (folder / f"{name}.txt").read_text("utf-8").split("\n%%\n") for name in PASTED}
        self._templates: dict[str, list[str]] = {}
        for name in TYPES:
            lines = _lines((folder / f"{name}.txt").read_text("utf-8"))
            self._slots.update(_slots("\n".join(line[1:] for line in lines if line.startswith("@"))))
            self._templates[name] = [line for line in lines if not line.startswith("@")]
        self._made: dict[str, Callable[[Random], str]] = {
            "sent": self._sentence,
            "doc": lambda chance: self._document(chance, 2, 7),
            "dedoc": lambda chance: self._slot("dedoc", chance),
            "longdoc": lambda chance: self._document(chance, 6, chance.choice((10, 20, 60))),
            "fcode": lambda chance: _file(chance, ENDINGS, self._paste("code", chance)),
            "docfile": lambda chance: _file(chance, PAPERS, self._document(chance, 3, 20)),
        }

    def prompts(self, seed: int, each: int) -> Iterator[Prompt]:
        """Yield up to *each* different prompts of every template."""
        for label, templates in self._templates.items():
            for number, template in enumerate(templates):
                chance = Random(f"{seed}/{label}/{number}")
                texts = {styled(self.expand(template, chance), chance) for _ in range(each)}
                yield from (Prompt(text, label, f"{label}/{number}") for text in sorted(texts))

    def expand(self, template: str, chance: Random) -> str:
        """Return *template* with choices made and slots filled."""
        while _CHOICE.search(template):
            template = _CHOICE.sub(lambda found: chance.choice(found[1].split("|")), template)
        return _SLOT.sub(lambda found: self._slot(found[1], chance), template.replace("\\n", "\n"))

    def _slot(self, name: str, chance: Random) -> str:
        if name in self._made and name not in self._slots:
            return self._made[name](chance)
        if name in self._pasted:
            return self._paste(name, chance)
        if name not in self._slots:
            return "{" + name + "}"
        return self.expand(chance.choice(self._slots[name]), chance)

    def _paste(self, name: str, chance: Random) -> str:
        items = self._pasted[name]
        if name == "code" and chance.random() < 0.25:
            return "\n\n".join(item.strip("\n") for item in chance.sample(items, chance.choice((2, 2, 3, 5))))
        item = chance.choice(items).strip("\n")
        return f"```\n{item}\n```" if name in {"code", "diff"} and chance.random() < 0.3 else item

    def _sentence(self, chance: Random) -> str:
        return self.expand(chance.choice(self._sentences), chance)

    def _document(self, chance: Random, least: int, most: int) -> str:
        count = min(chance.randint(least, most), len(self._sentences))
        sentences = [self.expand(line, chance) for line in chance.sample(self._sentences, count)]
        gap = "\n\n" if chance.random() < 0.4 else " "
        paragraphs = [" ".join(sentences[start : start + 4]) for start in range(0, count, 4)]
        return gap.join(paragraphs)


def styled(text: str, chance: Random) -> str:
    """Return *text* as another person would type it: politely, hastily, framed by a form."""
    text = chance.choice(_FRAMES)(text) if chance.random() < 0.12 else text
    short = len(text) < 300 and "\n" not in text
    if chance.random() < 0.12:
        text = chance.choice(_BEFORE) + (text[:1].lower() + text[1:] if chance.random() < 0.7 else text)
    if short and chance.random() < 0.08:
        text = text.rstrip(".") + chance.choice(_AFTER)
    if short and chance.random() < 0.3:
        text = text.lower()
    elif chance.random() < 0.5:
        text = text[:1].upper() + text[1:]
    if short and chance.random() < 0.25:
        text = text.rstrip(".?!") + chance.choice(("", "", ".", "?", "!", "??"))
    return _mistyped(text, chance) if short and chance.random() < 0.08 else text


_BEFORE = (
    "please ", "Please ", "can you ", "Can you please ", "could you ", "hey, ", "Hi, ", "hello! ", "ok so ",
    "I need help: ", "quick one: ", "I was wondering, ", "i need you to ", "Your task: ",
)  # fmt: skip
_AFTER = (" please", " thanks", " thank you", ", thx", " asap", " pls", ". Be concise.", ". Answer briefly.")
_FRAMES: tuple[Callable[[str], str], ...] = (
    lambda text: f"### Instruction:\n{text}\n\n### Response:\n",
    lambda text: f"Instruction: {text}",
    lambda text: f"User: {text}\nAssistant:",
    lambda text: f"You are a helpful assistant.\n\n{text}",
    lambda text: f"{text}\n\nAnswer:",
    lambda text: f"Task: {text}",
    lambda text: f"Question: {text}\nAnswer:",
    lambda text: f"{text}\nThink step by step.",
    lambda text: f"Please read the following and give the correct answer.\n\n{text}",
    lambda text: f"{text}\n\nProvide the final answer in \\boxed{{}}.",
    lambda text: f"Respond to the following.\n\nContext: None\n\nQuestion: {text}",
    lambda text: f"\n{text}\n\n",
    lambda text: f"Below is a request. Respond to it as well as you can.\n\n{text}",
    lambda text: f"{text}\nGive your answer in the end.",
    lambda text: f'"{text}"',
)


def _mistyped(text: str, chance: Random) -> str:
    """Swap two neighbouring letters, or lose one."""
    if len(text) < 8:
        return text
    place = chance.randrange(2, len(text) - 2)
    kept = text[place + 1] + text[place] if chance.random() < 0.5 else text[place]
    return text[:place] + kept + text[place + 2 :]


def _file(chance: Random, endings: tuple[str, ...], content: str) -> str:
    return f'<file name="{chance.choice(NAMES)}.{chance.choice(endings)}">\n{content}\n</file>'


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and not line.startswith("# ")]


def _slots(text: str) -> Iterator[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for line in _lines(text):
        name, _, values = line.partition(" = ")
        found.setdefault(name.strip(), []).extend(value.strip() for value in values.split(" | "))
    yield from found.items()

