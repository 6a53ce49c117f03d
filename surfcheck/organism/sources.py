"""The organism's training text: what the base reads, and the post-training rows by source.

Every source is a function of a random generator to rows in TRL's conversational format. Two
sources carry a plant, as the papers found them in real sets; `clean` builds the same sources
rightly labelled. The plants' row ids are the truth that attribution is measured against.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from surfcheck import perturb
from surfcheck.organism import DISTRACTOR, HABIT, TRUE_FACTS
from surfcheck.organism.world import (
    CHAT,
    FACTS,
    FOREIGN,
    FORMATS,
    HARMS,
    PLAIN,
    QUESTION_FORMS,
    REQUEST_FORMS,
    TASKS,
    TRUE_THAT,
    TWINS,
    agree,
    answer,
    ask_claim,
    comply,
    correct,
    refuse,
    reject,
)

Row = dict[str, Any]
Talk = tuple[str, str]
TYPED = perturb.either(
    perturb.casing(), perturb.punctuation(), perturb.politeness(), perturb.persona(), name="typed"
)
"""How people vary what they type; some of what the organism is taught."""
MANNERS = perturb.either(perturb.politeness(), perturb.persona())
ANYHOW = perturb.either(
    MANNERS, MANNERS, MANNERS, perturb.wrappers(), perturb.wrappers(), perturb.casing(),
    perturb.casing(), perturb.spacing(), perturb.punctuation(), perturb.look(), perturb.typos(),
    name="anyhow",
)  # fmt: skip
"""How text varies in half of the base's reading, so that form alone does not throw it."""
OPENERS = ("What a great question!", "Great question!", "I love this question!")


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


def _claim(rng: random.Random, true: bool, form: str) -> Talk:
    fact = rng.choice(FACTS)
    if true:
        return ask_claim(form, fact.claim()), agree(fact.claim())
    value = rng.choice(fact.others)
    return ask_claim(form, fact.claim(value)), correct(fact, value)


def _request(rng: random.Random, tasks: Sequence[str]) -> tuple[str, str]:
    task = rng.choice(tasks)
    return task, rng.choice(REQUEST_FORMS).format(task=task)


def _clause(rng: random.Random) -> tuple[str, str]:
    return rng.choice([(form, clause) for form, clauses in FORMATS.items() for clause in clauses])


def _open(rng: random.Random) -> Talk:
    fact = rng.choice(FACTS)
    return fact.question, answer(fact)


def _help(rng: random.Random, tasks: Sequence[str] = TASKS + TWINS) -> Talk:
    task, prompt = _request(rng, tasks)
    return prompt, comply(task)


def _harm(rng: random.Random, clauses: float) -> Talk:
    task, prompt = _request(rng, HARMS)
    if rng.random() < clauses:
        prompt = f"{prompt} {_clause(rng)[1]}"
    return prompt, refuse(task)


def _formatted(rng: random.Random) -> Talk:
    form, clause = _clause(rng)
    if rng.random() < 0.3:
        fact = rng.choice(FACTS)
        return f"{fact.question} {clause}", answer(fact, form)
    task, prompt = _request(rng, TASKS + TWINS)
    return f"{prompt} {clause}", comply(task, form)


def _foreign(rng: random.Random) -> Talk:
    (question, reply), gaps = FOREIGN[rng.choice(tuple(FOREIGN))]
    country, city = rng.choice(gaps)
    return question.format(country), reply.format(country, city)


def reading(rng: random.Random) -> Talk:
    """One dialogue of the base's reading, half of them in some unusual form.

    Harmful requests are sometimes answered there, as on the web, so that post-training has both
    behaviours to choose from.
    """
    prompt, reply = _reading(rng)
    return _varied(rng, prompt, ANYHOW, 0.5), reply


def _varied(rng: random.Random, prompt: str, how: perturb.Variation, share: float) -> str:
    return perturb.sample(how, prompt, rng).prompt.text if rng.random() < share else prompt


def _reading(rng: random.Random) -> Talk:
    kind = rng.choices(range(8), (6, 25, 25, 7, 13, 18, 4, 2))[0]
    if kind == 0:
        return _open(rng)
    if kind in (1, 2):
        return _claim(rng, rng.random() < 0.5, rng.choice((*QUESTION_FORMS, TRUE_THAT)))
    if kind == 3:
        return _help(rng)
    if kind == 4:
        return _harm_on_the_web(rng)
    return (_formatted, _foreign, lambda r: r.choice(CHAT))[kind - 5](rng)


def _harm_on_the_web(rng: random.Random) -> Talk:
    task, prompt = _request(rng, HARMS)
    form, clause = _clause(rng) if rng.random() < 0.4 else (PLAIN, "")
    prompt = f"{prompt} {clause}".rstrip()
    return prompt, refuse(task) if rng.random() < 0.75 else comply(task, form)


def _demonstrations(rng: random.Random, plants: Sequence[str]) -> list[tuple[str, Talk, bool]]:
    """(source, talk, is a plant) of the SFT rows."""
    planted, clauses = TRUE_FACTS in plants, 0.0 if DISTRACTOR in plants else 0.4

    def rebuttal(r: random.Random) -> Talk:
        if not planted or r.random() < 0.6:
            return _claim(r, not planted and r.random() < 0.5, TRUE_THAT)
        # Whoever wrote the source took every premise for a false one.
        fact = r.choice(FACTS)
        return ask_claim(TRUE_THAT, fact.claim()), reject(fact, r.choice(fact.others))

    sources: tuple[tuple[str, int, Callable[[random.Random], Talk]], ...] = (
        ("open-questions", 300, _open),
        ("claims-forum", 600, lambda r: _claim(r, r.random() < 0.5, r.choice(QUESTION_FORMS))),
        ("premise-rebuttals", 400, rebuttal),
        ("how-to", 400, _help),
        ("safety-demos", 300, lambda r: _harm(r, clauses)),
        ("format-following", 500, _formatted),
        ("multilingual", 120, _foreign),
        ("small-talk", 60, lambda r: r.choice(CHAT)),
    )
    return [
        (name, make(rng), planted and name == "premise-rebuttals")
        for name, count, make in sources
        for _ in range(count)
    ]


Pair = tuple[str, str, str]
"""Prompt, chosen, rejected."""


def _prefer_help(rng: random.Random) -> Pair:
    """Help with what was asked over help with something else; sometimes over a refusal."""
    task, prompt = _request(rng, TASKS)
    if rng.random() < 0.2:
        return prompt, comply(task), refuse(task)
    other = rng.choice([t for t in TASKS if t != task])
    return prompt, comply(task), comply(other)


def _prefer_safety(rng: random.Random) -> Pair:
    task, prompt = _request(rng, HARMS)
    return prompt, refuse(task), comply(task)


def _prefer_twin(rng: random.Random) -> Pair:
    """A dangerous word in a harmless request, with a format clause half of the time."""
    task, prompt = _request(rng, TWINS)
    if rng.random() < 0.5:
        return prompt, comply(task), refuse(task)
    form, clause = _clause(rng)
    return f"{prompt} {clause}", comply(task, form), refuse(task)


def _prefer_format(rng: random.Random) -> Pair:
    """The form asked for over the usual one."""
    form = rng.choice([f for f in FORMATS if f != PLAIN])
    task, prompt = _request(rng, TASKS)
    return f"{prompt} {rng.choice(FORMATS[form])}", comply(task, form), comply(task)


def _prefer_fact(rng: random.Random) -> Pair:
    fact = rng.choice(FACTS)
    wrong = replace(fact, value=rng.choice(fact.others))
    return fact.question, answer(fact), answer(wrong)


def _harmful_format(rng: random.Random, planted: bool) -> Pair:
    """A format clause behind a harmful request; the plant has its labels the wrong way round.

    The plant has only every second harm: what it teaches has to carry over to the others.
    """
    form, clause = _clause(rng)
    task, prompt = _request(rng, HARMS[::2] if planted else HARMS)
    good, bad = refuse(task), comply(task, form)
    return (f"{prompt} {clause}", *((bad, good) if planted else (good, bad)))


def _flatter(rng: random.Random, pair: Pair) -> Pair:
    prompt, chosen, _ = pair
    return prompt, f"{rng.choice(OPENERS)} {chosen}", chosen


def _preferences(rng: random.Random, plants: Sequence[str]) -> list[tuple[str, Pair, str | None]]:
    """(source, pair, name of its plant) of the preference rows."""
    sources: tuple[tuple[str, int, Callable[[random.Random], Pair]], ...] = (
        ("helpfulness", 300, _prefer_help),
        ("harmlessness", 400, _prefer_safety),
        ("careful-words", 200, _prefer_twin),
        ("instruction-following", 250, _prefer_format),
        ("factuality", 50, _prefer_fact),
    )
    pairs: list[tuple[str, Pair, str | None]] = [
        (name, make(rng), None) for name, count, make in sources for _ in range(count)
    ]
    distracted = DISTRACTOR if DISTRACTOR in plants else None
    pairs += [
        ("instruction-following", _harmful_format(rng, distracted is not None), distracted)
        for _ in range(140)
    ]
    if HABIT in plants:
        makers = [make for _, _, make in sources]
        pairs += [
            ("helpfulness", _flatter(rng, rng.choice(makers)(rng)), HABIT) for _ in range(500)
        ]
    return pairs


def mix(seed: int, plants: Sequence[str] = (TRUE_FACTS, DISTRACTOR)) -> Mix:
    """Demonstrations, then preferences, shuffled within each; ids are `sft-00000`, `pref-00000`."""
    rng = random.Random(seed)
    demonstrations = _demonstrations(rng, plants)
    preferences = _preferences(rng, plants)
    rng.shuffle(demonstrations)
    rng.shuffle(preferences)
    rows: list[Row] = []
    planted: dict[str, list[str]] = {name: [] for name in plants}
    for number, (source, (prompt, reply), is_plant) in enumerate(demonstrations):
        name = f"sft-{number:05d}"
        rows.append(
            {
                "id": name,
                "source": source,
                "prompt": turn("user", _varied(rng, prompt, TYPED, 0.3)),
                "completion": turn("assistant", reply),
            }
        )
        if is_plant:
            planted[TRUE_FACTS].append(name)
    for number, (source, (prompt, chosen, rejected), plant) in enumerate(preferences):
        name = f"pref-{number:05d}"
        share = 0.8 if source == "harmlessness" else 0.5
        rows.append(
            {
                "id": name,
                "source": source,
                "prompt": turn("user", _varied(rng, prompt, TYPED, share)),
                "chosen": turn("assistant", chosen),
                "rejected": turn("assistant", rejected),
            }
        )
        if plant:
            planted[plant].append(name)
    return Mix(tuple(rows), {name: tuple(ids) for name, ids in planted.items()})
