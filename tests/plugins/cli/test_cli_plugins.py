"""``turnout plugins``, and the verbs that other plugins bring."""

import json
import re
from collections.abc import Awaitable
from types import ModuleType
from typing import ClassVar

import click
import pytest
from attrs import evolve

from turnout import Config, Deployment, Discovery, Host, Instance, ModelInfo, Router, hookimpl, load_config
from turnout_cli.app import App, installed_router

from .conftest import Desk


@click.command()
@click.pass_obj
def census(app: App) -> None:
    """Count the models."""
    models = app.run(lambda router: router.models())
    app.out.line(str(len(models)))


class Census:
    """Brings the verb ``census``."""

    @hookimpl
    def register_commands(self, cli: click.Group) -> None:
        cli.add_command(census)


class Rude:
    """Wants a verb that is there."""

    @hookimpl
    def register_commands(self, cli: click.Group) -> None:
        cli.add_command(census, "ask")


class Broken:
    """Raises where it should register."""

    @hookimpl
    def register_commands(self, cli: click.Group) -> None:
        raise RuntimeError(f"no {cli.name} for me")


class Inside:
    """A backend whose one model runs in the process itself, without a server."""

    here = Deployment(ModelInfo("acme/mouse"), Host("inside", "inside:", "inside"))

    async def _listed(self) -> tuple[Deployment, ...]:
        return (self.here,)

    async def _loaded(self) -> Instance:
        return Instance(self.here.model, 512, 1)

    @hookimpl
    def discover_models(self) -> tuple[Discovery, ...]:
        return (Discovery(self.here.host, self._listed),)

    @hookimpl
    def load_model(self, deployment: Deployment) -> Awaitable[Instance] | None:
        return self._loaded() if deployment.host == self.here.host else None


def with_plugins(desk: Desk, **plugins: object) -> Desk:
    def make(config: Config) -> Router:
        return Router(config, plugins=plugins)

    return evolve(desk, make_router=make)


def test_a_load_that_ends_with_the_command_says_so(desk: Desk) -> None:
    """What no server keeps is loaded for this command only, and that is said; of a server it is not."""
    ours = with_plugins(desk, inside=Inside())
    done = ours.run("models", "load", "acme/mouse")
    assert done.exit_code == 0
    assert "acme/mouse is ready on inside, context 512" in done.stderr
    assert "ends with it" in done.stderr
    ours.run("models", "unload", "owl-8b")
    assert "ends with it" not in ours.run("models", "load", "owl-8b").stderr


def test_a_plugin_adds_a_verb(desk: Desk) -> None:
    """A verb that a plugin registers runs, opens the router, and stands in the help in its own section."""
    ours = with_plugins(desk, census=Census())
    done = ours.run("census")
    assert (done.stdout, done.exit_code) == ("3\n", 0)
    shown = ours.run("--help").stdout
    assert re.search(r"^  census +Count the models\.$", shown.partition("From plugins:\n")[2], re.MULTILINE)
    assert "Did you mean census?" in ours.run("sensus").stderr


def test_no_plugin_takes_a_built_in_verb(desk: Desk) -> None:
    """A verb that is there stays as it is; the plugin that wanted it is named in the log."""
    ours = with_plugins(desk, rude=Rude())
    assert "That is all I know" in ours.run("ask", "hi").stdout
    assert "there is a verb 'ask' already" in ours.run("--help").stderr


def test_a_broken_plugin_costs_only_its_verbs(desk: Desk) -> None:
    """One plugin that fails to register takes no other's verbs away."""
    ours = with_plugins(desk, broken=Broken(), census=Census())
    assert ours.run("census").stdout == "3\n"
    assert "no turnout for me" in ours.run("--help").stderr


def test_help_needs_no_valid_configuration(desk: Desk) -> None:
    """With a broken configuration --help shows the built-in verbs, and says what is missing."""
    done = desk.run("--set", "router.timeout=0", "--help")
    assert done.exit_code == 0
    assert "doctor" in done.stdout
    assert "no plugin's verbs" in done.stderr


def test_a_mistyped_verb_is_answered_with_the_nearest(desk: Desk) -> None:
    """A typo ends with 2 and the verbs that it may have meant."""
    done = desk.run("modles")
    assert done.exit_code == 2
    assert "Did you mean models?" in done.stderr
    assert "Did you mean" not in desk.run("xyzzy").stderr


def test_list_has_each_plugin(desk: Desk) -> None:
    """Every plugin is listed with version, distribution, status and hooks."""
    rows = {line.split()[0]: line for line in desk.run("plugins").stdout.splitlines()[1:]}
    assert set(rows) >= {"cli", "explicit", "lmstudio", "metrics", "openai", "performance", "pool"}
    assert "disabled" in rows["embedded"]
    assert "select_model" in rows["explicit"]
    assert "turnout" in rows["pool"]
    assert desk.run("plugins", "list").stdout == desk.run("plugins").stdout


def test_list_names_the_missing_extra(desk: Desk) -> None:
    """A plugin that lacks a dependency is listed with the command that installs it."""

    class Needy:
        """Needs something."""

        requires: ClassVar = {"no_such_module_anywhere": "needy"}

        @hookimpl
        def report_stats(self) -> dict[str, int]:
            return {"n": 1}

    from turnout.loading import Found, missing_extra
    from turnout_cli.commands.plugins import install_command, status

    plugin = Needy()
    found = Found("needy", "code", plugin=plugin, distribution="acme", missing_extra=missing_extra(plugin))
    assert status(found) == "missing extra"
    assert install_command(found) == "pip install 'acme[needy]'"


def test_list_as_json(desk: Desk) -> None:
    """The JSON has status, error and the install command of each."""
    listed = desk.json("plugins")["plugins"]
    assert isinstance(listed, list)
    shown = {str(one["name"]): one for one in listed if isinstance(one, dict)}
    assert shown["embedded"]["status"] == "disabled"
    assert shown["pool"]["install"] is None


def test_show_has_settings_and_hooks(desk: Desk) -> None:
    """A plugin is shown with its docstring, its settings with defaults, and its hooks."""
    shown = desk.run("plugins", "show", "metrics").stdout
    assert "[metrics]" in shown
    assert "retention_days = 90.0" in shown
    assert "path is not set" in shown
    assert "record_execution" in shown
    settings = desk.json("plugins", "show", "metrics")["settings"]
    assert isinstance(settings, list)
    assert {"key": "retention_rows", "type": "int", "default": "100000"} in settings


def test_show_of_a_module(desk: Desk) -> None:
    """A plugin that is a module takes no settings, and is shown all the same."""
    shown = desk.json("plugins", "show", "explicit")
    assert shown["settings"] == []
    assert shown["hooks"] == ["select_model"]
    assert "Hooks: select_model" in desk.run("plugins", "show", "explicit").stdout


def test_show_of_a_broken_plugin(desk: Desk) -> None:
    """A plugin that failed is shown with its error."""

    class Failing:
        """Fails at the start."""

        @hookimpl
        def startup(self) -> None:
            raise RuntimeError("no")

    def make(config: Config) -> Router:
        router = Router(config, plugins={"failing": Failing()})
        router.plugins.remove("failing", "does not start: no")
        return router

    ours = evolve(desk, make_router=make)
    assert "does not start: no" in ours.run("plugins", "show", "failing").stdout
    assert "failing: does not start: no" in ours.run("plugins").stderr


def test_show_of_no_plugin(desk: Desk) -> None:
    """A name that no plugin has is answered with the nearest."""
    done = desk.run("plugins", "show", "metriks")
    assert done.exit_code == 1
    assert "Did you mean metrics?" in done.stderr
    assert "There are" in desk.run("plugins", "show", "xyzzy").stderr


def test_leaving_out_what_is_not_there(desk: Desk) -> None:
    """A name that no plugin has, behind -p, is a usage error: it would only seem to work."""
    done = desk.run("-p", "no:metriks", "stats")
    assert done.exit_code == 2
    assert "there is no plugin 'metriks'" in done.stderr


def test_the_variable_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """TURNOUT_PLUGINS="" leaves third parties' plugins out, and none of ours."""
    monkeypatch.setenv("TURNOUT_PLUGINS", "")
    found = {one.name: one for one in installed_router(load_config()).plugins.found}
    assert found["pool"].status == "ok"
    assert {one.status for one in found.values() if one.distribution != "turnout"} <= {"disabled"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(desk: Desk, shell: str) -> None:
    """Each shell's script calls back to turnout."""
    assert "_TURNOUT_COMPLETE" in desk.run("completion", shell).stdout


def test_completion_says_where_the_script_goes(desk: Desk) -> None:
    """The help has one line for each shell, as it stands, so that it can be copied."""
    lines = [line.strip() for line in desk.run("completion", "--help").stdout.splitlines()]
    assert "bash: turnout completion bash > ~/.local/share/bash-completion/completions/turnout" in lines
    assert sum(line.startswith(("bash:", "zsh:", "fish:")) for line in lines) == 3


def test_completion_guesses_the_shell(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name it is the shell that one uses; an unknown one must be named."""
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert "fish" in desk.run("completion").stdout
    monkeypatch.setenv("SHELL", "/usr/bin/nush")
    assert desk.run("completion").exit_code == 2


def test_completion_completes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell's question is answered with verbs, and with the verbs below a verb."""
    monkeypatch.setenv("_TURNOUT_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "turnout mod")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert desk.bare().stdout.split() == ["plain,models"]
    monkeypatch.setenv("COMP_WORDS", "turnout models un")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert desk.bare().stdout.split() == ["plain,unload"]


def test_the_version(desk: Desk) -> None:
    """--version prints the distribution's version."""
    import turnout

    assert desk.run("--version").stdout == f"turnout {turnout.__version__}\n"


def test_a_verb_module_has_its_verb() -> None:
    """Every built-in verb is there under its name, with a first line for the help."""
    from importlib import import_module

    from turnout_cli.main import BUILT_IN

    for verb in BUILT_IN:
        module: ModuleType = import_module(f"turnout_cli.commands.{verb}")
        assert getattr(module, verb).get_short_help_str()


def test_errors_are_json_where_json_was_asked_for(desk: Desk) -> None:
    """With --json a failure prints its error as one document, besides the words on stderr."""
    done = desk.run("plugins", "show", "--json", "nope")
    shown = json.loads(done.stdout)
    assert shown["error"]["type"] == "PluginError"
    assert shown["error"]["exit_code"] == 1
