"""What is shown while one waits: a line that lives on a terminal, or plain lines, or nothing."""

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from turnout import Progress
from turnout_cli.words import seconds

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress

_STAGES = {
    "queue": "waiting for a slot on {}",
    "load": "loading {}",
    "prefill": "reading the prompt",
    "pause": "waiting before {} is tried again",
}


def words(event: Progress, model: str = "") -> str:
    """Say what is going on with *model*."""
    return event.detail or _STAGES[event.stage].format(model or "the model")


class Waiting:
    """Shows nothing; the base of those that do."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def show(self, text: str, *, fraction: float | None = None, expected: float | None = None) -> None:
        """Show what is going on; *expected* is in seconds."""

    def idle(self, text: str) -> None:
        """Show that nothing is known but that one waits: worth a moving line, and no plain one."""

    def see(self, event: Progress, model: str = "") -> None:
        """Show a progress event of *model*."""
        self.show(words(event, model), fraction=event.fraction, expected=event.expected_seconds)

    def stop(self) -> None:
        """Take the display away; doing it twice does no harm."""


class Lines(Waiting):
    """One plain line for each thing that begins; fractions are not worth a line."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._last: str | None = None

    def show(self, text: str, *, fraction: float | None = None, expected: float | None = None) -> None:
        """Write the line, unless the last one said the same."""
        del fraction
        kind = text.partition(":")[0]
        if kind == self._last:
            return
        self._last = kind
        self._write(f"{text} (about {seconds(expected)})…" if expected else f"{text}…")

    def see(self, event: Progress, model: str = "") -> None:
        """Show loading and queueing; reading the prompt is the normal course of things."""
        if event.stage != "prefill":
            super().see(event, model)


class Bar(Waiting):
    """A spinner with the seconds so far, and those to expect; gone when the first word comes."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._progress: RichProgress | None = None
        self._text = ""

    def show(self, text: str, *, fraction: float | None = None, expected: float | None = None) -> None:
        """Show *text*; the seconds count from where it first was another one."""
        kind = text.partition(":")[0]
        if self._progress is None or kind != self._text:
            self.stop()
            self._progress = _rich_progress(self._console)
            self._progress.add_task(text, total=None, about="")
            self._progress.start()
            self._text = kind
        share = "" if fraction is None else f" {fraction:.0%}"
        about = f" of about {seconds(expected)}" if expected else ""
        self._progress.update(self._progress.task_ids[0], description=f"{text}{share}", about=about)

    def idle(self, text: str) -> None:
        """Show *text*."""
        self.show(text)

    def stop(self) -> None:
        """Take it away."""
        progress, self._progress = self._progress, None
        if progress is not None:
            progress.stop()


def _rich_progress(console: "Console") -> "RichProgress":
    from rich.progress import Progress as RichProgress
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    return RichProgress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        TextColumn("{task.fields[about]}", markup=False),
        console=console,
        transient=True,
    )
