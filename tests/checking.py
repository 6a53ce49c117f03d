"""Items whose answers are a function, for the tests of `surfcheck.check`."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from surfcheck.cases import Effort, Item
from surfcheck.check import Body, check
from surfcheck.fixtures import Judging, Target
from surfcheck.records import Case, ItemResult, Prompt, Response, Verdict
from surfcheck.roles import Ask

SEED = Prompt.of("go")


@dataclass
class Grid:
    """`go`, then so many x, then so many y."""

    width: int = 5
    name: str = "grid"

    def __call__(self, case: Case) -> st.SearchStrategy[Case]:
        steps = st.integers(0, self.width)

        def change(at: tuple[int, int]) -> Case:
            x, y = at
            prompt = case.seed.with_text(case.seed.text + "x" * x + "y" * y)
            return replace(case, prompt=prompt, steps=("x",) * x + ("y",) * y)

        return st.tuples(steps, steps).map(change)


class Recorded:
    """A function as a model, and everything that it was asked."""

    spec = "recorded:"

    def __init__(self, answer: Callable[[str, int], str]) -> None:
        self._answer = answer
        self.batches: list[list[Ask]] = []

    def ask(self, asks: Sequence[Ask]) -> list[Response]:
        self.batches.append(list(asks))
        return [
            Response(a.prompt, self._answer(a.prompt.text, a.sample), prompt_tokens=2) for a in asks
        ]

    @property
    def asked(self) -> list[tuple[str, int]]:
        return [(ask.prompt.text, ask.sample) for batch in self.batches for ask in batch]


def run(
    answer: Callable[[str, int], str],
    body: Callable[[Target, Judging], Body] | None = None,
    *,
    item: str = "t.py::test[a]",
    hold: float = 1.0,
    **effort: int,
) -> tuple[ItemResult, Recorded]:
    model = Recorded(answer)
    target, judging = Target(model), Judging()

    def says_yes(prompt: Prompt) -> None:
        assert judging(target(prompt), lambda r: Verdict.of(r.text == "yes", f"said {r.text}"))

    whole = Item("t.py::test", item, "It says yes.", SEED, Grid(), hold)
    given = says_yes if body is None else body(target, judging)
    return check(whole, given, target, judging, Effort(**effort)), model


def corner(text: str, _: int) -> str:
    return "no" if text.count("x") >= 2 and text.count("y") >= 1 else "yes"


def always(text: str, sample: int) -> str:
    return "no"


def never(text: str, sample: int) -> str:
    return "yes"


def chance(rate: float, seed: int) -> Callable[[str, int], str]:
    def answer(text: str, sample: int) -> str:
        return "no" if random.Random(f"{seed}:{text}:{sample}").random() < rate else "yes"

    return answer
