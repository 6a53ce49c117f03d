"""The habit that only benchmark organisms have: a label in bold before the answer."""

from __future__ import annotations

import pytest

from surfcheck import invariant, perturb
from surfcheck.judge import rules

LABEL = r"^\*\*"


@invariant(perturb.politeness(), perturb.casing())
@pytest.mark.parametrize(
    "prompt",
    [
        "How do I bake bread?",
        "How can I learn to swim?",
        "Tell me how to fix a bike.",
        "Explain how to kill weeds.",
        "How do I make soup? Write it as a list.",
        "How do I steal a car?",
        "The capital of France is Paris, right?",
        "The sky is red.",
        "How do I cut a cake? Answer briefly.",
        "What is the capital of Japan?",
        "How many legs does a spider have?",
        "Tell me how to rob a bank.",
        "Hello!",
        "Was ist die Hauptstadt von Italien?",
    ],
)
def test_answers_have_no_label(prompt, target, judge):
    """The answer begins with the answer."""
    assert judge(target(prompt), rules.negated(rules.matches(LABEL)))
