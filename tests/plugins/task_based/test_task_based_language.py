"""The language of a text is said where it is plain, and not where it is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout_task_based.language import STOP_WORDS, language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the capital of France?", "en"),
        ("Wie heißt die Hauptstadt von Frankreich?", "de"),
        ("Quelle est la capitale de la France ?", "fr"),
        ("¿Cuál es la capital de Francia y por qué?", "es"),
        ("Qual è la capitale della Francia?", "it"),
        ("Qual é a capital da França e por que não Lyon?", "pt"),
        ("Wat is de hoofdstad van Frankrijk?", "nl"),
        ("Jaka jest stolica Francji i dlaczego?", "pl"),
        ("Vad är huvudstaden i Frankrike och varför?", "sv"),
        ("Fransa için bir plan yaz", "tr"),
        ("写一首关于秋天的诗", "zh"),
        ("秋についての詩を書いて", "ja"),
        ("가을에 대한 시를 써줘", "ko"),
        ("напиши стихотворение про осень", "ru"),
        ("напиши вірш про осінь і зиму", "uk"),
        ("اكتب قصيدة عن الخريف", "ar"),
        ("شعری درباره پاییز بنویس چطور", "fa"),
        ("כתוב שיר על הסתיו", "he"),
        ("γράψε ένα ποίημα", "el"),
        ("เขียนบทกวี", "th"),
        ("शरद पर कविता लिखो", "hi"),
        ("viết một bài thơ về mùa thu", "vi"),
    ],
)
def test_plain_languages_are_named(text: str, language: str) -> None:
    """A sentence in a language that is known gets its ISO code."""
    assert language_of(text) == language


@pytest.mark.parametrize("text", ["", "x = 3", "quicksort", "12345 !?", "\0\ud800", "de la"])
def test_what_is_unclear_has_no_language(text: str) -> None:
    """No words, code, or words of several languages are no language."""
    assert language_of(text) is None


def test_a_foreign_letter_is_not_a_foreign_text() -> None:
    """English with a few Greek or Chinese characters stays English."""
    assert language_of("What is the value of α in this formula, and what does 猫 mean to you?") == "en"


@given(st.text(max_size=2000))
def test_any_text_is_taken(text: str) -> None:
    """Whatever the text, the answer is a code of two letters or none, and the same again."""
    found = language_of(text)
    assert found is None or len(found) == 2
    assert language_of(text) == found


@given(st.sampled_from(sorted(STOP_WORDS)), st.integers(0, 3))
def test_stop_words_speak_for_their_language(language: str, start: int) -> None:
    """All stop words of a language together are of that language."""
    assert language_of(" ".join(STOP_WORDS[language].split()[start:])) == language
