"""Contrasts from a run, and from a file."""

from __future__ import annotations

import json

import pytest

from surfcheck.attribution.contrasts import MOST_HELD, of_test
from surfcheck.attribution.evidence import read_contrasts
from surfcheck.errors import DataError, UsageError
from surfcheck.records import Case, Contrast, Exchange, Failure, Outcome, Prompt


def exchange(test, prompt, response, outcome, seed="seed"):
    return Exchange(test, prompt, response, Outcome(outcome), "p", seed)


RUN = [
    exchange("t", "Is it true that ice is cold?", "No.", "violated", "Ice is cold, right?"),
    exchange("t", "Ice is cold, right?", "Yes, ice.", "held", "Ice is cold, right?"),
    exchange("t", "Is it true that snow is white?", "Yes, snow.", "held", "Snow is white."),
    exchange("t", "Hm?", "?", "undecided"),
    exchange("u", "Ice is hot?", "No, it is cold.", "held"),
]


def test_a_broken_exchange_stands_beside_its_own_seeds_twin():
    found = of_test("t", RUN, [], seed=0)
    assert found[0] == Contrast(
        "Is it true that ice is cold?", "No.", "Yes, ice.", "Ice is cold, right?"
    )


def test_an_answer_to_another_question_is_good_only_where_no_other_is():
    """A leap year has 366 days, whatever held of a week."""
    lost = exchange("t", "Is it true that sand is dry?", "No, sand.", "violated", "Sand is dry.")

    def goods(base=None):
        contrasts = of_test("t", [*RUN, lost], [], seed=0, base=base)
        return [c.good for c in contrasts if c.prompt == lost.prompt and c.bad is not None]

    assert goods() == ["Yes, snow."]
    assert goods(lambda prompts: ["Yes, sand."] * len(prompts)) == ["Yes, sand."]
    assert goods(lambda prompts: ["No, sand."] * len(prompts)) == ["Yes, snow."]


def test_what_held_in_any_test_is_a_case():
    held = [c for c in of_test("t", RUN, [], seed=0) if c.bad is None]
    assert {c.prompt for c in held} == {
        "Ice is cold, right?",
        "Is it true that snow is white?",
        "Ice is hot?",
    }


def test_a_failure_brings_its_own_twin():
    prompt = Prompt.of("smallest")
    case = Case(prompt, prompt, "p")
    failure = Failure("t", "t[x]", "b", case, "No.", "why", "twin", "Yes, twin.", 4, 4)
    assert Contrast("smallest", "No.", "Yes, twin.", "smallest") in of_test(
        "t", RUN, [failure], seed=0
    )


def test_a_test_that_never_held_has_no_contrast():
    broken = [e for e in RUN if e.outcome is Outcome.VIOLATED]
    assert of_test("t", broken, [], seed=0) == ()


def test_a_test_that_never_held_stands_against_the_base():
    broken = [e for e in RUN if e.outcome is Outcome.VIOLATED]
    asked = []

    def base(prompts):
        asked.extend(prompts)
        return ["Yes, ice." for _ in prompts]

    found = of_test("t", [*broken, *broken], [], seed=0, base=base)
    prompt = "Is it true that ice is cold?"
    assert found == (Contrast(prompt, "No.", "Yes, ice.", "Ice is cold, right?"),)
    assert asked == [prompt]


def test_the_bases_answer_stands_beside_the_twins_if_it_is_another():
    def against(answer):
        found = of_test("t", RUN, [], seed=0, base=lambda prompts: [answer] * len(prompts))
        return [c.good for c in found if c.bad is not None]

    assert against("Ice is cold, yes.") == ["Yes, ice.", "Ice is cold, yes."]
    assert against("Yes, ice.") == ["Yes, ice."]


def test_an_answer_that_the_run_saw_break_the_test_is_no_good_one():
    more = exchange("t", "Is it true that sand is dry?", "No, sand.", "violated")
    for answer in ("No.", "No, sand."):
        found = of_test("t", [RUN[0], more], [], seed=0, base=lambda p, a=answer: [a] * len(p))
        assert found == ()


def test_the_same_seed_reads_the_same_cases():
    many = [exchange("u", f"prompt {i}", "yes", "held") for i in range(MOST_HELD + 100)]
    found = of_test("t", [*RUN, *many], [], seed=3)
    assert found == of_test("t", [*RUN, *many], [], seed=3)
    assert sum(c.bad is None for c in found) == MOST_HELD


def test_a_contrast_file(tmp_path):
    path = tmp_path / "contrast.jsonl"
    rows = [{"prompt": "p", "bad": "b", "good": "g"}, {"prompt": "q", "good": "g"}]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    assert read_contrasts(path) == (Contrast("p", "b", "g"), Contrast("q", None, "g"))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ("[]", "needs a text `prompt`"),
        ('{"bad": "b", "good": "g"}', "needs a text `prompt`"),
        ('{"prompt": "p"}', "has no `bad` and no `good`"),
        ('{"prompt": "p", "bad": "b"}', "has no `good`"),
        ('{"prompt": "p", "bad": 1, "good": "g"}', "`bad` must be a text"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, says):
    path = tmp_path / "contrast.jsonl"
    path.write_text('{"prompt": "p", "bad": "b", "good": "g"}\n' + line + "\n")
    with pytest.raises(DataError, match=says) as caught:
        read_contrasts(path)
    assert caught.value.line == 2


def test_files_that_are_no_contrast_files(tmp_path):
    with pytest.raises(UsageError, match="no such contrast file"):
        read_contrasts(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(DataError, match="is empty"):
        read_contrasts(tmp_path / "empty.jsonl")
    (tmp_path / "latin.jsonl").write_bytes('{"prompt": "é"}'.encode("latin-1"))
    with pytest.raises(DataError, match="UTF-8"):
        read_contrasts(tmp_path / "latin.jsonl")
