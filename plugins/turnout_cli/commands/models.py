"""``turnout models``: what there is, what is loaded, and loading and unloading."""


import click

from turnout import JSON, Deployment, Fleet, Instance, JSONObject, LoadOptions, ModelKind, Router
from turnout_cli.app import App
from turnout_cli.exit_codes import ExitCode, merged
from turnout_cli.facts import facts, learned_facts, learned_shape
from turnout_cli.loading import load_one, named, unload_one
from turnout_cli.measured import in_flight
from turnout_cli.options import json_option, quiet_option
from turnout_cli.output import Output
from turnout_cli.shapes import deployment_shape, instance_shape
from turnout_cli.words import UNKNOWN, count, size

HOST = click.option("--host", metavar="NAME", help="Only on this host.")


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def models(ctx: click.Context, as_json: bool) -> None:
    """List models; see what is loaded; load and unload.

    Without a verb it lists them all.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(ls, as_json=as_json)


async def _look(router: Router) -> Fleet:
    return await router.fleet(refresh=True)


@models.command()
@json_option
@click.pass_obj
def ls(app: App, as_json: bool) -> None:
    """List all models on all hosts."""
    fleet = app.run(_look)
    if as_json:
        app.out.json({"models": [deployment_shape(one) for one in fleet.deployments]})
    else:
        columns = ("MODEL", "HOST", "KIND", ">SIZE", "QUANT", ">CONTEXT", "LOADED")
        app.out.table(columns, [_ls_row(one) for one in fleet.deployments])
    _tell_unreachable(fleet, app.out)


def _ls_row(deployment: Deployment) -> tuple[str, ...]:
    info = deployment.info
    return (
        deployment.model,
        deployment.host.name,
        "embed" if info.kind is ModelKind.EMBEDDING else "vision" if info.vision else "llm",
        size(info.size_bytes),
        info.quantization or UNKNOWN,
        count(info.context_length),
        _loaded(deployment),
    )


def _loaded(deployment: Deployment) -> str:
    if deployment.loading:
        return "loading"
    copies = len(deployment.instances)
    return "no" if not copies else "yes" if copies == 1 else f"{copies} times"


def _tell_unreachable(fleet: Fleet, out: Output) -> None:
    """Say which hosts did not answer; that none has a model is a failure of its own."""
    for report in fleet.hosts:
        if report.error is not None:
            out.note(f"{report.host.name}: {report.error.message}")
    if all(report.error is not None for report in fleet.hosts):
        click.get_current_context().exit(ExitCode.UNREACHABLE)


@models.command()
@json_option
@click.pass_obj
def ps(app: App, as_json: bool) -> None:
    """List the loaded copies: their context, slots, and requests under way from here."""

    async def look(router: Router) -> tuple[Fleet, dict[str, JSON]]:
        return await _look(router), router.stats()

    fleet, stats = app.run(look)
    loaded = [(one, instance) for one in fleet.deployments for instance in one.instances]
    flights = [in_flight(stats, one.host.name, one.model) for one, _ in loaded]
    if as_json:
        shapes: list[JSON] = [
            {**instance_shape(one, instance), "in_flight": flying}
            for (one, instance), flying in zip(loaded, flights, strict=True)
        ]
        app.out.json({"instances": shapes})
    elif loaded:
        rows = [_ps_row(*pair, flying) for pair, flying in zip(loaded, flights, strict=True)]
        app.out.table(("INSTANCE", "HOST", ">CONTEXT", ">SLOTS", ">IN FLIGHT"), rows)
    else:
        app.out.say("No model is loaded.")
    _tell_unreachable(fleet, app.out)


def _ps_row(deployment: Deployment, instance: Instance, flying: int | None) -> tuple[str, ...]:
    return (
        instance.id,
        deployment.host.name,
        count(instance.context_length),
        str(instance.parallel or deployment.default_parallel),
        count(flying),
    )


@models.command()
@click.argument("name")
@HOST
@json_option
@click.pass_obj
def show(app: App, name: str, host: str | None, as_json: bool) -> None:
    """Show all that is known of a model, with its measured speeds and its scores in calibration."""

    async def look(router: Router) -> tuple[tuple[Deployment, ...], dict[str, JSON]]:
        return await named(router, name, host), router.stats()

    deployments, stats = app.run(look)
    if as_json:
        shapes: list[JSON] = [{**deployment_shape(one), **learned_shape(one, stats)} for one in deployments]
        app.out.json({"deployments": shapes})
        return
    for number, one in enumerate(deployments):
        if number:
            app.out.line()
        for label, value in (*facts(one), *learned_facts(one, stats)):
            app.out.line(f"{label + ':':<18} {value}")


@models.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@HOST
@click.option(
    "--context-length", type=click.IntRange(min=1), metavar="N",
    help="Tokens of context; a copy loaded with fewer is loaded anew.",
)
@click.option("--ttl", type=click.IntRange(min=1), metavar="SECONDS", help="Unload it when idle for so long.")
@json_option
@quiet_option
@click.pass_obj
def load(
    app: App,
    *,
    names: tuple[str, ...],
    host: str | None,
    context_length: int | None,
    ttl: int | None,
    as_json: bool,
) -> None:
    """Load models, and wait until they are ready. One that is loaded already stays as it is."""

    async def work(router: Router) -> list[tuple[ExitCode, JSONObject]]:
        options = LoadOptions(context_length, ttl)
        return [await load_one(router, app.out, name, host, options) for name in names]

    _finish(app, as_json, app.run(work))


@models.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@HOST
@json_option
@quiet_option
@click.pass_obj
def unload(app: App, names: tuple[str, ...], host: str | None, as_json: bool) -> None:
    """Unload models: all copies, or only one when its own name (such as owl:2) is given."""

    async def work(router: Router) -> list[tuple[ExitCode, JSONObject]]:
        return [await unload_one(router, app.out, name, host) for name in names]

    _finish(app, as_json, app.run(work))


def _finish(app: App, as_json: bool, results: list[tuple[ExitCode, JSONObject]]) -> None:
    if as_json:
        app.out.json({"results": [shape for _, shape in results]})
    code = merged([code for code, _ in results])
    if code is not ExitCode.OK:
        click.get_current_context().exit(code)
