"""Mathematics in a text: formulas with letters in them, and sums worked out in numbers.

LaTeX, plain equations ("F = m × a"), and quantities that are given a letter ("let n be …"). What
stands in program code does not count. Left out: mathematics in words, inequalities without LaTeX,
and what only a reader could tell from a key ("A = 4 points" is none).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from surfcheck.judge.programs import without_programs

_LATEX = re.compile(
    r"""\$\$(.{1,800}?)\$\$ | \\\[(.{1,800}?)\\\] | \\\((.{1,300}?)\\\)
    | \\begin\{(?:align|array|cases|equation|gather|multline)\*?\}(.{1,800}?)\\end\{
    | (?<![\w$\\])\$(?=[^\s$])([^$\n]{1,200}?)(?<=\S)\$(?![\w$])""",
    re.VERBOSE | re.DOTALL,
)
_INLINE = 5
"""The group between single dollar signs, which can be sums of money."""
_MONEY = re.compile(r"\d[^\\=^_]*")
_NAMED = re.compile(r"\\(?:text|mathrm|mathbf|operatorname|ce)\{[^{}]{0,200}\}")
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_SIGN = re.compile(
    r"""[=≈≤≥<>+×÷*^∫∑√] | [\w)}]\s?[-−–/]\s?[\w({\\] | \\(?:approx|cap|cdot|cup|div|[dt]?frac
        |geq?|in|int|leq?|lim|mid|nabla|neq|partial|pm|prod|propto|sqrt|sum|times)(?![a-z])""",
    re.VERBOSE,
)

_ADDRESS = re.compile(r"https?://\S+|www\.\S+")
_EQUALS = re.compile(r"(?<![=<>!:+*/&?-])[=≈](?![=>])")
_SIDE = 60
"""Characters beside an equals sign that are looked at."""
_NUMBER = r"(?:[-−]?[$€£¥]?\d[\d.,]*%?(?:\s?[A-Za-z°µ]{1,12}(?:/[a-z]{1,6})?)?[²³]?)"
_WORD = r"(?:[^\W\d_]{1,20}(?:_\{?\w{1,8}\}?)?[²³]?(?:\([^()\n]{1,20}\))?)"
_TERM = rf"(?:{_NUMBER}|\([^()\n]{{1,40}}\)|{_WORD})"
_OPERATOR = r"(?:\s[-−/]\s|\s?[+×÷*·^]\s?)"
_SIDE_OF = rf"{_TERM}(?:{_OPERATOR}{_TERM}){{0,6}}"
_LEFT = re.compile(rf"({_SIDE_OF})\s?\Z")
_RIGHT = re.compile(rf"\s?({_SIDE_OF})")
_NUMBERS = re.compile(rf"{_NUMBER}(?:{_OPERATOR}{_NUMBER}){{0,6}}")
_VARIABLE = re.compile(r"(?<![^\W\d_])(?:[b-zB-HJ-Z]|[α-ωΑ-Ω])(?![^\W\d_])")
_SMALL_VARIABLE = re.compile(r"[b-zα-ω](?:_\w{1,8})?(?:\([a-z]\))?")
"""One that can be given a value: capitals are as often the keys of a list."""

_LETTER = (
    r"(?:\\\(\ ?|\$|\*)?[b-hj-tv-z](?:_\w|_\{\w{1,8}\})?(?:\([a-z]\))?(?:\ ?\\\)|\$|\*)?(?!\w)"
)
_INTRODUCED = re.compile(
    rf"""\b(?:assume|call|define|denote|let|suppose)(?:\ \w+){{0,5}}?\ {_LETTER}\ ?
        (?:=|be\b|as\b|is\b|denotes?\b|represents?\b)
    | \bwhere\ {_LETTER}\ ?(?:=|is\b|denotes\b|represents\b) | \bsolv(?:e|ing)\ for\ {_LETTER}""",
    re.VERBOSE | re.IGNORECASE,
)
"""A quantity that is given a letter."""


class Mathematics(NamedTuple):
    """What there is, in the order in which it was looked for."""

    formulas: tuple[str, ...]
    """Formulas and introductions with letters in them."""
    sums: tuple[str, ...]
    """Sums in numbers alone."""


def mathematics(text: str) -> Mathematics:
    """The formulas and sums in a text, outside of program code."""
    read = _ADDRESS.sub(" ", without_programs(text))
    formulas = [found[0] for found in _INTRODUCED.finditer(read)]
    sums: list[str] = []
    for hit in _LATEX.finditer(read):
        _sort_latex(hit, formulas, sums)
    for line in _LATEX.sub(" ", read).replace("**", "").replace("__", "").split("\n"):
        for equals in _EQUALS.finditer(line):
            _sort_equation(line, equals, formulas, sums)
    return Mathematics(tuple(formulas), tuple(sums))


def _sort_latex(hit: re.Match[str], formulas: list[str], sums: list[str]) -> None:
    inside = next(group for group in hit.groups() if group is not None).strip()
    bare = _NAMED.sub(" w ", inside)
    if not _SIGN.search(bare) or (hit[_INLINE] and _MONEY.fullmatch(inside)):
        return
    letters = re.search(r"[^\W\d_]", _COMMAND.sub(" ", bare))
    (formulas if letters else sums).append(inside)


def _sort_equation(line: str, equals: re.Match[str], formulas: list[str], sums: list[str]) -> None:
    left = _LEFT.search(line[max(0, equals.start() - _SIDE) : equals.start()])
    right = _RIGHT.match(line[equals.end() : equals.end() + _SIDE])
    if left is None or right is None:
        return
    whole = f"{left[1]} {equals[0]} {right[1]}"
    operators = "".join(re.findall(_OPERATOR, whole))
    if _NUMBERS.fullmatch(left[1]) and _NUMBERS.fullmatch(right[1]):
        if operators:
            sums.append(whole)
    elif _is_formula(left[1], whole, operators):
        formulas.append(whole)


def _is_formula(left: str, whole: str, operators: str) -> bool:
    """With a variable, or of words; words with a plus between them are seldom meant as a sum."""
    if _SMALL_VARIABLE.fullmatch(left) or (operators and _VARIABLE.search(whole)):
        return True
    return operators.strip(" +-") != ""
