"""The built-in probes, read from the package's data files."""

import json
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Protocol

from turnout.messages import JSON, JSONObject
from turnout_calibration.reading import task
from turnout_calibration.tasks import Task

FILES = (
    "simple", "structured", "tools", "instructions", "retrieval", "code", "review", "analysis", "planning",
    "reasoning",
)  # fmt: skip
"""Easy ones first: what a broken set-up shows, it shows soon."""
_AS_JSON = ("schema", "checks", "parameters")


@cache
def probes() -> tuple[Task, ...]:
    """Return all probes but those for long recall, which depend on the context; see :func:`recall.probes`."""
    return tuple(one for name in FILES for one in _read(data(name)))


def data(name: str) -> JSONObject:
    """Read one data file."""
    values: JSONObject = tomllib.loads(_folder().joinpath(f"{name}.toml").read_text(encoding="utf-8"))
    return values


class _Folder(Protocol):
    def joinpath(self, name: str, /) -> "_Folder": ...
    def read_text(self, encoding: str) -> str: ...


def _folder() -> _Folder:
    folder: _Folder = files(__package__ or "turnout_calibration").joinpath("probe_set")
    return folder


def _read(values: JSONObject) -> Iterator[Task]:
    known, listed = values.get("tools", {}), values["probe"]
    assert isinstance(known, dict)
    assert isinstance(listed, list)
    tools: JSONObject = {name: {"name": name, **_unpacked(tool)} for name, tool in known.items()}
    for raw in listed:
        fields = _unpacked(raw)
        wanted = fields.get("tools", [])
        assert isinstance(wanted, list)
        used: list[JSON] = [tools[str(name)] for name in wanted]
        fields["prompt"] = str(fields["prompt"]).strip()
        yield task({**fields, "tools": used} if used else fields, str(fields["id"]), "probe")


def _unpacked(raw: JSON) -> JSONObject:
    """Return *raw* with its JSON texts read: TOML has no null, and schemas are easier to read as JSON."""
    assert isinstance(raw, dict)
    return {
        key: json.loads(value) if key in _AS_JSON and isinstance(value, str) else value
        for key, value in raw.items()
    }
