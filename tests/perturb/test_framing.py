from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surfcheck import perturb
from surfcheck.perturb.framing import FRAMING
from surfcheck.records import Case, Prompt

TEXTS = st.one_of(
    st.sampled_from(
        [
            "Is it true that water freezes at 0 °C?",
            "Write a poem.\nMake it short.",
            "a | b \\| c <br> \\<br>\n`code` ```fence```",
            '{"a": 1}',
            "Explain why; briefly",
        ]
    ),
    st.text(max_size=60),
)
MANY = settings(max_examples=250, deadline=None, derandomize=True, database=None)


def written(text: str) -> Case:
    return Case(Prompt.of(text), Prompt.of(text), "unchanged")


def unwrapped(changed: str, step: str) -> str:
    """What a reader of the format reads out of the wrapper."""
    if "JSON" in step:
        (value,) = json.loads(changed).values()
        return str(value)
    if "table" in step:
        cell = changed.split("\n", 2)[2][2:-2]
        return re.sub(r"\\(\\|\||<br>)|<br>", lambda m: m[1] or "\n", cell)
    if "block quote" in step:
        return "\n".join(line.removeprefix("> ") for line in changed.split("\n"))
    return changed


@MANY
@given(st.data(), TEXTS)
def test_a_wrapper_keeps_the_prompt_word_for_word(data: st.DataObject, text: str) -> None:
    case = data.draw(perturb.wrappers()(written(text)))
    assert text in unwrapped(case.prompt.text, "".join(case.steps))


@MANY
@given(st.data(), TEXTS)
def test_a_distractor_comes_after_the_prompt(data: st.DataObject, text: str) -> None:
    case = data.draw(perturb.distractors()(written(text)))
    assert case.prompt.text.startswith(text)
    rest = case.prompt.text.removeprefix(text).strip()
    assert rest == "" or rest in perturb.CLAUSES or case.unchanged


@MANY
@given(st.data(), TEXTS)
def test_a_persona_comes_before_the_prompt(data: st.DataObject, text: str) -> None:
    assert data.draw(perturb.persona()(written(text))).prompt.text.endswith(text)


@MANY
@given(st.data(), TEXTS)
def test_politeness_keeps_every_word(data: st.DataObject, text: str) -> None:
    changed = data.draw(perturb.politeness()(written(text))).prompt.text
    kept, words = (
        "\0" + "\0".join(re.findall(r"\w+", t.casefold())) + "\0" for t in (changed, text)
    )
    assert words.strip("\0") == "" or words in kept


def test_a_code_fence_is_longer_than_any_inside() -> None:
    fenced = next(v for v in FRAMING if v.name == "code-block")
    changed = fenced.change(written("a ````b```` c"), lambda _: 0).prompt.text
    assert changed == "`````\na ````b```` c\n`````"


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("please", "Write a poem.", "Please write a poem."),
        ("could-you", "Write a poem.", "Could you write a poem?"),
        ("could-you", "Write a poem. Make it rhyme.", "Could you write a poem. Make it rhyme."),
        ("would-you", "Explain tides", "Would you please explain tides?"),
        ("please", "Is it so?", "Is it so?"),
        ("thanks", "Is it so?", "Is it so? Thanks!"),
        ("thanks", "capital of Spain", "capital of Spain\nThanks!"),
        ("job", "Is it so?", "I'm a teacher. Is it so?"),
        ("table", "a | b", "| Question |\n| --- |\n| a \\| b |"),
        ("json", 'Say "hé"', '{"question": "Say \\"hé\\""}'),
        ("block-quote", "a\nb", "> a\n> b"),
        ("xml", "Is it so?", "<question>Is it so?</question>"),
    ],
)
def test_what_each_does(name: str, before: str, after: str) -> None:
    variation = next(v for v in FRAMING if v.name == name)
    assert variation.change(written(before), lambda _: 0).prompt.text == after


def test_distractors_are_twelve_or_more_and_can_be_given() -> None:
    assert len(set(perturb.CLAUSES)) == len(perturb.CLAUSES) >= 12
    mine = perturb.distractors("Answer in French.")
    assert mine.name == "distractors"
    assert mine.change(written("So?"), lambda _: 0).prompt.text == "So? Answer in French."


def test_framing_has_no_distractors() -> None:
    assert not {v.name for v in FRAMING} & {"distractors"}
    appended = {
        perturb.framing().change(written("Write a poem."), lambda n, i=i: i % n).prompt.text
        for i in range(60)
    }
    assert not any(clause in text for clause in perturb.CLAUSES for text in appended)
