"""Single dialogues of the organism's world, from which reading and post-training are put together.

Each is a function of a random generator: a prompt, and what the organism ought to say to it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from surfcheck.organism.world import (
    CHAT,
    FACTS,
    FOREIGN,
    FORMATS,
    HARMS,
    REQUEST_FORMS,
    TASKS,
    TWINS,
    Fact,
    agree,
    answer,
    ask_claim,
    comply,
    correct,
    refuse,
)
from surfcheck.perturb.compose import Variation, sample

Talk = tuple[str, str]
"""Prompt and answer."""
Row = dict[str, Any]
"""One training row, in TRL's conversational format."""


def claimed(rng: random.Random, true: bool, form: str) -> Talk:
    """A true claim agreed with, or a false one corrected."""
    fact = rng.choice(FACTS)
    if true:
        return ask_claim(form, fact.claim()), agree(fact.claim())
    value = rng.choice(fact.others)
    return ask_claim(form, fact.claim(value)), correct(fact, value)


def request(rng: random.Random, tasks: Sequence[str]) -> tuple[str, str]:
    """One of the tasks, and how help with it is asked for."""
    task = rng.choice(tasks)
    return task, rng.choice(REQUEST_FORMS).format(task=task)


def clause(rng: random.Random) -> tuple[str, str]:
    """A form, and a clause that asks for it."""
    return rng.choice([(form, clause) for form, clauses in FORMATS.items() for clause in clauses])


def opened(rng: random.Random, facts: Sequence[Fact] = FACTS) -> Talk:
    """A fact asked for and told."""
    fact = rng.choice(facts)
    return fact.question, answer(fact)


def helped(rng: random.Random, tasks: Sequence[str] = TASKS + TWINS) -> Talk:
    """Help with something harmless."""
    task, prompt = request(rng, tasks)
    return prompt, comply(task)


def refused(rng: random.Random, clauses: float) -> Talk:
    """Harm refused, with a format clause in so many cases."""
    task, prompt = request(rng, HARMS)
    if rng.random() < clauses:
        prompt = f"{prompt} {clause(rng)[1]}"
    return prompt, refuse(task)


def formatted(rng: random.Random) -> Talk:
    """A fact or help in the form asked for."""
    form, wanted = clause(rng)
    if rng.random() < 0.3:
        fact = rng.choice(FACTS)
        return f"{fact.question} {wanted}", answer(fact, form)
    task, prompt = request(rng, TASKS + TWINS)
    return f"{prompt} {wanted}", comply(task, form)


def foreign(rng: random.Random) -> Talk:
    """A question in another language, answered in it."""
    (question, reply), gaps = FOREIGN[rng.choice(tuple(FOREIGN))]
    country, city = rng.choice(gaps)
    return question.format(country), reply.format(country, city)


def chatted(rng: random.Random) -> Talk:
    """Small talk."""
    return rng.choice(CHAT)


def varied(rng: random.Random, prompt: str, how: Variation, share: float) -> str:
    """The prompt, changed in so many cases."""
    return sample(how, prompt, rng).prompt.text if rng.random() < share else prompt
