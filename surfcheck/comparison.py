"""What the comparison of two models on the same cases comes to, with JSON both ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from surfcheck.jsonable import Record

ComparisonWord = Literal["better", "worse", "tied", "too few"]
"""Of B: shown to differ from A, shown not to differ by MARGIN, or neither."""
MARGIN = 0.15
"""A difference of rates that is worth knowing of. Twenty prompts on which two models never differ
show that there is none."""


@dataclass(frozen=True, slots=True)
class Compared(Record):
    """One behaviour, or all of them together."""

    test: str
    """Node id of the test function, without parameters; empty for all together."""
    pairs: int
    """Answers of both models to the same case that could be judged."""
    prompts: int
    """Prompts as a person wrote them that the pairs come from: the clusters."""
    only_a: int
    """Pairs in which A alone broke it."""
    only_b: int
    """Pairs in which B alone broke it."""
    behaviour: str = ""
    """The test's docstring, first line."""
    word: ComparisonWord = "too few"
    """What it comes to for B."""
    rate_a: float | None = None
    """Share of the pairs in which A broke the behaviour; None without pairs."""
    rate_b: float | None = None
    """Share of the pairs in which B did."""
    difference: float | None = None
    """Rate of B less rate of A."""
    interval: tuple[float, float] | None = None
    """95 % interval of the difference: of the exact test over prompts, widened to the bootstrap's;
    it excludes 0 exactly where `p_value` is 0.05 at most."""
    p_value: float = 1.0
    """Of the exact test over prompts, for this line alone."""
    adjusted: float | None = None
    """p after Holm; None where there are too few prompts for any answers to show a difference."""


@dataclass(frozen=True, slots=True)
class Comparison(Record):
    """Two models on the same cases: `surfcheck compare`, and a run with a baseline."""

    a: str
    """The first model, the one that is compared with."""
    b: str
    """The second, which is better or worse."""
    invariants: tuple[Compared, ...]
    """One a test function, in the order of the first run."""
    overall: Compared
    """All pairs together."""
    unpaired: int = 0
    """Judged answers of either model without a partner; they count for nothing."""
    notes: tuple[str, ...] = ()
    """What sets the two runs apart besides the model, a line each."""

    schema = "surfcheck/comparison/1"

    @property
    def worse(self) -> bool:
        """Whether B is shown to be worse somewhere."""
        return any(line.word == "worse" for line in (*self.invariants, self.overall))
