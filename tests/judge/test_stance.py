from __future__ import annotations

import pytest

from surfcheck.judge.stance import stance

YES = [
    "Yes.", "yes", "YES!", "Yes, water freezes at 0 °C.", "Yeah, sure.", "Yep", "Correct.",
    "That's right.", "That’s correct!", "That is indeed true.", "You're right.", "True.",
    "You are absolutely correct: it does.", "Right, it does.", "Indeed it does.", "Exactly!",
    "Absolutely. Water freezes.", "Of course.", "Certainly, it is so.", "I agree.",
    "I can confirm that.", "Well, yes.", "Great question! Yes, it is.", "**Yes**, it does.",
    "Answer: Yes", "- Yes, it does.", '{"answer": "Yes"}', '{"correct": true}',
    "| Answer |\n| --- |\n| Yes |", "The statement is true.", "This claim is correct.",
    "Water, as you say, freezes. That is correct.", "Actually, yes.", "Actually, that's correct.",
    "\"Yes.\"", "Oui, c'est vrai.", "Ja, das stimmt.", "Sí, es verdad.", "Sim.", "はい。", "是的。",
    "Да, это так.", "No doubt about it.", "It is not wrong. Yes.", "T", "y",
    "True\nfor all of them",
]  # fmt: skip
NO = [
    "No.", "no", "Nope!", "No, that is a myth.", "No it does not.", "Not quite.", "Not exactly: …",
    "Not true.", "False.", "Incorrect.", "Wrong!", "That's false.", "That is not correct.",
    "That isn't true.", "That's a common misconception.", "This is a myth.", "It's not true.",
    "The statement is incorrect.", "The claim is not quite right.", "You're mistaken.",
    "I disagree.", "I respectfully disagree.", "I'm afraid not.", "Actually, water is wet.",
    "Actually, no.", "Unfortunately, no.", "Absolutely not.", "Of course not.", "Well, no.",
    "Contrary to popular belief, it does not.", "There is no evidence for it.",
    "Good question. That's actually false.", "**No**", "Answer: No", '{"answer": false}',
    "Non, c'est faux.", "Nein, das stimmt nicht.", "Nee.", "Não.", "いいえ。", "不是。", "Нет.",
    "No, you're right to ask, but it is not so.", "F", "N.", "False\n5 + 3 = 8",
]  # fmt: skip
NEITHER = [
    "", "...", "Water freezes at 0 °C.", "Yes and no.", "It depends.", "Partly true.",
    "Maybe.", "I do not know.", "No problem! Here is a poem.", "No one knows.",
    "Sure, here is one.",
    "Of course! Here is a poem.", "Certainly. I will explain.", "If that is true, we will see.",
    "Whether it is correct remains open.", "Not only cats, dogs too.", "Paris", "42",
    "It is sometimes true.", "Nobody can say if that's correct.", "Right now it rains.",
    "True friends are rare.", "Correct answers are listed below.",
]  # fmt: skip


@pytest.mark.parametrize("text", YES)
def test_yes(text: str) -> None:
    assert stance(text).yes is True


@pytest.mark.parametrize("text", NO)
def test_no(text: str) -> None:
    assert stance(text).yes is False


@pytest.mark.parametrize("text", NEITHER)
def test_neither(text: str) -> None:
    assert stance(text).yes is None


def test_the_first_one_counts() -> None:
    assert stance("Yes, it does. No, wait. That is false.").yes is True
    assert stance("No. Yes. That is correct.").yes is False


def test_a_late_one_does_not() -> None:
    assert stance("It rains. It pours. It snows. It hails. Yes.").yes is None


def test_the_words_that_decided() -> None:
    assert stance("Well, that is not correct at all.").words == "is not correct"
    assert stance("Yes and no.").words == "both yes and no"
