"""Code that a model wrote, run with its tests in a process of its own.

What holds, and where, is said in ``docs/how-to/know-your-models.md``. In short: on Linux (x86-64 and ARM64)
the kernel refuses network, processes, threads and every change to a file, and where it cannot no code is run;
elsewhere an audit hook does, which stops accidents and not an attack (PEP 578 says so itself). Time, memory
and output are bounded everywhere but memory on Windows. It is a fence around what models write, not around
what an attacker writes: such code could make its tests pass.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Literal, TypeAlias

from attrs import field, frozen, validators

_MOST_BYTES = 65_536
_JAIL = Path(__file__).with_name("jail.py")

Ending: TypeAlias = Literal["passed", "wrong", "error", "memory", "refused", "time", "died"]


@frozen
class Limits:
    """What code may use: CPU seconds, seconds on the wall, bytes of address space."""

    cpu_seconds: float = field(default=5.0, validator=validators.gt(0))
    wall_seconds: float = field(default=15.0, validator=validators.gt(0))
    memory_bytes: int = field(default=512 * 1024 * 1024, validator=validators.gt(0))


@frozen
class Outcome:
    """How it went. ``fenced``: the kernel, and not only Python, kept the code in; None if unknown."""

    ending: Ending
    detail: str = ""
    fenced: bool | None = None

    @property
    def passed(self) -> bool:
        """Whether the code ran and all its tests held."""
        return self.ending == "passed"


_DEFAULTS = Limits()


async def run(code: str, tests: str, limits: Limits = _DEFAULTS) -> Outcome:
    """Run *code*, then *tests* among its names: one that does not hold raises ``AssertionError``.

    Cancelled, the process ends with it. Raises ``OSError`` where no such process can be started, and on Linux
    where the kernel does not fence it in.
    """
    job = {
        "code": code,
        "tests": tests,
        "cpu_seconds": limits.cpu_seconds,
        "memory_bytes": limits.memory_bytes,
        "wall_seconds": limits.wall_seconds,
    }
    with tempfile.TemporaryDirectory(prefix="turnout-", ignore_cleanup_errors=True) as folder:
        process = await _start(folder)
        try:
            return await _follow(process, json.dumps(job).encode(), limits.wall_seconds)
        finally:
            _kill(process)
            await process.wait()


async def _start(folder: str) -> asyncio.subprocess.Process:
    environment = {"SYSTEMROOT": os.environ["SYSTEMROOT"]} if "SYSTEMROOT" in os.environ else {}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-B", "-X", "utf8", str(_JAIL),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
        cwd=folder,
        start_new_session=True,
    )  # fmt: skip


async def _follow(process: asyncio.subprocess.Process, job: bytes, seconds: float) -> Outcome:
    try:
        async with asyncio.timeout(seconds):
            said = await _exchange(process, job)
            code = await process.wait() if len(said) < _MOST_BYTES else 0
    except TimeoutError:
        return Outcome("time", f"it did not end within {seconds:g} s")
    return _outcome(said, code)


async def _exchange(process: asyncio.subprocess.Process, job: bytes) -> bytes:
    """Hand the job over and return what comes back, up to ``_MOST_BYTES``."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(job)
        await process.stdin.drain()
    process.stdin.close()
    said = b""
    while len(said) < _MOST_BYTES and (more := await process.stdout.read(_MOST_BYTES)):
        said += more
    return said


def _outcome(said: bytes, code: int) -> Outcome:
    if said == b"!":
        message = (
            "this kernel does not fence code in (seccomp), so no code that models write is run here; "
            "`[calibration] run_code = false` leaves out what needs that"
        )
        raise OSError(message)
    if not said.startswith(b"."):
        message = f"the process that runs code does not start (exit code {code})"
        raise OSError(message)
    try:
        value = json.loads(said[1:])
        return Outcome(value["outcome"], value["detail"], value["fenced"])
    except (ValueError, KeyError, TypeError):
        pass
    if sys.platform != "win32" and code in (-signal.SIGXCPU, -signal.SIGALRM, -signal.SIGKILL):
        return Outcome("time", "it took more CPU time than it may")
    return Outcome("died", f"it ended before its tests, with exit code {code}")


def _kill(process: asyncio.subprocess.Process) -> None:
    """Kill the process, and whatever it could start."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform != "win32":
            os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        process.kill()
