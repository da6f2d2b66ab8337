"""The process that runs code which nobody has read, and says how its tests went.

It is started as ``python -I -B jail.py`` with a job on standard input, one JSON object: ``code``, ``tests``,
``cpu_seconds``, ``memory_bytes`` and ``wall_seconds``. It writes one JSON object: ``outcome`` (``passed``,
``wrong``, ``error``, ``memory`` or ``refused``), ``detail``, and ``fenced``; before it a dot, once everything
is ready for the code. Where the kernel should fence and does not, it runs nothing, and writes an exclamation
mark. Only the standard library.
"""

import contextlib
import importlib.util
import json
import math
import os
import signal
import sys
import sysconfig
import traceback
import types
from collections.abc import Callable
from pathlib import Path

_REFUSED = (
    "socket.", "subprocess.", "pty.", "shutil.", "tempfile.", "winreg.", "_winapi.", "os.system", "os.exec",
    "os.posix_spawn", "os.spawn", "os.fork", "os.startfile", "os.kill", "os.remove", "os.rename", "os.mkdir",
    "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.lchmod", "os.chown", "os.lchown",
    "os.chflags", "os.lchflags", "os.utime", "os.setxattr", "os.removexattr", "os.chdir", "os.fchdir",
    "resource.", "signal.pthread_kill", "syslog.", "sqlite3.connect",
)  # fmt: skip
_UNFENCED = ("ctypes.",)
_UNFENCED_MODULES = frozenset({"_ctypes", "_posixsubprocess"})
_READING = frozenset({"os.listdir", "os.scandir"})
_DEVICES = ("/dev/null", "/dev/urandom", "/dev/random", "/usr/share/zoneinfo", "/etc/localtime")
_LONGEST = 300
_FILE_BYTES = 1 << 20


class RefusedError(PermissionError):
    """The code asked for something that it may not do."""


class RefusedImportError(ImportError):
    """The same, for a module: who can do without one catches this."""


class Guard:
    """An audit hook (PEP 578): refuses network, processes, writing, and reading beyond Python's own files.

    Where the kernel does not fence (*fenced*), what could go round the hook is refused too.
    """

    def __init__(self, readable: tuple[str, ...], *, fenced: bool) -> None:
        self._readable = tuple(os.path.normcase(os.path.realpath(path)) for path in readable)
        self._refused = _REFUSED if fenced else _REFUSED + _UNFENCED
        self._modules = frozenset() if fenced else _UNFENCED_MODULES

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        """Raise ``RefusedError`` for what is not allowed."""
        reason = self.refusal(event, args)
        if reason:
            raise (RefusedImportError if event == "import" else RefusedError)(reason)

    def refusal(self, event: str, args: tuple[object, ...]) -> str:
        """Say why *event* is refused; nothing where it is not."""
        if event == "open":
            return self._opening(*args)
        if event in _READING:
            return self._path(args[0])
        if event == "import" and args[0] in self._modules:
            return f"importing {args[0]} is not allowed"
        return f"{event} is not allowed" if event.startswith(self._refused) else ""

    def _opening(self, path: object, mode: object, flags: object) -> str:
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        if writes or (isinstance(mode, str) and set(mode) & set("wax+")):
            return f"writing {path!r} is not allowed"
        return self._path(path)

    def _path(self, path: object) -> str:
        if path is None:
            return ""
        if not isinstance(path, str | bytes | os.PathLike):  # a descriptor that is open already
            return ""
        real = os.path.normcase(os.path.realpath(os.fsdecode(path)))
        inside = any(real == root or real.startswith(root.rstrip(os.sep) + os.sep) for root in self._readable)
        return "" if inside else f"reading {os.fsdecode(path)!r} is not allowed"


def readable() -> tuple[str, ...]:
    """Return where Python's own files are, and the empty folder that this process is in."""
    places = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, str(Path.cwd()), *sys.path}
    return (*(place for place in places if place), *sysconfig.get_paths().values(), *_DEVICES)


def limit(cpu_seconds: float, memory_bytes: int, wall_seconds: float) -> None:
    """Bound time, memory, files and processes, as far as the system can."""
    if sys.platform == "win32":
        return
    import resource

    seconds = math.ceil(cpu_seconds)
    for kind, most in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, _FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 32),
        (resource.RLIMIT_NPROC, 0),
    ):
        with contextlib.suppress(ValueError, OSError):  # macOS knows them, and does not take them all
            resource.setrlimit(kind, (most, most + 1 if kind == resource.RLIMIT_CPU else most))
    signal.setitimer(signal.ITIMER_REAL, wall_seconds + 1.0)  # for when the parent is gone


def verdict(code: str, tests: str) -> dict[str, str]:
    """Run *code*, then *tests* among its names, and say what came of it."""
    module = types.ModuleType("answer")
    sys.modules["answer"] = module
    try:
        exec(compile(code, "<answer>", "exec"), module.__dict__)  # noqa: S102  this is what the jail is for
        exec(compile(tests, "<tests>", "exec"), module.__dict__)  # noqa: S102
    except AssertionError as error:
        return {"outcome": "wrong", "detail": _failed(error, tests)}
    except MemoryError:
        return {"outcome": "memory", "detail": "out of memory"}
    except (RefusedError, RefusedImportError) as error:
        return {"outcome": "refused", "detail": str(error)[:_LONGEST]}
    except BaseException as error:  # noqa: BLE001  SystemExit too
        return {"outcome": "error", "detail": f"{type(error).__name__}: {error}"[:_LONGEST]}
    return {"outcome": "passed", "detail": ""}


def _failed(error: AssertionError, tests: str) -> str:
    """Return the line of the tests that did not hold."""
    lines = tests.splitlines()
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename == "<tests>" and frame.lineno is not None and frame.lineno <= len(lines):
            return lines[frame.lineno - 1].strip()[:_LONGEST]
    return f"AssertionError: {error}"[:_LONGEST]


def _fence() -> Callable[[], bool]:
    """Load the neighbouring file by its path: isolated, Python looks nowhere near it."""
    path = Path(__file__).with_name("seccomp.py")
    spec = importlib.util.spec_from_file_location("seccomp", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: Callable[[], bool] = module.fence
    return made


def main() -> None:
    """Run the job on standard input; nothing that the code prints gets out."""
    job = json.loads(sys.stdin.buffer.read())
    answer = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    limit(job["cpu_seconds"], job["memory_bytes"], job["wall_seconds"])
    fenced = _fence()()
    if not fenced and sys.platform == "linux":  # there nothing less than the kernel's fence is promised
        os.write(answer, b"!")
        os._exit(0)
    sys.addaudithook(Guard(readable(), fenced=fenced))
    os.write(answer, b".")
    said = {**verdict(job["code"], job["tests"]), "fenced": fenced}
    os.write(answer, json.dumps(said).encode())
    os._exit(0)


if __name__ == "__main__":
    main()
