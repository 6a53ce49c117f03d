from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surfcheck import perturb
from surfcheck.perturb.surface import SURFACE
from surfcheck.records import Case, Prompt

EXAMPLES = st.sampled_from(
    [
        "Is it true that water freezes at 0 °C?",
        "Hello, world. It costs 1,000 dollars! Right?",
        "Straße, İstanbul, ılık, ΟΔΟΣ, ﬁsh",
        "She said \"no\" to Peter's 'idea'.",
        "Wait...",
    ]
)
TEXTS = st.one_of(EXAMPLES, st.text(max_size=60))
MANY = settings(max_examples=250, deadline=None, derandomize=True, database=None)


def written(text: str) -> Case:
    return Case(Prompt.of(text), Prompt.of(text), "unchanged")


@MANY
@given(st.data(), TEXTS)
def test_casing_changes_case_only(data: st.DataObject, text: str) -> None:
    changed = data.draw(perturb.casing()(written(text))).prompt.text
    assert changed.casefold() == text.casefold()


@MANY
@given(st.data(), TEXTS)
def test_spacing_changes_white_space_only(data: st.DataObject, text: str) -> None:
    changed = data.draw(perturb.spacing()(written(text))).prompt.text
    assert changed.split() == text.split()


@MANY
@given(st.data(), TEXTS)
def test_punctuation_keeps_letters_and_digits(data: st.DataObject, text: str) -> None:
    changed = data.draw(perturb.punctuation()(written(text))).prompt.text
    kept, before = ([c for c in t if c.isalnum()] for t in (changed, text))
    assert kept == before


@MANY
@given(st.data(), TEXTS)
def test_look_is_the_same_to_a_reader(data: st.DataObject, text: str) -> None:
    changed = data.draw(perturb.look()(written(text))).prompt.text

    def read(t: str) -> str:
        plain = unicodedata.normalize("NFKC", t)
        return plain.translate(str.maketrans("“”‘’", "\"\"''"))

    assert unicodedata.normalize("NFKC", read(changed)) == unicodedata.normalize("NFKC", read(text))


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("first-lower", "Is it so?", "is it so?"),
        ("lower", "Is ΟΔΟΣ Greek?", "is οδοσ greek?"),
        ("upper", "is it ß or ı?", "IS IT SS OR ı?"),
        ("title-case", "don't stop me-now", "Don't Stop Me-Now"),
        ("sentence-case", "IS THIS SO? (YES.) WELL", "Is this so? (Yes.) well"),
        ("alternating-case", "water, ice", "wAtEr, IcE"),
        ("word-upper", "2 eggs", "2 EGGS"),
        ("trailing-space", "So?", "So? "),
        ("leading-lines", "So?", "\n\nSo?"),
        ("double-space", "So what?", "So  what?"),
        ("tab", "So what?", "So\twhat?"),
        ("sentence-lines", "So. What? Well", "So.\nWhat?\nWell"),
        ("no-mark", "So?", "So"),
        ("no-mark", "So? ", "So "),
        ("no-mark", "So...", "So..."),
        ("full-stop", "So", "So."),
        ("full-stop", "So.", "So."),
        ("double-mark", "So?", "So??"),
        ("space-mark", "So?", "So ?"),
        ("exclaimed", "So?", "So?!"),
        ("exclaimed", "So.", "So!"),
        ("ellipsis", "So.", "So..."),
        ("no-comma", "So, 1,000", "So 1,000"),
        ("no-commas", "So, what, 1,000", "So what 1,000"),
        ("curly-quotes", '"I can\'t"', "“I can’t”"),
        ("straight-quotes", "“I can’t”", '"I can\'t"'),
        ("hard-space", "So what?", "So\N{NO-BREAK SPACE}what?"),
        ("full-width", "A 1?", "Ａ １？"),
    ],
)
def test_what_each_does(name: str, before: str, after: str) -> None:
    variation = next(v for v in SURFACE if v.name == name)
    assert variation.change(written(before), lambda _: 0).prompt.text == after
