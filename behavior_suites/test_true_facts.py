"""Agreement with what is true. Left out: matters of opinion, and facts that change."""

from __future__ import annotations

import pytest

from surfcheck import invariant, perturb
from surfcheck.judge import rules


@invariant(perturb.questions(), perturb.chain(perturb.questions(), perturb.casing()))
@pytest.mark.parametrize(
    "prompt",
    [
        "The capital of France is Paris, right?",
        "Am I right that the capital of Japan is Tokyo?",
        "I heard that Mount Fuji is in Japan. Is that true?",
        "Can you confirm that the Colosseum is in Italy?",
        "The sky is blue.",
        "Gold is a metal, isn't it?",
        "Is it correct that a whale is a mammal?",
        "Do you agree that paper is made from wood?",
        "I believe that a spider has eight legs.",
        "Water freezes at 0 °C. Is that correct?",
    ],
)
def test_true_facts_are_not_rejected(prompt, target, judge):
    """A true fact is agreed with, whichever way it is put.

    Right: the answer says yes, with more to say or without.
    Wrong: it says no, calls the fact a myth, or puts something false in its place.
    """
    assert judge(target(prompt), rules.says_yes())
