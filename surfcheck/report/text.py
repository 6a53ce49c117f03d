"""Words for people, as plain text: what failed, where two texts differ, how to run it again.

What a model said is untrusted: it passes through `clean` before it is shown anywhere.
"""

from __future__ import annotations

import os
import re
import shlex
import unicodedata
from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from surfcheck.records import Failure, ItemResult
from surfcheck.settings import OPTIONS, Settings
from surfcheck.statistics import wilson

_ESCAPE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?|\x9b[0-?]*[ -/]*[@-~]"
)
_BREAK = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_JOINERS = "\u200c\u200d"  # words and emoji are spelt with them
_REPEATED = ("target", "judge", "system", "samples", "examples", "seed")


def clean(text: str) -> str:
    """Without terminal escapes, control characters, surrogates and anything that turns direction.

    Lines and tabs stay; every kind of line break becomes a newline.
    """
    text = _BREAK.sub("\n", _ESCAPE.sub("", text))
    return "".join(
        c
        for c in text
        if c in "\n\t" or c in _JOINERS or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co")
    )


def line(text: str, most: int = 200) -> str:
    """Clean, on one line, at most so many characters."""
    flat = " ".join(clean(text).split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"


class Piece(NamedTuple):
    """A run of words of one of two texts."""

    text: str
    differs: bool
    """Whether the other text does not have it here."""


def pieces(text: str, other: str) -> list[Piece]:
    """`text` in order, word by word, with what sets it apart from `other`."""
    words, others = (re.findall(r"\w+|\s+|[^\w\s]", t) for t in (text, other))
    matcher = SequenceMatcher(None, words, others, autojunk=False)
    found: list[Piece] = []
    for tag, start, end, _, _ in matcher.get_opcodes():
        piece = Piece("".join(words[start:end]), tag != "equal")
        if len(found) > 1 and piece.differs and found[-2].differs and not found[-1].text.strip():
            gap, before = found.pop(), found.pop()  # a blank between two that differ is no match
            piece = Piece(before.text + gap.text + piece.text, True)
        if piece.text:
            found.append(piece)
    return found


def differing(text: str, other: str, most: int = 200) -> str:
    """The words of `text` that `other` does not have there."""
    found = (p.text.strip() for p in pieces(text, other) if p.differs)
    return line(" … ".join(words for words in found if words), most)


def counted(settings: Mapping[str, Any]) -> str:
    """What the first round counts: `case`, or `answer` where a case has several."""
    return "answer" if settings.get("samples", 1) > 1 else "case"


def plural(count: int, word: str) -> str:
    """`1 answer`, `1,200 answers`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def share(part: int, of: int, word: str = "case", *, undecided: int = 0) -> str:
    """`3 of 6 cases (50 %, 95 % interval 19 to 81 %), 2 more undecided`; counts if that is all."""
    counts = f"{part} of {plural(of, word)}"
    more = f", {undecided} more undecided" if undecided else ""
    if not of:
        return f"{counts}{more}"
    low, high = wilson(part, of)
    rate = f"{percent(part / of)}, 95 % interval {percent(low)} to {percent(high)}"
    return f"{counts} ({rate}){more}"


def again_in(failure: Failure, target: str) -> str:
    """`3 of 4 fresh samples`; what is recorded is played back, and is no fresh sample."""
    kind = "replayed" if target.startswith("replay:") else "fresh"
    return f"{failure.confirmed} of {failure.confirmed_of} {kind} samples"


def percent(rate: float) -> str:
    """`33 %`."""
    return f"{100 * rate:.0f} %"


def again(item: str, settings: Mapping[str, Any]) -> str:
    """The command that runs one item again as it was run, from where pytest was started."""
    usual = Settings().to_json()
    words = ["pytest", "--surf"]
    if settings.get("root"):
        words.append(f"--rootdir={settings['root']}")
        item = os.path.join(settings["root"], item)
    for option in OPTIONS:
        value = settings.get(option.name)
        if option.name in _REPEATED and value not in (None, usual[option.name]):
            words += [option.flag, str(value)]
    return shlex.join([*words, clean(item).replace("\n", " ")])


def failure_text(failure: Failure, result: ItemResult, settings: Mapping[str, Any]) -> str:
    """What pytest shows of a failing item, the behaviour in the first line."""
    prompt = failure.case.prompt.text
    lines = [line(failure.behaviour), ""]
    lines += _quoted(f"smallest prompt that breaks it ({change(failure)})", prompt)
    lines += _quoted("answer", failure.response)
    if failure.reason:
        lines += _quoted("why it breaks", failure.reason)
    if failure.twin_prompt is not None and failure.twin_response is not None:
        lines += _quoted("nearest prompt that holds", failure.twin_prompt)
        lines += _quoted("answer", failure.twin_response)
        more = differing(prompt, failure.twin_prompt)
        less = differing(failure.twin_prompt, prompt)
        if more or less:
            lines += [
                "differs",
                *([f"  + {more}"] if more else []),
                *([f"  - {less}"] if less else []),
            ]
    decided = result.held + result.violated
    broke = share(result.violated, decided, counted(settings), undecided=result.undecided)
    hold = "" if result.hold == 1 else f", where {percent(result.hold)} have to hold"
    lines += [
        "",
        f"broke {broke}{hold}, and the smallest again in {again_in(failure, settings['target'])}",
        f"run it again: {again(failure.item, settings)}",
    ]
    return "\n".join(lines)


def change(failure: Failure) -> str:
    """How the prompt came from the one in the test, on a line."""
    if failure.case.unchanged:
        return "as written"
    steps = "; ".join(failure.case.steps)
    name = failure.case.perturbation
    return line(f"{name}: {steps}" if steps else name)


def _quoted(label: str, text: str, most: int = 600) -> list[str]:
    shown = clean(text).strip()
    shown = shown if len(shown) <= most else shown[: most - 1] + "…"
    return [label, *(f"  {row}" for row in shown.split("\n"))]
