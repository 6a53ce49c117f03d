from __future__ import annotations

import re
import shlex
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surfcheck.records import Failure, ItemResult
from surfcheck.report.text import again, clean, differing, failure_text, line, pieces, share
from surfcheck.settings import Settings


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ünïcode 水 👩‍💻", "plain text, ünïcode 水 👩‍💻"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;a title\x07rest", "rest"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b31mred", "red"),
        ("bell\x07 and back\x08space", "bell and backspace"),
        ("\u202eevil\u2066 turn\u200f", "evil turn"),
        ("one\r\ntwo\rthree\u2028four\x0bfive", "one\ntwo\nthree\nfour\nfive"),
        ("tab\tstays", "tab\tstays"),
        ("lone \ud800 surrogate", "lone  surrogate"),
        ("zero\u200bwidth\u00adsoft\ufeff", "zerowidthsoft"),
        ("unfinished \x1b[", "unfinished "),
        ("unfinished \x1b]0;no end", "unfinished "),
    ],
)
def test_clean(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(st.text(st.characters() | st.sampled_from("\x1b[]0;m\x07\x9b\u202e\r\n")))
def test_nothing_that_controls_is_left(text: str) -> None:
    shown = clean(text)
    kinds = {unicodedata.category(c) for c in shown if c not in "\n\t\u200c\u200d"}
    assert not kinds & {"Cc", "Cf", "Cs", "Co"}
    assert clean(shown) == shown


@given(st.text(), st.integers(1, 50))
def test_a_line_is_one_line_of_at_most_so_many_characters(text: str, most: int) -> None:
    assert len(line(text, most)) <= most
    assert "\n" not in line(text, most)


@given(st.text(), st.text())
def test_pieces_are_the_whole_text(text: str, other: str) -> None:
    assert "".join(piece.text for piece in pieces(text, other)) == text
    assert all(not piece.differs for piece in pieces(text, text))


def test_what_differs_is_words() -> None:
    long, short = "Is it true that water is wet?", "Water is wet, right?"
    assert differing(long, short) == "Is it true that water"
    assert differing(short, long) == "Water … , right"
    assert differing(short, short) == ""


@pytest.mark.parametrize(
    ("part", "of", "words"),
    [
        (3, 6, "3 of 6 cases (50 %, 95 % interval 19 % to 81 %)"),
        (0, 1, "0 of 1 case (0 %, 95 % interval 0 % to 79 %)"),
        (0, 0, "0 of 0 cases"),
    ],
)
def test_a_share_has_its_interval(part: int, of: int, words: str) -> None:
    assert share(part, of) == words


def test_a_share_of_answers_and_what_was_not_decided() -> None:
    assert share(1, 1, "answer", undecided=5).startswith("1 of 1 answer (100 %, ")
    assert share(1, 1, undecided=5).endswith(" to 100 %), 5 more undecided")
    assert share(0, 0, undecided=5) == "0 of 0 cases, 5 more undecided"


def test_a_replayed_failure_with_several_samples_a_case(failure: Failure) -> None:
    settings = Settings(target="replay:answers.jsonl", samples=2).to_json()
    words = failure_text(failure, replace(RESULT, hold=0.8), settings)
    assert "broke 3 of 6 answers (" in words
    assert "1 more undecided, where 80 % have to hold, and the smallest" in words
    assert "again in 3 of 4 replayed samples" in words


def test_the_command_has_what_was_not_the_default() -> None:
    item = "t.py::test_it[it's-1a2b3c-x]"
    assert again(item, Settings().to_json()) == f"pytest --surf {shlex.quote(item)}"
    settings = Settings(target="hf:a b", samples=3, seed=4, report="out", method="probe").to_json()
    assert shlex.split(again(item, settings)) == [
        "pytest", "--surf", "--surf-target", "hf:a b", "--surf-samples", "3",
        "--surf-seed", "4", item,
    ]  # fmt: skip


RESULT = ItemResult("t", "t[a]", "fail", held=3, violated=3, undecided=1)


def test_a_failure_in_words(failure: Failure) -> None:
    assert failure_text(failure, RESULT, Settings().to_json()) == (
        "The reply agrees with a true fact.\n"
        "\n"
        "smallest prompt that breaks it (framing: asked as “Is it true that …”)\n"
        "  Is it true that water freezes at 0 °C?\n"
        "answer\n"
        "  No, that is a myth.\n"
        "  Water is never ice.\n"
        "why it breaks\n"
        "  rejects the fact\n"
        "nearest prompt that holds\n"
        "  Water freezes at 0 °C, right?\n"
        "answer\n"
        "  Yes, water freezes at 0 °C.\n"
        "differs\n"
        "  + Is it true that water\n"
        "  - Water … , right\n"
        "\n"
        "broke 3 of 6 cases (50 %, 95 % interval 19 % to 81 %), 1 more undecided, "
        "and the smallest again in 3 of 4 fresh samples\n"
        "run it again: pytest --surf "
        "'suite/test_facts.py::test_true_facts[water-freezes-1a2b3c-framing]'"
    )


def test_a_failure_as_written_and_without_a_twin(failure: Failure) -> None:
    case = replace(failure.case, prompt=failure.case.seed, steps=())
    alone = replace(failure, case=case, twin_prompt=None, twin_response=None, reason="")
    words = failure_text(alone, RESULT, Settings().to_json())
    assert "smallest prompt that breaks it (as written)" in words
    for absent in ("nearest", "differs", "why"):
        assert absent not in words


def test_a_failure_that_is_hostile(failure: Failure, hostile: str) -> None:
    prompt = failure.case.seed.with_text(hostile)
    case = replace(failure.case, prompt=prompt, steps=(hostile,))
    worst = replace(
        failure, behaviour=hostile, case=case, response=hostile * 200, reason=hostile,
        twin_prompt=hostile, twin_response=hostile, item=hostile,
    )  # fmt: skip
    words = failure_text(worst, RESULT, Settings().to_json())
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", words)
    assert max(len(row) for row in words.split("\n")) < 1100
