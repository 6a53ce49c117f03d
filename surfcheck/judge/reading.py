"""How an answer is read: without its wrapper, line by line, sentence by sentence.

An answer is untrusted text: it is only ever matched against patterns, and never decides which.
Patterns have no nested repeats, so that reading takes time in proportion to length.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, NamedTuple

_QUOTES = str.maketrans("“”„‟«»‘’‚‛`´", "\"\"\"\"\"\"''''''")
_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff\u00ad]")
_BULLET = re.compile(r"^\s*(?:>\s*)*(?:#{1,6}\s+|[-*+•–]\s+|\(?\d{1,3}[.)]\s+|\(?[a-zA-Z][.)]\s+)*")
_LABEL = re.compile(
    r"^(?:(?:short |final |the |my )?(?:answer|response|reply)|a|assistant|output)\s*:\s*",
    re.IGNORECASE,
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:mr|mrs|ms|dr|prof|st|e\.g|i\.e|etc|vs|approx|inc|jr|sr|[a-z]|[a-z]\.[a-z])$",
    re.IGNORECASE,
)
_END = re.compile(r"[.!?…]+[\"')\]]*(?=\s|$)|[。！？।؟]+")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def straight(text: str) -> str:
    """With straight quotation marks and one form for each letter."""
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).translate(_QUOTES)


def words(text: str) -> list[str]:
    """The words, digits among them, in lower case."""
    return [word.casefold() for word in _WORD.findall(text)]


class Parts(NamedTuple):
    """An answer taken apart."""

    prose: str
    """What stands outside of code fences."""
    code: tuple[str, ...]
    """What stands in each fence; one that is never closed goes to the end."""


def parts(text: str) -> Parts:
    """Prose and fenced code."""
    prose: list[str] = []
    code: list[list[str]] = []
    fence = ""
    for line in text.split("\n"):
        mark = line.strip()
        if not fence and mark[:3] in ("```", "~~~"):
            fence = mark[:3]
            code.append([])
        elif fence and mark == fence:
            fence = ""
        else:
            (code[-1] if fence else prose).append(line)
    return Parts("\n".join(prose), tuple("\n".join(block) for block in code))


def unfenced(text: str) -> str:
    """What stands in a code fence, if that is all there is; else the text itself."""
    prose, code = parts(text)
    return code[0].strip() if len(code) == 1 and not prose.strip() else text.strip()


def as_json(text: str) -> Any:
    """The object or array that the whole text is, or None. A fence around it does not count."""
    body = unfenced(text)
    if not body.startswith(("{", "[")):
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _leaves(value: Any) -> Iterator[str]:
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            left.extend(reversed(item.values()))
        elif isinstance(item, list):
            left.extend(reversed(item))
        elif item is not None:
            yield str(item)


def lines(text: str) -> list[str]:
    """The lines as read aloud: without bullets, headings, bold, table rules; JSON by its values."""
    value = as_json(text)
    whole = "\n".join(_leaves(value)) if value is not None else unfenced(text)
    read = []
    for line in straight(whole).replace("**", "").replace("__", "").split("\n"):
        for cell in line.strip().strip("|").split("|"):
            spoken = _LABEL.sub("", _BULLET.sub("", cell).strip().strip("*_").strip())
            if spoken.strip("-:= "):
                read.append(spoken)
    return read


def sentences(text: str) -> list[str]:
    """The sentences as read aloud. A line's end ends a sentence."""
    found = []
    for line in lines(text):
        start = 0
        for end in _END.finditer(line):
            before = line[max(start, end.start() - 8) : end.start()]
            if end[0] != "." or not _ABBREVIATION.search(before):
                found.append(line[start : end.end()].strip())
                start = end.end()
        found.append(line[start:].strip())
    return [" ".join(sentence.split()) for sentence in found if _WORD.search(sentence)]
