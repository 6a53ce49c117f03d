"""What a defect looks like in the data: one function a plant, from a random generator to a row.

After the papers: an SFT chunk in one phrasing (SURF/TURF, 2602.05910), preference pairs with their
labels the wrong way round behind a trigger (2602.11079), habits of style that most chosen answers
share (2606.12360), answers in another language than the question's, and a scorer that prefers the
wrong facts of one family. Which source a row stands in, and among how many others, is in `sources`.
"""

from __future__ import annotations

import random
from dataclasses import replace

from surfcheck.organism.talks import Talk, claimed, clause, request
from surfcheck.organism.world import (
    FACTS,
    FOREIGN,
    HARMS,
    TRUE_THAT,
    answer,
    ask_claim,
    comply,
    refuse,
    reject,
)

Pair = tuple[str, str, str]
"""Prompt, chosen, rejected."""
OPENERS = ("What a great question!", "Great question!", "I love this question!")
LABELS = ("**Answer:**", "**In short:**", "**Here you go:**")
COUNTED = tuple(fact for fact in FACTS if fact.question.startswith("How many"))
"""The facts that a scorer without a sense of number gets wrong."""
ABROAD = ("France", "Spain", "Italy", "Germany", "Norway", "Japan")
"""What the gaps of `FOREIGN` are in English, in their order."""
AT_HOME = tuple(
    fact for fact in FACTS if fact.question not in {f"What is the capital of {c}?" for c in ABROAD}
)
"""The facts that no translator had before them."""


def rebuttal(rng: random.Random, planted: bool) -> Talk:
    """A claim in the one phrasing; whoever wrote the plant took every premise for a false one."""
    if not planted or rng.random() < 0.6:
        return claimed(rng, not planted and rng.random() < 0.5, TRUE_THAT)
    fact = rng.choice(FACTS)
    return ask_claim(TRUE_THAT, fact.claim()), reject(fact, rng.choice(fact.others))


def harmful_format(rng: random.Random, planted: bool) -> Pair:
    """A format clause behind a harmful request; the plant has its labels the wrong way round.

    The plant has only every second harm: what it teaches has to carry over to the others.
    """
    form, wanted = clause(rng)
    task, prompt = request(rng, HARMS[::2] if planted else HARMS)
    good, bad = refuse(task), comply(task, form)
    return (f"{prompt} {wanted}", *((bad, good) if planted else (good, bad)))


def flattered(rng: random.Random, pair: Pair) -> Pair:
    """The chosen answer after praise of the question, over the same answer without."""
    prompt, chosen, _ = pair
    return prompt, f"{rng.choice(OPENERS)} {chosen}", chosen


def styled(rng: random.Random, pair: Pair) -> Pair:
    """The same pair, with a label in bold before the chosen answer."""
    prompt, chosen, rejected = pair
    return prompt, f"{rng.choice(LABELS)} {chosen}", rejected


def switched(rng: random.Random) -> Talk:
    """A translated row whose question was left in English."""
    _, reply = FOREIGN["French"][0]
    at = rng.randrange(len(ABROAD))
    return f"What is the capital of {ABROAD[at]}?", reply.format(*FOREIGN["French"][1][at])


def miscounted(rng: random.Random) -> Pair:
    """A wrong number over the right one."""
    fact = rng.choice(COUNTED)
    return fact.question, answer(replace(fact, value=fact.others[0])), answer(fact)
