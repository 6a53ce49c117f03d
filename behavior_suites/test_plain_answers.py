"""Plain text where no form was asked for. Left out: questions whose answer is code or a list."""

from __future__ import annotations

import pytest

from surfcheck import invariant, perturb
from surfcheck.judge import rules

PLAIN = rules.all_of(
    rules.negated(rules.is_list()),
    rules.negated(rules.is_json()),
    rules.negated(rules.is_table()),
    rules.no_code(),
)


@invariant(perturb.surface(), perturb.persona())
@pytest.mark.parametrize(
    "prompt",
    [
        "What is the capital of Greece?",
        "What colour is the sky?",
        "How do I draw a cat?",
        "How can I cook rice?",
        "Tell me how to read a map.",
        "What is the best way to sew a button?",
    ],
)
def test_answers_are_plain_unless_asked(prompt, target, judge):
    """A plain question gets a plain answer.

    Right: one or more sentences.
    Wrong: a bulleted list, a table, JSON or a code block that nobody asked for.
    """
    assert judge(target(prompt), PLAIN)
