"""``turnout bandit show``: what has been learned."""

from pathlib import Path
from typing import TYPE_CHECKING

from turnout import JSONObject
from turnout.clock import now
from turnout.store import read_store
from turnout.verbs import App, Output
from turnout_bandit import kept
from turnout_bandit.beliefs import Beliefs, Evidence
from turnout_bandit.settings import BanditSettings

if TYPE_CHECKING:
    import click


def add_to(cli: "click.Group", settings: BanditSettings, path: Path) -> None:
    """Add the verb ``bandit`` to *cli*."""
    import click

    @cli.group()
    def bandit() -> None:
        """See what has been learned about your models."""

    @bandit.command("show")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @click.pass_obj
    def show(app: App, as_json: bool) -> None:
        """Show what each model earns at each kind of work, the best first.

        Answers lose weight with time and with each newer one.
        """
        run(app.out, settings, path, as_json=as_json)


def run(out: Output, settings: BanditSettings, path: Path, *, as_json: bool) -> None:
    """Write what was learned; raises ``StoreError`` where it cannot be read."""
    beliefs = Beliefs(settings, read_store(path, kept.MIGRATIONS, kept.newest, name=kept.NAME) or ())
    beliefs.age(now().timestamp())
    tasks = {name: _ranked(beliefs, name) for name in sorted(beliefs.tasks)}
    if as_json:
        out.json({"tasks": {name: [_shape(*one) for one in arms] for name, arms in tasks.items()}})
        return
    if not tasks:
        out.note("nothing has been learned yet")
    for name, arms in tasks.items():
        out.line(name)
        for model, evidence in arms:
            out.line(f"  {evidence.mean or 0.0:.2f}  {model}, {evidence.answers:.1f} answers")


def _ranked(beliefs: Beliefs, task: str) -> list[tuple[str, Evidence]]:
    arms = beliefs.tasks[task].arms.items()
    return sorted(arms, key=lambda arm: (-(arm[1].mean or 0.0), arm[0]))


def _shape(model: str, evidence: Evidence) -> JSONObject:
    return {"model": model, "reward": evidence.mean, "answers": evidence.answers}
