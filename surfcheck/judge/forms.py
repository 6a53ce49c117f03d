"""The form of an answer: list, table, JSON, code."""

from __future__ import annotations

import re
from itertools import pairwise

from surfcheck.judge.reading import as_json, parts, unfenced

_ITEM = re.compile(r"\s*(?:[-*•–+]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)])\s+\S")
_RULE = re.compile(r"\|?(?::?-+:?\|)*:?-+:?\|?")
_CODE_LINE = re.compile(
    r"""(?:def|class)\s+\w+.*:
    | (?:from\s+[\w.]+\s+)?import\s+[\w.*{} ,]+;?
    | (?:if|elif|while|for|with|try|else|except)\b[^.?!]*:
    | (?:const|let|var|static|public|private|void|int|float|double)\s+\w+.*[;={(]
    | (?:function|func|fn)\s+\w*\s*\(.*
    | \#include\b.* | </?\w+[^<>]*>.* | return\b.*[;)\w] | [\w.]+\s*[-+*/]?=\s*\S.*
    | [\w.]+\([^()]*\);? | .*[;{}] | \$\s\w+.* | SELECT\s.+\sFROM\s.*""",
    re.VERBOSE,
)
"""One line without the white space around it."""


def list_items(text: str) -> tuple[int, int]:
    """(items, other lines). Lines indented under an item belong to it; a fence is taken off."""
    items = others = 0
    for line in unfenced(text).split("\n"):
        if _ITEM.match(line):
            items += 1
        elif line.strip() and not (items and line.startswith((" ", "\t"))):
            others += 1
    return items, others


def has_table(text: str) -> bool:
    """Whether a Markdown table stands in it: a head, a rule, and a row or more."""
    lines = [line.strip() for line in text.split("\n")]
    return any(
        "|" in head and "|" in row and "|" in rule and _RULE.fullmatch("".join(rule.split()))
        for head, rule, row in zip(lines, lines[1:], lines[2:], strict=False)
    )


def is_json_text(text: str) -> bool:
    """Whether the whole is a JSON object or array; a code fence around it does not count."""
    return as_json(text) is not None


def code_in(text: str) -> bool:
    """Whether there is code: a fence with something in it, or lines that read as code."""
    prose, code = parts(text)
    if any(block.strip() for block in code):
        return True
    written = [line.strip() for line in prose.split("\n") if line.strip()]
    coded = [bool(_CODE_LINE.fullmatch(line)) for line in written]
    return coded == [True] or any(map(all, pairwise(coded)))
