"""``turnout plan``: what is where, what waits, and what would be loaded next and why."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from turnout.fleet import Fleet, ModelKind
from turnout.messages import JSONObject
from turnout.names import matches
from turnout.types import ModelRequest, Operation
from turnout_pool.outlook import Outlook, outlook
from turnout_pool.yard import Yard

if TYPE_CHECKING:
    import click

    from turnout.router import Router


class Output(Protocol):
    """What the command line offers a plugin's verb to write with."""

    def line(self, text: str) -> None:
        """Write one line of data."""

    def note(self, text: str) -> None:
        """Say something in passing."""

    def json(self, value: JSONObject) -> None:
        """Write one JSON document."""

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Write a table; a column whose name begins with ``>`` is aligned to the right."""


class App(Protocol):
    """The command line's state."""

    @property
    def out(self) -> Output:
        """Where to write."""

    def run(self, work: "Callable[[Router], Awaitable[Outlook]]") -> Outlook:
        """Open the router, do *work*, and close it."""


def add_to(cli: "click.Group", yard: Yard) -> None:
    """Add the verb ``plan`` to *cli*."""
    import click

    @cli.command()
    @click.argument("models", nargs=-1)
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @click.pass_obj
    def plan(app: App, models: tuple[str, ...], as_json: bool) -> None:
        """Show what is where, and what would be loaded next and why.

        With MODELS: if each of them were asked for now. Nothing is loaded. What waits is what waits in this
        process, so nothing does; the queues of others, such as a gateway, are not seen.
        """
        show(app, yard, models, as_json=as_json)


def show(app: App, yard: Yard, models: Sequence[str], *, as_json: bool) -> None:
    """Look at the hosts, and write what there is and what comes next."""

    async def look(router: "Router") -> Outlook:
        fleet = await router.fleet(refresh=True)
        # A route with a pin resolves the name, and names what is near where there is none.
        pinned = [_probe(model, fleet, router.config.selection.aliases) for model in models]
        names = [(await router.route(request)).model for request in pinned]
        estimates = router.plugins.estimate(ModelRequest(), fleet.deployments)
        return outlook(yard, fleet, estimates, names, asyncio.get_running_loop().time())

    found = app.run(look)
    if as_json:
        app.out.json(found.to_json())
        return
    _write(app.out, found)


def _probe(model: str, fleet: Fleet, aliases: Mapping[str, str]) -> ModelRequest:
    """Return a request that *model*, as a person writes it, can take."""
    meant = [fleet.models[name][0].info.kind for name in matches(model, fleet.models, aliases)]
    if ModelKind.EMBEDDING in meant:
        return ModelRequest(operation=Operation.EMBEDDINGS, inputs=("plan",), explicit_model=model)
    return ModelRequest("plan", explicit_model=model)


def _write(out: Output, found: Outlook) -> None:
    rows = [
        (s.host, s.model, s.state, f"{s.running}/{s.slots}", str(s.waiting), f"{s.load_seconds:.1f} s")
        for s in found.standings
    ]
    if rows:
        out.table(("HOST", "MODEL", "STATE", ">RUNNING", ">WAITING", ">LOAD"), rows)
    for move in found.moves:
        when = "now" if move.ready else "next"
        out.line(f"{when}: load {move.model} on {move.host} ({move.reason})")
    if not found.moves:
        out.note("nothing would be loaded: nobody waits here for a model that is not there")
