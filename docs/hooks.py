"""Writes reference/hooks.md from the hook specifications, which are the only source of it.

Run ``python docs/hooks.py`` after a change to ``core/turnout/hookspecs.py``; a test compares the two.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from turnout import hookspecs
from turnout.markers import NAME

PAGE = Path(__file__).parent / "reference" / "hooks.md"
IMPORTS = """\
from functools import partial

import httpx
from attrs import evolve
from loguru import logger

from turnout import (
    After, Discovery, Host, Lease, ModelCrashedError, ModelSelection, NextStep, Quality, Signals, TaskType,
    Vetoes, hookimpl,
)
"""
"""What the examples import."""
_HEADING = re.compile(r"^# --- (.+?) -+$")


@frozen
class Hook:
    """A hook as the page shows it; ``text`` is its docstring without the example."""

    name: str
    phase: str
    signature: str
    text: str
    example: str
    first_result: bool


def hooks() -> list[Hook]:
    """Return every hook in the order of the specifications."""
    lines = inspect.getsource(hookspecs).splitlines()
    tree = ast.parse("\n".join(lines))
    found = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    return [_hook(node, _phase(lines, node.lineno)) for node in found]


def _phase(lines: list[str], number: int) -> str:
    headings = [match[1] for line in lines[:number] if (match := _HEADING.match(line))]
    return headings[-1]


def _hook(node: ast.FunctionDef, phase: str) -> Hook:
    options: dict[str, bool] = getattr(getattr(hookspecs, node.name), f"{NAME}_spec")
    text, _, example = (ast.get_docstring(node) or "").partition("\n\nExample::\n")
    code = textwrap.dedent(example).strip()
    return Hook(node.name, phase, _signature(node), text, code, options["firstresult"])


def _signature(node: ast.FunctionDef) -> str:
    arguments = [ast.unparse(argument) for argument in node.args.args]
    returns = ast.unparse(node.returns) if node.returns else "None"
    line = f"def {node.name}({', '.join(arguments)}) -> {returns}"
    if len(line) <= 88:
        return line
    listed = "".join(f"    {argument},\n" for argument in arguments)
    return f"def {node.name}(\n{listed}) -> {returns}"


def markdown(text: str) -> str:
    """Turn our docstrings' markup into Markdown's."""
    joined = re.sub(r"``(.+?)`` s\b", r"`\1`s", text)
    return re.sub(r"``(.+?)``", r"`\1`", joined)


def page() -> str:
    """Return the whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "<!-- Written by docs/hooks.py from core/turnout/hookspecs.py. -->"
    yield "# Hooks"
    yield ""
    yield markdown(inspect.getdoc(hookspecs) or "")
    yield from _table()
    yield from ("", "The examples are methods and functions of plugins that begin with:", "")
    yield f"```python\n{IMPORTS}```"
    phase = ""
    for hook in hooks():
        if hook.phase != phase:
            phase = hook.phase
            yield from ("", f"## {phase.capitalize()}")
        yield from _section(hook)


def _table() -> Iterator[str]:
    yield from ("", "| Hook | Who counts | What for |", "|---|---|---|")
    for hook in hooks():
        counts = "the first answer" if hook.first_result else "everybody"
        summary = markdown(hook.text.partition("\n\n")[0]).replace("\n", " ").replace("|", r"\|")
        yield f"| [`{hook.name}`](#{hook.name}) | {counts} | {summary} |"


def _section(hook: Hook) -> Iterator[str]:
    yield from ("", f"### `{hook.name}`", "", "```text", hook.signature, "```", "")
    yield markdown(hook.text)
    yield from ("", "```python", hook.example, "```")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
