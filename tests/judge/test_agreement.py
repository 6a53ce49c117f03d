from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surfcheck.judge.agreement import agreement
from surfcheck.records import Prompt, Response

Say = Callable[..., Response]
CAPITAL = "What is the capital of France?"
FREEZES = "Is it true that water freezes at 0 °C?"
WRITE = "Write a poem about snow."


@pytest.mark.parametrize(
    ("prompt", "one", "other"),
    [
        (FREEZES, "Yes.", "That's right, it does."),
        (FREEZES, "No.", "That is a myth."),
        (CAPITAL, "Paris", "The capital of France is Paris."),
        (CAPITAL, "It is Paris.", "Paris!"),
        (CAPITAL, "PARIS.", "| Answer |\n| --- |\n| Paris |"),
        (CAPITAL, "Paris", '{"capital": "Paris"}'),
        ("How many legs has a spider?", "Eight.", "A spider has 8 legs."),
        ("How many legs has a spider?", "8", "It has eight legs."),
        ("What is 2 + 2?", "4", "4"),
        ("What is 900 + 100?", "1,000", "The sum is 1000."),
        (WRITE, "I can't help with that.", "I'm sorry, but I cannot assist."),
        (CAPITAL, "The capital of France is Paris.", "The capital of France is Paris."),
    ],
)
def test_the_same(prompt: str, one: str, other: str, say: Say) -> None:
    found = agreement(say(one, prompt), say(other, prompt))
    assert found.same is True, found.why


@pytest.mark.parametrize(
    ("prompt", "one", "other"),
    [
        (FREEZES, "Yes.", "No."),
        (FREEZES, "Yes, it does.", "That is not correct."),
        (CAPITAL, "Paris", "Lyon"),
        (CAPITAL, "The capital of France is Paris.", "The capital of France is Lyon."),
        ("How many legs has a spider?", "Eight.", "Six."),
        ("How many legs has a spider?", "A spider has 8 legs.", "A spider has 6 legs."),
        (WRITE, "Snow falls softly on the hills.", "I can't help with that."),
        (WRITE, "Sorry, I cannot help.", "Snow falls softly."),
        (CAPITAL, "Paris is in France.", "Paris is not in France."),
        (WRITE, "Snow falls softly on the hills.", "The economy grew last year."),
    ],
)
def test_not_the_same(prompt: str, one: str, other: str, say: Say) -> None:
    found = agreement(say(one, prompt), say(other, prompt))
    assert found.same is False, found.why


@pytest.mark.parametrize(("one", "other"), [("...", "Paris"), ("Paris", "?"), ("It is.", "Well.")])
def test_nothing_to_compare(one: str, other: str, say: Say) -> None:
    assert agreement(say(one), say(other)).same is None


def test_words_of_either_prompt_do_not_make_agreement(say: Say) -> None:
    wrapped = "I'm a teacher. What is the capital of France?"
    assert (
        agreement(say("The capital is Paris.", CAPITAL), say("It's Paris.", wrapped)).same is True
    )
    assert (
        agreement(say("As a teacher: Nice.", wrapped), say("A teacher: Lyon.", wrapped)).same
        is False
    )


WORDS = st.sampled_from(
    ["yes", "no", "not", "Paris", "Lyon", "8", "eight", "I can't help.", "snow", "the", "...", "\n"]
)
TEXTS = st.one_of(st.lists(WORDS, max_size=6).map(" ".join), st.text(max_size=40))


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(TEXTS, TEXTS, TEXTS)
def test_order_does_not_matter_and_nothing_raises(one: str, other: str, prompt: str) -> None:
    a, b = (Response(Prompt.of(prompt), text) for text in (one, other))
    assert agreement(a, b).same is agreement(b, a).same


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(TEXTS)
def test_an_answer_never_differs_from_itself(text: str) -> None:
    response = Response(Prompt.of(FREEZES), text)
    assert agreement(response, response).same is not False
