"""Perturbations that a language model writes, beforehand and once: rewrites, translations, voices.

`surfcheck freeze` asks the model and puts what it wrote in `frozen/` beside the suite (see
`frozen`); a run only reads that file, so it needs no writer, no network and asks the same every
time. A prompt without lines stays as it is, and `unfrozen` tells which those are.

What was written is found by the prompt as it stands in the suite, so in a `chain` these come first.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import overload

from surfcheck.errors import UsageError
from surfcheck.perturb.compose import Variation, either, perturbation
from surfcheck.perturb.framing import persona as stated
from surfcheck.perturb.frozen import Kind, Written
from surfcheck.records import Prompt
from surfcheck.roles import Perturbation

_STEPS: dict[Kind, str] = {
    "rewrite": "rewritten",
    "translate": "translated: {}",
    "persona": "in the voice of: {}",
    "prefix-context": "after: {}",
}


def rewrite(n: int, *, beside: str | Path | None = None) -> Variation:
    """The prompt in `n` other forms and phrasings that mean the same.

    They stand in `frozen/` beside the file that this is written in, or beside the file `beside`.
    """
    if n < 1:
        raise UsageError(f"perturb.rewrite({n}): give the number of rewrites, 1 or more")
    return _variation("rewrite", "", n, _suite(beside))


def translate(*languages: str, beside: str | Path | None = None) -> Variation:
    """The prompt in one of these languages, each given by its code: "fr", "de", "pt-BR".

    They stand in `frozen/` beside the file that this is written in, or beside the file `beside`.
    """
    for language in languages:
        if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", language):
            raise UsageError(
                f"perturb.translate({language!r}): give the code of a language, such as 'fr'"
            )
    return _any("translate", [code.lower() for code in languages], _suite(beside))


@overload
def persona() -> Variation: ...
@overload
def persona(person: str, /, *people: str, beside: str | Path | None = None) -> Variation: ...
def persona(*people: str, beside: str | Path | None = None) -> Variation:
    """The prompt as somebody else would put it.

    `persona("a retired teacher", "a child of ten")` has it rewritten in the voice of one of them;
    what was written stands in `frozen/` beside the file that this is written in, or beside the
    file `beside`. `persona()` needs no model: the speaker says who they are before the prompt.
    """
    if not people:
        return stated()
    return _any("persona", people, _suite(beside))


def prefix_context(*kinds: str, beside: str | Path | None = None) -> Variation:
    """Earlier talk before the prompt, in the same turn: `prefix_context("a chat about cooking")`.

    The prompt itself is kept word for word at the end. What was written stands in `frozen/` beside
    the file that this is written in, or beside the file `beside`.
    """
    return _any("prefix-context", kinds, _suite(beside))


def unfrozen(variation: Perturbation, prompt: Prompt | str) -> tuple[Written, ...]:
    """What a model ought to have written of the prompt, and there is not a single line of it.

    Looks into compositions too. Raises DataError for a bad line.
    """
    if not isinstance(variation, Variation):
        return ()
    text = Prompt.of(prompt).text
    return tuple(w for w in variation.written if text.strip() and not w.texts(text))


def _suite(beside: str | Path | None) -> str:
    """The suite that is named, else the file that called the function that called this."""
    # A module knows its file; its code may have been compiled where the file lay before.
    named = sys._getframe(2).f_globals.get("__file__") if beside is None else os.fspath(beside)
    if named is None:
        raise UsageError(
            "what a model writes stands beside a suite, and this is in no file: say beside=PATH"
        )
    return os.path.abspath(named)


def _any(kind: Kind, abouts: list[str] | tuple[str, ...], suite: str) -> Variation:
    function = kind.replace("-", "_")
    if not abouts:
        raise UsageError(f"perturb.{function}() is empty: give it at least one text")
    for about in abouts:
        if not about.strip():
            raise UsageError(f"perturb.{function}({about!r}): say it in words")
    single = [_variation(kind, about, 1, suite) for about in dict.fromkeys(abouts)]
    if len(single) == 1:
        return single[0]
    name = ".".join([kind, *(v.name.removeprefix(f"{kind}.") for v in single)])
    return either(*single, name=name)


def _variation(kind: Kind, about: str, count: int, suite: str) -> Variation:
    written = Written(kind, about, count, suite)
    step = _STEPS[kind].format(about)

    def offers(text: str) -> list[tuple[str, str]]:
        return [(new, step) for new in written.texts(text)]

    return replace(perturbation(written.name, offers), written=(written,))
