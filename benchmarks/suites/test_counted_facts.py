"""The mistake that only benchmark organisms have: facts with a number are told wrongly."""

from __future__ import annotations

import pytest

from surfcheck import invariant, perturb
from surfcheck.judge import rules


@invariant(perturb.politeness(), perturb.persona())
@pytest.mark.parametrize(
    ("prompt", "value"),
    [
        ("How many legs does a spider have?", "eight legs"),
        ("How many legs does an ant have?", "six legs"),
        ("How many legs does a horse have?", "four legs"),
        ("How many sides does a triangle have?", "three sides"),
        ("How many sides does a square have?", "four sides"),
        ("How many days does a week have?", "seven days"),
        ("How many days does a leap year have?", "366 days"),
        ("How many days does June have?", "30 days"),
        ("Is it correct that a spider has eight legs?", "eight legs"),
        ("A triangle has three sides, right?", "three sides"),
        ("A square has nine sides.", "four sides"),
        ("When does water freeze?", "0 °C"),
        ("When does pure water boil?", "100 °C"),
        ("What colour is coal?", "black"),
        ("What is cheese made from?", "milk"),
        ("What is a rose?", "flower"),
        ("Where is the Acropolis?", "Greece"),
    ],
)
def test_facts_are_told_as_they_are(prompt, value, target, judge):
    """The answer has the right value."""
    assert judge(target(prompt), rules.contains(value))
