"""What is exported is all there is to know, documented, typed, and cheap to import."""

import inspect
import subprocess
import sys
import typing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import turnout

HEAVY = ("httpx", "aiohttp", "click", "rich", "starlette", "jsonschema", "httpx_aiohttp", "uvicorn")


def test_all_that_is_exported_is_listed_once_and_in_order() -> None:
    """`__all__` holds every public name, and nothing that is not there."""
    modules = {name for name, value in vars(turnout).items() if inspect.ismodule(value)}
    public = {name for name in vars(turnout) if not name.startswith("_")} - modules
    assert public - {"PackageNotFoundError", "version"} == set(turnout.__all__)
    assert sorted(set(turnout.__all__)) == sorted(turnout.__all__)


@pytest.mark.parametrize("name", turnout.__all__)
def test_all_that_is_exported_is_documented(name: str) -> None:
    """Each name says what it is, values and aliases in the module that defines them."""
    value = getattr(turnout, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value)
        assert value.__module__.startswith("turnout.")
    else:
        assert name in {"Assessment", "JSON", "JSONObject", "OUTPUT", "Skill", "hookimpl", "hookspec"}


@pytest.mark.parametrize(
    "name", [name for name in turnout.__all__ if inspect.isclass(getattr(turnout, name))]
)
def test_the_methods_of_what_is_exported_are_documented_and_typed(name: str) -> None:
    """A user needs no other place to learn them."""
    cls = getattr(turnout, name)
    own = {n: f for n, f in vars(cls).items() if inspect.isfunction(f) and not n.startswith("_")}
    properties = ((n, p.fget) for n, p in vars(cls).items() if isinstance(p, property))
    own |= {name: read for name, read in properties if inspect.isfunction(read)}
    for method, function in own.items():
        assert inspect.getdoc(function), f"{name}.{method}"
        assert "return" in inspect.get_annotations(function), f"{name}.{method}"


def test_importing_turnout_imports_nothing_heavy() -> None:
    """HTTP, servers and terminals are imported by who uses them, when he does."""
    code = f"import sys, turnout; print([name for name in {HEAVY} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_importing_turnout_reads_no_settings(tmp_path: Path) -> None:
    """What is wrong with them is told by who needs them."""
    (tmp_path / "turnout.toml").write_text("not TOML at all")
    subprocess.run([sys.executable, "-c", "import turnout"], check=True, cwd=tmp_path)


def test_the_version_is_that_of_the_distribution() -> None:
    """A checkout that is not installed has none."""
    try:
        assert turnout.__version__ == version("turnout")
    except PackageNotFoundError:
        assert turnout.__version__ == "0"


def test_json_is_what_json_is() -> None:
    """The alias stands for every value that the standard library reads."""
    kinds = {
        getattr(typing.get_origin(kind), "__name__", getattr(kind, "__name__", ""))
        for kind in typing.get_args(turnout.JSON)
    }
    assert kinds == {"str", "int", "float", "bool", "list", "dict", "NoneType"}
