"""Other spellings of the same words: contractions, numbers, American and British English.

Only where the grammar is plain. Left out: 's (is, has or a possessive?), 'd (had or would?) and
anything at the head of a question ("Isn't it" is not "Is not it").
"""

from __future__ import annotations

import re

from surfcheck.perturb.compose import Offers, Spots, Variation, at_places, either

_NOT = ("is", "are", "was", "were", "do", "does", "did", "has", "have", "had", "could", "should",
        "would", "must", "need")  # fmt: skip
_SHORT = {f"{verb} not": f"{verb}n't" for verb in _NOT} | {
    "cannot": "can't",
    "can not": "can't",
    "will not": "won't",
    "i am": "i'm",
    "you are": "you're",
    "we are": "we're",
    "they are": "they're",
    "i will": "i'll",
    "you will": "you'll",
    "we will": "we'll",
    "they will": "they'll",
    "it is": "it's",
    "that is": "that's",
    "what is": "what's",
}
_LONG = {short: long for long, short in _SHORT.items() if not short.endswith("'s")} | {
    "can't": "cannot",
    "i've": "i have",
    "you've": "you have",
    "we've": "we have",
    "they've": "they have",
    "let's": "let us",
}
_NUMBERS = {
    "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven", "8": "eight",
    "9": "nine", "10": "ten", "11": "eleven", "12": "twelve",
}  # fmt: skip
_DIGITS = {word: digits for digits, word in _NUMBERS.items()}
_BRITISH = {
    "color": "colour", "colors": "colours", "favorite": "favourite", "flavor": "flavour",
    "honor": "honour", "labor": "labour", "neighbor": "neighbour", "behavior": "behaviour",
    "center": "centre", "liter": "litre", "liters": "litres", "kilometer": "kilometre",
    "kilometers": "kilometres", "theater": "theatre", "gray": "grey", "organize": "organise",
    "organized": "organised", "realize": "realise", "recognize": "recognise",
    "summarize": "summarise", "analyze": "analyse", "apologize": "apologise",
    "traveling": "travelling", "traveler": "traveller", "canceled": "cancelled",
    "jewelry": "jewellery", "aluminum": "aluminium", "math": "maths", "airplane": "aeroplane",
    "mom": "mum", "pajamas": "pyjamas", "skeptical": "sceptical",
}  # fmt: skip
_AMERICAN = {british: american for american, british in _BRITISH.items()}


def _like(old: str, new: str) -> str:
    """The new words with the old one's first letter: upper or lower case, and I always upper."""
    if old[:1].isupper() or re.match(r"i\b", new):
        return new[:1].upper() + new[1:]
    return new


def _words(table: dict[str, str], what: str) -> Offers:
    def rewrite(found: str) -> list[tuple[str, str]]:
        key = re.sub(r"\s+", " ", found.casefold().replace("’", "'"))
        new = _like(found, table[key])
        return [(new, f"{what}: {found} -> {new}")]

    return rewrite


def _any_of(words: list[str], *, before: str = "", after: str = "") -> Spots:
    longest_first = sorted(words, key=len, reverse=True)
    body = "|".join(re.escape(w).replace(r"\ ", " ").replace("'", "['’]") for w in longest_first)
    pattern = re.compile(rf"{before}(?<![\w'’-])(?:{body})(?![\w'’-]){after}", re.IGNORECASE)

    def spots(text: str) -> list[tuple[int, int]]:
        # Words in capitals (US, MATH) and code are left alone: table entries are lower-case words.
        return [m.span() for m in pattern.finditer(text) if m[0][1:] == m[0][1:].lower()]

    return spots


_PRONOUN_NEXT = r"(?!\s+(?:i|you|he|she|it|we|they|there|that|this|the|a|an|my|your)\b)"
_NOT_AT_HEAD = r"(?<![.!?]\s)(?<!\A)(?<!\bwhy )(?<!\bhow )(?<!\bwho )(?<!\bwhat )(?<!, )"

WORDING = (
    # "I am." and "what is?" close a clause and keep their full form.
    at_places("contract", _any_of(list(_SHORT), after=r"(?=\s+\w)"), _words(_SHORT, "contracted")),
    at_places(
        "expand",
        _any_of(list(_LONG), before=_NOT_AT_HEAD, after=_PRONOUN_NEXT),
        _words(_LONG, "expanded"),
    ),
    at_places(
        "number-word",
        _any_of(list(_NUMBERS), before=r"(?<![.,:/$€£] )(?<![.,:/$€£])",
                after=r"(?=\s+[a-z]{4,})"),
        _words(_NUMBERS, "number in words"),
    ),
    at_places(
        "digits",
        _any_of(list(_DIGITS), after=r"(?=\s+[a-z])"),
        _words(_DIGITS, "number in digits"),
    ),
    at_places("british", _any_of(list(_BRITISH)), _words(_BRITISH, "British spelling")),
    at_places("american", _any_of(list(_AMERICAN)), _words(_AMERICAN, "American spelling")),
)  # fmt: skip


def wording() -> Variation:
    """One word spelled otherwise: contracted, expanded, in digits, British or American."""
    return either(*WORDING, name="wording")
