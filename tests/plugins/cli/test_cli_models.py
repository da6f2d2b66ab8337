"""``turnout models``, ``hosts``, ``stats`` and ``route``: what one sees of the fleet."""

import json
import re
from pathlib import Path

import pytest

from turnout import JSONObject
from turnout_cli.measured import Speeds, speeds
from turnout_testing import EmulatedModel, Emulator, serve

from .conftest import Desk, MakeDesk

LONG = EmulatedModel(
    "a-rather-long-publisher/a-model-with-an-endless-name-30b-a3b-instruct-2507",
    size_bytes=17_300_000_000,
    quantization="Q4_K_XL",
)


def test_ls_lists_every_model(desk: Desk) -> None:
    """The list has each model with its host, kind, size, quantisation, context, and whether it is loaded."""
    done = desk.run("models")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["MODEL", "HOST", "KIND", "SIZE", "QUANT", "CONTEXT", "LOADED"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    assert rows["acme/owl-8b"] == ["desk", "llm", "5.0", "GB", "Q4_K_M", "131072", "yes"]
    assert rows["acme/hawk-vl-4b"][:2] == ["desk", "vision"]
    assert rows["text-embedding-acme-v1"] == ["desk", "embed", "274", "MB", "F16", "2048", "no"]
    assert desk.run("models", "ls").stdout == done.stdout


def test_ls_as_json(desk: Desk) -> None:
    """--json, with the verb or without it, lists the same models with all that is known."""
    shown = desk.json("models")
    assert shown == desk.json("models", "ls")
    assert isinstance(shown["models"], list)
    first = shown["models"][0]
    assert isinstance(first, dict)
    assert set(first) >= {"model", "host", "kind", "size_bytes", "max_context_length", "loaded", "instances"}


def test_a_pipe_gets_whole_lines(make_desk: MakeDesk) -> None:
    """In a pipe a long name is neither folded nor cut, so that grep finds it."""
    with make_desk(Emulator((LONG,), speed=1000)) as desk:
        assert LONG.key in desk.run("models").stdout


def test_ps_lists_loaded_copies(make_desk: MakeDesk) -> None:
    """Each loaded copy has its own line, with context and slots."""
    with make_desk(Emulator(loaded=("acme/owl-8b", "acme/owl-8b"), speed=1000)) as desk:
        lines = desk.run("models", "ps").stdout.splitlines()
        assert [line.split()[:4] for line in lines[1:]] == [
            ["acme/owl-8b", "desk", "8192", "4"],
            ["acme/owl-8b:2", "desk", "8192", "4"],
        ]
        instances = desk.json("models", "ps")["instances"]
        assert isinstance(instances, list)
        ids = [one["id"] for one in instances if isinstance(one, dict)]
        assert ids == ["acme/owl-8b", "acme/owl-8b:2"]


def test_ps_without_any(make_desk: MakeDesk) -> None:
    """When nothing is loaded stdout stays empty, and stderr says so."""
    with make_desk(Emulator(speed=1000)) as desk:
        done = desk.run("models", "ps")
    assert (done.stdout, done.exit_code) == ("", 0)
    assert "No model is loaded" in done.stderr


def test_show_tells_what_is_known(desk: Desk) -> None:
    """A model is found by the end of its name, and shown with its loaded copies."""
    shown = desk.run("models", "show", "owl-8b").stdout
    assert "acme/owl-8b (Owl 8B)" in shown
    assert "acme/owl-8b, context 8192, slots 4" in shown
    assert "nothing yet" in shown


def test_what_was_broken_off_is_no_failure() -> None:
    """The share that went well leaves out what the caller ended; of nothing there is no share."""
    row: JSONObject = {"requests": 5, "successes": 3, "failures": {"CancelledError": 1, "LLMTimeoutError": 1}}
    (speed,) = speeds({"metrics": {"models": [row]}})
    assert speed.went_well == 0.75
    assert Speeds("desk", "owl", requests=2, interrupted=2).went_well is None


def test_show_has_measured_speeds(desk: Desk, tmp_path: Path) -> None:
    """What was measured in one run is shown by the next, by show and by stats."""
    store = ("--set", f"metrics.path={tmp_path / 'm.db'}")
    assert "Nothing has been measured" in desk.run(*store, "stats").stderr
    assert desk.run(*store, "ask", "-m", "owl-8b", "hello there, owl").exit_code == 0
    shown = desk.run(*store, "models", "show", "owl-8b").stdout
    assert "1 request, " in shown
    row = desk.run(*store, "stats").stdout.splitlines()[1].split()
    assert row[:4] == ["acme/owl-8b", "desk", "1", "100%"]
    assert float(row[4]) > 0
    deployments = desk.json(*store, "models", "show", "owl-8b")["deployments"]
    assert isinstance(deployments, list)
    assert isinstance(deployments[0], dict)
    measured = deployments[0]["measured"]
    assert isinstance(measured, dict)
    assert measured["requests"] == 1
    stats = desk.json(*store, "stats")["stats"]
    assert isinstance(stats, dict)
    assert set(stats) >= {"metrics"}


def test_show_on_a_host_that_has_it_not(desk: Desk) -> None:
    """Asking for a model on another host than its own ends with 5 and names its own."""
    done = desk.run("models", "show", "owl-8b", "--host", "attic")
    assert done.exit_code == 5
    assert "but on desk" in done.stderr


def test_an_ambiguous_name_is_refused(make_desk: MakeDesk) -> None:
    """A short name that two models share is no choice of ours."""
    models = (EmulatedModel("acme/owl"), EmulatedModel("zeta/owl"))
    with make_desk(Emulator(models, speed=1000)) as desk:
        done = desk.run("models", "show", "owl")
    assert done.exit_code == 5
    assert "more than one" in done.stderr


def test_load_and_unload(make_desk: MakeDesk) -> None:
    """A model is loaded with the context that was asked for, and unloaded again."""
    with make_desk(Emulator(speed=1000)) as desk:
        loaded = desk.run("models", "load", "owl-8b", "--context-length", "20000")
        assert loaded.exit_code == 0
        assert "is ready on desk, context 20000" in loaded.stderr
        assert [(i.model, i.context_length) for i in desk.emulator.instances] == [("acme/owl-8b", 20000)]
        unloaded = desk.run("models", "unload", "owl-8b", "hawk-vl-4b")
        assert unloaded.exit_code == 0
        assert "unloaded acme/owl-8b" in unloaded.stderr
        assert "hawk-vl-4b was not loaded" in unloaded.stderr
        assert desk.emulator.instances == ()


def test_loading_twice_loads_once(desk: Desk) -> None:
    """A model that is loaded already stays as it is: LM Studio would load a second copy."""
    done = desk.run("models", "load", "owl-8b")
    assert "is loaded already" in done.stderr
    assert desk.emulator.instances[0].id == "acme/owl-8b"
    assert len([one for one in desk.emulator.instances if one.model == "acme/owl-8b"]) == 1


def test_a_larger_context_loads_anew(desk: Desk) -> None:
    """A copy with too little context is replaced, and not doubled."""
    done = desk.run("models", "load", "owl-8b", "--context-length", "32768")
    assert done.exit_code == 0
    assert [i.context_length for i in desk.emulator.instances if i.model == "acme/owl-8b"] == [32768]


def test_one_copy_can_be_unloaded(make_desk: MakeDesk) -> None:
    """The name of a copy unloads that copy alone."""
    with make_desk(Emulator(loaded=("acme/owl-8b", "acme/owl-8b"), speed=1000)) as desk:
        result = desk.json("models", "unload", "acme/owl-8b:2")["results"]
        assert result == [{"model": "acme/owl-8b:2", "unloaded": ["acme/owl-8b:2"], "error": None}]
        assert [one.id for one in desk.emulator.instances] == ["acme/owl-8b"]


def test_loading_where_it_cannot(desk: Desk) -> None:
    """A host whose models cannot be loaded says so."""
    openai = ("--set", f"hosts.other.url={desk.url}/v1", "--set", "hosts.other.backend=openai")
    done = desk.run(*openai, "models", "load", "hawk-vl-4b", "--host", "other")
    assert done.exit_code in (0, 1)
    unloaded = desk.run(*openai, "models", "unload", "hawk-vl-4b", "--host", "other")
    assert unloaded.exit_code == 0


def test_hosts_lists_each_with_its_state(desk: Desk) -> None:
    """A host that does not answer is listed with its error, and the others count."""
    dead = ("--set", "hosts.attic.url=http://127.0.0.1:9")
    done = desk.run(*dead, "hosts")
    assert done.exit_code == 0
    assert "no answer" in done.stdout
    assert "attic:" in done.stderr
    hosts = desk.json(*dead, "hosts")["hosts"]
    assert isinstance(hosts, list)
    reachable = {str(one["host"]): one["reachable"] for one in hosts if isinstance(one, dict)}
    assert reachable == {"attic": False, "desk": True}


def test_a_host_may_be_named(make_desk: MakeDesk, desk: Desk) -> None:
    """--host limits an answer to that host; one that is not there is a usage error with the nearest name."""
    with serve(Emulator(loaded=("acme/owl-8b",), speed=1000)) as url:
        two = ("--set", f"hosts.attic.url={url}", "--set", "hosts.attic.backend=lmstudio")
        assert desk.json(*two, "ask", "--host", "attic", "hello")["host"] == "attic"
    done = desk.run("ask", "--host", "dsk", "hello")
    assert done.exit_code == 2
    assert "Did you mean desk?" in done.stderr


# --- route ----------------------------------------------------------------------------------------------


def test_route_names_the_model_and_sends_nothing(desk: Desk) -> None:
    """Stdout has the model's name alone, stderr the reason, and no model is asked."""
    done = desk.run("route", "hello")
    assert done.stdout == "acme/hawk-vl-4b\n"
    assert "chosen by performance" in done.stderr
    assert all(request.method == "GET" for request in desk.emulator.requests)


def test_route_explains(desk: Desk) -> None:
    """--explain has all candidates, what each strategy said, and who was left out and why."""
    shown = desk.run("route", "--explain", "hello").stdout
    for words in ("acme/owl-8b", "explicit", "abstained", "selected", "an embedding model"):
        assert words in shown


def test_route_says_what_would_be_loaded_again(make_desk: MakeDesk) -> None:
    """A prompt that nobody has the context for shows who would get a larger one; nothing is loaded."""
    owl, prompt = "acme/owl-8b", "x" * 40_000
    with make_desk(Emulator(loaded=(owl,), default_context=4096, speed=1000)) as desk:
        allowed = ("--set", "resilience.reload_larger=true", "route", "-m", owl)
        shown = desk.run(*allowed, "--explain", "-", stdin=prompt).stdout
        assert "Loaded again first, with a larger context" in shown
        assert "and 4096 are loaded" in shown
        (reload,) = json.loads(desk.run(*allowed, "--json", "-", stdin=prompt).stdout)["reloads"]
        assert (reload["model"], reload["host"], reload["loaded"]) == (owl, "desk", 4096)
        assert [one.context_length for one in desk.emulator.instances] == [4096]


def test_route_as_json(desk: Desk) -> None:
    """The JSON has the decision: prediction for each candidate, verdicts, signals."""
    shown = desk.json("route", "hello")
    assert (shown["model"], shown["error"]) == ("acme/hawk-vl-4b", None)
    candidates = shown["candidates"]
    assert isinstance(candidates, list)
    first = candidates[0]
    assert isinstance(first, dict)
    assert set(first) == {"model", "resident", "seconds", "quality", "deployments"}


@pytest.mark.parametrize("extra", [["--explain"], ["--json"], []])
def test_route_without_a_model(desk: Desk, extra: list[str]) -> None:
    """A decision for nobody is still explained, and ends with 5."""
    done = desk.run("route", "-m", "text-embedding-acme-v1", *extra, "hello")
    assert done.exit_code == 5
    assert "cannot take this request" in done.stderr
    if extra == ["--json"]:
        assert json.loads(done.stdout)["error"]["exit_code"] == 5


def test_show_has_the_scores_of_calibration(desk: Desk) -> None:
    """Before, it says how to get them; after, each skill with its score and its trials, also as JSON."""
    assert "`turnout calibrate` finds out" in desk.run("models", "show", "owl-8b").stdout
    assert desk.run("calibrate", "owl-8b", "--skill", "simple_query", "--quick").exit_code == 0
    shown = desk.run("models", "show", "owl-8b").stdout
    assert re.search(r"^Calibrated: +\d{4}-\d\d-\d\d, \d+ of \d+ tasks? right$", shown, re.MULTILINE), shown
    assert re.search(r"^  simple query: +\d+% \(\d+\)$", shown, re.MULTILINE), shown
    deployments = desk.json("models", "show", "owl-8b")["deployments"]
    assert isinstance(deployments, list)
    deployment = deployments[0]
    assert isinstance(deployment, dict)
    calibrated = deployment["calibrated"]
    assert isinstance(calibrated, dict)
    assert "simple_query" in str(calibrated["scores"])
