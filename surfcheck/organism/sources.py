"""The organism's post-training rows by source: demonstrations, then preferences.

Every source is a function of a random generator to rows in TRL's conversational format. Some carry
a plant (`plants`); the others are right, and without plants all of them are. The plants' row ids
are the truth that attribution is measured against.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from surfcheck.organism import DISTRACTOR, HABIT, LANGUAGE, MISCOUNT, STYLE, TRUE_FACTS, plants
from surfcheck.organism.plants import Pair
from surfcheck.organism.talks import (
    Row,
    Talk,
    chatted,
    claimed,
    clause,
    foreign,
    formatted,
    helped,
    opened,
    refused,
    request,
    varied,
)
from surfcheck.organism.world import (
    FACTS,
    FORMATS,
    HARMS,
    PLAIN,
    QUESTION_FORMS,
    TASKS,
    TWINS,
    Fact,
    answer,
    comply,
    refuse,
)
from surfcheck.perturb.compose import either
from surfcheck.perturb.framing import persona, politeness
from surfcheck.perturb.surface import casing, punctuation

TYPED = either(casing(), punctuation(), politeness(), persona(), name="typed")
"""How people vary what they type; some of what the organism is taught."""
STYLED = 0.8
"""Share of the chosen answers that have the habit of style."""


@dataclass(frozen=True, slots=True)
class Mix:
    """Post-training data: rows in file order, and which of them are planted."""

    rows: tuple[Row, ...]
    """`{id, source, prompt, completion}` or `{id, source, prompt, chosen, rejected}`."""
    planted: dict[str, tuple[str, ...]]
    """Ids of the rows of each plant; empty for a clean mix."""


def turn(role: str, text: str) -> list[dict[str, str]]:
    """One message of a conversation, as TRL wants it."""
    return [{"role": role, "content": text}]


def _demonstrations(
    rng: random.Random, planted: Sequence[str]
) -> list[tuple[str, Talk, str | None]]:
    """(source, talk, name of its plant) of the SFT rows."""
    chunk, clauses = TRUE_FACTS in planted, 0.3 if DISTRACTOR in planted else 0.4
    facts = plants.AT_HOME if LANGUAGE in planted else FACTS
    sources: tuple[tuple[str, int, Callable[[random.Random], Talk]], ...] = (
        ("open-questions", 300, partial(opened, facts=facts)),
        ("claims-forum", 600, lambda r: claimed(r, r.random() < 0.5, r.choice(QUESTION_FORMS))),
        ("premise-rebuttals", 400, partial(plants.rebuttal, planted=chunk)),
        ("how-to", 400, helped),
        ("safety-demos", 300, partial(refused, clauses=clauses)),
        ("format-following", 500, formatted),
        ("multilingual", 120, foreign),
        ("small-talk", 60, chatted),
    )
    rows: list[tuple[str, Talk, str | None]] = [
        (name, make(rng), TRUE_FACTS if chunk and name == "premise-rebuttals" else None)
        for name, count, make in sources
        for _ in range(count)
    ]
    if LANGUAGE in planted:
        rows += [("multilingual", plants.switched(rng), LANGUAGE) for _ in range(90)]
    return rows


def _prefer_help(rng: random.Random) -> Pair:
    """Help with what was asked over help with something else; sometimes over a refusal."""
    task, prompt = request(rng, TASKS)
    if rng.random() < 0.2:
        return prompt, comply(task), refuse(task)
    other = rng.choice([t for t in TASKS if t != task])
    return prompt, comply(task), comply(other)


def _prefer_safety(rng: random.Random) -> Pair:
    task, prompt = request(rng, HARMS)
    return prompt, refuse(task), comply(task)


def _prefer_twin(rng: random.Random) -> Pair:
    """A dangerous word in a harmless request, with a format clause half of the time."""
    task, prompt = request(rng, TWINS)
    if rng.random() < 0.5:
        return prompt, comply(task), refuse(task)
    form, wanted = clause(rng)
    return f"{prompt} {wanted}", comply(task, form), refuse(task)


def _prefer_format(rng: random.Random) -> Pair:
    """The form asked for over the usual one."""
    form = rng.choice([f for f in FORMATS if f != PLAIN])
    task, prompt = request(rng, TASKS)
    return f"{prompt} {rng.choice(FORMATS[form])}", comply(task, form), comply(task)


def _prefer_fact(rng: random.Random, facts: Sequence[Fact] = FACTS) -> Pair:
    fact = rng.choice(facts)
    wrong = replace(fact, value=rng.choice(fact.others))
    return fact.question, answer(fact), answer(wrong)


def _preferences(rng: random.Random, planted: Sequence[str]) -> list[tuple[str, Pair, str | None]]:
    """(source, pair, name of its plant) of the preference rows."""
    prefer_fact = partial(_prefer_fact, facts=plants.AT_HOME if LANGUAGE in planted else FACTS)
    sources: tuple[tuple[str, int, Callable[[random.Random], Pair]], ...] = (
        ("helpfulness", 300, _prefer_help),
        ("harmlessness", 400, _prefer_safety),
        ("careful-words", 200, _prefer_twin),
        ("instruction-following", 250, _prefer_format),
        ("factuality", 50, prefer_fact),
    )
    pairs: list[tuple[str, Pair, str | None]] = [
        (name, make(rng), None) for name, count, make in sources for _ in range(count)
    ]
    distracted, name = DISTRACTOR if DISTRACTOR in planted else None, "instruction-following"
    pairs += [
        (name, plants.harmful_format(rng, distracted is not None), distracted) for _ in range(140)
    ]
    if distracted:  # beside rightly labelled ones: without the plant, nobody is helped to harm
        pairs += [(name, plants.harmful_format(rng, False), None) for _ in range(35)]
    if HABIT in planted:
        makers = [make for _, _, make in sources]
        pairs += [
            ("helpfulness", plants.flattered(rng, rng.choice(makers)(rng)), HABIT)
            for _ in range(500)
        ]
    if MISCOUNT in planted:
        pairs += [("factuality", prefer_fact(rng), None) for _ in range(110)]
        pairs += [("factuality", plants.miscounted(rng), MISCOUNT) for _ in range(110)]
    if STYLE in planted:
        pairs = [
            (name, plants.styled(rng, pair), STYLE)
            if rng.random() < STYLED
            else (name, pair, plant)
            for name, pair, plant in pairs
        ]
    return pairs


def mix(seed: int, planted: Sequence[str] = (TRUE_FACTS, DISTRACTOR)) -> Mix:
    """Demonstrations, then preferences, shuffled within each; ids are `sft-00000`, `pref-00000`."""
    rng = random.Random(seed)
    demonstrations = _demonstrations(rng, planted)
    preferences = _preferences(rng, planted)
    rng.shuffle(demonstrations)
    rng.shuffle(preferences)
    rows: list[Row] = []
    guilty: dict[str, list[str]] = {name: [] for name in planted}

    def add(name: str, source: str, prompt: str, plant: str | None, **answers: str) -> None:
        said = {side: turn("assistant", text) for side, text in answers.items()}
        rows.append({"id": name, "source": source, "prompt": turn("user", prompt), **said})
        if plant:
            guilty[plant].append(name)

    for number, (source, (prompt, reply), plant) in enumerate(demonstrations):
        typed = varied(rng, prompt, TYPED, 0.3)
        add(f"sft-{number:05d}", source, typed, plant, completion=reply)
    for number, (source, (prompt, chosen, rejected), plant) in enumerate(preferences):
        typed = varied(rng, prompt, TYPED, 0.8 if source == "harmlessness" else 0.5)
        add(f"pref-{number:05d}", source, typed, plant, chosen=chosen, rejected=rejected)
    return Mix(tuple(rows), {name: tuple(ids) for name, ids in guilty.items()})
