"""What an evaluation found: per place and per kind of task, as rows, JSON and files."""

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from attrs import field, frozen

from turnout.errors import LLMValidationError
from turnout.messages import JSONObject
from turnout_calibration.compare import Comparison, Interval, compared, wilson
from turnout_calibration.results import Place, Result
from turnout_calibration.tasks import Task

COLUMNS = ("MODEL", "HOST", "QUANT", ">PROMPTS", ">SCORE", ">95 %", ">SECONDS", ">TOKENS")


@frozen
class Standing:
    """One place over all tasks: score, mean seconds and mean tokens of an answer."""

    place: Place
    score: Interval
    count: int
    seconds: float
    tokens: float

    def row(self) -> tuple[str, ...]:
        """Return the cells of :data:`COLUMNS`."""
        host, model, quantization = self.place
        between = f"{self.score.low:.2f}–{self.score.high:.2f}"
        need = f"{self.seconds:.1f}", f"{self.tokens:.0f}"
        return model, host, quantization or "-", str(self.count), f"{self.score.value:.2f}", between, *need

    def shape(self) -> JSONObject:
        """Return it as JSON."""
        host, model, quantization = self.place
        return {
            "host": host,
            "model": model,
            "quantization": quantization or None,
            "prompts": self.count,
            "score": round(self.score.value, 4),
            "low": round(self.score.low, 4),
            "high": round(self.score.high, 4),
            "seconds": round(self.seconds, 3),
            "tokens": round(self.tokens, 1),
        }


@frozen
class Verdicts:
    """The results of ``tasks``, by place and task.

    ``answers`` are those of this run, by the key of their result, and ``reasons`` says in words what was
    wrong with them.
    """

    tasks: Sequence[Task]
    results: Mapping[Place, Mapping[str, Result]]
    answers: Mapping[str, str] = field(factory=dict, repr=False)
    reasons: Mapping[str, str] = field(factory=dict, repr=False)

    def standings(self, tasks: Iterable[Task] | None = None) -> list[Standing]:
        """Return how each place stands, the best first; only over *tasks*, where they are given."""
        wanted = list(self.tasks if tasks is None else tasks)
        made = [_standing(place, found, wanted) for place, found in self.results.items()]
        known = [one for one in made if one is not None]
        return sorted(known, key=lambda one: (-one.score.value, one.seconds, one.place))

    def kinds(self) -> dict[str, list[Task]]:
        """Return the tasks by their task type, where any has one."""
        kinds: dict[str, list[Task]] = {}
        for task in self.tasks:
            kinds.setdefault(str(task.task_type or "none"), []).append(task)
        return {} if list(kinds) == ["none"] else kinds

    def comparisons(self) -> list[Comparison]:
        """Compare every two places."""
        scores = {
            self.name(place): {key: one.score for key, one in found.items()}
            for place, found in self.results.items()
        }
        return compared(scores, {task.fingerprint: task.weight for task in self.tasks})

    def name(self, place: Place) -> str:
        """Return the place's model, with its host and quantisation where the model alone would not do."""
        host, model, quantization = place
        alike = [other for other in self.results if other[1] == model]
        return model if len(alike) == 1 else f"{model} ({quantization or '?'}) on {host}"

    def kind_rows(self) -> Iterator[tuple[str, ...]]:
        """Yield, for each task type, how many prompts and each place's score, in the order of ``results``."""
        for kind, tasks in self.kinds().items():
            scores = {one.place: f"{one.score.value:.2f}" for one in self.standings(tasks)}
            yield kind, str(len(tasks)), *(scores.get(place, "-") for place in self.results)

    def shape(self) -> JSONObject:
        """Return everything as JSON."""
        kinds: JSONObject = {
            kind: [one.shape() for one in self.standings(tasks)] for kind, tasks in self.kinds().items()
        }
        return {
            "models": [one.shape() for one in self.standings()],
            "task_types": kinds,
            "comparisons": [_comparison(one) for one in self.comparisons()],
        }

    # --- files ----------------------------------------------------------------------------------------

    def write_results(self, path: Path) -> None:
        """Write a JSON line for each result; the answer is there only where it was given in this run.

        Raises ``LLMValidationError`` where the file cannot be written.
        """
        with _writing(path) as file:
            for place, task, result in self._each():
                file.write(json.dumps(self._line(place, task, result), ensure_ascii=False) + "\n")

    def _each(self) -> Iterator[tuple[Place, Task, Result]]:
        for place, found in self.results.items():
            for task in self.tasks:
                if task.fingerprint in found:
                    yield place, task, found[task.fingerprint]

    def _line(self, place: Place, task: Task, result: Result) -> JSONObject:
        host, model, quantization = place
        return {
            "id": task.id,
            "model": model,
            "host": host,
            "quantization": quantization or None,
            "score": round(result.score, 4),
            "passed": result.passed,
            "why": self.reasons.get(result.key) or result.why,
            "seconds": round(result.seconds, 3),
            "prompt_tokens": result.prompt_tokens,
            "output_tokens": result.output_tokens,
            "answer": self.answers.get(result.key),
        }

    def write_table(self, path: Path) -> None:
        """Write prompts × models as CSV, for ``turnout replay`` and strategies that learn from files.

        Columns ``score:<model>``, ``out_tokens:<model>``, ``seconds:<model>``; of a model that is on several
        hosts the mean. Raises ``LLMValidationError`` where the file cannot be written.
        """
        models = list(dict.fromkeys(model for _, model, _ in self.results))
        kinds = ("score", "out_tokens", "seconds")
        with _writing(path, newline="") as file:
            writer = csv.writer(file)
            columns = [f"{kind}:{model}" for model in models for kind in kinds]
            writer.writerow(["id", "task", "prompt", *columns])
            for task in self.tasks:
                cells = [cell for model in models for cell in self._cells(model, task)]
                writer.writerow([task.id, task.task_type or "", task.prompt, *cells])

    def _cells(self, model: str, task: Task) -> tuple[str, str, str]:
        found = [
            by_task[task.fingerprint]
            for place, by_task in self.results.items()
            if place[1] == model and task.fingerprint in by_task
        ]
        if not found:
            return "", "", ""
        number = len(found)
        return (
            f"{sum(one.score for one in found) / number:.4g}",
            f"{sum(one.output_tokens for one in found) / number:.0f}",
            f"{sum(one.seconds for one in found) / number:.3f}",
        )


def check_writable(path: Path) -> None:
    """Raise ``LLMValidationError`` where no file can be written at *path*, before the work for it begins."""
    if not path.parent.is_dir():
        raise _unwritable(path, f"there is no folder {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise _unwritable(path, "permission denied")


@contextmanager
def _writing(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    try:
        with path.open("w", encoding="utf-8", errors="replace", newline=newline) as file:
            yield file
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error), error) from error


def _unwritable(path: Path, why: str, error: OSError | None = None) -> LLMValidationError:
    return LLMValidationError(f"cannot write {path}: {why}", error)


def _standing(place: Place, found: Mapping[str, Result], tasks: Sequence[Task]) -> Standing | None:
    pairs = [(task, found[task.fingerprint]) for task in tasks if task.fingerprint in found]
    if not pairs:
        return None
    number = len(pairs)
    return Standing(
        place,
        wilson([result.score for _, result in pairs], [task.weight for task, _ in pairs]),
        number,
        sum(result.seconds for _, result in pairs) / number,
        sum(result.output_tokens for _, result in pairs) / number,
    )


def _comparison(one: Comparison) -> JSONObject:
    return {
        "better": one.better,
        "worse": one.worse,
        "prompts": one.tasks,
        "difference": round(one.difference.value, 4),
        "low": round(one.difference.low, 4),
        "high": round(one.difference.high, 4),
        "p": round(one.p, 5),
        "real": one.real,
    }

