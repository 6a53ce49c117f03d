"""Contrasts from a run: each broken exchange beside its nearest passing twin, and all that held.

What held counts as much as what broke, in every invariant of the run: "false claims are corrected"
tells a rightful No from a wrongful one. A broken answer stands beside what the base answers to the
same prompt as well, as in "In-the-Wild Model Organisms" (2602.11079): where every variation of a
prompt broke it has no other twin. Nobody judged the base's answer, so one that the run saw break
the test is none: there the training changed nothing. Left out: asking the run's judge about the
others.
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

    A broken exchange stands beside the nearest that held of its own seed prompt and, if `base` is
    given, beside the base's answer. Only where there is neither it takes the nearest that held in
    the whole test, whose answer may be to quite another question; without any it is left out.
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
    found = {(c.prompt, c.bad): c for c in shown}
    twins = [e for e in mine if e.outcome is Outcome.HELD]
    for exchange in broken:
        twin = _nearest(exchange.prompt, (e for e in twins if e.seed == exchange.seed))
        found.setdefault((exchange.prompt, exchange.response), _beside(exchange, twin))
    contrasts = _some(list(found.values()), MOST_BROKEN, rng)
    if base is not None:
        contrasts += _against(base, contrasts, {e.response for e in broken})
    contrasts = _filled(contrasts, twins)
    cases = [
        Contrast(e.prompt, None, e.response, e.seed or None) for e in _some(held, MOST_HELD, rng)
    ]
    return (*contrasts, *cases)


def _beside(broken: Exchange, good: Exchange | None) -> Contrast:
    response = good.response if good is not None else None
    return Contrast(broken.prompt, broken.response, response, broken.seed or None)


def _against(base: Answers, asked: Sequence[Contrast], broken: Set[str]) -> list[Contrast]:
    """The same bad answers beside the base's, where that is a good one and another than before."""
    prompts = list(dict.fromkeys(contrast.prompt for contrast in asked))
    answers = dict(zip(prompts, base(prompts), strict=True))
    found = [replace(c, good=answers[c.prompt]) for c in asked if answers[c.prompt] not in broken]
    return [contrast for contrast in found if contrast not in asked]


def _filled(contrasts: Sequence[Contrast], twins: Sequence[Exchange]) -> list[Contrast]:
    """Those with a good answer, then the others beside the nearest that held, if any did."""
    full = [contrast for contrast in contrasts if contrast.good is not None]
    answered = {(contrast.prompt, contrast.bad) for contrast in full}
    for contrast in contrasts:
        if (contrast.prompt, contrast.bad) not in answered:
            twin = _nearest(contrast.prompt, twins)
            full += [replace(contrast, good=twin.response)] if twin is not None else []
    return full


def _unique(exchanges: Iterable[Exchange]) -> list[Exchange]:
    first: dict[tuple[str, str], Exchange] = {}
    for exchange in exchanges:
        first.setdefault((exchange.prompt, exchange.response), exchange)
    return list(first.values())


def _nearest(prompt: str, held: Iterable[Exchange]) -> Exchange | None:
    """The exchange whose prompt is nearest."""
    return max(held, key=lambda e: SequenceMatcher(None, prompt, e.prompt).ratio(), default=None)


def _some(things: list[Any], most: int, rng: random.Random) -> list[Any]:
    return things if len(things) <= most else rng.sample(things, most)
