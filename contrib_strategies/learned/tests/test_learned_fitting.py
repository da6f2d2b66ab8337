"""What is fitted finds out who is good at what, from words alone, and survives being kept in a file."""

import json
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from turnout_learned.features import Lexicon
from turnout_learned.fitted import Fitted, load
from turnout_learned.fitting import FEWEST, filled, fit, rotation
from turnout_learned.words import HEAD, TAIL, excerpt, surface, terms

from turnout import ConfigError

from .conftest import MODELS, SUMS, VERSE, MakeTable

scores = arrays.arrays(float, st.tuples(st.integers(2, 9), st.integers(2, 6)), elements=st.floats(0, 1))


def right(fitted: Fitted, table_of: MakeTable) -> float:
    """Return how often the pick on other prompts is the specialist of their kind."""
    test = table_of(60, seed=1)
    picks = fitted.expect_all(test.prompts).argmax(1)
    return float(np.mean([pick == (kind == "sums") for pick, kind in zip(picks, test.tasks, strict=True)]))


def test_specialists_are_found(fitted: Fitted, table_of: MakeTable) -> None:
    """On prompts that it has not seen, the expected score is best for the model that is good at them."""
    assert right(fitted, table_of) > 0.95


def test_kinds_of_work_are_not_needed(table_of: MakeTable) -> None:
    """Where the table does not say of what kind the prompts are, the words alone do."""
    assert right(fit(table_of(labelled=False)), table_of) > 0.9


def test_gaps_are_no_zeros(table_of: MakeTable) -> None:
    """With a third of the scores unknown, specialists are found all the same."""
    found = fit(table_of(missing=0.33))
    assert right(found, table_of) > 0.9
    assert found.expect(" ".join(VERSE[:3]))[0] > 0.6


def test_expected_scores_are_calibrated(fitted: Fitted, table_of: MakeTable) -> None:
    """Over many new prompts, a model's expected scores have the mean of its scores."""
    test = table_of(300, seed=2)
    assert np.allclose(fitted.expect_all(test.prompts).mean(0), test.scores.mean(0), atol=0.1)


def test_the_same_rows_and_seed_give_the_same(fitted: Fitted, table_of: MakeTable) -> None:
    """Fitting is deterministic."""
    again = fit(table_of())
    assert np.array_equal(again.expect("moon and river"), fitted.expect("moon and river"))


def test_noise_teaches_nothing(table_of: MakeTable) -> None:
    """Where scores have nothing to do with prompts, the best single model is the pick nearly everywhere."""
    table = table_of(200)
    chance = np.random.default_rng(3)
    noise = (chance.random((200, 3)) < (0.3, 0.5, 0.8)).astype(float)
    picks = fit(evolve(table, scores=noise)).expect_all(table.prompts).argmax(1)
    assert (picks == 2).mean() > 0.95


def test_scores_that_never_differ_are_expected_as_they_are(table_of: MakeTable) -> None:
    """A model that is always right is expected to be right."""
    table = table_of(40)
    always = np.tile([1.0, 0.5, 0.0], (40, 1))
    assert np.allclose(fit(evolve(table, scores=always)).expect("moon"), [1.0, 0.5, 0.0])


def test_prompts_without_words_can_be_fitted(table_of: MakeTable) -> None:
    """Prompts that have no term in common leave the surface to go by."""
    table = table_of(30)
    odd = evolve(table, prompts=tuple(chr(0x4E00 + row) for row in range(30)))
    assert np.isfinite(fit(odd).expect("anything")).all()


def test_too_little_is_refused(table_of: MakeTable) -> None:
    """Too few rows, and a model without any score, are errors that say so."""
    with pytest.raises(ConfigError, match=f"{FEWEST - 1} rows are too few"):
        fit(table_of(FEWEST - 1))
    table = table_of(30)
    unknown = np.hstack([table.scores[:, :2], np.full((30, 1), np.nan)])
    with pytest.raises(ConfigError, match="no score at all of acme/steady"):
        fit(evolve(table, scores=unknown))


def test_progress_goes_forward(table_of: MakeTable) -> None:
    """Whoever waits is told what is going on, and the share of the work that is done never falls."""
    seen: list[tuple[str, float]] = []
    fit(table_of(40), progress=lambda text, done: seen.append((text, done)))
    shares = [done for _, done in seen]
    assert shares == sorted(shares)
    assert 0.0 <= shares[0] <= shares[-1] <= 1.0
    assert len({text for text, _ in seen}) == 3


@given(scores)
def test_the_rotation_loses_nothing(found: np.ndarray) -> None:
    """The components are orthonormal, and the first is the mean over the models."""
    basis = rotation(found)
    models = found.shape[1]
    assert np.allclose(basis.T @ basis, np.eye(models), atol=1e-9)
    assert np.allclose(np.abs(basis[:, 0]), models**-0.5)


@given(scores, st.integers(0, 2**32 - 1))
def test_what_is_known_stays(found: np.ndarray, seed: int) -> None:
    """Filling leaves known scores as they are, and makes the others scores."""
    holes = np.random.default_rng(seed).random(found.shape) < 0.4
    holes[0] = False
    whole = filled(np.where(holes, np.nan, found))
    assert np.array_equal(whole[~holes], found[~holes])
    assert ((whole >= 0) & (whole <= 1)).all()


@given(st.text(max_size=300))
def test_any_text_has_features(text: str) -> None:
    """Whatever the prompt is, its facts are numbers, and its weights have the length 1 or 0."""
    assert np.isfinite(surface(text)).all()
    assert sum(terms(text).values()) >= 0
    length = np.linalg.norm(Lexicon.of([text, text]).weigh(text).weights)
    assert length == pytest.approx(1.0) or not text.strip() or length == 0.0


@given(st.integers(0, 3 * (HEAD + TAIL)))
def test_of_a_long_prompt_the_ends_count(size: int) -> None:
    """A long prompt is cut to its beginning and its end, and a short one is left alone."""
    text = "x" * size + "?"
    assert len(excerpt(text)) <= HEAD + TAIL + 1
    assert excerpt(text).endswith("?")
    assert size >= HEAD + TAIL or excerpt(text) == text


def test_a_file_keeps_what_was_fitted(fitted: Fitted, tmp_path: Path) -> None:
    """What was saved expects the same, up to the rounding of its weights, and knows where it came from."""
    path = tmp_path / "deep" / "learned.npz"
    fitted.save(path)
    again = load(path)
    assert again.models == MODELS
    assert again.about == {"rows": 160}
    prompt = " ".join(SUMS[:4])
    assert np.allclose(again.expect(prompt), fitted.expect(prompt), atol=1e-4)
    assert [one.name for one in path.parent.iterdir()] == ["learned.npz"]


def test_a_file_that_cannot_be_written_is_an_error(fitted: Fitted, tmp_path: Path) -> None:
    """The error names the path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        fitted.save(tmp_path / "file" / "learned.npz")


def broken(fitted: Fitted, path: Path, how: str) -> None:
    """Write a file that is broken in some way."""
    fitted.save(path)
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    if how == "half":
        path.write_bytes(path.read_bytes()[:2000])
    elif how == "pickled":
        np.savez(path, allow_pickle=True, **{**arrays, "words": np.array([{"a": 1}], object)})
    elif how == "lacking":
        np.savez(path, **{name: one for name, one in arrays.items() if name != "by_kind"})
    elif how == "crooked":
        np.savez(path, **{**arrays, "by_kind": arrays["by_kind"][:1]})
    elif how == "endless":
        np.savez(path, **{**arrays, "by_kind": arrays["by_kind"] * np.inf})
    elif how == "newer":
        head = json.dumps({"format": 99}).encode()
        np.savez(path, **{**arrays, "words": np.frombuffer(head, np.uint8)})
    else:
        path.write_text("prompt,score:a\n")


@pytest.mark.parametrize("how", ["half", "pickled", "lacking", "crooked", "endless", "newer", "text"])
def test_a_broken_file_is_refused(fitted: Fitted, tmp_path: Path, how: str) -> None:
    """What is no whole fitted file of this version is an error that says how to mend it, and runs nothing."""
    path = tmp_path / "learned.npz"
    broken(fitted, path, how)
    with pytest.raises(ConfigError, match=r"learned\.npz") as caught:
        load(path)
    assert "turnout learned fit" in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """Nothing there is an error too."""
    with pytest.raises(ConfigError, match=r"none\.npz"):
        load(tmp_path / "none.npz")
