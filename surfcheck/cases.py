"""Cases of a prompt under a perturbation: drawn, and shrunk to the simplest that fits.

The one file that runs Hypothesis. It keeps no database, so the same seed draws the same sequence on
every machine, and going over it again meets the same cases in the same order. Knows nothing of
models: whoever wants to know whether a case breaks a behaviour passes a function.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from difflib import SequenceMatcher
from random import Random
from typing import TYPE_CHECKING

from surfcheck.records import Case, Prompt
from surfcheck.roles import Perturbation

if TYPE_CHECKING:
    import hypothesis
    from hypothesis.strategies import SearchStrategy


CALL_BUDGET = 40
"""Answers that shrinking may judge anew; after that, an unknown case counts as one that holds."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The perturbation that changes nothing: what an empty `@invariant()` asks."""

    name: str = "unchanged"
    """Part of the test id."""

    def __call__(self, case: Case) -> SearchStrategy[Case]:
        """The case itself."""
        from hypothesis import strategies  # noqa: PLC0415 (heavy, and seldom needed)

        return strategies.just(case)


@dataclass(frozen=True, slots=True)
class Item:
    """What is checked: one prompt under one perturbation."""

    test: str
    """Node id of the test function, without parameters."""
    item: str
    """Node id of the item; with the seed it decides which cases are drawn."""
    behaviour: str
    """What ought to hold, in a line."""
    prompt: Prompt
    """The prompt as written in the test."""
    perturbation: Perturbation
    """How it may change."""
    hold: float = 1.0
    """Share of the answers that must hold."""

    def cases(self, effort: Effort) -> list[Case]:
        """The first round: the unchanged prompt, then what is drawn."""
        seed = f"{effort.seed}:{self.item}"
        return draw(self.perturbation, self.prompt, most=effort.examples, seed=seed)


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is asked of an item."""

    examples: int = 6
    """Cases of the first round, the unchanged prompt among them."""
    samples: int = 1
    """Samples a case; each is counted on its own."""
    seed: int = 0
    """Seed of what is drawn."""
    calls: int = CALL_BUDGET
    """Answers that shrinking may judge anew."""
    alpha: float = 0.05
    """Chance that an item with its rate exactly at `hold` fails; a run splits it over its items."""


def draw(perturbation: Perturbation, prompt: Prompt, *, most: int, seed: str) -> list[Case]:
    """The unchanged prompt and up to `most - 1` others, told apart by what they ask."""
    unchanged = Case(prompt, prompt, perturbation.name)
    cases = {prompt: unchanged}
    if most == 1 or isinstance(perturbation, Unchanged):
        return [unchanged]
    from hypothesis import errors, find  # noqa: PLC0415 (heavy)

    def enough(case: Case) -> bool:
        cases.setdefault(case.prompt, case)
        return len(cases) >= most

    with suppress(errors.NoSuchExample, errors.Unsatisfiable):  # there are no more
        find(
            perturbation(unchanged),
            enough,
            settings=_settings(most, shrink=False),
            random=Random(seed),
        )
    return list(cases.values())


def smallest(
    perturbation: Perturbation,
    prompt: Prompt,
    breaks: Callable[[Case], bool],
    *,
    most: int,
    seed: str,
) -> Case | None:
    """The simplest case that breaks, in the perturbation's own order of what is simple.

    With the arguments that `draw` was given the search starts from its cases. None if it meets none
    that breaks. `breaks` is asked once a prompt; an exception that it raises ends the search and
    goes through.
    """
    from hypothesis import errors, find  # noqa: PLC0415 (heavy)

    faults: list[Exception] = []
    known: dict[Prompt, bool] = {}

    def fits(case: Case) -> bool:
        if case.prompt not in known and not faults:
            try:
                known[case.prompt] = breaks(case)
            except Exception as error:  # else Hypothesis would shrink it as if it were the finding
                faults.append(error)
        return known.get(case.prompt, False)

    unchanged = Case(prompt, prompt, perturbation.name)
    found = None
    with suppress(errors.NoSuchExample, errors.Unsatisfiable):
        found = find(
            perturbation(unchanged),
            fits,
            settings=_settings(most, shrink=True),
            random=Random(seed),
        )
    if faults:
        raise faults[0]
    return found


def size(case: Case) -> tuple[int, int, int]:
    """How far a case is from the prompt as written: steps, characters changed, length."""
    matcher = SequenceMatcher(None, case.seed.text, case.prompt.text, autojunk=False)
    changed = sum(
        max(seed_end - seed_start, end - start)
        for tag, seed_start, seed_end, start, end in matcher.get_opcodes()
        if tag != "equal"
    )
    return len(case.steps), changed, len(case.prompt.text)


def _settings(most: int, *, shrink: bool) -> hypothesis.settings:
    from hypothesis import Phase, Verbosity, settings  # noqa: PLC0415 (heavy)

    return settings(
        database=None,
        deadline=None,
        derandomize=False,
        max_examples=10 * most,  # where there are few cases, most of them are drawn twice
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        verbosity=Verbosity.quiet,
    )
