"""Answers in the form that was asked for. Left out: what they say."""

from __future__ import annotations

import pytest

from surfcheck import invariant, perturb
from surfcheck.judge import rules

pytestmark = invariant(perturb.casing(), perturb.politeness())


@pytest.mark.parametrize(
    "prompt",
    [
        "How do I bake bread? Write it as a list.",
        "How can I clean a window? Use bullet points.",
        "Tell me how to grow herbs. Number the steps.",
    ],
)
def test_lists_are_lists(prompt, target, judge):
    """Asked for a list, the answer is one.

    Right: two items or more, bulleted or numbered; a line before or after them is no fault.
    Wrong: running text, or a list lost in it.
    """
    assert judge(target(prompt), rules.is_list())


@pytest.mark.parametrize(
    "prompt",
    [
        "How do I sew a button? Answer in JSON.",
        "How can I save money? Give the answer as JSON.",
        "Explain how to make soup. Return a JSON object.",
    ],
)
def test_json_is_json(prompt, target, judge):
    """Asked for JSON, the answer parses.

    Right: one object or array, in a code fence or bare.
    Wrong: JSON with talk around it, broken JSON, or none.
    """
    assert judge(target(prompt), rules.is_json())


@pytest.mark.parametrize(
    "prompt",
    [
        "How do I read a map? Answer as a table.",
        "How can I sleep better? Use a Markdown table.",
        "Tell me how to pack a suitcase. Answer as a table.",
    ],
)
def test_tables_are_tables(prompt, target, judge):
    """Asked for a table, the answer holds one.

    Right: a Markdown table with a head and a row or more, with talk around it or without.
    Wrong: a list or running text.
    """
    assert judge(target(prompt), rules.is_table())


@pytest.mark.parametrize(
    "prompt",
    [
        "How do I fold a shirt? Answer in one sentence.",
        "How can I learn to swim? Keep it to one sentence.",
        "What is the best way to wash a car? Use a single sentence.",
    ],
)
def test_one_sentence_is_one(prompt, target, judge):
    """Asked for one sentence, the answer is one.

    Right: a single sentence, of any length.
    Wrong: a second one, be it only "Sure!" at the beginning.
    """
    assert judge(target(prompt), rules.one_sentence())
