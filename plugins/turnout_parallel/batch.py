"""``turnout batch``: a file of requests into a file of answers, safe against every interruption."""

import asyncio
import shutil
import sys
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, aclosing, contextmanager
from pathlib import Path
from typing import BinaryIO

from turnout.errors import Fault, LLMError, ModelNotFoundError
from turnout.messages import JSONObject
from turnout.names import near
from turnout.router import Router
from turnout.types import ModelRequest, Operation, Reply
from turnout_parallel.batch_input import BatchInput, Todo, refuse
from turnout_parallel.checking import Checking
from turnout_parallel.entries import Entry
from turnout_parallel.faces import PARTIAL, App, Display
from turnout_parallel.journal import Journal
from turnout_parallel.pace import Pace
from turnout_parallel.running import Limits, Result, Run
from turnout_parallel.settings import ParallelSettings
from turnout_parallel.sinks import Sink, Wanted, open_sink
from turnout_parallel.words import plural

SYNC_SECONDS = 1.0
"""A power cut loses at most what was answered in so long, and that is asked again."""
MOST_UNREACHABLE = 16
"""So many failures of hosts in a row, and the batch stops: the rest would fail alike."""


def run(app: App, settings: ParallelSettings, wanted: Wanted) -> None:
    """Check, ask and write; the exit code says whether something failed.

    Raises ``LLMError`` for an input or output that is not valid, and when no host can be reached any more.
    """
    import click

    with ExitStack() as stack:
        file = stack.enter_context(_opened(wanted.source))
        with app.out.waiting() as display:
            lines = BatchInput(file, Checking(display).see)
        if lines.problems and not wanted.skip_bad:
            raise refuse(lines.problems, len(lines.entries))
        sink = stack.enter_context(open_sink(app, wanted, lines.entries))
        batch = Batch(app, settings, wanted, lines, sink)
        failed = batch.run()
    if failed:
        click.get_current_context().exit(PARTIAL)


@contextmanager
def _opened(source: str) -> Iterator[BinaryIO]:
    """Open the input. A pipe is kept in a nameless file, because it is read twice."""
    with ExitStack() as stack:
        file = sys.stdin.buffer if source == "-" else stack.enter_context(Path(source).open("rb"))
        if source != "-" and Path(source).is_file():
            yield file
            return
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(file, copy)
            yield copy


class Batch:
    """One run of ``turnout batch``."""

    def __init__(
        self, app: App, settings: ParallelSettings, wanted: Wanted, lines: BatchInput, sink: Sink
    ) -> None:
        self._app = app
        self._patience = settings.patience
        self._wanted = wanted
        self._lines = lines
        self._sink = sink
        self._before = len(sink.done)
        left = (not one.problem and one.key not in sink.done for one in lines.entries)
        self._todo = array("Q", (place for place, todo in enumerate(left) if todo))
        self._held: list[tuple[Entry, LLMError]] = []
        self._pace = Pace(len(self._todo), self._before)
        self._synced = 0.0

    def run(self) -> bool:
        """Do what is left to do, and return whether anything failed, in earlier runs too."""
        if isinstance(self._sink, Journal) and self._sink.mended:
            self._app.out.note("the last line of the output was torn; it is mended")
        if self._before:
            self._app.out.note(f"{self._before} of {len(self._lines.entries)} are done already")
        for entry in self._lines.problems:
            if entry.key not in self._sink.done:
                self._sink.append(entry, entry.refusal())
        finished = False
        try:
            if self._todo:
                self._app.run(self._ask)
            if self._wanted.order:
                self._sink.sort(self._lines.entries)
            finished = True
        finally:
            self._sink.sync()
            if not finished:
                self._tell_how_to_go_on()
        return self._report()

    def _tell_how_to_go_on(self) -> None:
        if self._wanted.output is not None and self._sink.done:
            done, count = len(self._sink.done), len(self._lines.entries)
            words = f"{done} of {count} are done and kept in {self._wanted.output}"
            self._app.out.say(f"{words}. The same command goes on from there.")

    def _report(self) -> bool:
        failed = sum(one.failed for one in self._sink.done.values())
        if self._app.out.as_json:
            self._app.out.json(self._shape(failed))
            return failed > 0
        out, pace = self._app.out, self._pace
        out.note(pace.summary(self._synced) if self._todo else "nothing was left to do")
        if failed and self._wanted.output is not None:
            where = self._wanted.output
            out.warn(f"{plural(failed, 'error')} in {where}. --retry-errors asks those again.")
        return failed > 0

    def _shape(self, failed: int) -> JSONObject:
        pace = self._pace
        return {
            "output": str(self._wanted.output),
            "lines": len(self._lines.entries),
            "invalid": len(self._lines.problems),
            "done_before": self._before,
            "answered": pace.answered,
            "failed": failed,
            "seconds": round(self._synced - pace.began, 3) if self._todo else 0.0,
            "prompt_tokens": pace.prompt_tokens,
            "completion_tokens": pace.completion_tokens,
        }

    # --- asking ---------------------------------------------------------------------------------------

    async def _ask(self, router: Router) -> None:
        wanted, loop = self._wanted, asyncio.get_running_loop()
        self._synced = loop.time()
        self._pace.begin(self._synced)
        source = Todo(self._lines, self._todo, wanted.model, wanted.timeout)
        if not wanted.skip_bad:
            await self._check_models(router, source)
        ordered = wanted.order and wanted.output is None
        limits = Limits(max_in_flight=wanted.max_in_flight, ordered=ordered, patience=self._patience)
        with self._app.out.waiting() as display:
            async with aclosing(Run(router, source, limits).results()) as results:
                async for number, result in results:
                    self._take(source.entry(number), result)
                    self._show(display, loop.time())
                    await self._sync(loop.time())
        self._give_up_or_write()
        self._synced = loop.time()

    async def _check_models(self, router: Router, source: Todo) -> None:
        """Refuse names that no host knows before anything is sent; with the first line that has it."""
        if self._wanted.model is not None:
            await _check(router, self._wanted.model, source.entry(0).operation, "--model")
            return
        first: dict[str, Entry] = {}
        for entry in map(source.entry, range(len(self._todo))):
            if entry.model is not None:
                first.setdefault(entry.model, entry)
        for name, entry in first.items():
            await _check(router, name, entry.operation, f"line {entry.number}")

    def _take(self, entry: Entry, result: Result) -> None:
        """Write a result; failures of hosts wait for a sign that not all have gone."""
        if isinstance(result, LLMError) and result.fault is Fault.HOST:
            self._held.append((entry, result))
            if len(self._held) >= MOST_UNREACHABLE:
                raise result
            return
        for held in self._held if isinstance(result, Reply) else ():
            self._write(*held)
        if isinstance(result, Reply):
            self._held.clear()
        self._write(entry, result)

    def _give_up_or_write(self) -> None:
        """Write what was held, unless nobody has answered at all."""
        if self._held and not self._pace.answered:
            raise self._held[0][1]
        for held in self._held:
            self._write(*held)
        self._held.clear()

    def _write(self, entry: Entry, result: Result) -> None:
        line = self._lines.line(entry).answer(entry.name, entry.digest, result)
        self._sink.append(entry, line)
        self._pace.note(result, asyncio.get_running_loop().time())

    def _show(self, display: Display, now: float) -> None:
        if self._pace.due(now):
            display.show(self._pace.words(), fraction=self._pace.fraction)

    async def _sync(self, now: float) -> None:
        if now - self._synced >= SYNC_SECONDS:
            await asyncio.to_thread(self._sink.sync)
            self._synced = now


async def _check(router: Router, name: str, operation: Operation, where: str) -> None:
    """Raise ``ModelNotFoundError`` for a model that nobody has, and what keeps all hosts from answering."""
    inputs = ("a",) if operation is Operation.EMBEDDINGS else ()
    probe = ModelRequest("" if inputs else "a", explicit_model=name, operation=operation, inputs=inputs)
    try:
        await router.route(probe)
    except ModelNotFoundError as error:
        known = list((await router.fleet()).models)
        reason = f"({where}) not found" if not error.near else f"({where}) is not there"
        unknown = ModelNotFoundError(name, known, error, near=error.near or near(name, known), reason=reason)
        unknown.advice = "Nothing was sent. --model NAME sends all lines to one model; --skip-bad goes on."
        raise unknown from error
    except LLMError as error:
        if error.fault is Fault.HOST:
            raise
