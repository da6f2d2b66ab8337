"""Code in an answer, and the check that runs it with tests."""

import ast
import re
import warnings
from typing import ClassVar

from attrs import frozen

from turnout_calibration.checks import Answer, Finding
from turnout_calibration.sandbox import Limits, run

_FENCED = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
_PYTHON = ("", "py", "python", "python3")


def extracted(text: str) -> str:
    """Return the Python code in *text*: its first fenced block that defines something.

    Models like to add a second block that shows how to call the first. Where none defines anything it is the
    first one, and without blocks the whole text.
    """
    blocks = [body for language, body in _FENCED.findall(text) if language.lower() in _PYTHON]
    return next((block for block in blocks if _defines(block)), blocks[0] if blocks else text)


def _defines(code: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for one in body)


@frozen
class PassesTests:
    """The answer's Python code passes ``tests``, which see its names."""

    kind: ClassVar[str] = "code"
    tests: str

    async def run(self, answer: Answer, limits: Limits) -> Finding:
        """Run them in the sandbox; raises ``OSError`` where that cannot be."""
        outcome = await run(extracted(answer.text), self.tests, limits)
        return Finding(1.0) if outcome.passed else Finding(0.0, f"{outcome.ending}: {outcome.detail}")


@frozen
class Judged:
    """Another model says how well the answer meets ``criteria``: ``model``, else ``--judge``."""

    kind: ClassVar[str] = "judge"
    criteria: str
    model: str | None = None
