"""An asyncio event loop on virtual time: when nothing can run, time jumps to the next timer."""

import asyncio
import selectors
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


THREAD_GRACE_SECONDS = 1.0
CLOCK_DIGITS = 9


class DeadlockError(RuntimeError):
    """Nothing is ready, no timer is set and no I/O is registered: the program would wait for ever."""


class _JumpingSelector(selectors.DefaultSelector):
    """Asks the operating system without waiting, then lets the loop's clock jump instead of sleeping."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.threads = 0
        self.describe: Callable[[], str] = str
        self.watch: Callable[[], None] | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.threads:
            return super().select(timeout)
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is not None:
            if self.watch is not None:
                self.watch()
            self.now = round(self.now + max(timeout, 0.0), CLOCK_DIGITS)
            return ready
        if len(self.get_map()) > 1:
            return super().select(None)
        # A thread may have woken the loop and ended since the look above, so there is one more look.
        grace = THREAD_GRACE_SECONDS if threading.active_count() > 1 else 0
        if ready := super().select(grace):
            return ready
        message = (
            f"deadlock at {self.now:.6f} s of virtual time: nothing is ready, no timer is set, no I/O is "
            f"registered. Waiting: {self.describe()}"
        )
        raise DeadlockError(message)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time()` is virtual, starts at 0 and moves only when nothing else can happen.

    Two runs of the same program see the same order and the same times. It raises `DeadlockError` where a
    real loop would hang. Work given to `run_in_executor` is waited for in real time, without a jump; a
    thread that the loop does not know of gets one real second before a deadlock is reported.
    """

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        self._jumping.describe = self._waiting
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jumping.now

    def watch(self, check: Callable[[], None] | None) -> None:
        """Call *check* whenever all that could happen at one time has happened; what it raises ends all."""
        self._jumping.watch = check

    def jump(self, seconds: float) -> None:
        """Move the clock on, as on a machine that has slept: what was due meanwhile is due now."""
        self._jumping.now = round(self._jumping.now + seconds, CLOCK_DIGITS)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> "asyncio.Future[T]":
        """As in asyncio; the clock stands still until the thread is done."""
        future = super().run_in_executor(executor, func, *args)
        self._jumping.threads += 1
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _: "asyncio.Future[T]") -> None:
        self._jumping.threads -= 1

    def _waiting(self) -> str:
        tasks = sorted(asyncio.all_tasks(self), key=lambda task: task.get_name())
        return "; ".join(map(_place, tasks)) or "no task"


def _place(task: "asyncio.Task[object]") -> str:
    frames = task.get_stack(limit=1)
    if not frames:
        return task.get_name()
    code = frames[0].f_code
    return f"{task.get_name()} in {code.co_qualname} ({code.co_filename}:{frames[0].f_lineno})"


def virtual_loop_factory() -> VirtualLoop:
    """Return a fresh `VirtualLoop`, for `asyncio.Runner(loop_factory=...)` and anyio's backend options."""
    return VirtualLoop()


def now() -> float:
    """Return the running loop's time in seconds: the only clock the emulator reads."""
    return asyncio.get_running_loop().time()
