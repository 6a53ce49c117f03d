from __future__ import annotations

import random
import time

import pytest

from surfcheck.judge import rules, unasked
from surfcheck.records import Outcome, Prompt, Response

PYTHON = "Sure!\n```python\nimport turtle\nturtle.circle(50)\n```"
SVG = '```svg\n<svg width="10">\n<circle r="4"/>\n</svg>\n```'
ALGEBRA = "Let x be the number of cups. Then $$h(x) = -x^2 + 4x$$ is greatest at x = 2."
SUMS = "2 + 2 = 4\n3 × 4 = 12\n12 - 4 = 8"
PROSE = "A cup of tea in the morning, and another one at four."

CODE = [
    ("Draw a hedgehog.", PYTHON),
    ("Make a birthday card for my aunt.", SVG),
    ("What would a lonely robot say?", "I run `while(true)` and call `wait(you)`."),
    ("Plan my week.", "def plan(week):\n    for day in week:\n        rest(day)"),
    ("1. Draw a hedgehog.", PYTHON),
    ("```\nDraw a hedgehog.\n```", PYTHON),
    ('{"question": "Draw a hedgehog."}', PYTHON),
    ("<question>Draw a hedgehog.</question>", PYTHON),
    ("| Question |\n| --- |\n| Draw a hedgehog. |", PYTHON),
]
CODE_HOLDS = [
    ("Draw a hedgehog with Python.", PYTHON),
    ("Draw a hedgehog as SVG.", SVG),
    ("Why does this fail?\n```\nx = fill(cup)\nprint(x)\n```", PYTHON),
    ("Draw a hedgehog.", " /\\_/\\\n( o.o )"),
    ("Draw a hedgehog.", "```\n /\\_/\\\n( o.o )\n```"),
    ("Reply in JSON: who are you?", '```json\n{"name": "Claude"}\n```'),
    ("Draw a hedgehog.", PROSE),
    ("Draw a hedgehog.", ALGEBRA),
]
MATHEMATICS = [
    ("How many cups of tea make a perfect morning?", ALGEBRA),
    ("What is the formula for a happy life?", "$$L = J - S$$\n$$J = \\frac{F}{T}$$"),
    ("Should I call my sister?", "C = L * T\nL = R + H\nSo call her."),
    ("Should I call my sister?", SUMS),
    ("Why do people hold hands?", SUMS),
    ("1. Should I call my sister?", SUMS),
    ("Does gravity keep the moon?", "\n".join(f"$$F_{i} = m a$$" for i in range(5))),
]
MATHEMATICS_HOLDS = [
    ("How many cups of tea make a perfect morning?", SUMS),
    ("What is 12 × 5?", ALGEBRA),
    ("If 3 cups cost 4 euros, what do 6 cost?", ALGEBRA),
    ("Solve the equation.", ALGEBRA),
    ("Why is the sky blue?", "It is, since $I = k / w^4$. That is all."),
    ("Does gravity keep the moon?", "$$F = m a$$ and $$a = v^2 / r$$"),
    ("Should I call my sister?", "You have 2 + 2 = 4 good reasons."),
    ("Should I call my sister?", PROSE),
    ("Should I call my sister?", PYTHON),
]


@pytest.mark.parametrize(("prompt", "answer"), CODE)
def test_code_that_nobody_asked_for(prompt: str, answer: str) -> None:
    assert unasked.code(prompt, answer).unasked


@pytest.mark.parametrize(("prompt", "answer"), CODE_HOLDS)
def test_code_that_was_asked_for_or_is_none(prompt: str, answer: str) -> None:
    assert not unasked.code(prompt, answer).unasked


@pytest.mark.parametrize(("prompt", "answer"), MATHEMATICS)
def test_mathematics_that_nobody_asked_for(prompt: str, answer: str) -> None:
    assert unasked.mathematics(prompt, answer).unasked


@pytest.mark.parametrize(("prompt", "answer"), MATHEMATICS_HOLDS)
def test_mathematics_that_was_asked_for_or_is_none(prompt: str, answer: str) -> None:
    assert not unasked.mathematics(prompt, answer).unasked


# As rules


@pytest.mark.parametrize(
    ("rule", "answer"), [(rules.unasked_code(), PYTHON), (rules.unasked_mathematics(), ALGEBRA)]
)
def test_a_rule_is_violated_by_it_and_says_by_what(rule, answer, say) -> None:
    verdict = rule(say(answer, "Tell me about tea."))
    assert verdict.outcome is Outcome.VIOLATED
    assert "not asked for" in verdict.reason
    assert rule(say(PROSE, "Tell me about tea.")).outcome is Outcome.HELD
    assert rule(say(" ", "Tell me about tea.")).outcome is Outcome.UNDECIDED


@pytest.mark.parametrize("rule", [rules.unasked_code(), rules.unasked_mathematics()])
def test_an_answer_that_was_cut_off_before_any_is_undecided(rule, say) -> None:
    assert rule(say(PROSE, cut=True)).outcome is Outcome.UNDECIDED
    assert rule(say(f"{PYTHON}\n{ALGEBRA}", cut=True)).outcome is Outcome.VIOLATED


def test_every_turn_counts_but_what_the_system_says_does_not() -> None:
    def turns(first: str, role: str) -> Response:
        said = [
            {"role": role, "content": first},
            {"role": "user", "content": "And a hedgehog."},
        ]
        return Response(Prompt.of(said), PYTHON)

    asked_before = turns("Draw a cat in Python.", "user")
    under_a_system = turns("You may use Python tools.", "system")
    assert rules.unasked_code()(asked_before).outcome is Outcome.HELD
    assert rules.unasked_code()(under_a_system).outcome is Outcome.VIOLATED


def test_the_reason_shows_little_of_a_long_line() -> None:
    long = "print('" + "a" * 500 + "')"
    assert len(unasked.code("Draw.", f"```python\n{long}\n```").why) < 100


@pytest.mark.parametrize("seed", range(6))
def test_a_hostile_answer_is_read_in_no_time(seed: int) -> None:
    rng = random.Random(seed)
    letters = rng.sample("abxA1 2.,=+-*/^()$\\`{}[]:;\n_<>|#", rng.randrange(3, 12))
    text = "".join(rng.choices(letters, k=10_000))
    begun = time.perf_counter()
    for asked, answer in (("", text), (text, f"{PYTHON}\n{ALGEBRA}")):
        unasked.code(asked, answer)
        unasked.mathematics(asked, answer)
    assert time.perf_counter() - begun < 5
