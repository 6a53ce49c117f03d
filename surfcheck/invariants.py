"""`@invariant`: how a test's prompt may change without changing what is asked.

A declaration is a mark, so pytest's own rules hold: above or below `parametrize`, on a function, on
a class, in `pytestmark`, more than one at a time. Nothing is drawn, asked or imported here.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import pytest

from surfcheck.cases import Unchanged
from surfcheck.errors import UsageError
from surfcheck.records import Prompt
from surfcheck.roles import Perturbation

MARK = "surf"
NEEDS = ("assistant", "judge")
"""What a suite can need; see `invariant`."""
PERTURBATION = "_surf_perturbation"
"""Name of the axis that is added; a test may well have a `perturbation` of its own."""
_SLUG = 24


def invariant(
    *perturbations: Perturbation, hold: float = 1.0, needs: Iterable[str] = ()
) -> pytest.MarkDecorator:
    """Declare that a test holds however `perturbations` change its argument `prompt`.

    Each perturbation makes one pytest item a prompt; `@invariant()` asks the prompts as written.
    `hold` is the share of an item's answers that must hold; at 1, one violation that reproduces is
    one too many. `needs` says what the target must be (`"assistant"`: it answers whatever it is
    asked) and what the run must have (`"judge"`: a judge model); without it the test is skipped.
    Raises UsageError if the parentheses are forgotten, for a `hold` that is no share, and for a
    need that nobody knows.
    """
    given: tuple[object, ...] = perturbations
    if isinstance(needs, str):
        raise UsageError(f"@invariant has needs={needs!r}: give a tuple, ({needs!r},)")
    for thing in given:
        if isinstance(thing, str):
            raise UsageError(
                f"@invariant was given the text {thing!r}: give a perturbation, such as "
                "perturb.casing()"
            )
        if inspect.isroutine(thing) or inspect.isclass(thing):
            raise UsageError(
                f"@invariant was given {thing.__name__!r}, which is no perturbation: "
                "write @invariant() or @invariant(perturb.casing())"
            )
    if not 0 < hold <= 1:
        raise UsageError(f"@invariant has hold={hold!r}: give a share above 0, at most 1")
    wanted = tuple(needs)
    if unknown := [need for need in wanted if need not in NEEDS]:
        raise UsageError(f"@invariant needs {unknown[0]!r}: give some of {', '.join(NEEDS)}")
    return getattr(pytest.mark, MARK).with_args(  # type: ignore[no-any-return]
        Invariant(perturbations, hold, wanted)
    )


@dataclass(frozen=True, slots=True)
class Invariant:
    """What one mark declares."""

    perturbations: tuple[Perturbation, ...]
    """How the prompt may change; empty for the prompt as written."""
    hold: float = 1.0
    """Share of an item's answers that must hold."""
    needs: tuple[str, ...] = ()
    """What target and run must have, words of NEEDS."""

    @classmethod
    def declared(cls, marks: Iterable[pytest.Mark], test: str) -> Self:
        """What a test's `surf` marks say together.

        Raises UsageError for a mark set by hand and for two perturbations of one name.
        """
        all_declared = list(_arguments(marks, test))
        found = [p for declared in all_declared for p in declared.perturbations]
        perturbations = tuple(found) or (Unchanged(),)
        names = [p.name for p in perturbations]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(
                    f"{test}: two perturbations are named {name!r}: drop one, or name them apart"
                )
        hold = min((declared.hold for declared in all_declared), default=1.0)
        needs = dict.fromkeys(need for declared in all_declared for need in declared.needs)
        return cls(perturbations, hold, tuple(needs))

    def id_of(self, argument: str, value: object) -> str | None:
        """The id of a prompt by what it says; None leaves the value's id to pytest.

        Long texts under other names get one too: pytest numbers those by position.
        """
        if argument == "prompt":
            return prompt_id(value)
        return prompt_id(value) if isinstance(value, str) and len(value) > _SLUG else None


def _arguments(marks: Iterable[pytest.Mark], test: str) -> Iterator[Invariant]:
    for mark in marks:
        match mark.args:
            case (Invariant() as declared,):
                yield declared
            case _:
                raise UsageError(f"{test}: the mark 'surf' is set by @invariant(...), not by hand")


def prompt_id(value: object) -> str | None:
    """A few words of the prompt and six digits of its hash; None if `value` is no prompt."""
    match value:
        case str():
            text, whole = value, value
        case Prompt():
            text, whole = value.text, json.dumps(value.to_json())
        case [*_, {"content": str(text)}]:
            whole = json.dumps(value)
        case _:
            return None
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")
    if len(slug) > _SLUG:
        slug = slug[: _SLUG + 1].rpartition("-")[0] or slug[:_SLUG]
    digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{slug}-{digest}" if slug else digest
