"""Notices a strategy that reads the clock, draws chance that is not its request's, or waits."""

import builtins
import gc
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from types import FrameType
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["clock", "chance", "wait"]
Notice: TypeAlias = tuple[Kind, str]

CLOCKS = ("time", "monotonic", "perf_counter", "process_time", "thread_time")
TODAY = ("now", "utcnow", "today")
WAITING = ("socket", "_socket", "sqlite3")
"""The modules whose methods wait for the network or the disk."""
EXCUSED = ("logging", "loguru", "warnings", "turnout.errors")
"""A log and an error carry the time; neither is part of an answer."""


@contextmanager
def watched() -> Iterator[list[Notice]]:
    """Collect what this thread calls that a strategy must not, until the end.

    Only calls that Python code makes are seen, not those of compiled modules.
    """
    seen: list[Notice] = []
    before, collecting = sys.getprofile(), gc.isenabled()
    gc.disable()  # a collection calls back whom it may, in the midst of the strategy
    sys.setprofile(_watcher(seen))
    try:
        yield seen
    finally:
        sys.setprofile(before)
        if collecting:
            gc.enable()


def _watcher(seen: list[Notice]) -> Callable[[FrameType, str, object], None]:
    def watch(frame: FrameType, event: str, called: object) -> None:
        if event == "c_call":
            kind = kind_of(called)
            if kind is not None and not excused(frame):
                seen.append((kind, f"{_name(called)}() in {frame.f_code.co_filename}:{frame.f_lineno}"))

    return watch


def kind_of(called: object) -> Kind | None:
    """Say what a function of C does that a strategy must not, if it is one of those."""
    owner, name = getattr(called, "__self__", None), getattr(called, "__name__", "")
    if owner is time:
        return "wait" if name == "sleep" else "clock" if name.removesuffix("_ns") in CLOCKS else None
    if isinstance(owner, type):
        return "clock" if issubclass(owner, date) and name in TODAY else None
    if called is os.urandom or owner is getattr(random.random, "__self__", None):
        return "chance"
    if called is builtins.open or type(owner).__module__ in WAITING:
        return "wait"
    return None


def _name(called: object) -> str:
    owner = getattr(called, "__self__", None)
    where = getattr(owner, "__name__", type(owner).__name__)
    return f"{where}.{getattr(called, '__name__', called)}"


def excused(frame: FrameType | None) -> bool:
    """Whether what *frame* calls is called for a log or an error."""
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module == __name__:
            return False
        if module.startswith(EXCUSED):
            return True
        frame = frame.f_back
    return False
