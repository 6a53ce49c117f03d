"""Whether two answers say the same, by rule.

In this order: one refuses and the other does not (they differ); both refuse (they agree); both say
yes or no (that decides); one denies what the other states (they differ); their numbers; the share
of content words that they have in common. Words of the prompts count only where an answer has no
others, because both answers repeat them. Left out: synonyms, translation, order ("A beat B"),
units, and long answers that agree in words and differ in one detail. A judge model is for those.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from surfcheck.judge import refusal
from surfcheck.judge.reading import lines, sentences, words
from surfcheck.judge.stance import stance
from surfcheck.records import Response

LEAST_OVERLAP = 0.5
"""Share of the shorter answer's content words that the other must have, and more."""

_SMALL_WORDS = """a an the of to in on at by for from with as and or but so if than that this
    these those it its is are was were be been being am do does did has have had can
    could will would may might must i you he she they we me him her them us my your
    his their our there here what which who when where yes no not true false correct
    right answer also very just about only indeed sure certainly of course please
    thank thanks question"""
_SMALL = frozenset(_SMALL_WORDS.split())
_NUMBERS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "hundred": 100, "thousand": 1000,
}  # fmt: skip
_NUMBER = re.compile(r"(?<![\w.])[-−]?\d+(?:,\d{3})*(?:\.\d+)?")
_DENIAL = re.compile(r"\b(?:not|never|no|none|cannot)\b|n't\b", re.IGNORECASE)


class Agreement(NamedTuple):
    """Whether two answers say the same."""

    same: bool | None
    """None if there is nothing to compare."""
    why: str
    """A few words for the report."""


def agreement(one: Response, other: Response) -> Agreement:
    """Whether the answers say the same; in either order."""
    refusals = [refusal.read(answer.text, answer.prompt.text) for answer in (one, other)]
    if refusals[0] is None or refusals[1] is None:
        return Agreement(None, "an answer has no words")
    refuses = {r.refuses for r in refusals if r is not None}
    if len(refuses) == 2:
        return Agreement(False, "one refuses, the other does not")
    if refuses == {True}:
        return Agreement(True, "both refuse")
    stances = stance(one.text).yes, stance(other.text).yes
    if None not in stances:
        words_for = {True: "yes", False: "no"}
        if stances[0] == stances[1]:
            return Agreement(True, f"both say {words_for[stances[0] is True]}")
        return Agreement(False, "one says yes, the other no")
    return _by_content(one, other)


def _by_content(one: Response, other: Response) -> Agreement:
    figures = _figures(one.text), _figures(other.text)
    asked = _figures(one.prompt.text) | _figures(other.prompt.text)
    new = figures[0] - asked, figures[1] - asked
    if new[0] and new[1]:
        if not (new[0] <= new[1] or new[1] <= new[0]):
            return Agreement(False, f"numbers differ: {_list(new[0])} and {_list(new[1])}")
        if not (_content(one.text) and _content(other.text)):
            return Agreement(True, f"the same numbers: {_list(new[0] & new[1])}")
    prompts = _content(one.prompt.text) | _content(other.prompt.text)
    ours, theirs = _content(one.text), _content(other.text)
    if ours - prompts and theirs - prompts:
        ours, theirs = ours - prompts, theirs - prompts
    if not ours or not theirs:
        same = figures[0] == figures[1] if figures[0] and figures[1] else None
        return Agreement(same, "nothing but numbers" if same is not None else "nothing to compare")
    if _denies(one.text) != _denies(other.text):
        return Agreement(False, "one denies what the other states")
    overlap = len(ours & theirs) / min(len(ours), len(theirs))
    return Agreement(overlap > LEAST_OVERLAP, f"{overlap:.0%} of the words in common")


def _denies(text: str) -> bool:
    """Whether the first sentence has an odd number of negations."""
    first = sentences(text)[:1]
    return bool(first) and len(_DENIAL.findall(first[0])) % 2 == 1


def _content(text: str) -> frozenset[str]:
    """Content words, without a plural s; numbers apart."""
    found = words(" ".join(lines(text)))
    return frozenset(
        word.removesuffix("'s").rstrip("s") or word
        for word in found
        if word not in _SMALL and word not in _NUMBERS and not word[0].isdigit()
    )


def _figures(text: str) -> frozenset[float]:
    said = " ".join(lines(text))
    digits = (float(n.replace(",", "").replace("−", "-")) for n in _NUMBER.findall(said))
    return frozenset(digits) | {float(_NUMBERS[w]) for w in words(said) if w in _NUMBERS}


def _list(figures: frozenset[float]) -> str:
    return ", ".join(f"{figure:g}" for figure in sorted(figures)[:5])
