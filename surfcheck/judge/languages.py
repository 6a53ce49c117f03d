"""Which language an answer is in: by script, and by the commonest words of the Latin ones.

Code and addresses do not count. Left out: closely related languages that share a script and are
not listed (Danish, Bulgarian, Marathi …), which pass for their neighbour, and mixed answers, which
count as the language that prevails.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from surfcheck.judge.reading import lines, parts

NAMES = {
    "ar": "Arabic", "bn": "Bengali", "de": "German", "el": "Greek", "en": "English",
    "es": "Spanish", "fa": "Persian", "fr": "French", "he": "Hebrew", "hi": "Hindi",
    "hy": "Armenian", "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ka": "Georgian",
    "ko": "Korean", "nl": "Dutch", "pl": "Polish", "pt": "Portuguese", "ru": "Russian",
    "sv": "Swedish", "ta": "Tamil", "te": "Telugu", "th": "Thai", "tr": "Turkish",
    "uk": "Ukrainian", "zh": "Chinese",
}  # fmt: skip
"""Every language that can be told, by its ISO 639-1 code."""

_SCRIPTS = (
    ("Cyrillic", 0x0400, 0x052F), ("el", 0x0370, 0x03FF), ("hy", 0x0530, 0x058F),
    ("he", 0x0590, 0x05FF), ("Arabic", 0x0600, 0x06FF), ("hi", 0x0900, 0x097F),
    ("bn", 0x0980, 0x09FF), ("ta", 0x0B80, 0x0BFF), ("te", 0x0C00, 0x0C7F),
    ("th", 0x0E00, 0x0E7F), ("ka", 0x10A0, 0x10FF), ("ko", 0x1100, 0x11FF),
    ("Kana", 0x3040, 0x30FF), ("Han", 0x3400, 0x9FFF), ("ko", 0xAC00, 0xD7AF),
)  # fmt: skip

_COMMON = {
    "en": """the a an of and to in is it that for was on are with as be at this have from or by not
        but what all were we when your can said there use an each which she do how their if
        will up other about out many then them these so some her would make like him into
        has two more go no way could my than been who its now did yes you they he his i
        i' it' that' don' isn' doesn' can' won' t s""",
    "fr": """le la les de des du et est en un une que qui dans pour pas sur au aux avec ce il
        elle sont par plus ne se je vous nous mais ou où son sa ses cette être fait comme
        tout on oui non très aussi leur ont était peut même sans entre après votre
        bien l' d' n' qu' s' j' c' m'""",
    "de": """der die das und ist in den von zu mit sich des auf für nicht ein eine als auch es an
        werden aus er hat dass sie nach wird bei einer um am sind noch wie einem über einen
        so zum war haben nur oder aber vor zur bis mehr durch man sein wurde ich wir ihr ja
        nein kann""",
    "es": """el la los las de que y en un una es se no por con para su al lo como más pero sus le
        ya o fue este ha sí porque esta son entre está cuando muy sin sobre ser tiene
        también hasta hay donde quien desde todo nos durante puede usted yo del""",
    "it": """il lo la i gli le di che è e un una in per non con del della sono si al come più ma
        da dei nel alla anche ha se su questo questa delle ci o essere era suo sua molto
        quando tra sì nella può degli ed cosa io dal l' d' un' dell' all'""",
    "pt": """o a os as de que e do da em um uma para é com não por no na se mais dos das como mas
        foi ao ele tem à seu sua ou ser quando muito há nos já está eu também só pelo pela
        até isso ela entre era depois sem mesmo são você sim""",
    "nl": """de het een en van is in dat op te zijn met voor niet aan er die ook als bij maar om
        dan naar uit door over hij wordt kan nog wel heeft was worden geen deze of werd meer
        ze je ik we wij hun ja nee veel dit zo""",
    "sv": """och att det i en som på är av för med den till inte har de ett om var jag men sig så
        från vi kan när man eller nu också efter vid hade mycket där ja nej finns detta blir""",
    "pl": """i w na z do nie się to jest że o jak ale po co tak za od przez dla są był ma czy tym
        jego może już tylko oraz które który być jej bardzo więc również nie ja""",
    "tr": """ve bir bu da de için ile çok olarak daha en gibi ne kadar o değil var olan sonra ama
        mi her ben sen şu evet hayır ise ya çünkü olduğu tarafından""",
    "id": """yang dan di ini itu dengan untuk tidak dari dalam adalah pada ke akan juga karena
        oleh saya ada atau bisa sebagai mereka kami anda lebih telah ya dapat""",
}
_HINTS = {
    "es": "ñ¿¡", "de": "ßäö", "pt": "ãõ", "pl": "łżźśąęńć", "tr": "ğış", "fr": "œêçâîëèà",
    "sv": "åäö", "it": "òìùàè",
}  # fmt: skip
_WORD = re.compile(r"(?<![\d_])[^\W\d_]+(?:'(?=[^\W\d_])|(?!\w))")
"""A word of letters, or the part of one before an apostrophe."""
_ADDRESS = re.compile(r"https?://\S+|www\.\S+|`[^`\n]*`")
_LEAST_WORDS, _LEAST_LETTERS = 3, 2
"""Words of a Latin script, letters of another, below which nothing is said."""


def _weights() -> dict[str, dict[str, float]]:
    """Word → language → weight; a word that several languages share is shared out among them."""
    listed = {language: set(common.split()) for language, common in _COMMON.items()}
    counts = Counter(word for common in listed.values() for word in common)
    return {
        word: {lang: 1 / n**1.5 for lang, common in listed.items() if word in common}
        for word, n in counts.items()
    }


_WEIGHTS = _weights()


class Language(NamedTuple):
    """The language found."""

    code: str | None
    """ISO 639-1, or None if it can't be told."""
    why: str
    """A few words for the report."""


def language(text: str) -> Language:
    """The language that prevails in the text."""
    prose = _ADDRESS.sub(" ", "\n".join(lines(parts(text).prose or text)))
    letters = [c for c in prose if c.isalpha()]
    scripts = Counter(_script(c) for c in letters)
    other = sum(n for script, n in scripts.items() if script != "Latin")
    if not letters:
        return Language(None, "no words")
    if other * 2 > len(letters):
        if other < _LEAST_LETTERS:
            return Language(None, "too short to tell the language")
        return _told(_by_script(prose, scripts))
    return _by_words(_WORD.findall(prose.lower()))


def _script(letter: str) -> str:
    at = ord(letter)
    return next((name for name, low, high in _SCRIPTS if low <= at <= high), "Latin")


def _by_script(prose: str, scripts: Counter[str]) -> str:
    script = next(name for name, _ in scripts.most_common() if name != "Latin")
    if script in ("Han", "Kana"):
        return "ja" if scripts["Kana"] * 10 > scripts["Han"] else "zh"
    if script == "Cyrillic":
        return "uk" if re.search("[іїєґІЇЄҐ]", prose) else "ru"
    if script == "Arabic":
        return "fa" if re.search("[پچژگ]", prose) else "ar"
    return script


def _by_words(found: list[str]) -> Language:
    if len(found) < _LEAST_WORDS:
        return Language(None, "too short to tell the language")
    scores: Counter[str] = Counter()
    for word in found:
        for code, weight in _WEIGHTS.get(word, {}).items():
            scores[code] += weight  # type: ignore[assignment]
        for code, letters in _HINTS.items():
            if any(c in letters for c in word):
                scores[code] += 0.3  # type: ignore[assignment]
    (best, most), (_, second) = [*scores.most_common(2), ("", 0), ("", 0)][:2]
    if most < max(0.6, 0.05 * len(found)) or most < 1.25 * second:
        return Language(None, "no language is clear")
    return _told(best)


def _told(code: str) -> Language:
    return Language(code, f"in {NAMES[code]}")
