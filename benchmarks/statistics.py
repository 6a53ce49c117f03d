"""What the verdicts are worth: whole suites with known true rates, simulated through the real rule.

    python benchmarks/statistics.py [--suites 1000] [--out benchmarks/results/statistics.json]

`hold` below 1: every item of a suite is answered at random, with a known rate, and `Plan` gives its
word after each look. Its calls are compared with asking everything that was planned, its findings
with an exact binomial test of all of that at the same α. Then whole items go through `check`,
search and confirmation and all, with a model that answers at random. A made-up model is the point
here: nothing else has a true rate that is known. Brackets are 95 % intervals (Clopper and Pearson).
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:] = [place for place in sys.path if Path(place) != HERE]  # or `statistics` is this file

# ruff: noqa: E402
import argparse
import json
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from surfcheck.cases import Effort, Item
from surfcheck.check import check
from surfcheck.fixtures import Judging, Target
from surfcheck.records import Case, ItemResult, Prompt, Response, Verdict
from surfcheck.roles import Ask
from surfcheck.sequential import Plan, Word, looks, split
from surfcheck.statistics import at_least, clopper_pearson

ALPHA = 0.05
CASES = 6
WORDS: tuple[Word, ...] = ("go on", "pass", "fail", "inconclusive")
Row = dict[str, Any]


class Setting(NamedTuple):
    """Suites of one kind."""

    hold: float
    samples: int
    """Samples a case; there are six cases an item."""
    items: int
    """Items a suite."""
    uneven: bool = False
    """Whether one case of the six has all of an item's violations."""


AT_HOLD = (
    Setting(0.8, 5, 100), Setting(0.9, 1, 240), Setting(0.9, 5, 100), Setting(0.9, 5, 1000),
    Setting(0.9, 10, 40), Setting(0.95, 10, 100), Setting(0.9, 5, 100, uneven=True),
    Setting(0.9, 5, 1),
)  # fmt: skip
"""Every item exactly at `hold`: whatever turns red is an error."""
AWAY = {
    Setting(0.8, 5, 100): (0.2, 0.3, 0.5, 0.65, 0.9, 0.98, 1.0),
    Setting(0.9, 5, 100): (0.3, 0.5, 0.7, 0.8, 0.95, 0.99, 1.0),
    Setting(0.9, 10, 100): (0.4, 0.6, 0.7, 0.8, 0.95, 0.99, 1.0),
    Setting(0.95, 10, 100): (0.5, 0.7, 0.8, 0.9, 0.98, 1.0),
}
"""True rates away from `hold`."""
CLEAR = 0.4
"""A rate this far below `hold` is a clear violation; 0.99 and more is a clear pass where `hold` is
0.9 or less."""


def main() -> None:
    """Run everything, print the tables, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--suites", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE / "results/statistics.json")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    null = [simulate(s, s.hold, options.suites, rng) for s in AT_HOLD]
    away = [
        simulate(s, rate, options.suites // 10, rng) for s, rates in AWAY.items() for rate in rates
    ]
    exact = [checked(*kind, suites=options.suites, seed=options.seed) for kind in KINDS]
    seconds = time.process_time()
    console = Console(width=118)
    console.print(rate_table("hold below 1: every item exactly at hold", null, suites=True))
    console.print(rate_table("hold below 1: items away from hold", away, suites=False))
    console.print(check_table(exact))
    console.print(confirmation_table())
    shares = [row["calls"] for row in away if row["clear"]]
    share = sum(shares) / len(shares)
    console.print(f"clear cases: {share:.0%} of the planned calls (the dearest {max(shares):.0%})")
    console.print(f"{options.suites} suites a row at hold, {seconds:.0f} s of one core")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    whole = {"at_hold": null, "away": away, "through_check": exact, "clear_calls": share,
             "seconds": seconds}  # fmt: skip
    options.out.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


# hold below 1: through Plan


def simulate(setting: Setting, rate: float, suites: int, rng: np.random.Generator) -> Row:
    """So many suites whose items all hold at `rate`, each item followed look by look."""
    most = CASES * setting.samples
    plan, at = Plan(setting.hold, most, split(ALPHA, setting.items)), looks(most, cases=CASES)
    violated = np.zeros((suites, setting.items), int)
    word = np.zeros_like(violated)
    answers = np.full_like(violated, most)
    whole = np.zeros_like(violated)
    for before, n in zip((0, *at), at, strict=False):
        whole += answered(setting, rate, n - before, whole.shape, rng)
        violated = np.where(word == 0, whole, violated)
        table = np.array([WORDS.index(plan.word(n - v, v)) for v in range(n + 1)])
        now = np.where(word == 0, table[np.minimum(violated, n)], word)
        answers[(word == 0) & (now != 0)] = n
        word = now
    fixed = np.array([at_least(v, most, 1 - setting.hold) <= plan.alpha for v in range(most + 1)])
    shares: Row = {name: (word == code).mean() for code, name in enumerate(WORDS) if code}
    red = int((word == WORDS.index("fail")).any(axis=1).sum())
    return {
        **setting._asdict(), "rate": rate, "suites": suites, "red": red,
        "red_interval": clopper_pearson(red, suites), **shares,
        "calls": float(answers.mean() / most), "fixed_fail": float(fixed[whole].mean()),
        "clear": rate <= setting.hold - CLEAR or (rate >= 0.99 and setting.hold <= 0.9),
    }  # fmt: skip


def answered(
    setting: Setting, rate: float, answers: int, shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray[Any, Any]:
    """How many of so many more answers of each item break the behaviour."""
    if setting.uneven:
        return rng.binomial(answers // CASES, CASES * (1 - rate), size=shape)
    return rng.binomial(answers, 1 - rate, size=shape)


# hold at 1: through check


@dataclass(frozen=True)
class Steps:
    """Appends a number: the larger, the larger the change."""

    name: str = "steps"

    def __call__(self, case: Case) -> st.SearchStrategy[Case]:
        def change(n: int) -> Case:
            return replace(case, prompt=case.seed.with_text(f"go {n}"), steps=("one more",) * n)

        return st.integers(0, 63).map(change)


@dataclass(frozen=True)
class Kind:
    """A target by the chance that an answer is judged to break the behaviour."""

    noise: float
    """On every case."""
    broken: float = 0.0
    """On the cases that are broken."""
    share: float = 0.0
    """Share of all cases that are: those with the larger numbers."""

    def chance(self, prompt: str) -> float:
        """Of this prompt."""
        number = int(prompt.removeprefix("go").strip() or 0)
        return self.broken if number >= 64 * (1 - self.share) else self.noise


ONCE, FIVE = Effort(), Effort(samples=5)
KINDS = (
    ("perfect", Kind(0.0), ONCE, 1.0),
    ("0.5 % noise", Kind(0.005), ONCE, 1.0),
    ("0.5 % noise", Kind(0.005), FIVE, 1.0),
    ("2 % noise", Kind(0.02), ONCE, 1.0),
    ("5 % noise", Kind(0.05), ONCE, 1.0),
    ("every case, 10 %", Kind(0.1), FIVE, 0.9),
    ("every case, 90 %", Kind(0.9), FIVE, 1.0),
    ("every case, 50 %", Kind(0.5), FIVE, 1.0),
    ("half of the cases, 90 %", Kind(0.005, 0.9, 0.5), FIVE, 1.0),
    ("a quarter of the cases, 90 %", Kind(0.005, 0.9, 0.25), ONCE, 1.0),
    ("every case, 60 %", Kind(0.6), FIVE, 0.9),
)
"""Name, target, what is asked of it, and `hold`."""
ITEMS = 20
"""Items a suite."""


class Random:
    """A model that answers by chance."""

    spec = "random:"

    def __init__(self, kind: Kind, rng: random.Random) -> None:
        self._kind, self._rng = kind, rng

    def ask(self, asks: Sequence[Ask]) -> list[Response]:
        """`broken` or `held`."""
        return [Response(ask.prompt, self._word(ask.prompt.text)) for ask in asks]

    def _word(self, prompt: str) -> str:
        return "broken" if self._rng.random() < self._kind.chance(prompt) else "held"


def checked(name: str, kind: Kind, effort: Effort, hold: float, *, suites: int, seed: int) -> Row:
    """So many suites of twenty items; fewer where something is broken, as each item is a draw."""
    suites = suites if kind.broken == 0 and kind.noise < 0.5 else suites // 40
    rng, effort = random.Random(f"{seed}:{name}"), replace(effort, alpha=split(ALPHA, ITEMS))
    item = Item("t", "", "It holds.", Prompt.of("go"), Steps(), hold)
    items = [replace(item, item=f"t[{n}]") for n in range(ITEMS)]
    drawn = [item.cases(effort) for item in items]
    results = [
        [one(item, cases, kind, effort, rng) for item, cases in zip(items, drawn, strict=True)]
        for _ in range(suites)
    ]
    every = [result for suite in results for result in suite]
    red = sum(any(result.outcome == "fail" for result in suite) for suite in results)
    failed = sum(result.outcome == "fail" for result in every)
    planned = sum(map(len, drawn)) * effort.samples / len(drawn)
    return {
        "kind": name, "hold": hold, "suites": suites, "items": ITEMS, "planned": planned,
        "red": red, "red_interval": clopper_pearson(red, suites),
        "fail": failed / len(every), "fail_interval": clopper_pearson(failed, len(every)),
        "unreproduced": sum(r.unreproduced for r in every) / len(every),
        "first_round": sum(r.cases for r in every) / len(every) / planned,
        "calls": sum(r.usage.calls for r in every if r.usage) / len(every),
    }  # fmt: skip


def one(
    item: Item, cases: Sequence[Case], kind: Kind, effort: Effort, rng: random.Random
) -> ItemResult:
    """One item through everything that a run does with it."""
    target, judging = Target(Random(kind, rng)), Judging()

    def body(prompt: Prompt) -> None:
        assert judging(target(prompt), lambda response: Verdict.of(response.text == "held", "no"))

    return check(item, body, target, judging, effort, cases=cases)


def reproduced(rate: float) -> float:
    """Exact chance that a case which breaks at `rate` is confirmed: half of 4, a draw replayed."""
    two = at_least(2, 4, rate) - at_least(3, 4, rate)
    return at_least(3, 4, rate) + two * at_least(2, 4, rate)


# Tables


def rate_table(title: str, rows: Iterable[Row], *, suites: bool) -> Table:
    """One line a setting and true rate."""
    table = Table(title=title)
    names = ["hold", "planned", "items", "true rate", "red suites"] if suites else [
        "hold", "planned", "items", "true rate"]  # fmt: skip
    for name in [*names, "fail", "pass", "inconclusive", "calls", "fail, all asked"]:
        table.add_column(name, justify="right")
    for row in rows:
        rate = f"{row['rate']:g}" + (" uneven" if row["uneven"] else "")
        red = [percent(row["red"] / row["suites"], row["red_interval"])] if suites else []
        table.add_row(
            f"{row['hold']:g}", f"{CASES * row['samples']}", f"{row['items']}", rate, *red,
            f"{row['fail']:.2%}", f"{row['pass']:.1%}", f"{row['inconclusive']:.1%}",
            f"{row['calls']:.0%}" + (" clear" if row["clear"] else ""), f"{row['fixed_fail']:.2%}",
        )  # fmt: skip
    return table


def check_table(rows: Iterable[Row]) -> Table:
    """One line a kind of target."""
    table = Table(title=f"items through check, {ITEMS} a suite")
    table.add_column("what breaks")
    for name in (
        "hold",
        "suites",
        "planned",
        "red suites",
        "fail",
        "unreproduced",
        "first round",
        "calls",
    ):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row["kind"], f"{row['hold']:g}", f"{row['suites']}", f"{row['planned']:g}",
            percent(row["red"] / row["suites"], row["red_interval"]),
            percent(row["fail"], row["fail_interval"]), f"{row['unreproduced']:.1%}",
            f"{row['first_round']:.0%}", f"{row['calls']:.1f}",
        )  # fmt: skip
    return table


def confirmation_table() -> Table:
    """What the confirmation makes of a case, exactly."""
    rates = (0.005, 0.02, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9)
    table = Table(title="chance that one case is confirmed, by how often it breaks (exact)")
    for rate in rates:
        table.add_column(f"{rate:.1%}", justify="right")
    table.add_row(*(f"{reproduced(rate):.2g}" for rate in rates))
    return table


def percent(rate: float, interval: tuple[float, float]) -> str:
    """With its interval."""
    return f"{rate:.2%} [{interval[0]:.2%}, {interval[1]:.2%}]"


if __name__ == "__main__":
    main()
