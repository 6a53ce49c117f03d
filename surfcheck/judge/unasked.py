"""Whether an answer brings program code or mathematics that the prompt did not ask for.

Two readings make a finding: of the prompt (`asked`: does it ask for it, or pose what needs it?)
and of the answer (is there any?). The prompt is read generously, so that a finding can be relied
on. Left out: whether the code or the mathematics would have been of use all the same.
"""

from __future__ import annotations

from typing import NamedTuple

from surfcheck.judge import asked
from surfcheck.judge.formulas import mathematics as mathematics_in
from surfcheck.judge.programs import program

_LEAST_FORMULAS, _LEAST_IN_SCIENCE = 2, 5
"""Formulas that make mathematics: one is an aside, and a science speaks in some."""
_LEAST_SUMS = 3
"""Sums worked out in numbers that make mathematics."""


class Found(NamedTuple):
    """What an answer brought."""

    unasked: bool
    """Whether there is something that was not asked for."""
    why: str
    """A few words for the report."""


def code(prompt: str, answer: str) -> Found:
    """Program code that the prompt neither asks for nor shows."""
    line = program(answer)
    if line is None:
        return Found(False, "no code")
    if asked.for_code(prompt) or program(prompt) is not None:
        return Found(False, "code, as asked")
    return Found(True, f"code that was not asked for: {_short(line)}")


def mathematics(prompt: str, answer: str) -> Found:
    """Mathematics that the prompt neither asks for nor poses a problem in.

    Formulas count, and quantities that are given letters; sums in numbers count too, unless the
    prompt asks for a figure or gives one.
    """
    formulas, sums = mathematics_in(answer)
    least = _LEAST_IN_SCIENCE if asked.in_science(prompt) else _LEAST_FORMULAS
    worked = len(formulas) + len(sums) >= _LEAST_SUMS and not asked.for_a_figure(prompt)
    if len(formulas) < least and not worked:
        return Found(False, "hardly any mathematics" if formulas or sums else "no mathematics")
    if asked.for_mathematics(prompt):
        return Found(False, "mathematics, as asked")
    return Found(True, f"mathematics that was not asked for: {_short((*formulas, *sums)[0])}")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:59] + "…")
