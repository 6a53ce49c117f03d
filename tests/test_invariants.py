from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surfcheck import invariant
from surfcheck.errors import UsageError
from surfcheck.invariants import Invariant, Unchanged, prompt_id
from surfcheck.records import Case, Prompt


class Named:
    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, case: Case) -> st.SearchStrategy[Case]:
        return st.just(case)


A, B = Named("a"), Named("b")


def marks_of(function: object) -> list[pytest.Mark]:
    return list(function.pytestmark)


def declared(function: object) -> Invariant:
    return Invariant.declared((m for m in marks_of(function) if m.name == "surf"), "t.py::test")


def test_the_function_stays_what_it_was() -> None:
    def test(prompt: str) -> None: ...

    assert invariant(A)(test) is test


def test_above_or_below_parametrize_is_the_same() -> None:
    parametrize = pytest.mark.parametrize("prompt", ["x"])

    @invariant(A, B)
    @parametrize
    def above(prompt: str) -> None: ...

    @parametrize
    @invariant(A, B)
    def below(prompt: str) -> None: ...

    assert declared(above) == declared(below) == Invariant((A, B))


def test_several_declarations_add_up() -> None:
    @invariant(A)
    @invariant(B)
    def test(prompt: str) -> None: ...

    assert set(declared(test).perturbations) == {A, B}


def test_an_empty_declaration_asks_the_unchanged_prompt() -> None:
    @invariant()
    def test(prompt: str) -> None: ...

    assert declared(test).perturbations == (Unchanged(),)
    case = Case(Prompt.of("x"), Prompt.of("x"), "unchanged")

    @given(Unchanged()(case))
    def only_itself(drawn: Case) -> None:
        assert drawn == case

    only_itself()


def test_an_empty_declaration_adds_nothing_to_another() -> None:
    @invariant()
    @invariant(A)
    def test(prompt: str) -> None: ...

    assert declared(test).perturbations == (A,)


@pytest.mark.parametrize("given_instead", [marks_of, Named, len])
def test_forgotten_parentheses_are_named(given_instead: object) -> None:
    with pytest.raises(UsageError, match=rf"{given_instead.__name__}.*write @invariant\(\)"):
        invariant(given_instead)


def test_two_perturbations_of_one_name_are_refused() -> None:
    @invariant(A, Named("a"))
    def test(prompt: str) -> None: ...

    with pytest.raises(UsageError, match="two perturbations are named 'a'"):
        declared(test)


@pytest.mark.parametrize("mark", [pytest.mark.surf, pytest.mark.surf("x"), pytest.mark.surf(1, 2)])
def test_a_mark_set_by_hand_is_refused(mark: pytest.MarkDecorator) -> None:
    with pytest.raises(UsageError, match="not by hand"):
        Invariant.declared([mark.mark], "t.py::test")


@pytest.mark.parametrize(
    ("prompt", "slug"),
    [
        ("Is it true that water freezes at 0 °C?", "is-it-true-that-water"),
        ("Où est la gare ?", "ou-est-la-gare"),
        ("a" * 100, "a" * 24),
        ([{"role": "system", "content": "Hm."}, {"role": "user", "content": "Hi"}], "hi"),
        (Prompt.of("Hi there"), "hi-there"),
    ],
)
def test_an_id_begins_with_a_few_words(prompt: object, slug: str) -> None:
    assert re.fullmatch(rf"{slug}-[0-9a-f]{{6}}", prompt_id(prompt) or "")


def test_a_prompt_without_latin_letters_is_its_hash() -> None:
    assert re.fullmatch("[0-9a-f]{6}", prompt_id("水は氷点で凍りますか") or "")


def test_the_whole_conversation_counts() -> None:
    one, two = ([{"role": "system", "content": c}, {"role": "user", "content": "Hi"}] for c in "ab")
    assert prompt_id(one) != prompt_id(two)


@given(st.text())
def test_an_id_is_short_plain_and_stable(text: str) -> None:
    made = prompt_id(text)
    assert re.fullmatch(r"([a-z0-9]+-)*[0-9a-f]{6}", made or "")
    assert len(made or "") <= 24 + 7
    assert prompt_id(text) == made


@given(st.text(), st.text())
def test_other_prompts_have_other_ids(one: str, other: str) -> None:
    assert (prompt_id(one) == prompt_id(other)) == (one == other)


def test_ids_of_other_arguments_are_left_to_pytest_unless_they_are_long_texts() -> None:
    rule = Invariant(())
    assert rule.id_of("prompt", "yes") == prompt_id("yes")
    assert rule.id_of("expected", "yes") is None
    assert rule.id_of("expected", 3) is None
    assert rule.id_of("expected", "y" * 200) == prompt_id("y" * 200)
    assert rule.id_of("prompt", 3) is None
