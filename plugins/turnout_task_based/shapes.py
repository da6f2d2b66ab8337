"""What catches the eye in a prompt: patterns of errors, formulas, lists, forms, files and figures."""

import re
from collections.abc import Iterator
from types import MappingProxyType

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?|\d+")
YEAR = re.compile(r"\b(?:1\d|20)\d\d\b")
INNER_WORD = re.compile(r"[a-z,] \b")
NAME = re.compile(r"[a-z,] [A-Z][a-z]")
"""A capital that no sentence explains."""

FINISHED = re.compile(r"\b(?:return|end)\b|[;}]\s*$", re.MULTILINE)
"""What a function that is only begun has not."""

POLITE = re.compile(
    r"\s*(?:(?:hi|hey|hello|hallo|ok|okay|so|now|please|pls|plz|bitte|kindly|quick question|thanks|por favor"
    r"|s'il (?:te|vous) pla[iî]t)\b[\s,.!:;-]*"
    r"|(?:can|could|would|will) (?:you|u|someone)(?: please| kindly)?\b\s*"
    r"|(?:kannst|könntest) du(?: bitte)?\b(?: mir)?\s*|(?:peux|pourrais)-tu\b\s*|(?:puedes|podrías)\b\s*"
    r"|(?:i|we) (?:want|need|would like|'d like|wanna)(?: you)?(?: to)?\b\s*"
    r"|i'd like(?: you)?(?: to)?\b\s*|help (?:me|us)(?: to| with)?\b\s*|i'm trying to\b\s*"
    r"|your task is to\b\s*|(?:go ahead and|let's)\b\s*)+",
    re.IGNORECASE,
)
"""What people say before they say what they want."""

FILE_NAME = re.compile(
    r"\.(?:(pdf|docx?|txt|md|eml|epub|pptx?)|(csv|xlsx?|tsv|parquet|jsonl)"
    r"|(?:py|js|ts|tsx|jsx|go|rs|java|cpp|cc|c|h|cs|rb|php|sh|sql|kt|swift|html|css))\b(?!\()"
)
FILE_KINDS = ("#filename", "#paper", "#sheet")
"""By the group that :data:`FILE_NAME` matched."""

_LINES, _ANY_CASE = re.MULTILINE, re.IGNORECASE
_BOTH = _LINES | _ANY_CASE

SHAPES = MappingProxyType(
    {
        "trace": re.compile(
            r"Traceback \(most|Error: |Exception: |Exception in |\n[ \t]+at [\w.$<>/]+[ (]"
            r"|File \"[^\"]+\", line \d|error: |error\[|ERR!|panic: |core dumped|exit code \d|FAILED"
            r"|undefined reference"
        ),
        "diff": re.compile(r"^(?:diff --git|@@ -\d|--- a/|\+\+\+ b/|index [0-9a-f]{3,}\.\.)", _LINES),
        "latex": re.compile(
            r"\$[^$\n]{1,80}\$|\\(?:frac|sqrt|int|sum|le|ge|cdot|times|mathbb|begin|pmod|text|in)\b|\\[(\[]"
        ),
        "formula": re.compile(r"[\dxyzn)]\s?[=+*/^<>≤≥×÷−-]\s?[\dxyzn(]|[√∑∫π²³≤≥∈∀∃]|\b[fgP]\(\w\)"),
        "options": re.compile(r"^[ \t]*\(?[B-Cb-c][).:]\s", _LINES),
        "bullets": re.compile(r"^[ \t]*[-*•]\s", _LINES),
        "numbered": re.compile(r"^[ \t]*\d{1,2}[.)]\s", _LINES),
        "labelled": re.compile(
            r"^[ \t]*[\[#*]*[A-Z][\w /-]{2,30}[\]*]*:(?:\s|$)|^[ \t]*\[[A-Z][\w ]+\]|^#+ ", _LINES
        ),
        "docstring": re.compile(r"\"\"\"|'''|/\*\*"),
        "asserts": re.compile(r"assert\b|expect\("),
        "doctest": re.compile(r">>> |^[ \t]*(?:example|input|output)s?\b.{0,12}:", _BOTH),
        "inline": re.compile(r"\w\([^()\n]{0,60}\)\s?[{:;]|=>|[!=]==?|`[^`\n]+`|::|->|\w\.\w+\("),
        "quoted": re.compile(r"[\"“«][^\"”»\n]{60,}"),
        "source": re.compile(
            r"^[ \t]*(?:\[\d+\]|\(\d+\)|(?:source|doc\w*|chunk|passage|snippet)\s*#?\d+\s*[:.)\]])", _BOTH
        ),
        "context": re.compile(
            r"^\W{0,3}(?:context|passage|document|article|text|excerpt|transcript|kontext|contexte)\b.{0,20}:",
            _BOTH,
        ),
        "question": re.compile(r"^\W{0,3}(?:question|q|frage|pregunta|query)\W{0,3}:", _BOTH),
        "turns": re.compile(r"^[ \t]*(?:user|human|assistant|[A-Z][a-z]+):\s", _LINES),
        "blank": re.compile(r"_{3,}|\[(?:blank|mask)\]|\.\.\.$", _ANY_CASE),
        "money": re.compile(r"[$€£]\s?\d|\d\s?(?:%|percent\b|usd\b|euros?\b|dollars\b)", _ANY_CASE),
        "unit": re.compile(
            r"\d\s?(?:km|m|cm|kg|g|mph|km/h|m/s|hours?|minutes?|seconds?|feet|miles|litres?|years? old)\b",
            _ANY_CASE,
        ),
        "clock": re.compile(r"\b\d{1,2}(?::\d\d)?\s?(?:am|pm)\b|\b\d{1,2}:\d\d\b", _ANY_CASE),
    }
)

_NEEDED = (
    (re.compile(r"\d"), frozenset({"money", "unit", "clock"})),
    (re.compile(r"[=+*/^<>≤≥×÷−√∑∫π²³∈∀∃(-]"), frozenset({"formula"})),
    (re.compile(r"[(=`]|::|->"), frozenset({"inline"})),
)
"""What must stand somewhere for the shapes that take longest to look for; most prompts have none of it."""


def shapes_in(text: str) -> Iterator[str]:
    """Yield the names of the shapes that *text* has, in the order of :data:`SHAPES`."""
    out = {name for sign, names in _NEEDED if sign.search(text) is None for name in names}
    return (name for name, shape in SHAPES.items() if name not in out and shape.search(text))
