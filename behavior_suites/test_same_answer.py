"""One question, one answer. Left out: whether the answer is right."""

from __future__ import annotations

import pytest

from surfcheck import invariant, perturb
from surfcheck.judge import rules


@invariant(perturb.casing(), perturb.framing())
@pytest.mark.parametrize(
    "prompt",
    [
        "What is the capital of France?",
        "What is the capital of Peru?",
        "Where is the Eiffel Tower?",
        "Where is Mount Fuji?",
        "What colour is a banana?",
        "What is a guitar?",
        "What is bread made from?",
        "How many days does a week have?",
        "How many legs does an ant have?",
    ],
)
def test_answers_do_not_depend_on_form(prompt, target, judge):
    """A question gets the same answer in capitals, with a greeting, from anybody, in any wrapper.

    Right: the answer says what the answer to the question as written says, in whatever words.
    Wrong: another city, another number, or a refusal.
    """
    assert judge(target(prompt), rules.same_answer(target.unchanged))
