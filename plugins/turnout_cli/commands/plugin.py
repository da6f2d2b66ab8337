"""``turnout plugin``: a plugin of one's own, begun."""

import importlib.util
import re
import shlex
from collections.abc import Mapping
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

import attrs
import click
from attrs import frozen

from turnout import Config, JSONObject, LLMError, __version__
from turnout_cli.app import App
from turnout_cli.options import json_option

NAME = re.compile(r"[a-z][a-z0-9]*([-_.][a-z0-9]+)*", re.IGNORECASE)
PREFIX = "turnout-"
FILES = {
    "pyproject.toml": "pyproject.toml.in",
    "README.md": "README.md.in",
    ".gitignore": "gitignore.in",
    "src/{module}/__init__.py": "strategy.py.in",
    "src/{module}/py.typed": "",
    "tests/test_{name}.py": "test_strategy.py.in",
}
"""What is written, and the template of each; an empty file has none."""

EXAMPLE = """\b
Example:
  turnout plugin new night-owl
  cd turnout-night-owl
  pip install -e ".[test]"
  pytest
"""


@frozen
class Names:
    """What a new plugin is called: ``name`` in settings and tables."""

    name: str

    @property
    def distribution(self) -> str:
        """The name on an index."""
        return PREFIX + self.name.replace("_", "-")

    @property
    def module(self) -> str:
        """The name to import."""
        return f"turnout_{self.name}"


@click.group()
def plugin() -> None:
    """Begin a plugin of your own."""


@plugin.command(epilog=EXAMPLE)
@click.argument("name")
@click.option(
    "--path", "directory", type=click.Path(path_type=Path), metavar="DIRECTORY",
    help="Write here instead of ./turnout-NAME. The directory must be new or empty.",
)
@json_option
@click.pass_obj
def new(app: App, name: str, directory: Path | None, as_json: bool) -> None:
    """Write a strategy that works, as a package with its tests: yours to change.

    NAME is what it is called in settings and tables. The package is called turnout-NAME.
    """
    names = named(name)
    target = Path(names.distribution) if directory is None else directory
    made = contents(names)
    write(target, made)
    following = [f"cd {shlex.quote(str(target))}", 'pip install -e ".[test]"', "pytest"]
    if as_json:
        shown: JSONObject = {"name": names.name, "path": str(target.resolve())}
        app.out.json({**shown, "files": [*made], "next": [*following]})
        return
    app.out.line(str(target))
    app.out.say("Next:\n" + "\n".join(f"  {command}" for command in following))


def named(text: str) -> Names:
    """Return the names of a plugin that is called *text*, with or without ``turnout-``.

    Raises ``BadParameter`` for what cannot be a package's name, and for a name that is taken.
    """
    bare = text.casefold().removeprefix(PREFIX)
    if not NAME.fullmatch(bare):
        message = f"{text!r} is no name for a package: letters, digits and single dashes, such as night-owl"
        raise click.BadParameter(message, param_hint="NAME")
    names = Names(re.sub(r"[-.]", "_", bare))
    taken = _taken(names)
    if taken:
        message = f"{taken}; choose another name"
        raise click.BadParameter(message, param_hint="NAME")
    return names


def _taken(names: Names) -> str:
    """Say who has the name already: a plugin, a package, or a table of the configuration."""
    for point in entry_points(group="turnout"):
        if point.name == names.name:
            return f"{names.name!r} is a plugin of {point.dist.name if point.dist else 'this environment'}"
    if importlib.util.find_spec(names.module) is not None:
        return f"there is a module {names.module} already"
    tables = {field.name for field in attrs.fields(Config)}
    return f"{names.name!r} is a table of the configuration" if names.name in tables else ""


def contents(names: Names) -> dict[str, str]:
    """Return the files of a new plugin: their text by their path."""
    folder = files("turnout_cli").joinpath("templates", "strategy")
    values = {
        "name": names.name,
        "distribution": names.distribution,
        "module": names.module,
        "turnout": requirement(__version__),
    }
    made = {}
    for path, template in FILES.items():
        text = folder.joinpath(template).read_text(encoding="utf-8") if template else ""
        made[path.format_map(values)] = re.sub(r"{{(\w+)}}", lambda found: values[found[1]], text)
    return made


def requirement(version: str) -> str:
    """Return the versions of turnout that a plugin made with *version* works with, as pip reads it."""
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None:
        return "turnout"
    major, minor = map(int, numbers.groups())
    following = str(major + 1) if major else f"0.{minor + 1}"
    return f"turnout>={major}.{minor},<{following}"


def write(target: Path, made: Mapping[str, str]) -> None:
    """Write the files into *target*; raises ``LLMError`` where it holds anything, which is left as it is."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            message = f"{target} is there already, and not empty"
            raise LLMError(message, advice="Name another place with --path.")
        for path, text in made.items():
            file = target / path
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8", newline="\n") as opened:
                opened.write(text)
    except OSError as error:
        message = f"{target} cannot be written: {error.strerror}"
        raise LLMError(message, error) from error
