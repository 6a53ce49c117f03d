"""When enough answers of an item have been seen: its word after each batch, and the suite's error.

`hold` is the share of answers that have to hold. Of an item with `hold` below 1

    fail          it is shown that fewer hold, at the item's part of the suite's α
    pass          at least `hold` of all the planned answers held, or almost surely will
    inconclusive  fewer than `hold` of them did, and chance would do that too often
    go on         none of these yet

*Fail* is a sequential test, exact and valid after every single answer: with the rate at `hold`, the
chance that the word is ever *fail* is at most α, whenever it is looked at and however many answers
could not be judged. The α of a suite is divided among its items before the run (`split`), so that a
suite whose items are all exactly at `hold` turns red once in twenty runs at most.

*Pass* is no proof that the rate is above `hold`: 29 perfect answers are the fewest that prove 90 %.
An item without a violation passes at any `hold`, as it does at 1; what its answers are worth is
said by the interval beside the word. Early it is given only where the answers to come would
hardly change the word that all of them would get, so it saves calls and makes nothing easier.

With `hold` at 1, the default, there is no rate to test: one violation is a finding. A violation
counts once it has broken the behaviour again on fresh samples (see `check`), which is also what
keeps a perfect target from turning red by chance.

The test takes answers for exchangeable: ask every case once before any a second time. That some
cases break more often than others does no harm then: the count varies less, not more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Word = Literal["pass", "fail", "inconclusive", "go on"]

DOUBT = 0.1
"""Chance, over all rates that fit the answers seen, that an early pass would not have lasted."""
_FIRST = 5
"""Fewest answers worth a look: with fewer, a suite's α seldom lets anything be shown."""
_STEP = 1.5
"""How much further each look is than the one before."""
_SHOWN = 0.025
"""Never less is asked of a *fail*, so that the 95 % interval in the report lies below `hold`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one item is decided. Raises ValueError if a number is out of its range."""

    hold: float
    """Share of the answers that have to hold, above 0; 1 for all of them."""
    most: int
    """Answers that are asked at most."""
    alpha: float
    """The item's part of the suite's error: `split(0.05, items)`."""

    def __post_init__(self) -> None:
        if not (0 < self.hold <= 1 and self.most >= 1 and 0 < self.alpha < 1):
            raise ValueError(f"{self} is no plan: hold in (0, 1], most from 1, alpha in (0, 1)")

    def word(self, held: int, violated: int, *, left: int | None = None) -> Word:
        """What so many decided answers come to.

        `left` is how many may still come, by default the rest of the plan; give 0 when all have
        been asked and some could not be judged. With `hold` at 1, count as violated only what broke
        again on fresh samples, and every other decided answer as held.
        """
        decided = held + violated
        left = self.most - decided if left is None else left
        if min(held, violated, left) < 0 or decided + left > self.most:
            raise ValueError(f"{held} held, {violated} violated, {left} left of {self.most}")
        if decided == 0:
            return "go on" if left else "inconclusive"
        if violated >= self._fails_at(decided):
            return "fail"
        room = allowed(self.hold, decided + left) - violated
        if left == 0:
            return "pass" if room >= 0 else "inconclusive"
        if self.hold < 1 and _at_most(room, left, held, violated) >= 1 - DOUBT:
            return "pass"
        return "go on"

    def _fails_at(self, decided: int) -> int:
        if self.hold == 1:
            return 1
        return boundary(self.hold, self.most, min(self.alpha, _SHOWN))[decided - 1]


def split(alpha: float, items: int) -> float:
    """Each item's part of the suite's error (Bonferroni), fixed before anything is asked.

    Items share prompts and answers, so nothing is assumed of how they depend on each other.
    """
    return alpha / max(items, 1)


def looks(most: int, *, cases: int = 1) -> tuple[int, ...]:
    """After how many answers to look: each time half as many again, the last time at `most`.

    Each look but the last is after every case has been asked equally often. Any other looks would
    do: the word holds its error whenever it is asked for.
    """
    found, at = {most}, most
    while (earlier := math.ceil(at / _STEP)) >= _FIRST and earlier < at:
        at = earlier
        found.add(min(most, -(-at // cases) * cases))
    return tuple(sorted(found))


def needed(hold: float, alpha: float) -> int:
    """The fewest answers that can show a *fail*, all of them violated; 1 where `hold` is 1."""
    if hold == 1:
        return 1
    return max(1, math.ceil(math.log(min(alpha, _SHOWN)) / math.log(1 - hold) - 1e-9))


def allowed(hold: float, answers: int) -> int:
    """How many of so many answers may break the behaviour while `hold` of them still hold."""
    return math.floor((1 - hold) * answers + 1e-9)  # 0.1 * 30 is 2.9999999999999996 from above


@lru_cache(maxsize=64)
def boundary(hold: float, most: int, alpha: float) -> tuple[int, ...]:
    """From how many violations on the word is *fail*, after 1, 2, … `most` answers.

    With each answer as much of α may have been spent as its share of `most` (Lan and DeMets 1983);
    what is spent is counted exactly, over every way the answers can come.
    """
    open_: list[float] = [1.0]  # chance of 0, 1, 2, … violations without a fail so far
    spent, least, found = 0.0, 1, []
    for answers in range(1, most + 1):
        after = [0.0] * (len(open_) + 1)
        for violated, chance in enumerate(open_):
            after[violated] += chance * hold
            after[violated + 1] += chance * (1 - hold)
        fails_at, spare = len(after), alpha * answers / most - spent
        # Never below the last one, or an answer that held could turn the word to fail.
        while fails_at > least and sum(after[fails_at - 1 :]) <= spare:
            fails_at -= 1
        spent += sum(after[fails_at:])
        open_, least = after[:fails_at], fails_at
        found.append(fails_at)
    return tuple(found)


def _at_most(room: int, left: int, held: int, violated: int) -> float:
    """Chance of at most `room` violations in the answers left, over all rates that fit (uniform).

    Beta-binomial: Σ_k C(left, k) · B(violated + k + 1, held + left - k + 1) / B(violated + 1,
    held + 1), term by term from k = 0.
    """
    if room < 0:
        return 0.0
    if room >= left:
        return 1.0
    decided = held + violated
    log_term = math.lgamma(held + left + 1) - math.lgamma(held + 1)
    log_term += math.lgamma(decided + 2) - math.lgamma(decided + left + 2)
    term = math.exp(log_term)
    total = term
    for k in range(room):
        term *= (left - k) / (k + 1) * (violated + k + 1) / (held + left - k)
        total += term
    return total
