from __future__ import annotations

import pytest

from surfcheck.judge.formulas import mathematics

FORMULAS = [
    ("$$H = M - R$$", 1),
    (r"\[ t = \frac{s}{v} \]", 1),
    (r"It holds that \( a^2 + b^2 = c^2 \) here.", 1),
    ("so $t = 4$ and $v > 2$.", 2),
    (r"\begin{align} x &= 2 \\ y &= 3 \end{align}", 1),
    ("x = 3 + 4", 1),
    ("F = m × a", 1),
    ("The formula is **P = F / A**.", 1),
    ("D(n) = 7 - 0.5 * n", 1),
    ("α = 0.7, and k=3", 2),
    ("Speed = distance / time", 1),
    ("Let x be the number of cups.", 1),
    ("Suppose that n is even.", 1),
    (r"We denote by \( N \) as many.", 1),
    ("where T is the time", 1),
    ("Now solve for y.", 1),
    ("```\nx = 2 + y\n```", 1),
]
SUMS = [
    ("12 × 5 = 60", 1),
    ("$3.50 + $4 = $7.50", 1),
    ("2 cups + 3 cups = 5 cups", 1),
    ("365 * 24 = 8,760 hours, and 8760 / 2 = 4380.", 2),
    (r"\( 3 \times 4 = 12 \)", 1),
    ("5 km/h × 2 h = 10 km", 1),
]
NEITHER = [
    "It costs $5 and $6, or $5-$6 with cake ($7).",
    "Between $5–10 and $20–30.",
    "Good = 1, bad = 2",
    "A = excellent, B = good",
    "A = 4 points\nB = 3 points",
    "Red + blue = purple",
    "Let me be clear: I am a fan.",
    "Let a friend be a friend. Suppose I am right.",
    "Tea is 90 % water - or more / less.",
    "See https://example.org/?q=tea+cake&x=2*3 for more.",
    "2024-2025, 24/7, 50/50, 1-2 cups",
    "```python\nx = 3 + 4\ny = x * 2\nprint(y)\n```",
    r"\(\boxed{\text{whole}}\) and $\text{H}_2$",
    "The variable $T$ alone.",
    "a == b, a != b, a <= b, a => b, a := b",
    "",
]


@pytest.mark.parametrize(("text", "count"), FORMULAS)
def test_formulas(text: str, count: int) -> None:
    found = mathematics(text)
    assert (len(found.formulas), len(found.sums)) == (count, 0), found


@pytest.mark.parametrize(("text", "count"), SUMS)
def test_sums(text: str, count: int) -> None:
    found = mathematics(text)
    assert (len(found.formulas), len(found.sums)) == (0, count), found


@pytest.mark.parametrize("text", NEITHER)
def test_neither(text: str) -> None:
    assert mathematics(text) == ((), ())
