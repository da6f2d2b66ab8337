"""How a prompt is laid out: which of its lines are prose, code or a table, and what else catches the eye.

Only a head and a tail are read of a long prompt; what is counted over all of it is counted by
``str.count``.
"""

import re

from attrs import frozen

HEAD, TAIL = 1000, 600
"""Characters read at either end. People ask before or after what they paste, hardly ever amid it."""

_KEYWORD = r"""
    (?:def|class|if|elif|else|for|while|try|except|finally|with|switch|case|async\s+def)\b.*[:{]\s*$"""
_DECLARATION = r"""
    (?:public|private|protected|static|export|const|let|var|func|fn|pub|fun|struct|enum|interface|impl|package
    |namespace|using|template|void|int|float|double|char|bool|auto|unsigned|string)\s+[\w<>\[\]*&]+.*[=;({]"""
_CODE = rf"""\s*(?:
    {_KEYWORD}
    | {_DECLARATION}
    | (?:from\s+[\w.]+\s+import|import\s+[\w.{{*"'/ ,]+;?$|\#include|\#define|\#!/|<\?php)
    | package\s+\w+$ | use\s+[\w:]+;
    | return\b(?:\s+\S+){{0,3}}\s*;?$ | return\b.*[()\[\]=+*/].*$
    | (?:assert|raise|throw|yield|await|del|print|elif|echo|sudo|pip|npm|git|docker)\s*[\w("'].*[)\];"']$
    | [\w.\[\]"'->*]+\s*(?:[-+*/|&]?=|:=|<-)\s*.*[\w)\]}}"';,+]$(?<!\.)
    | [\w.:>-]+\(.*\)?\s*[;,:{{)]*$
    | @\w+(?:\(.*\))?$ | </?[a-zA-Z!][^>]*>.* | [{{}}()\[\];,]+\s*$
    | .*[;{{}}]\s*$ | .*=>\s*[\w({{].* | //.* | /\*.* | \*/ | >>>\s.* | \$\s\w+.*
    | (?:SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|FROM|WHERE|JOIN|GROUP\s+BY|ORDER\s+BY)\s+[\w*`"(].*
    | (?:RUN|COPY|WORKDIR|ENTRYPOINT|CMD|EXPOSE|ENV)\s+\S.*
    | [+-](?!\s*[A-Z][a-z]+\s[a-z]).*[;(){{}}=].*
    | "[\w-]+"\s*:\s*\S.*
    )"""
_CODE_LINE = re.compile(_CODE, re.VERBOSE)
_FENCE = re.compile(r"\s*(?:```|~~~)")
_FILE = re.compile(r'\s*<file name="[^"]*?(\.\w{1,8})?">')


@frozen
class Layout:
    """The parts of a prompt.

    ``prose`` are the lines that somebody wrote to be read, ``code`` and ``table`` count other lines among
    the ``lines`` read; ``window`` is the text read, ``length`` the characters of the whole. ``files`` are
    the endings of attached files.
    """

    window: str
    prose: tuple[str, ...]
    code: int
    table: int
    lines: int
    length: int
    fenced: bool
    files: tuple[str, ...]

    @property
    def code_share(self) -> float:
        """The part of the lines read that is code, 0 to 1."""
        return self.code / self.lines if self.lines else 0.0


def lay_out(text: str, head: int = HEAD, tail: int = TAIL) -> Layout:
    """Return the layout of *text*, reading *head* and *tail* characters at most."""
    window = text if len(text) <= head + tail else f"{text[:head]}\n{text[-tail:]}"
    lines = [line for line in window.split("\n") if line and not line.isspace()]
    prose: list[str] = []
    code = table = 0
    fenced = fences = was_code = False
    files: list[str] = []
    for line in lines:
        if _FENCE.match(line):
            fenced, fences = not fenced, True
        elif line.startswith("<file name") and (named := _FILE.match(line)):
            files.append((named[1] or "").lower())
        elif fenced or is_code(line) or (was_code and line[0] in " \t"):
            code += 1
            was_code = True
            continue
        elif is_table(line):
            table += 1
        else:
            prose.append(line)
        was_code = False
    return Layout(window, tuple(prose), code, table, len(lines), len(text), fences, tuple(files))


def is_code(line: str) -> bool:
    """Say whether *line* looks like a line of a program."""
    return len(line) < 400 and _CODE_LINE.match(line) is not None


def is_table(line: str) -> bool:
    """Say whether *line* looks like a row: fields between bars, tabs or commas, with figures."""
    if "|" in line:
        return line.count("|") > 2
    separators = line.count(",") + line.count("\t")
    if separators < 2 or ". " in line or line.count(" ") > 2 * separators:
        return False
    return any(map(str.isdigit, line))
