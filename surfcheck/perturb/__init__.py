"""Ways in which a prompt may change without changing what is asked.

`casing()`, `framing()` and their like are variations: give them to `@invariant`, put them together
with `chain` and `either`, write your own with `perturbation`. `catalogue()` lists every single one.
"""

from __future__ import annotations

from surfcheck.perturb.compose import (
    Change,
    Choose,
    Variation,
    at_places,
    chain,
    either,
    perturbation,
    sample,
)
from surfcheck.perturb.framing import (
    CLAUSES,
    FRAMING,
    claim,
    distractors,
    framing,
    persona,
    politeness,
    questions,
    wrappers,
)
from surfcheck.perturb.surface import (
    SURFACE,
    casing,
    look,
    punctuation,
    spacing,
    surface,
    typos,
    wording,
)

__all__ = [
    "CLAUSES",
    "Change",
    "Choose",
    "Variation",
    "at_places",
    "casing",
    "catalogue",
    "chain",
    "claim",
    "distractors",
    "either",
    "framing",
    "look",
    "persona",
    "perturbation",
    "politeness",
    "punctuation",
    "questions",
    "sample",
    "spacing",
    "surface",
    "typos",
    "wording",
    "wrappers",
]


def catalogue() -> tuple[Variation, ...]:
    """Every elementary perturbation, those of `surface` first, the distractors last."""
    return (*SURFACE, *FRAMING, distractors())
