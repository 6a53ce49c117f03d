from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surfcheck import perturb
from surfcheck.perturb.wording import WORDING
from surfcheck.records import Case, Prompt


def written(text: str) -> Case:
    return Case(Prompt.of(text), Prompt.of(text), "unchanged")


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("contract", "Paris is not in Spain.", "Paris isn't in Spain."),
        ("contract", "I am happy", "I'm happy"),
        ("contract", "What is the capital?", "What's the capital?"),
        ("contract", "You cannot swim there", "You can't swim there"),
        ("contract", "That is who I am.", "That's who I am."),
        ("contract", "Tell me who I am.", "Tell me who I am."),
        ("expand", "Dogs don't fly", "Dogs do not fly"),
        ("expand", "Cats can’t swim", "Cats cannot swim"),
        ("expand", "We think they're late", "We think they are late"),
        ("expand", "Isn't it so?", "Isn't it so?"),
        ("expand", "It is cold, isn't it?", "It is cold, isn't it?"),
        ("expand", "Why don't cats swim?", "Why don't cats swim?"),
        ("expand", "It's Peter's", "It's Peter's"),
        ("number-word", "Name 3 animals", "Name three animals"),
        ("number-word", "at 5 °C or 3.5 metres", "at 5 °C or 3.5 metres"),
        ("number-word", "chapter 1,000, 2: text", "chapter 1,000, 2: text"),
        ("digits", "the seven seas", "the 7 seas"),
        ("digits", "one day", "one day"),
        ("british", "My favorite color", "My favourite color"),
        ("american", "Grey is a colour", "Gray is a colour"),
        ("american", "GREY", "GREY"),
    ],
)
def test_what_each_does(name: str, before: str, after: str) -> None:
    variation = next(v for v in WORDING if v.name == name)
    assert variation.change(written(before), lambda _: 0).prompt.text == after


def test_there_and_back() -> None:
    by_name = {v.name: v for v in WORDING}
    for there, back, text in (
        ("contract", "expand", "Dogs do not fly"),
        ("number-word", "digits", "Name 3 animals"),
        ("british", "american", "My favorite one"),
    ):
        changed = by_name[there].change(written(text), lambda _: 0)
        assert changed.prompt.text != text
        assert by_name[back].change(changed, lambda _: 0).unchanged


VERBS = ("is not", "cannot", "don't", "are", "You are", "we've")
WORDS = st.sampled_from([*VERBS, "3 dogs", "seven seas", "grey", "color", "US", "0 °C", "not", "x"])


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.data(), st.one_of(st.lists(WORDS, max_size=8).map(" ".join), st.text(max_size=60)))
def test_one_place_changes_as_the_step_says(data: st.DataObject, text: str) -> None:
    case = data.draw(perturb.wording()(written(text)))
    if not case.unchanged:
        (step,) = case.steps
        found = re.fullmatch(r"[^:]+: (.+) -> (.+)", step, re.DOTALL)
        assert found is not None
        old, new = found.groups()
        assert case.prompt.text in {
            text[: m.start()] + new + text[m.end() :] for m in re.finditer(re.escape(old), text)
        }
