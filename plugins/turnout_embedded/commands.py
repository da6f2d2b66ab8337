"""``turnout embedded``: fetch the built-in model ahead, so that the first question need not wait."""

from pathlib import Path
from typing import TYPE_CHECKING

from turnout.verbs import App, Output
from turnout_embedded.fetch import fetch, fetched

if TYPE_CHECKING:
    import click


def add_to(cli: "click.Group", cache: Path | None) -> None:
    """Add the verb ``embedded`` to *cli*; the model is kept in *cache*, by default the user's."""
    import click

    @cli.group()
    def embedded() -> None:
        """Care for the small model that runs on this machine."""

    @embedded.command("fetch")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @click.pass_obj
    def fetch_(app: App, as_json: bool) -> None:
        """Download the built-in model (93 MB), unless it is there.

        It is SmolLM2-135M-Instruct: a real model, and a small one.
        """
        run(app.out, cache, as_json=as_json)


def run(out: Output, cache: Path | None, *, as_json: bool) -> None:
    """Fetch, and say where the file is; raises ``ModelLoadError``."""
    there = fetched(cache) is not None
    with out.waiting() as display:

        def progress(done: int, total: int) -> None:
            if there:
                return
            text = f"downloading: {done / 1e6:.0f} of {total / 1e6:.0f} MB"
            display.show(text, fraction=done / total)

        path = fetch(progress, cache)
    if as_json:
        out.json({"path": str(path), "bytes": path.stat().st_size, "downloaded": not there})
    else:
        out.note("it was there already" if there else "downloaded and verified")
        out.line(str(path))
