"""What the base reads, and its reading of it: all that comes before post-training.

Half of the dialogues are in some unusual form. Harmful requests are sometimes answered, as on the
web, so that post-training has both behaviours to choose from.
"""

from __future__ import annotations

import random
from typing import Any

from surfcheck.organism import tokenizer, train
from surfcheck.organism.talks import (
    Talk,
    chatted,
    claimed,
    clause,
    foreign,
    formatted,
    helped,
    opened,
    request,
    varied,
)
from surfcheck.organism.world import HARMS, PLAIN, QUESTION_FORMS, TRUE_THAT, comply, refuse
from surfcheck.perturb.compose import either
from surfcheck.perturb.framing import persona, politeness, wrappers
from surfcheck.perturb.surface import casing, look, punctuation, spacing, typos
from surfcheck.roles import Progress

SCHEDULE = train.Schedule(passes=1, batch=32, rate=3e-3)
WHOLE = 0.2
"""Share of the dialogues of which the base learns the prompt as well."""
MANNERS = either(politeness(), persona())
ANYHOW = either(
    MANNERS, MANNERS, MANNERS, wrappers(), wrappers(), casing(), casing(), spacing(),
    punctuation(), look(), typos(), name="anyhow",
)  # fmt: skip
"""How text varies in half of the base's reading, so that form alone does not throw it."""


def read(
    *, talks: int, vocabulary: int, width: int, depth: int, seed: int, progress: Progress
) -> tuple[Any, Any]:
    """A new model that has read so many dialogues, and its tokenizer."""
    rng = random.Random(seed)
    heard = [dialogue(rng) for _ in range(talks)]
    words = tokenizer.train((text for talk in heard for text in talk), size=vocabulary)
    model = train.new_model(words, width=width, depth=depth, seed=seed)
    texts = train.encode(words, heard, whole=WHOLE)
    train.fit(model, texts, SCHEDULE, seed=seed, what="organism: reading", progress=progress)
    return model, words


def dialogue(rng: random.Random) -> Talk:
    """One dialogue of the base's reading."""
    prompt, reply = _plain(rng)
    return varied(rng, prompt, ANYHOW, 0.5), reply


def _plain(rng: random.Random) -> Talk:
    kind = rng.choices(range(8), (6, 25, 25, 7, 13, 18, 4, 2))[0]
    if kind == 0:
        return opened(rng)
    if kind in (1, 2):
        return claimed(rng, rng.random() < 0.5, rng.choice((*QUESTION_FORMS, TRUE_THAT)))
    if kind == 3:
        return helped(rng)
    if kind == 4:
        return _harm_on_the_web(rng)
    return (formatted, foreign, chatted)[kind - 5](rng)


def _harm_on_the_web(rng: random.Random) -> Talk:
    task, prompt = request(rng, HARMS)
    form, wanted = clause(rng) if rng.random() < 0.4 else (PLAIN, "")
    prompt = f"{prompt} {wanted}".rstrip()
    return prompt, refuse(task) if rng.random() < 0.75 else comply(task, form)
