"""Slips of the fingers, in at most two words.

Never in a digit, a negation, a name (any word with a capital), a word of under four letters (or
over 24), and never in a first letter. A slip that makes a negation of another word (note, not) is
not made; one that makes any other English word (form, from) can be: there is no dictionary here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from surfcheck.perturb.compose import Variation, at_places, either
from surfcheck.perturb.vocabulary import NEGATIONS

_MOST_WORDS = 2

_WORD = re.compile(r"(?<!\S)[\"'“‘(\[]*([^\W\d_]{4,24})[\"'”’)\],.;:!?]*(?!\S)")

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {
    key: row[max(i - 1, 0) : i] + row[i + 1 : i + 2] for row in _ROWS for i, key in enumerate(row)
}


def _spots(text: str) -> list[tuple[int, int]]:
    found = (m.span(1) for m in _WORD.finditer(text))
    return [(a, b) for a, b in found if text[a:b].islower() and text[a:b] not in NEGATIONS]


def _swap(word: str) -> Iterator[str]:
    for i in range(len(word) - 2, 0, -1):
        yield word[:i] + word[i + 1] + word[i] + word[i + 2 :]


def _drop(word: str) -> Iterator[str]:
    for i in range(len(word) - 1, 0, -1):
        yield word[:i] + word[i + 1 :]


def _double(word: str) -> Iterator[str]:
    for i in range(len(word) - 1, 0, -1):
        yield word[: i + 1] + word[i:]


def _near(word: str) -> Iterator[str]:
    for i in range(len(word) - 1, 0, -1):
        for key in _NEIGHBOURS.get(word[i], ""):
            yield word[:i] + key + word[i + 1 :]


def _slips(slip: Callable[[str], Iterator[str]]) -> Callable[[str], list[tuple[str, str]]]:
    return lambda word: [
        (new, f"typo: {word} -> {new}") for new in slip(word) if new not in NEGATIONS
    ]


TYPOS = tuple(
    at_places(name, _spots, _slips(slip), most=_MOST_WORDS)
    for name, slip in (
        ("typo-swap", _swap),
        ("typo-double", _double),
        ("typo-drop", _drop),
        ("typo-near", _near),
    )
)


def typos() -> Variation:
    """A slip in one or two words: neighbours swapped, a letter doubled or dropped, a near key."""
    return either(*TYPOS, name="typos")
