"""``turnout eval``: one's own prompts, asked, checked, judged and compared."""

import csv
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve

from turnout.errors import LLMValidationError
from turnout_calibration.judging import read_grade
from turnout_testing import CannedAnswer, Crash, EmulatedModel, Emulator, LoadFails, ModelReply, Prompt

from .conftest import FOOL, SAGE, Desk, Gate, MakeDesk, kill_at

Line = dict[str, object]


def said(number: int) -> Line:
    return {"id": f"more-{number}", "prompt": f"Say {number}.", "checks": [{"equals": str(number)}]}


ANSWERS = {"What is 2 + 2?": "4", "Name a bird.": "Owl", "Write f.": "def f(x):\n    return x + 1"}
LINES: tuple[Line, ...] = (
    {"id": "sum", "prompt": "What is 2 + 2?", "task_type": "simple_query", "checks": [{"equals": "4"}]},
    {"id": "bird", "prompt": "Name a bird.", "task_type": "simple_query", "checks": [{"contains": "owl"}]},
    {"id": "code", "prompt": "Write f.", "task_type": "code_generation", "weight": 2,
     "checks": [{"code": {"tests": "assert f(1) == 2"}}, {"contains": "def"}]},
    *(said(number) for number in range(6)),
)  # fmt: skip


def knows(prompt: Prompt) -> ModelReply:
    """Answer the prompts above rightly."""
    asked = prompt.last_text
    said = re.fullmatch(r"Say (\d)\.", asked)
    return ModelReply(text=said[1] if said else ANSWERS.get(asked, "I am a kind owl."))


def grade(prompt: Prompt) -> ModelReply:
    """Judge as one who loves owls."""
    score = 5 if "owl" in prompt.last_text.partition("<answer>")[2] else 2
    return ModelReply(text=json.dumps({"reason": "owls are good", "score": score}))


JUDGE = EmulatedModel("acme/judge-70b", reply=grade)


def fleet(*more: EmulatedModel) -> Emulator:
    models = (evolve(SAGE, reply=knows), FOOL, *more)
    return Emulator(models, loaded=[one.key for one in models], speed=10_000)


@pytest.fixture(name="own")
def _own(tmp_path: Path) -> Path:
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(map(json.dumps, LINES)), encoding="utf-8")
    return path


def write(path: Path, *lines: Line) -> Path:
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def test_the_table_tells_models_apart(make_desk: MakeDesk, own: Path) -> None:
    """Each model has its score and interval, each task type a row, and the words say who wins."""
    with make_desk(fleet()) as desk:
        done = desk.run("eval", str(own))
        assert done.exit_code == 0
        lines = done.stdout.splitlines()
    assert lines[0].split() == ["MODEL", "HOST", "QUANT", "PROMPTS", "SCORE", "95", "%", "SECONDS", "TOKENS"]
    best, worst = lines[1].split(), lines[2].split()
    assert best[:5] == [SAGE.key, "desk", "Q4_K_M", "9", "1.00"]
    assert best[5].endswith("–1.00")
    assert worst[:5] == [FOOL.key, "desk", "Q2_K", "9", "0.00"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[4:] if line and "better" not in line}
    assert rows["code_generation"][0] == "1"
    assert set(rows) == {"TASK", "simple_query", "code_generation", "none"}
    assert "acme/sage-8b is better than acme/fool-1b (+1.00" in lines[-1]


def test_json_has_the_same(make_desk: MakeDesk, own: Path) -> None:
    """--json tells standings, task types and comparisons as numbers."""
    with make_desk(fleet()) as desk:
        shown = desk.json("eval", str(own))
    assert [(one["model"], one["score"], one["prompts"]) for one in shown["models"]] == [
        (SAGE.key, 1.0, 9),
        (FOOL.key, 0.0, 9),
    ]
    assert set(shown["task_types"]) == {"simple_query", "code_generation", "none"}
    (found,) = shown["comparisons"]
    assert found["real"] is True
    assert (found["better"], found["prompts"]) == (SAGE.key, 9)
    assert shown["missing"] == shown["judges"] == []


def test_a_wrong_line_loses_nothing(make_desk: MakeDesk, own: Path) -> None:
    """With one bad line nothing is asked, and the error names file, line and mistake."""
    write(own, *LINES, {"prompt": "x", "checks": [{"equal": 1}]})
    with make_desk(fleet()) as desk:
        done = desk.run("eval", str(own))
        assert done.exit_code == 1
        assert f"{own}:10: checks[0]: there is no check 'equal'" in done.stderr
        assert desk.asked == 0


def test_no_code_is_run_where_that_is_not_wanted(make_desk: MakeDesk, own: Path) -> None:
    """With run_code off a code check is a mistake in the file, and nothing is asked."""
    with make_desk(fleet()) as desk:
        done = desk.run("--set", "calibration.run_code=false", "eval", str(own))
        assert done.exit_code == 1
        assert "code: a code check runs what a model writes" in done.stderr
        assert desk.asked == 0


def test_only_the_named_models_are_asked(make_desk: MakeDesk, own: Path) -> None:
    """-m limits it to these, and one that is not loaded is loaded only if a person agrees."""
    with make_desk(fleet()) as desk:
        shown = desk.json("eval", str(own), "-m", "sage-8b")
        assert [one["model"] for one in shown["models"]] == [SAGE.key]
        assert shown["comparisons"] == []
    with make_desk(Emulator((FOOL,), speed=10_000)) as desk:
        done = desk.run("eval", str(own), "-m", "fool-1b", stdin="n\n")
        assert done.exit_code == 5
        assert "nothing was asked" in done.stderr


def test_what_is_done_is_not_asked_again(make_desk: MakeDesk, own: Path) -> None:
    """A second run asks only what is new in the file; --again asks everything."""
    with make_desk(fleet()) as desk:
        desk.json("eval", str(own))
        assert desk.asked == 18
        write(own, *LINES, {"prompt": "New?", "checks": [{"contains": "owl"}]})
        assert len(desk.json("eval", str(own))["models"]) == 2
        assert desk.asked == 20
        desk.json("eval", str(own), "-m", "sage-8b", "--again")
        assert desk.asked == 30


def test_own_prompts_teach_the_strategies(make_desk: MakeDesk, own: Path) -> None:
    """What was found with own prompts stands in the statistics, by task type."""
    with make_desk(fleet()) as desk:
        desk.json("eval", str(own))
        models = desk.json("stats")["stats"]["calibration"]["models"]
    scores = {one["model"]: one["scores"] for one in models}
    assert scores[SAGE.key]["code_generation"] == {"score": 1.0, "weight": 6.0}
    assert scores[FOOL.key]["simple_query"] == {"score": 0.0, "weight": 6.0}
    assert scores[SAGE.key]["general"]["weight"] == 18.0


def test_results_can_be_kept_as_files(make_desk: MakeDesk, own: Path, tmp_path: Path) -> None:
    """-o has a line per model and prompt with the answer of this run, --csv a row per prompt for learning."""
    lines, table = tmp_path / "results.jsonl", tmp_path / "table.csv"
    with make_desk(fleet()) as desk:
        assert desk.run("eval", str(own), "-o", str(lines), "--csv", str(table)).exit_code == 0
        first = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
        desk.run("eval", str(own), "-o", str(lines))
        second = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert len(first) == 18
    code = next(one for one in first if one["id"] == "code" and one["model"] == SAGE.key)
    assert (code["score"], code["passed"], code["answer"]) == (1.0, True, ANSWERS["Write f."])
    wrong = next(one for one in first if one["id"] == "sum" and one["model"] == FOOL.key)
    assert "is not '4'" in wrong["why"]
    assert [lasting(one) for one in first] == [lasting(one) for one in second]
    assert {one["answer"] for one in second} == {None}
    assert {one["why"] for one in second if one["id"] == "code"} == {"", "code; contains"}
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["prompt"] for row in rows] == [line["prompt"] for line in LINES]
    assert {row[f"score:{SAGE.key}"] for row in rows} == {"1"}
    assert {row[f"score:{FOOL.key}"] for row in rows} == {"0"}
    assert rows[0]["task"] == "simple_query"
    assert float(rows[0][f"out_tokens:{SAGE.key}"]) > 0


def lasting(line: dict) -> dict:  # type: ignore[type-arg]
    """Return a line without the answer and the words about it."""
    return {key: value for key, value in line.items() if key not in ("answer", "why")}


def test_no_word_of_an_answer_is_kept(make_desk: MakeDesk, own: Path) -> None:
    """What models, judges and servers say is told by the run, and is nowhere in the store."""
    checks = [{"equals": "nothing"}, {"words": 1}, {"judge": "It is kind."}]
    write(own, {"id": "pin", "prompt": "My PIN is xyzzy, repeat it.", "checks": checks})
    parrot = evolve(SAGE, reply=lambda prompt: ModelReply(text=f"You said: {prompt.last_text}"))
    strict = ModelReply(text=json.dumps({"reason": "xyzzy is a secret", "score": 2}))
    emulator = Emulator((parrot, judge := evolve(JUDGE, reply=lambda _: strict)), speed=10_000)
    told = own.with_name("out.jsonl")
    with make_desk(emulator) as desk:
        asked = ("eval", str(own), "-m", "sage-8b", "--judge", judge.key, "--yes", "-o", str(told))
        assert desk.run(*asked).exit_code == 0
        why = json.loads(told.read_text(encoding="utf-8"))["why"]
        assert "repeat it.' is not 'nothing'" in why
        assert why.endswith("acme/judge-70b: xyzzy is a secret")
        body = json.dumps({"error": {"message": "cannot read xyzzy", "type": "invalid_request_error"}})
        desk.emulator.inject(CannedAnswer(route="/v1/chat/completions", status=400, body=body))
        assert "xyzzy" in desk.run(*asked, "--again").stderr
        with closing(sqlite3.connect(desk.home / "calibration.db")) as stored:
            rows = stored.execute("SELECT outcome, why, error FROM results ORDER BY at").fetchall()
        assert rows == [("scored", "equals; words; judge", ""), ("failed", "", "LLMValidationError")]
        assert not any(b"xyzzy" in file.read_bytes() for file in desk.home.glob("calibration.db*"))


@pytest.mark.parametrize("option", ["-o", "--csv"])
@pytest.mark.parametrize("place", ["missing/out", "own.jsonl/out"])
def test_a_file_that_cannot_be_written_is_said_first(
    make_desk: MakeDesk, own: Path, option: str, place: str
) -> None:
    """Where the folder for a file is missing, the error names it, and nothing is asked."""
    path = own.parent / place
    with make_desk(fleet()) as desk:
        done = desk.run("eval", str(own), option, str(path))
        assert done.exit_code == 1
        assert f"cannot write {path}: there is no folder {path.parent}" in done.stderr
        assert desk.asked == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
@pytest.mark.parametrize("option", ["-o", "--csv"])
def test_a_full_disk_is_an_error_and_no_crash(make_desk: MakeDesk, own: Path, option: str) -> None:
    """A file that cannot be written in the end is an error with the system's words."""
    with make_desk(fleet()) as desk:
        done = desk.run("eval", str(own), option, "/dev/full")
        assert done.exit_code == 1
        assert "Error: cannot write /dev/full: No space left on device" in done.stderr


# --- judges -------------------------------------------------------------------------------------------

JUDGED: Line = {"id": "kind", "prompt": "Be kind.", "checks": [{"judge": "It is kind."}, {"contains": "owl"}]}


def test_another_model_judges_once_all_have_answered(make_desk: MakeDesk, own: Path) -> None:
    """The judge is asked after the last answer, its grade from 1 to 5 is a score, and its reason is kept."""
    write(own, JUDGED, {"prompt": "Ho", "checks": [{"judge": {"criteria": "x", "model": "judge-70b"}}]})
    with make_desk(fleet(JUDGE)) as desk:
        results = own.with_name("out.jsonl")
        names = ("-m", "sage-8b", "-m", "fool-1b")
        shown = desk.json("eval", str(own), *names, "--judge", "judge-70b", "-o", str(results))
        assert {one["model"]: one["score"] for one in shown["models"]} == {SAGE.key: 1.0, FOOL.key: 0.1875}
        bodies = [one.body for one in desk.emulator.requests if one.path.endswith("/chat/completions")]
        asked = [body["model"] for body in bodies if isinstance(body, dict)]
        assert asked[-4:] == [JUDGE.key] * 4
        assert JUDGE.key not in asked[:-4]
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    assert any("judge-70b: owls are good" in line["why"] for line in lines)


def test_a_judge_that_fails_can_be_asked_later(make_desk: MakeDesk, own: Path) -> None:
    """Answers that nobody could judge are kept: the next run asks the judge alone, and then forgets them."""
    write(own, JUDGED)
    options = ("eval", str(own), "-m", "sage-8b", "--judge", "judge-70b")
    with make_desk(fleet(JUDGE)) as desk:
        desk.emulator.inject(Crash(model=JUDGE.key), LoadFails(model=JUDGE.key))
        assert desk.run(*options).exit_code == 1
        assert "kind owl" in stored_answer(desk)
        desk.emulator.fault_box.clear()
        before = answers_of(desk, SAGE)
        assert desk.json(*options)["models"][0]["score"] == 1.0
        assert answers_of(desk, SAGE) == before
        assert stored_answer(desk) == ""
        assert desk.json(*options, "--again")["models"][0]["score"] == 1.0
        assert answers_of(desk, SAGE) == before + 1


def stored_answer(desk: Desk) -> str:
    """Return what is kept of the one answer."""
    with closing(sqlite3.connect(desk.home / "calibration.db")) as stored:
        ((answer,),) = stored.execute("SELECT answer FROM results")
    return answer or ""


def answers_of(desk: Desk, model: EmulatedModel) -> int:
    """Return how often *model* was asked."""
    bodies = [one.body for one in desk.emulator.requests if one.path.endswith("/chat/completions")]
    return sum(isinstance(body, dict) and body["model"] == model.key for body in bodies)


@pytest.mark.parametrize("text", ["five", '{"score": 9, "reason": "x"}', "[]", '{"score": 5}'])
def test_a_grade_that_cannot_be_read_is_none(text: str) -> None:
    """What is no JSON, or no grade from 1 to 5 with a reason, is an error of the judge's and no score."""
    with pytest.raises(LLMValidationError, match="grade cannot be read"):
        read_grade(text, "judge")
    assert read_grade('{"score": 5, "reason": "x"}', "judge") == (1.0, "x")


def test_some_answers_may_be_judged_and_others_not(make_desk: MakeDesk, own: Path) -> None:
    """What was checked is shown, what is not judged is said, and the exit code tells of it."""
    write(own, JUDGED, LINES[0])
    with make_desk(fleet()) as desk:
        done = desk.run("eval", str(own), "-m", "sage-8b", "--judge", "nobody")
        assert done.exit_code == 7
        assert "1 answers are not judged" in done.stderr
        assert done.stdout.splitlines()[1].split()[3] == "1"


# --- failures -----------------------------------------------------------------------------------------


def test_a_failing_model_costs_only_itself(make_desk: MakeDesk, own: Path) -> None:
    """The others are shown, the failure is said, and the exit code is that of a part that failed."""
    with make_desk(fleet()) as desk:
        desk.emulator.inject(Crash(model=FOOL.key), LoadFails(model=FOOL.key))
        done = desk.run("eval", str(own))
        assert done.exit_code == 7
        assert "acme/fool-1b on desk" in done.stderr
        assert [line.split()[0] for line in done.stdout.splitlines()[1:2]] == [SAGE.key]


def test_without_any_answer_the_error_is_the_end(make_desk: MakeDesk, own: Path) -> None:
    """Where no model answers, the first error is what is shown, with its exit code."""
    with make_desk(Emulator((SAGE,), loaded=(SAGE.key,), speed=10_000)) as desk:
        desk.emulator.inject(Crash(), LoadFails())
        done = desk.run("eval", str(own))
        assert done.exit_code == 1
        assert "Error:" in done.stderr


def test_a_kill_loses_at_most_the_prompt_under_way(make_desk: MakeDesk, own: Path) -> None:
    """After kill -9 the next run asks only what had no answer."""
    gate = Gate(knows)
    emulator = Emulator((evolve(SAGE, reply=gate),), loaded=(SAGE.key,), speed=10_000)
    with make_desk(emulator) as desk:
        kill_at(desk, gate, 4, "eval", str(own))
        assert desk.json("eval", str(own))["models"][0]["prompts"] == 9
        assert desk.asked == 9 + 1


def test_the_same_model_on_two_hosts_is_told_apart(make_desk: MakeDesk, own: Path, desk: Desk) -> None:
    """Where a model is on several hosts, each is a row, and a comparison names host and quantisation."""
    other = Emulator((evolve(SAGE, reply=knows, quantization="Q8_0"),), loaded=(SAGE.key,), speed=10_000)
    with make_desk(other) as attic:
        second = ("--set", f"hosts.attic.url={attic.url}", "--set", "hosts.attic.backend=lmstudio")
        done = desk.run(*second, "eval", str(own), "-m", "sage-8b", "--csv", str(own.with_suffix(".csv")))
    assert "acme/sage-8b (Q8_0) on attic" in done.stdout
    with own.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file))[3][f"score:{SAGE.key}"] == "0.5"
