"""Code that nobody has read, really run: what holds, and that what does not matter still works."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from turnout_calibration import jail, seccomp
from turnout_calibration.jail import Guard
from turnout_calibration.sandbox import Ending, Limits, Outcome, run

pytestmark = pytest.mark.anyio

LIMITS = Limits(cpu_seconds=1.0, wall_seconds=10.0, memory_bytes=256 * 1024 * 1024)
needs_fence = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine not in ("x86_64", "aarch64"), reason="the kernel's fence"
)


async def ran(code: str, tests: str = "", limits: Limits = LIMITS) -> Outcome:
    return await run(code, tests, limits)


@pytest.mark.parametrize(
    ("code", "tests", "ending", "detail"),
    [
        ("def f(x): return x + 1", "assert f(1) == 2", "passed", ""),
        ("def f(x): return x", "assert f(0) == 0\nassert f(1) == 2", "wrong", "assert f(1) == 2"),
        ("def f(x): return x", "raise AssertionError('no')", "wrong", "raise AssertionError('no')"),
        ("def f(x): assert x", "f(0)", "wrong", "f(0)"),
        ("def f(:", "", "error", "SyntaxError"),
        ("", "f(1)", "error", "NameError"),
        ("def f(): return f()\nf()", "", "error", "RecursionError"),
        ("raise SystemExit(0)", "", "error", "SystemExit"),
        ("import os\nos._exit(0)", "assert False", "died", "before its tests"),
        ("assert 'answer' == __name__\nif __name__ == '__main__': 1 / 0", "", "passed", ""),
    ],
)
async def test_what_the_tests_say_is_what_comes_back(
    code: str, tests: str, ending: Ending, detail: str
) -> None:
    """Only code that runs through all of its tests passes; of the others it is said what did not hold."""
    outcome = await ran(code, tests)
    assert outcome.ending == ending
    assert detail in outcome.detail
    assert outcome.passed is (ending == "passed")


async def test_ordinary_code_runs() -> None:
    """The standard library, classes, prints and time zones are as they always are."""
    code = """
import bisect, collections, dataclasses, datetime, decimal, functools, hashlib, heapq, itertools, json, math
import random, re, secrets, statistics, string, textwrap, typing, unittest, uuid, zoneinfo

@dataclasses.dataclass
class Point:
    x: "int" = 1

print("hello")
"""
    assert (await ran(code, "assert Point().x == 1 and math.gcd(4, 6) == 2")).ending == "passed"


@pytest.mark.parametrize(
    "code",
    [
        "import socket\nsocket.socket()",
        "import socket\nsocket.create_connection(('127.0.0.1', 80))",
        "import urllib.request\nurllib.request.urlopen('http://127.0.0.1/')",
        "import os\nwhile True: os.fork()",
        "import subprocess\nsubprocess.run(['true'])",
        "import os\nos.system('true')",
        "import os\nos.execv('/bin/true', ['true'])",
        "import os\nos.kill(os.getppid(), 9)",
        "open('/etc/passwd').read()",
        "import pathlib\npathlib.Path.home().joinpath('.ssh').iterdir().__next__()",
        "import os\nos.listdir('/')",
        "open('new', 'w')",
        "import os\nos.open('new', os.O_CREAT | os.O_WRONLY)",
        "import tempfile\ntempfile.mkdtemp()",
        "import os\nos.remove('/tmp/anything')",
        "import os\nos.mkdir('folder')",
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
        "import sqlite3\nsqlite3.connect('new.db')",
    ],
)
async def test_network_processes_and_files_are_refused(code: str) -> None:
    """Sockets, programs, forks, signals, foreign files and every change to a file end the code at once."""
    assert (await ran(code)).ending in ("refused", "error")


@needs_fence
@pytest.mark.parametrize(
    "call",
    [
        "fork()", "vfork()", "socket(2, 1, 0)", "open(b'new', 0o101, 0o600)", "unlink(b'/tmp/anything')",
        "kill(1, 0)", "execv(b'/bin/true', 0)", "rename(b'a', b'b')", "mkdir(b'folder', 0o700)",
        "syscall(435, 0, 0)", "syscall(425, 1, 0)", "chmod(b'.', 0)", "ptrace(16, 1, 0, 0)",
        "syscall(463, -100, b'.', 0, b'user.a', bytes(16), 16)", "syscall(9999)", "syscall(0x40000027)",
        "ioctl(1, 0x40086602, bytes(8))", "fcntl(1, 8, 1)", "flock(1, 2)", "shmat(0, 0, 0)",
        "setpriority(0, 0, 19)", "mq_open(b'/a', 0)", "prctl(1, 0, 0, 0, 0)", "setitimer(0, bytes(32), 0)",
        "timer_create(0, 0, bytes(8))", "setuid(0)",
    ],
)  # fmt: skip
async def test_the_kernel_refuses_what_goes_round_python(call: str) -> None:
    """What is called in C, past every hook of Python's, fails as well."""
    code = f"import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nresult = libc.{call}"
    outcome = await ran(code, "assert result == -1 and ctypes.get_errno() in (1, 38)")
    assert outcome == Outcome("passed", fenced=True)


@needs_fence
async def test_files_elsewhere_stay_as_they_are(tmp_path: Path) -> None:
    """By no call, with a path, a descriptor or a structure, does the code change an attribute or a flag."""
    outside = tmp_path / "outside"
    outside.write_text("mine", encoding="utf-8")
    before = outside.stat()
    code = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
path = {os.fsencode(outside)!r}
file = libc.open(path, 0)
value = ctypes.create_string_buffer(b"spoilt")
wanted = (ctypes.c_uint64 * 2)(ctypes.addressof(value), 6)
results = [
    libc.syscall(463, -100, path, 0, b"user.spoilt", wanted, 16),
    libc.fsetxattr(file, b"user.spoilt", value, 6, 0),
    libc.ioctl(file, 0x40086602, ctypes.byref(ctypes.c_long(0x80))),
    libc.fchmod(file, 0o777),
]
"""
    outcome = await ran(code, "assert file > 2 and results == [-1] * 4")
    assert outcome == Outcome("passed", fenced=True)
    assert os.listxattr(outside) == []
    assert outside.stat() == before
    assert _flags(outside) & 0x80 == 0


def _flags(path: Path) -> int:
    """Return the flags of ``chattr`` that a file has; 0 where the file system knows none."""
    import fcntl

    with path.open("rb") as file:
        try:
            return int.from_bytes(fcntl.ioctl(file, 0x80086601, bytes(8)), sys.byteorder)
        except OSError:
            return 0


@needs_fence
async def test_there_are_no_threads_either() -> None:
    """A thread would outlive its limits, so none is started."""
    outcome = await ran("import threading\nthreading.Thread(target=print).start()")
    assert outcome.ending == "error"


@pytest.mark.parametrize("code", ["while True: pass", "while True: print('x' * 10_000)"])
async def test_an_endless_loop_is_killed(code: str) -> None:
    """CPU time ends, whether the code writes or not; and what it writes goes nowhere."""
    assert (await ran(code)).ending == "time"


async def test_sleeping_does_not_help() -> None:
    """What uses no CPU ends by the clock on the wall."""
    outcome = await ran("import time\ntime.sleep(1000)", limits=Limits(1.0, 0.5, LIMITS.memory_bytes))
    assert outcome == Outcome("time", "it did not end within 0.5 s")


@pytest.mark.skipif(sys.platform != "linux", reason="address space is bounded on Linux")
@pytest.mark.parametrize("code", ["x = bytearray(10**9)", "x = []\nwhile True: x.append(' ' * 10**6)"])
async def test_memory_is_bounded(code: str) -> None:
    """More than the address space that it may have is a MemoryError, and no trouble for the machine."""
    assert (await ran(code)).ending == "memory"


async def test_a_flood_into_every_descriptor_is_cut() -> None:
    """Of what code writes to the channel of the verdict only so much is read, and it counts for nothing."""
    code = """
import os
for number in range(3, 32):
    try:
        while True:
            os.write(number, b'x' * 100_000)
    except OSError:
        pass
"""
    assert (await ran(code)).ending == "died"


async def test_the_environment_is_empty() -> None:
    """No variable of the person's, such as a token, is there to be read."""
    os.environ["TURNOUT_TEST_SECRET"] = "secret"
    try:
        tests = "assert 'TURNOUT_TEST_SECRET' not in os.environ and 'HOME' not in os.environ"
        assert (await ran("import os", tests)).passed
    finally:
        del os.environ["TURNOUT_TEST_SECRET"]


async def test_cancelling_ends_the_process() -> None:
    """A run that is cancelled leaves no process and no folder behind."""
    before = _children()
    task = asyncio.ensure_future(ran("import time\ntime.sleep(1000)"))
    while _children() == before:  # noqa: ASYNC110  the system tells nobody that a process has begun
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert _children() == before


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


async def test_a_process_that_does_not_start_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where Python itself cannot run, that is an error of the system's and not of the code."""
    with pytest.raises(OSError, match="does not start"):
        await ran("", limits=Limits(1.0, 10.0, 1024))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(OSError, match="nothing"):
        await ran("")


# --- the parts, without a process ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "args", "refused"),
    [
        ("open", ("/python/lib/os.py", "r", 0), False),
        ("open", (b"/python/lib/os.py", None, os.O_RDONLY), False),
        ("open", (3, "r", 0), False),
        ("open", ("/python/lib/os.py", "r+", 0), True),
        ("open", ("/python/lib/os.py", None, os.O_RDWR), True),
        ("open", ("/pythonic/secret", "r", 0), True),
        ("open", ("/python/../etc/passwd", "r", 0), True),
        ("os.listdir", ("/python",), False),
        ("os.listdir", ("/",), True),
        ("os.scandir", (None,), False),
        ("socket.connect", (), True),
        ("import", ("math", None), False),
        ("compile", ("", ""), False),
    ],
)
def test_the_guard_knows_what_is_allowed(event: str, args: tuple[object, ...], refused: bool) -> None:
    """Reading Python's own files and importing is allowed; writing, foreign files and the network are not."""
    guard = Guard(("/python",), fenced=True)
    assert bool(guard.refusal(event, args)) is refused
    if refused:
        with pytest.raises(PermissionError):
            guard(event, args)
    else:
        guard(event, args)


def test_without_a_fence_the_guard_is_stricter() -> None:
    """Where the kernel does not help, the ways round Python are refused too."""
    guard = Guard(("/python",), fenced=False)
    with pytest.raises(ImportError, match="_ctypes"):
        guard("import", ("_ctypes", None))
    with pytest.raises(PermissionError, match="dlopen"):
        guard("ctypes.dlopen", ("libc",))


def test_verdicts_need_no_process() -> None:
    """The same verdicts come of code that is run right here."""
    assert jail.verdict("x = 1", "assert x == 1")["outcome"] == "passed"
    assert jail.verdict("x = 1", "assert x == 2") == {"outcome": "wrong", "detail": "assert x == 2"}
    assert jail.verdict("raise MemoryError", "")["outcome"] == "memory"
    assert jail.verdict("x = ", "")["outcome"] == "error"
    assert "" not in jail.readable()


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_filter_jumps_only_forward_and_within_itself(machine: str) -> None:
    """Each filter is a program that the kernel takes: jumps land inside, and the last word is a return."""
    program = seccomp.program(machine)
    assert program is not None
    assert len(program) <= 4096
    for number, (code, if_true, if_false, operand) in enumerate(program):
        assert number + 1 + max(if_true, if_false) < len(program) or code == 0x06
        assert 0 <= operand < 2**32
    assert program[-1][0] == 0x06


def test_an_unknown_machine_has_no_filter() -> None:
    """Without the numbers of its system calls there is no fence, and that is said."""
    assert seccomp.program("vax") is None


@needs_fence
def test_the_code_dies_with_whoever_runs_it() -> None:
    """When turnout is killed, the code that it was running ends too, whatever it did against that."""
    code = """
import ctypes, signal, time
libc = ctypes.CDLL(None)
libc.prctl(1, 0, 0, 0, 0)
libc.setitimer(0, bytes(32), 0)
libc.alarm(0)
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
time.sleep(1000)
"""
    program = (
        "import asyncio\nfrom turnout_calibration.sandbox import Limits, run\n"
        f"asyncio.run(run({code!r}, '', Limits(5, 600)))"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        while not (children := psutil.Process(process.pid).children()):
            pass
        (child,) = children
        while not _ignored(child.pid) & 1 << signal.SIGUSR1 - 1:
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    child.wait(timeout=10)


def _ignored(pid: int) -> int:
    """Return the signals that a process ignores, as a set of bits."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition("SigIgn:\t")[2].split()[0], 16)


@needs_fence
def test_where_the_kernel_does_not_fence_no_code_is_run() -> None:
    """On Linux without the kernel's fence that is an error, which names the setting that helps."""
    number = {"x86_64": 157, "aarch64": 167}[os.uname().machine]
    no_seccomp = [(0x20, 0, 0, 0), (0x15, 0, 3, number), (0x20, 0, 0, 16), (0x15, 0, 1, 22),
                  (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]  # fmt: skip
    program = (
        "import asyncio\nfrom turnout_calibration import sandbox, seccomp\n"
        f"assert seccomp.install({no_seccomp})\n"
        "try:\n    print(asyncio.run(sandbox.run('', '')))\nexcept OSError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "no code that models write is run here" in done.stdout
    assert "`[calibration] run_code = false`" in done.stdout
