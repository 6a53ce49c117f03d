"""Contrasts from a run: each broken exchange beside its nearest passing twin, and all that held.

What held counts as much as what broke, in every invariant of the run: "false claims are corrected"
tells a rightful No from a wrongful one. A broken answer stands beside what the base answers to the
same prompt as well, as in "In-the-Wild Model Organisms" (2602.11079): in a test that no answer held
it has no other twin. Nobody judged the base's answer, so one that the run saw break the test is
none: there the training changed nothing. Left out: asking the run's judge about the others.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Any

from surfcheck.records import Contrast, Exchange, Failure, Outcome

MOST_BROKEN, MOST_HELD = 64, 512
"""Exchanges that are read for one question; more tell little more."""

Answers = Callable[[Sequence[str]], Sequence[str]]
"""Gives an answer to each prompt."""


def of_test(
    test: str,
    exchanges: Sequence[Exchange],
    failures: Sequence[Failure],
    *,
    seed: int,
    base: Answers | None = None,
) -> tuple[Contrast, ...]:
    """The contrasts of one failing test, then the cases of all tests that held.

    A broken exchange without any passing twin of its own seed prompt takes the nearest that held
    in the same test. If `base` is given, the same broken exchanges stand beside its answers too;
    one that has no good answer at all is left out.
    """
    rng = random.Random(seed)
    mine = [e for e in exchanges if e.test == test]
    held = _unique(e for e in exchanges if e.outcome is Outcome.HELD)
    broken = _unique(e for e in mine if e.outcome is Outcome.VIOLATED)
    shown = [
        Contrast(f.case.prompt.text, f.response, f.twin_response, f.case.seed.text)
        for f in failures
        if f.test == test and f.twin_response is not None
    ]
    twins = [e for e in mine if e.outcome is Outcome.HELD]
    found = {(c.prompt, c.bad): c for c in shown}
    for exchange in broken:
        if twin := _twin(exchange, twins):
            found.setdefault((exchange.prompt, exchange.response), _beside(exchange, twin.response))
    contrasts = _some(list(found.values()), MOST_BROKEN, rng)
    if base is not None:
        asked = contrasts or [_beside(e, None) for e in _some(broken, MOST_BROKEN, rng)]
        contrasts += _against(base, asked, {e.response for e in broken})
    cases = [
        Contrast(e.prompt, None, e.response, e.seed or None) for e in _some(held, MOST_HELD, rng)
    ]
    return (*contrasts, *cases)


def _beside(broken: Exchange, good: str | None) -> Contrast:
    return Contrast(broken.prompt, broken.response, good, broken.seed or None)


def _against(base: Answers, asked: Sequence[Contrast], broken: Set[str]) -> list[Contrast]:
    """The same bad answers beside the base's, where that is a good one and another than before."""
    prompts = list(dict.fromkeys(contrast.prompt for contrast in asked))
    answers = dict(zip(prompts, base(prompts), strict=True))
    found = [replace(c, good=answers[c.prompt]) for c in asked if answers[c.prompt] not in broken]
    return [contrast for contrast in found if contrast not in asked]


def _unique(exchanges: Iterable[Exchange]) -> list[Exchange]:
    first: dict[tuple[str, str], Exchange] = {}
    for exchange in exchanges:
        first.setdefault((exchange.prompt, exchange.response), exchange)
    return list(first.values())


def _twin(broken: Exchange, held: Sequence[Exchange]) -> Exchange | None:
    """The held exchange of the same seed prompt whose prompt is nearest, else of any."""
    near = [e for e in held if e.seed == broken.seed] or held
    if not near:
        return None
    return max(near, key=lambda e: SequenceMatcher(None, broken.prompt, e.prompt).ratio())


def _some(things: list[Any], most: int, rng: random.Random) -> list[Any]:
    return things if len(things) <= most else rng.sample(things, most)
