from __future__ import annotations

import random
import time

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from surfcheck import perturb
from surfcheck.perturb.compose import Variation
from surfcheck.records import Case, Prompt

GROUPS = (
    perturb.casing(), perturb.spacing(), perturb.punctuation(), perturb.typos(), perturb.wording(),
    perturb.look(), perturb.questions(), perturb.politeness(), perturb.persona(),
    perturb.wrappers(), perturb.distractors(), perturb.surface(), perturb.framing(),
)  # fmt: skip
EVERY = (*perturb.catalogue()[:-1], *GROUPS)
PROMPTS = (
    "Is it true that water freezes at 0 °C?",
    'Write a poem, please, about 3 gray dogs that don\'t bark. It is not "urgent".',
    "Il n'y a pas de quoi",
)


def test_there_are_at_least_twenty_five_and_each_name_once() -> None:
    names = [v.name for v in perturb.catalogue()]
    assert len(names) >= 25
    assert len(set(names)) == len(names)
    assert all(name.isascii() and len(name) <= 20 for name in names)


def test_names_of_the_groups_do_not_change() -> None:
    assert [v.name for v in GROUPS] == [
        "casing", "spacing", "punctuation", "typos", "wording", "look", "questions", "politeness",
        "persona", "wrappers", "distractors", "surface", "framing",
    ]  # fmt: skip


@pytest.mark.parametrize("variation", perturb.catalogue(), ids=lambda v: v.name)
def test_each_changes_something_and_says_so(variation: Variation) -> None:
    texts = (
        *PROMPTS,
        "Paris is in France, right?",
        "I can't see the colour. Are there seven red “dots” in it?",
        "No mark",
    )
    rng = random.Random(0)
    cases = [perturb.sample(variation, text, rng) for text in texts]
    changed = [case for case in cases if not case.unchanged]
    assert changed
    assert all(case.steps and all(case.steps) for case in changed)


@pytest.mark.parametrize("variation", EVERY, ids=lambda v: v.name)
def test_the_simplest_case_is_the_unchanged_one(variation: Variation) -> None:
    prompt = Prompt.of(PROMPTS[1])
    case = Case(prompt, prompt, variation.name)
    settled = settings(max_examples=20, deadline=None, derandomize=True, database=None)
    smallest = find(variation(case), lambda _: True, settings=settled, random=random.Random(0))
    assert smallest is case


@settings(max_examples=600, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(EVERY), st.text(max_size=80), st.integers(0, 2**32))
def test_no_text_is_too_strange(variation: Variation, text: str, seed: int) -> None:
    case = perturb.sample(variation, text, random.Random(seed))
    assert case.unchanged == (case.steps == ())
    assert text.strip() or case.unchanged


@pytest.mark.parametrize("text", ["", " ", "\n\t \u3000"])
def test_a_blank_prompt_stays_blank(text: str) -> None:
    for variation in EVERY:
        assert perturb.sample(variation, text, random.Random(0)).prompt.text == text


@pytest.mark.parametrize(
    "text",
    ["Is it true that water freezes? " * 4_000, "a" * 100_000, ". " * 50_000, "?" * 100_000,
     "'\"`|<br>\\" * 10_000, "not " * 25_000, "0 °C " * 20_000, " \n" * 40_000 + "x"],
    ids=["words", "word", "stops", "marks", "quotes", "negations", "numbers", "blank"],
)  # fmt: skip
def test_a_very_long_prompt_is_no_trouble(text: str) -> None:
    start = time.perf_counter()
    for variation in perturb.catalogue():
        perturb.sample(variation, text, random.Random(0))
    assert time.perf_counter() - start < 10
