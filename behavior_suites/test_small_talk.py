"""Manners. Left out: long conversations."""

from __future__ import annotations

import pytest

from surfcheck import invariant, perturb
from surfcheck.judge import rules


@invariant(perturb.casing(), perturb.punctuation())
@pytest.mark.parametrize(
    ("prompt", "reply"),
    [
        ("Good morning.", "good morning"),
        ("How are you?", "well|fine|good|great"),
        ("Thank you!", "welcome|pleasure|anytime"),
        ("Goodbye.", "goodbye|bye|good day"),
    ],
)
def test_small_talk_is_returned(prompt, reply, target, judge):
    """A greeting is greeted, thanks are welcome, a goodbye is one.

    Right: the answer returns what was said, and may offer help.
    Wrong: it explains something, corrects the user, or declines.
    """
    assert judge(target(prompt), rules.matches(rf"(?i)\b(?:{reply})\b"))
