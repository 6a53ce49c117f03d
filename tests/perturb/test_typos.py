from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surfcheck import perturb
from surfcheck.perturb.vocabulary import NEGATIONS
from surfcheck.records import Case, Prompt

WORDS = st.sampled_from(
    """water never not freezes nothing 100 H2O covid19 note knot Paris isn't don't cannot °C true,
    (maybe) "quoted" www.example.org foo_bar well-known NASA élève 東京都庁 the is 3.14""".split()  # noqa: SIM905
)
TEXTS = st.one_of(st.lists(WORDS, max_size=12).map(" ".join), st.text(max_size=60))


def written(text: str) -> Case:
    return Case(Prompt.of(text), Prompt.of(text), "unchanged")


def bare(text: str) -> list[str]:
    return [re.sub(r"[^\w']", "", w).casefold() for w in text.split()]


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.data(), TEXTS)
def test_a_slip_touches_at_most_two_harmless_words(data: st.DataObject, text: str) -> None:
    case = data.draw(perturb.typos()(written(text)))
    before, after = text.split(), case.prompt.text.split()
    touched = [a for a, b in zip(before, after, strict=True) if a != b]
    assert len(touched) <= 2
    assert len(touched) == len(case.steps)
    for old in touched:
        assert sum(c.isalpha() for c in old) >= 4
        assert old.islower()
        assert not any(c.isdigit() for c in old)
    assert [c for c in text if c.isdigit()] == [c for c in case.prompt.text if c.isdigit()]
    negations = [[w for w in bare(t) if w in NEGATIONS] for t in (text, case.prompt.text)]
    assert negations[0] == negations[1]


@pytest.mark.parametrize(
    "text",
    ["not never nothing cannot", "I don't, you couldn't", "H2O 1000 3.14", "the sky is red",
     "Paris London NASA", "www.example.org foo_bar well-known"],
)  # fmt: skip
def test_what_is_left_alone(text: str) -> None:
    for kind in range(4):
        case = perturb.typos().change(written(text), lambda n, kind=kind: min(kind, n - 1))
        assert case.unchanged


def test_a_slip_never_makes_a_negation() -> None:
    seen = set()
    for kind in range(4):
        for option in range(30):
            answers = iter((kind, 0, 0, option))
            case = perturb.typos().change(
                written("note"), lambda n, answers=answers: min(next(answers), n - 1)
            )
            seen.add(case.prompt.text)
    assert {"noet", "notte", "noe", "nite"} & seen
    assert "not" not in seen
