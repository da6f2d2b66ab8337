"""The language of a text, where it is plain to see: by its script, else by its commonest words."""

import re
from collections import Counter
from functools import cache
from itertools import chain
from types import MappingProxyType

READ = 600
"""Characters looked at."""

_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\u1100-\u11ff\uac00-\ud7af]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
)
"""Scripts that one language, or one above all, is written in; kana come first, as Japanese has Han too."""

_ARABIC, _PERSIAN = re.compile(r"[\u0600-\u06ff]"), re.compile("[پچژگ]")
_CYRILLIC, _UKRAINIAN = re.compile(r"[\u0400-\u04ff]"), re.compile("[іїєґ]", re.IGNORECASE)
_VIETNAMESE = re.compile(r"[ăđơưạảấầẩậắằẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỷỹ]", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")

STOP_WORDS = MappingProxyType(
    {
        "en": """the and is of to in what how that this for with are you it on my write can which who
            why does from be or an do me your not have was by at if please when i""",
        "de": """der die das und ist ein eine einen nicht mit für auf wie was ich du mir den dem von zu
            im bitte warum wer wo kannst sind des es schreibe zum""",
        "fr": """le les des est et une un du que qui pour dans avec ce cette je vous moi sur au pas quel
            quelle comment pourquoi combien où nous en""",
        "es": """el los las una un es y que para con cómo qué del por en mi se cuál dónde me más lo
            escribe cuántos quién está su""",
        "it": """il gli una un è e che per con di come cosa del della nel mi non sono questo perché
            quanto dove scrivi chi qual le lo dei""",
        "pt": """o os as uma um é e que para com como não do da em no na me qual você por mais escreva
            quantos onde quem isso são""",
        "nl": """de het een en is van dat niet met voor ik hoe wat je op te zijn waarom wie waar mij
            schrijf naar deze kun aan""",
        "pl": """jest i w na nie się z do jak co to że dla czy napisz jaka jaki dlaczego kto gdzie ile
            mi są proszę który""",
        "sv": """och är en ett det som på för med hur vad jag inte av till du kan skriv varför vem var
            den mig""",
        "tr": """bir ve bu için ne nasıl mi ile da de neden kim bana yaz nedir olan hangi var çok""",
    }
)
"""Common words of languages in Latin script."""


@cache
def _languages() -> dict[str, tuple[str, ...]]:
    """Return which languages each stop word is of."""
    found: dict[str, tuple[str, ...]] = {}
    for language, words in STOP_WORDS.items():
        for word in words.split():
            found[word] = (*found.get(word, ()), language)
    return found


def language_of(text: str) -> str | None:
    """Return the ISO 639-1 code of the language that *text* is in; None where that is not clear.

    A script must make up a third of the letters. In Latin script, at least two stop words must speak for a
    language, and more than for any other.
    """
    seen = text if len(text) <= READ else text[: READ // 2] + text[-READ // 2 :]
    letters = sum(map(str.isalpha, seen))
    if not seen.isascii() and (written := _by_script(seen, letters)):
        return written
    return _by_stop_words(seen.lower())


def _by_script(seen: str, letters: int) -> str | None:
    if len(_CYRILLIC.findall(seen)) * 3 > letters:
        return "uk" if _UKRAINIAN.search(seen) else "ru"
    if len(_ARABIC.findall(seen)) * 3 > letters:
        return "fa" if _PERSIAN.search(seen) else "ar"
    if len(_VIETNAMESE.findall(seen)) * 12 > letters:
        return "vi"
    together = 0
    for language, script in _SCRIPTS:
        together += len(script.findall(seen)) if language in {"ja", "zh"} else 0
        if script.search(seen) and max(len(script.findall(seen)), together) * 3 > letters:
            return language
    return None


def _by_stop_words(lower: str) -> str | None:
    known = _languages()
    votes = Counter(chain.from_iterable(known[word] for word in _WORD.findall(lower) if word in known))
    (first, most), (_, next_most) = (*votes.most_common(2), ("", 0), ("", 0))[:2]
    return first if most >= 2 and most > next_most else None
