"""What was fitted: from a prompt to the expected score of each model. Arrays alone, kept in one ``.npz``."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from attrs import field, frozen

from turnout import ConfigError, JSONObject
from turnout_learned.arrays import Floats
from turnout_learned.features import Frame, Lexicon, Weighted
from turnout_learned.words import SURFACE, excerpt

FORMAT = 1
SHARPNESS = 2.0
"""The power that makes shares of kinds of work out of what was regressed; 1 to 3 do about as well."""
_REFIT = "Fit again: `turnout learned fit FILE`."


def shares(raw: Floats) -> Floats:
    """Make shares of each kind of work, 1 in all, out of a row or rows of regressed ones."""
    sharp = np.clip(raw, 1e-6, None) ** SHARPNESS
    found: Floats = sharp / sharp.sum(axis=-1, keepdims=True)
    return found


@frozen(eq=False)
class Linear:
    """A linear map from the features of a text: one weight for each term and each wave."""

    bias: Floats
    terms: Floats
    waves: Floats

    def of(self, text: Weighted, waves: Floats) -> Floats:
        """Return the outputs for one text."""
        found: Floats = self.bias + text.weights @ self.terms[text.places] + waves @ self.waves
        return found


@frozen(eq=False)
class Fitted:
    """Expected scores of models, from the words of a prompt, its surface, and the kind of work it seems.

    ``kinds`` regresses the kinds of work, ``quality`` the scores; ``by_kind`` adds what each kind's share
    is worth to each model. ``about`` says where it came from.
    """

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    lexicon: Lexicon
    frame: Frame
    kinds: Linear
    quality: Linear
    by_kind: Floats
    about: JSONObject
    names: Mapping[str, int] = field(init=False)

    @names.default
    def _names(self) -> Mapping[str, int]:
        return {model: column for column, model in enumerate(self.models)}

    def expect(self, prompt: str) -> Floats:
        """Return the expected score of each model, about 0 to 1, in the order of ``models``."""
        text = excerpt(prompt)
        weighted, waves = self.lexicon.weigh(text), self.frame.waves(text)
        found = self.quality.of(weighted, waves)
        if self.tasks:
            found = found + shares(self.kinds.of(weighted, waves)) @ self.by_kind
        return found

    def expect_all(self, prompts: Sequence[str]) -> Floats:
        """Return one row of expected scores for each prompt."""
        return np.array([self.expect(prompt) for prompt in prompts])

    def save(self, path: Path) -> None:
        """Write it to *path*, in place of what was there only once it is whole; raises ``ConfigError``."""
        part = path.with_name(f"{path.name}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                np.savez_compressed(file, **self._arrays())  # type: ignore[arg-type]  # none is allow_pickle
            part.replace(path)
        except OSError as error:
            message = f"{path}: cannot be written: {error.strerror}"
            raise ConfigError(message, error) from error

    def _arrays(self) -> dict[str, Floats]:
        words = {"format": FORMAT, "models": self.models, "tasks": self.tasks, "about": self.about}
        lines = "\n".join([json.dumps(words), *self.lexicon.terms]).encode()
        return {
            "words": np.frombuffer(lines, np.uint8),
            "rarity": self.lexicon.rarity.astype(np.float32),
            "centre": self.frame.centre,
            "spread": self.frame.spread,
            "directions": self.frame.directions,
            "phases": self.frame.phases,
            "by_kind": self.by_kind,
            **_named("kinds", self.kinds),
            **_named("quality", self.quality),
        }


def _named(name: str, linear: Linear) -> dict[str, Floats]:
    return {
        f"{name}_bias": linear.bias,
        f"{name}_terms": linear.terms.astype(np.float32),
        f"{name}_waves": linear.waves,
    }


def load(path: Path) -> Fitted:
    """Read what :meth:`Fitted.save` wrote; raises ``ConfigError`` where *path* is something else.

    Nothing in the file is executed: object arrays, which are pickles, are refused.
    """
    import zipfile

    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return _fitted({name: archive[name] for name in archive.files})
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        message = f"{path}: is no fitted file of this version: {error}"
        raise ConfigError(message, error, advice=_REFIT) from error


def _fitted(arrays: Mapping[str, Floats]) -> Fitted:
    head, *terms = arrays["words"].tobytes().decode().split("\n")
    about = json.loads(head)
    if about["format"] != FORMAT:
        message = f"format {about['format']!r}, not {FORMAT}"
        raise ValueError(message)
    fitted = Fitted(
        tuple(about["models"]),
        tuple(about["tasks"]),
        Lexicon(tuple(terms), arrays["rarity"].astype(float)),
        Frame(arrays["centre"], arrays["spread"], arrays["directions"], arrays["phases"]),
        _linear("kinds", arrays),
        _linear("quality", arrays),
        arrays["by_kind"],
        about["about"],
    )
    _check(fitted)
    return fitted


def _linear(name: str, arrays: Mapping[str, Floats]) -> Linear:
    return Linear(*(arrays[f"{name}_{part}"].astype(float) for part in ("bias", "terms", "waves")))


def _check(fitted: Fitted) -> None:
    """See that the shapes fit together, so that no later request stumbles over them."""
    terms, waves = len(fitted.lexicon.terms), len(fitted.frame.phases)
    models, tasks = len(fitted.models), len(fitted.tasks)
    wanted = (
        (fitted.lexicon.rarity, (terms,)),
        (fitted.frame.centre, (SURFACE,)),
        (fitted.frame.spread, (SURFACE,)),
        (fitted.frame.directions, (SURFACE, waves)),
        (fitted.by_kind, (tasks, models)),
        (fitted.kinds.bias, (tasks,)),
        (fitted.kinds.terms, (terms, tasks)),
        (fitted.kinds.waves, (waves, tasks)),
        (fitted.quality.bias, (models,)),
        (fitted.quality.terms, (terms, models)),
        (fitted.quality.waves, (waves, models)),
    )
    for array, shape in wanted:
        if array.shape != shape or not np.isfinite(array).all():
            message = f"an array of the shape {array.shape} where {shape} was expected, or not finite"
            raise ValueError(message)
