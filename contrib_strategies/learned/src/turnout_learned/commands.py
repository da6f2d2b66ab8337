"""``turnout learned``: fit the strategy on score tables, and show what was fitted."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from turnout import JSON, JSONObject
from turnout.verbs import App, Output

if TYPE_CHECKING:
    import click

    from turnout_learned.measuring import Measurement, Result


@frozen
class Order:
    """What to fit: the tables, where to, and by which seed."""

    files: tuple[Path, ...]
    path: Path
    seed: int = 0


def add_to(cli: "click.Group", path: Path) -> None:
    """Add the verb ``learned`` to *cli*; *path* is the fitted file, unless a flag names another."""
    import click

    @cli.group()
    def learned() -> None:
        """Learn which model answers which prompt best."""

    @learned.command("fit")
    @click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
    @click.option("--out", "to", type=click.Path(path_type=Path), help=f"Where to write; else {path}.")
    @click.option("--seed", default=0, show_default=True, help="Of the split and of the fit.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @click.pass_obj
    def fit_(app: App, files: tuple[Path, ...], to: Path | None, seed: int, as_json: bool) -> None:
        """Fit on score tables.

        FILES are CSV with a column "prompt" and a column "score:MODEL" for each model. A fifth of the
        rows, or those whose column "split" says "test", is held out first for the report. What is
        written is fitted on all rows.
        """
        run_fit(app.out, Order(files, to or path, seed), as_json=as_json)

    @learned.command("show")
    @click.argument("file", required=False, type=click.Path(path_type=Path))
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @click.pass_obj
    def show_(app: App, file: Path | None, as_json: bool) -> None:
        """Show what was fitted, and how good it was on held-out rows."""
        run_show(app.out, file or path, as_json=as_json)


def run_fit(out: Output, order: Order, *, as_json: bool) -> None:
    """Fit, report on held-out rows, and write the file; raises ``ConfigError``."""
    from turnout_learned.fitting import fit
    from turnout_learned.measuring import measure
    from turnout_learned.tables import read_tables, split

    table = read_tables(order.files)
    mine, held_out = split(table, order.seed)
    train, test = table.rows(mine), table.rows(held_out)
    with out.waiting() as display:

        def first(text: str, done: float) -> None:
            display.show(f"trying on held-out rows: {text}", fraction=done / 2)

        def second(text: str, done: float) -> None:
            display.show(f"fitting on all rows: {text}", fraction=0.5 + done / 2)

        found = measure(train, test, fit(train, seed=order.seed, progress=first), order.seed)
        about = _about(order, len(table), found)
        fit(table, seed=order.seed, progress=second, about=about).save(order.path)
    _tell(out, order.path, table.models, about, as_json=as_json)


def run_show(out: Output, path: Path, *, as_json: bool) -> None:
    """Say what is in the file at *path*; raises ``ConfigError`` where there is none."""
    from turnout_learned.fitted import load

    fitted = load(path)
    _tell(out, path, fitted.models, fitted.about, as_json=as_json)


def _about(order: Order, rows: int, found: "Measurement") -> JSONObject:
    from turnout.clock import now

    files: list[JSON] = [file.name for file in order.files]
    held_out: list[JSON] = [_plain(result) for result in found.results]
    return {
        "files": files,
        "fitted_at": now().isoformat(timespec="seconds"),
        "rows": rows,
        "seed": order.seed,
        "held_out_rows": found.rows,
        "held_out": held_out,
    }


def _plain(result: "Result") -> JSONObject:
    lead = result.lead
    return {
        "policy": result.policy,
        "score": result.score,
        "lead": None if lead is None else [lead.value, lead.low, lead.high],
        "apgr": None if result.two is None else result.two.apgr,
    }


def _tell(out: Output, path: Path, models: Sequence[str], about: JSONObject, *, as_json: bool) -> None:
    if as_json:
        names: list[JSON] = list(models)
        out.json({"path": str(path), "models": names, **about})
        return
    out.note(f"{about.get('rows')} prompts, {len(models)} models: {', '.join(models)}")
    out.note(f"mean score on {about.get('held_out_rows')} held-out prompts, with 95 % intervals:")
    out.table(("policy", ">score", ">learned is better by"), _rows(about.get("held_out")))
    out.line(str(path))


def _rows(results: JSON) -> list[tuple[str, str, str]]:
    """Return the cells of the report; what is no report has none."""
    found = results if isinstance(results, list) else []
    return [_cells(one) for one in found if isinstance(one, dict)]


def _cells(result: JSONObject) -> tuple[str, str, str]:
    lead = result.get("lead")
    words = "{} ({} to {})".format(*(f"{value:+.3f}" for value in lead)) if isinstance(lead, list) else ""
    return str(result.get("policy")), f"{result.get('score'):.3f}", words
