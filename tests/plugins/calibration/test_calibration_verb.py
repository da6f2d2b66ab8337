"""``turnout calibrate``: what it asks, what it keeps, and what it says."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from turnout_calibration.probes import probes
from turnout_testing import (
    CannedAnswer,
    Crash,
    EmulatedModel,
    Emulator,
    LoadFails,
    ModelReply,
    NoModelsLoaded,
    Prompt,
)

from .conftest import BEGIN, FOOL, ROOT, SAGE, Desk, Gate, MakeDesk, kill_at, knows_all

Behaviour = ModelReply | Callable[[Prompt], ModelReply]


def by_model(shown: dict) -> dict:  # type: ignore[type-arg]
    return {one["model"]: one for one in shown["models"]}


def lonely(reply: Behaviour = knows_all) -> Emulator:
    """Return a host with one model alone, loaded."""
    return Emulator((evolve(SAGE, reply=reply),), loaded=(SAGE.key,), speed=10_000)


def prompts(desk: Desk) -> set[str]:
    """Return the different prompts that were sent."""
    bodies = [one.body for one in desk.emulator.requests if one.path.endswith("/chat/completions")]
    return {str(body["messages"][-1]) for body in bodies if isinstance(body, dict)}


def asked_models(desk: Desk) -> list[str]:
    """Return the models in the order in which they were asked, each run of requests once."""
    bodies = [one.body for one in desk.emulator.requests if one.path.endswith("/chat/completions")]
    names = [str(body["model"]) for body in bodies if isinstance(body, dict)]
    return [name for n, name in enumerate(names) if n == 0 or names[n - 1] != name]


def test_a_perfect_model_and_a_useless_one_are_told_apart(desk: Desk) -> None:
    """All probes together give a perfect model full marks in every skill, and a useless one hardly any."""
    shown = by_model(desk.json("calibrate"))
    sage, fool = shown[SAGE.key], shown[FOOL.key]
    assert {name: one["score"] for name, one in sage["scores"].items() if one["score"] < 1} == {}
    assert sage["passed"] == sage["tasks"] >= 55
    assert max(one["score"] for one in fool["scores"].values()) < 0.35
    assert set(sage["scores"]) >= {"code_generation", "code_review", "analysis", "planning", "simple_query"}
    assert set(sage["scores"]) >= {"complex_reasoning", "rag_exploration", "tools", "structured_output"}
    assert set(sage["scores"]) >= {"long_context", "reasoning", "general"}


def test_every_answer_is_at_temperature_0_and_bounded(desk: Desk) -> None:
    """Each request pins its model, is greedy, and has a limit of tokens."""
    assert desk.run("calibrate", "--quick").exit_code == 0
    bodies = [one.body for one in desk.emulator.requests if one.path.endswith("/chat/completions")]
    assert len(bodies) > 20
    for body in bodies:
        assert isinstance(body, dict)
        assert body["temperature"] == 0
        assert body["max_tokens"] <= 700


def test_it_says_what_it_does_and_how_long_it_takes(desk: Desk) -> None:
    """The table has a row per deployment; on stderr is what runs, which of how many, and the time left."""
    done = desk.run("calibrate", "--quick")
    head, *rows = done.stdout.splitlines()
    assert head.split()[:5] == ["MODEL", "HOST", "QUANT", "RIGHT", "CODE"]
    assert [row.split()[:4] for row in rows] == [
        [FOOL.key, "desk", "Q2_K", "0/15"],
        [SAGE.key, "desk", "Q4_K_M", "15/15"],
    ]
    assert "acme/fool-1b on desk: simple-capital (1 of 30)" in done.stderr
    assert "acme/sage-8b on desk: simple-capital (16 of 30, about" in done.stderr


def test_what_is_done_is_not_asked_again(desk: Desk) -> None:
    """A second run asks nothing and shows the same; --again asks everything once more."""
    first = desk.run("calibrate", "--quick")
    asked = desk.asked
    second = desk.run("calibrate", "--quick")
    assert (second.stdout, desk.asked) == (first.stdout, asked)
    assert "--again redoes" in second.stderr
    assert desk.run("calibrate", "--quick", "--again").stdout == first.stdout
    assert desk.asked == 2 * asked


def test_only_what_a_skill_needs_is_asked(desk: Desk) -> None:
    """--skill leaves every other probe out, and --quick those that are not in the short set."""
    shown = by_model(desk.json("calibrate", "sage-8b", "--skill", "planning"))[SAGE.key]
    assert shown["tasks"] == desk.asked == 4
    assert set(shown["scores"]) == {"planning", "complex_reasoning"}
    desk.json("calibrate", "sage-8b", "--skill", "tools", "--quick")
    assert desk.asked == 6


@pytest.mark.parametrize(("context", "sizes"), [(4096, 1), (8192, 2), (20_000, 3), (131_072, 4)])
def test_recall_goes_as_far_as_the_context(make_desk: MakeDesk, context: int, sizes: int) -> None:
    """The long texts are those that fit the loaded context, up to 30,000 tokens by default."""
    emulator = Emulator((SAGE,), loaded=(SAGE.key,), default_context=context, speed=10_000)
    with make_desk(emulator) as desk:
        shown = by_model(desk.json("calibrate", "--skill", "long_context"))[SAGE.key]
        assert shown["scores"]["long_context"] == {"score": 1.0, "weight": 2.0 * sizes}


# --- loading ------------------------------------------------------------------------------------------


def test_loaded_models_come_first_and_each_is_asked_in_one_go(make_desk: MakeDesk) -> None:
    """With --all the loaded model goes first, no model comes twice, and what was loaded is unloaded."""
    cold = EmulatedModel("acme/arctic-8b", reply=knows_all)
    vectors = EmulatedModel("acme/vectors", kind="embedding")
    emulator = Emulator((cold, SAGE, vectors), loaded=(SAGE.key,), speed=10_000)
    with make_desk(emulator) as desk:
        shown = by_model(desk.json("calibrate", "--all", "--quick", "--yes"))
        assert set(shown) == {SAGE.key, cold.key}
        assert asked_models(desk) == [SAGE.key, cold.key]
        assert [one.model.key for one in emulator.resident] == [SAGE.key]


@pytest.mark.parametrize(("answer", "asked"), [("y\n", True), ("n\n", False), ("", False)])
def test_a_model_is_loaded_only_if_a_person_agrees(make_desk: MakeDesk, answer: str, asked: bool) -> None:
    """What is not loaded is asked about; a no, or nobody there, leaves it out."""
    with make_desk(Emulator((SAGE,), speed=10_000)) as desk:
        done = desk.run("calibrate", "sage-8b", "--quick", stdin=answer)
        assert done.exit_code == 0
        assert "Load and afterwards unload acme/sage-8b on desk?" in done.stderr
        assert bool(desk.asked) is asked
        assert ("left out, because not loaded" in done.stderr) is not asked


def test_a_model_that_is_done_is_not_loaded_again(make_desk: MakeDesk) -> None:
    """Where every probe is answered that fitted its context, nothing is loaded to find that out."""
    with make_desk(Emulator((SAGE,), speed=10_000)) as desk:
        assert desk.run("calibrate", "sage-8b", "--yes").exit_code == 0
        loads = len(desk.emulator.loads)
        assert desk.run("calibrate", "sage-8b").exit_code == 0
        assert len(desk.emulator.loads) == loads == 1


def test_a_load_that_fails_costs_only_its_model(make_desk: MakeDesk) -> None:
    """The others are examined, the failure is said, and the exit code is that of a part that failed."""
    emulator = Emulator((FOOL, SAGE), loaded=(SAGE.key,), speed=10_000)
    emulator.inject(LoadFails(model=FOOL.key))
    with make_desk(emulator) as desk:
        done = desk.run("calibrate", "--all", "--quick", "--yes")
        assert done.exit_code == 7
        assert "acme/fool-1b on desk: " in done.stderr.partition("Warning")[2]
        assert SAGE.key in done.stdout
        shown = desk.json("calibrate", "--all", "--quick", "--yes")
        assert [(one["model"], one["error"]) for one in shown["missing"]] == [(FOOL.key, "ModelLoadError")]


# --- failures -----------------------------------------------------------------------------------------


def test_a_failing_host_is_no_wrong_answer(make_desk: MakeDesk) -> None:
    """What fails is recorded apart: it lowers no score, is said, and is asked again by the next run."""
    with make_desk(lonely()) as desk:
        desk.emulator.inject(Crash(skip=5, times=2))
        shown = desk.json("calibrate", "--quick")
        (model,), failed = shown["models"], shown["failed"]
        assert {one["error"] for one in failed} == {"ModelCrashedError"}
        assert model["tasks"] == model["passed"] == 15 - len(failed)
        desk.emulator.fault_box.clear()
        done = desk.json("calibrate", "--quick", "--yes")["models"][0]
        assert done["tasks"] == done["passed"] == 15


def test_after_three_failures_in_a_row_the_rest_is_left(make_desk: MakeDesk) -> None:
    """A deployment that fails three times running is given up, and where nothing is known that is the end."""
    with make_desk(lonely()) as desk:
        desk.emulator.inject(Crash())
        done = desk.run("calibrate", "--quick")
        assert done.exit_code == 1
        assert "acme/sage-8b" in done.stderr
        assert len(prompts(desk)) == 3


def test_a_model_that_cannot_be_had_is_not_asked_on(make_desk: MakeDesk) -> None:
    """After a refusal that will repeat, the other probes are not tried."""
    with make_desk(lonely()) as desk:
        desk.emulator.inject(NoModelsLoaded())
        assert desk.run("calibrate", "--quick").exit_code != 0


def test_an_empty_answer_is_a_wrong_one(make_desk: MakeDesk) -> None:
    """A model that says nothing gets no marks, and is no failure of its host."""
    with make_desk(lonely(reply=ModelReply())) as desk:
        shown = desk.json("calibrate", "--skill", "simple_query", "--quick")
        (model,) = shown["models"]
        assert shown["failed"] == []
        assert model["passed"] == 0


def test_a_model_that_thinks_gets_room_for_it(make_desk: MakeDesk) -> None:
    """An answer that was cut short by thinking is asked for again with more tokens, once for all probes."""

    def slow(prompt: Prompt) -> ModelReply:
        return ModelReply(text="Lisbon", reasoning="so many words " * 300)

    with make_desk(lonely(reply=slow)) as desk:
        shown = desk.json("calibrate", "--skill", "simple_query", "--quick")
        assert shown["models"][0]["scores"]["general"]["score"] == 1.0
        assert desk.asked == shown["asked"] + 1


def test_without_any_model_it_says_what_to_do(make_desk: MakeDesk) -> None:
    """Nothing loaded, an unknown model, an unknown host and a model of another host end with 5 and advice."""
    with make_desk(Emulator((SAGE,), speed=10_000)) as desk:
        for arguments, words in (
            ((), "no model is loaded. Name one, or take --all"),
            (("nobody",), "not found"),
            (("sage-8b", "--host", "attic"), "there is no host 'attic', but desk"),
        ):
            done = desk.run("calibrate", *arguments)
            assert done.exit_code == 5
            assert words in done.stderr
    assert desk.run("calibrate").exit_code == 4


def test_a_refusal_of_tools_or_json_is_an_answer(make_desk: MakeDesk) -> None:
    """A deployment that takes no such request has no marks for it, and has not failed."""
    with make_desk(lonely()) as desk:
        body = '{"error": {"message": "response_format is not supported", "type": "invalid_request_error"}}'
        desk.emulator.inject(CannedAnswer(route="/v1/chat/completions", status=400, body=body))
        shown = desk.json("calibrate", "--skill", "tools", "--skill", "structured_output")
        (model,) = shown["models"]
        assert (model["tasks"], model["passed"], shown["failed"], shown["missing"]) == (13, 0, [], [])
        done = desk.json("calibrate", "--skill", "general")
        assert {one["error"] for one in done["failed"]} == {"LLMValidationError"}
        assert len(done["failed"]) == 10


def test_no_code_is_run_where_that_is_not_wanted(desk: Desk) -> None:
    """With run_code off the probes with code are left out, and nothing else."""
    off = ("--set", "calibration.run_code=false")
    shown = desk.run(*off, "calibrate", "sage-8b", "--quick").stdout.splitlines()[1].split()
    assert shown[3:6] == ["12/12", "-", "-"]


def test_failures_are_said(make_desk: MakeDesk) -> None:
    """What had no answer is counted by its error, after the table."""
    with make_desk(lonely()) as desk:
        desk.emulator.inject(Crash(skip=5, times=2))
        done = desk.run("calibrate", "--quick")
        assert "to be asked again in the next run: " in done.stderr
        assert "(ModelCrashedError)" in done.stderr


def test_code_that_cannot_be_run_here_is_no_wrong_answer(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where no process can be started, the model loses no marks, and the error is said."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with make_desk(lonely()) as desk:
        done = desk.run("calibrate", "--skill", "code_review")
        assert done.exit_code != 0
        assert "nothing" in done.stderr
        assert desk.asked == 1


def test_a_model_that_does_not_unload_is_said(make_desk: MakeDesk) -> None:
    """What was found is shown, and that the model is still loaded is a warning."""
    with make_desk(Emulator((SAGE,), speed=10_000)) as desk:
        desk.emulator.inject(CannedAnswer(route="/api/v1/models/unload"))
        done = desk.run("calibrate", "--quick", "--yes", "sage-8b")
        assert done.exit_code == 7
        assert "15/15" in done.stdout


def test_a_name_of_two_models_is_no_name(make_desk: MakeDesk) -> None:
    """A short name that two models share is refused with both, and a host that has no such model is named."""
    emulator = Emulator((SAGE, evolve(SAGE, key="zeta/sage-8b")), speed=10_000)
    with make_desk(emulator) as desk, make_desk(Emulator((FOOL,))) as attic:
        assert "names more than one model" in desk.run("calibrate", "sage-8b").stderr
        second = ("--set", f"hosts.attic.url={attic.url}", "--set", "hosts.attic.backend=lmstudio")
        done = desk.run(*second, "calibrate", "acme/sage-8b", "--host", "attic")
        assert done.exit_code == 5
        assert "acme/sage-8b is not on 'attic'" in done.stderr


# --- interrupted --------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [False, True])
def test_a_kill_loses_at_most_the_probe_under_way(make_desk: MakeDesk, again: bool) -> None:
    """After kill -9 the next run asks only what had no answer, also in the middle of --again."""
    gate = Gate(knows_all)
    with make_desk(lonely(reply=gate)) as desk:
        options: tuple[str, ...] = ("calibrate", "--quick")
        if again:
            assert desk.run(*options).exit_code == 0
            options = (*options, "--again")
        before = desk.asked
        kill_at(desk, gate, 6, *options)
        assert desk.asked == before + 6
        done = desk.json("calibrate", "--quick")
        assert done["asked"] == 15 - 5
        assert by_model(done)[SAGE.key]["passed"] == 15


def test_ctrl_c_keeps_what_was_answered(make_desk: MakeDesk) -> None:
    """Ctrl-C ends the run with 130; what had come is kept, and a model that was loaded for it is unloaded."""
    gate = Gate(knows_all)
    gate.hold(3)
    emulator = Emulator((evolve(SAGE, reply=gate),), speed=10_000)
    with make_desk(emulator) as desk:
        command = [*BEGIN, *desk.options, "calibrate", "sage-8b", "--quick", "--yes"]
        with subprocess.Popen(command, cwd=ROOT) as process:
            assert gate.reached.wait(timeout=60)
            process.send_signal(signal.SIGINT)
            gate.open.set()
            assert process.wait(timeout=60) == 130
        assert [one.model.key for one in emulator.resident] == []
        stored = desk.run("calibrate", "sage-8b", "--quick", stdin="n\n").stdout.splitlines()[1].split()
        assert stored[3] in ("2/2", "3/3")


def test_the_probes_cover_what_they_are_for() -> None:
    """Every probe has a name and a fingerprint of its own, and the quick set has one of each kind."""
    known = probes()
    assert len({probe.id for probe in known}) == len({probe.fingerprint for probe in known}) == len(known)
    quick = {skill for probe in known if probe.quick for skill in probe.skills}
    assert quick == {skill for probe in known for skill in probe.skills}
