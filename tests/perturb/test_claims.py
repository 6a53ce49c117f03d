from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surfcheck import perturb
from surfcheck.perturb.claims import FORMS, is_request
from surfcheck.records import Case, Prompt


def written(text: str) -> Case:
    return Case(Prompt.of(text), Prompt.of(text), "unchanged")


@pytest.mark.parametrize(
    "text",
    [
        "Is it true that water freezes at 0 °C?",
        "is it really true that water freezes at 0 °C",
        "Isn't it true that water freezes at 0 °C?",
        "Is it the case that water freezes at 0 °C?",
        "Water freezes at 0 °C, right?",
        "Water freezes at 0 °C, isn't it?",
        "Water freezes at 0 °C, doesn’t it?",
        "Water freezes at 0 °C, is that correct?",
        "Water freezes at 0 °C. Is that correct?",
        "Water freezes at 0 °C. Right?",
        "Water freezes at 0 °C - true or false?",
        "Am I right that water freezes at 0 °C?",
        "Am I right in thinking that water freezes at 0 °C?",
        "I believe that water freezes at 0 °C.",
        "I'm pretty sure that water freezes at 0 °C. Is that right?",
        "I heard that water freezes at 0 °C. Is that true?",
        "It is true that water freezes at 0 °C.",
        "Can you confirm that water freezes at 0 °C?",
        "Do you agree that water freezes at 0 °C?",
        "Did you know that water freezes at 0 °C?",
        "True or false: Water freezes at 0 °C?".replace("Water", "water"),
        "Water freezes at 0 °C.",
        "Water freezes at 0 °C!",
        "Water freezes at 0 °C?",
        "water freezes at 0 °C",
        "  Is it true  that water\tfreezes at 0 °C??  ",
        "Hello. Is it true that water freezes at 0 °C?",
    ],
)
def test_one_claim_in_many_forms(text: str) -> None:
    assert perturb.claim(text) == "water freezes at 0 °C"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Paris is in France, right?", "Paris is in France"),
        ("The capital of Australia is Canberra.", "the capital of Australia is Canberra"),
        ("Zebras have stripes.", "zebras have stripes"),
        ("Penguins can't fly, right?", "penguins can't fly"),
        ("Is it true that 2 + 2 = 4?", "2 + 2 = 4"),
        ("NASA was founded in 1958.", "NASA was founded in 1958"),
    ],
)
def test_a_possible_name_keeps_its_capital(text: str, said: str) -> None:
    assert perturb.claim(text) == said


@pytest.mark.parametrize(
    "text",
    [
        "", "  ", "?", "...", "Is it true?", "Is it true that?", "Write a poem.", "What is water?",
        "Does water freeze at 0 °C?", "Best way to boil eggs", "Things you can do in Paris",
        "Animals that are extinct", "Main causes of war.", "I am sad.", "My dog is ill.",
        "Translate 'the sky is blue' into French.", "Hello!", "Japan is an island. It is big.",
        "Tell me why the sky is blue.", "Is it true that cats bark? And dogs?", "L'eau gèle.",
        "- Water is wet.", "Water is wet.\nFire is hot.", "{\"water\": \"is wet\"}",
        "Please explain what is wrong.", "How are rainbows made, right?", "right?", ", right?",
    ],
)  # fmt: skip
def test_what_carries_no_claim(text: str) -> None:
    assert perturb.claim(text) is None
    assert perturb.questions().change(written(text), lambda _: 0).unchanged


def test_the_forms_as_a_person_reads_them() -> None:
    case = written("Is it true that water is wet?")
    assert [form.change(case, lambda _: 0).prompt.text for form in FORMS] == [
        "Water is wet.",
        "Water is wet?",
        "Is it true that water is wet?",
        "Water is wet, right?",
        "Water is wet, isn't it?",
        "Water is wet. Is that correct?",
        "Is it correct that water is wet?",
        "Am I right that water is wet?",
        "Do you agree that water is wet?",
        "Can you confirm that water is wet?",
        "I believe that water is wet.",
        "I heard that water is wet. Is that true?",
        "True or false: water is wet?",
    ]


SUBJECTS = st.sampled_from(["Water", "The Moon", "Zebras", "Uranium", "Paris", "A spider", "42"])
VERBS = st.sampled_from(["is", "are", "can be", "has", "freezes", "don't eat", "was not"])
REST = st.sampled_from(["in France", "eight legs", "0 °C", "3.5 metres tall", "a city, a big one"])
FRAMES = st.sampled_from(
    ["{}.", "{}, right?", "{}. Is that true?", "{}?", "Is it true that {}?", "I think that {}."]
)
SENTENCES = st.builds(
    lambda frame, *parts: frame.format(" ".join(parts)), FRAMES, SUBJECTS, VERBS, REST
)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.data(), st.one_of(SENTENCES, st.text(max_size=60)))
def test_every_form_carries_the_same_claim(data: st.DataObject, text: str) -> None:
    before = perturb.claim(text)
    case = data.draw(perturb.questions()(written(text)))
    if before is None:
        assert case.unchanged
    else:
        after = perturb.claim(case.prompt.text)
        assert after is not None
        assert after.casefold() == before.casefold()


@given(SENTENCES)
def test_a_claim_in_a_frame_is_found(text: str) -> None:
    assert perturb.claim(text) is not None


def test_requests() -> None:
    assert is_request("Write a poem.")
    assert is_request(" tell me why")
    assert not is_request("Name: Peter")
    assert not is_request("Water is wet.")
    assert not is_request("Stop!")
