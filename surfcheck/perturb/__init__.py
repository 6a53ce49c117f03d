"""Ways in which a prompt may change without changing what is asked.

`casing()`, `framing()` and their like are variations: give them to `@invariant`, put them together
with `chain` and `either`, write your own with `perturbation`. `catalogue()` lists every single one
that is a rule. `rewrite(n)`, `translate("fr")`, `persona("a retired teacher")` and
`prefix_context("a chat about cooking")` are written by a model beforehand: `surfcheck freeze`.
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
    politeness,
    questions,
    wrappers,
)
from surfcheck.perturb.rewrite import persona, prefix_context, rewrite, translate, unfrozen
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
    "prefix_context",
    "punctuation",
    "questions",
    "rewrite",
    "sample",
    "spacing",
    "surface",
    "translate",
    "typos",
    "unfrozen",
    "wording",
    "wrappers",
]


def catalogue() -> tuple[Variation, ...]:
    """Every elementary rule, those of `surface` first, the distractors last."""
    return (*SURFACE, *FRAMING, distractors())
