"""How a prompt varies, and how variations are put together.

A variation is one function, `vary(text, choose)`, that takes every decision by asking `choose(n)`
for a whole number below n, where 0 always means the simplest. Two things can answer: Hypothesis,
whose integers shrink to 0 and whose shorter sequences win, so that shrinking ends at the fewest
steps and then at the simplest of them; and a `random.Random`, for plain sampling (`sample`).

Only the last turn of a conversation is varied, and a blank one never is.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, overload

from surfcheck.errors import UsageError
from surfcheck.perturb.frozen import Written
from surfcheck.records import Case, Prompt

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

Choose = Callable[[int], int]
"""`choose(n)` is a whole number from 0 to n - 1; 0 is the simplest."""

_STAY = 4
"""One case in this many stays as it is, in a drawn case and at each link of a chain."""


class Change(NamedTuple):
    """A text after a variation."""

    text: str
    """The changed text."""
    steps: tuple[str, ...]
    """The single changes in order, in words."""


Vary = Callable[[str, Choose], Change | None]
"""Changes a text; None if there is nothing in it to change."""


@dataclass(frozen=True, slots=True)
class Variation:
    """A perturbation: named, composable, drawn by Hypothesis or sampled without it."""

    name: str
    """Short, ASCII and stable: part of the test id."""
    vary: Vary = field(repr=False)
    """What it does to a text."""
    written: tuple[Written, ...] = field(default=(), repr=False)
    """What a model has to write beforehand, for it and for all that it is put together from."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9()+./_-]+", self.name):
            raise UsageError(
                f"perturbation name {self.name!r}: use ASCII letters, digits and hyphens, "
                "because it becomes part of a test id"
            )

    def __call__(self, case: Case) -> SearchStrategy[Case]:
        """Cases that go on from this one. The simplest example is `case` itself."""
        from hypothesis import strategies  # noqa: PLC0415 (only drawing needs it)

        @strategies.composite
        def cases(draw: DrawFn) -> Case:
            def choose(n: int) -> int:
                return draw(strategies.integers(0, n - 1))

            return self.change(case, choose) if choose(_STAY) else case

        return cases()

    def change(self, case: Case, choose: Choose) -> Case:
        """The case after one use; `case` itself if there is nothing in it to change."""
        text = case.prompt.text
        changed = self.vary(text, choose) if text.strip() else None
        if changed is None or changed.text == text:
            return case
        prompt = case.prompt.with_text(changed.text)
        steps = () if prompt == case.seed else case.steps + changed.steps
        return replace(case, prompt=prompt, perturbation=self.name, steps=steps)


def sample(variation: Variation, start: Case | Prompt | str, rng: random.Random) -> Case:
    """One random case, without Hypothesis; changed whenever there is something to change."""
    if not isinstance(start, Case):
        prompt = Prompt.of(start)
        start = Case(prompt, prompt, variation.name)
    return variation.change(start, rng.randrange)


Offers = Callable[[str], Iterable[tuple[str, str]]]
"""From a text to (changed text, the step in words), the smallest change first."""


@overload
def perturbation(name: str) -> Callable[[Offers], Variation]: ...
@overload
def perturbation(name: str, offers: Offers) -> Variation: ...
def perturbation(
    name: str, offers: Offers | None = None
) -> Variation | Callable[[Offers], Variation]:
    """A perturbation from a function that lists the changed texts, the smallest change first.

    `perturbation("shout", lambda text: [(text + "!", "shouted")])`, or as a decorator:

        @perturbation("shout")
        def shout(text):
            return [(text + "!", "shouted")]

    A pair whose text is unchanged is passed over. Raises UsageError if the name can't be in an id.
    """
    if offers is None:
        return lambda function: perturbation(name, function)
    listed = offers

    def vary(text: str, choose: Choose) -> Change | None:
        changes = [Change(new, (step,)) for new, step in listed(text) if new != text]
        return changes[choose(len(changes))] if changes else None

    return Variation(name, vary)


Spots = Callable[[str], Sequence[tuple[int, int]]]
"""From a text to the places that can change, as (start, end) in order."""


def at_places(name: str, spots: Spots, rewrite: Offers, *, most: int = 1) -> Variation:
    """A perturbation of single places, at most `most` of them at once; long texts stay cheap.

    `rewrite` lists what can stand in place of the text of one spot, the smallest change first.
    """

    def vary(text: str, choose: Choose) -> Change | None:
        left = list(spots(text))
        edits: list[tuple[int, int, str, str]] = []
        count = 1 + choose(min(most, len(left))) if left else 0
        while left and len(edits) < count:
            at = choose(len(left))
            start, end = left.pop(at)
            options = [o for o in rewrite(text[start:end]) if o[0] != text[start:end]]
            if options:
                edits.append((start, end, *options[choose(len(options))]))
        changed = text
        for start, end, new, _ in sorted(edits, reverse=True):
            changed = changed[:start] + new + changed[end:]
        return Change(changed, tuple(step for *_, step in edits)) if edits else None

    return Variation(name, vary)


def chain(*variations: Variation, name: str | None = None) -> Variation:
    """Each in turn, on what the one before left; any of them may leave the text as it is."""
    links = _some(variations, "chain")

    def vary(text: str, choose: Choose) -> Change | None:
        new = text
        steps: tuple[str, ...] = ()
        for link in links:
            changed = link.vary(new, choose) if choose(_STAY) else None
            if changed is not None and changed.text != new:
                new, steps = changed.text, steps + changed.steps
        return Change(new, steps) if new != text else None

    inner = [f"({v.name})" if "/" in v.name else v.name for v in links]
    return Variation(name or "+".join(inner), vary, _written(links))


def either(*variations: Variation, name: str | None = None) -> Variation:
    """One of them; one that has nothing to change in this text passes on to the next."""
    choices = _some(variations, "either")

    def vary(text: str, choose: Choose) -> Change | None:
        first = choose(len(choices))
        for variation in choices[first:] + choices[:first]:
            changed = variation.vary(text, choose)
            if changed is not None:
                return changed
        return None

    return Variation(name or "/".join(v.name for v in choices), vary, _written(choices))


def _some(variations: tuple[Variation, ...], what: str) -> tuple[Variation, ...]:
    if not variations:
        raise UsageError(f"perturb.{what}() is empty: give it at least one perturbation")
    return variations


def _written(variations: tuple[Variation, ...]) -> tuple[Written, ...]:
    return tuple(dict.fromkeys(each for v in variations for each in v.written))
