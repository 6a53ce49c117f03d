from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import strategies as st

from surfcheck.cases import draw, size, smallest
from surfcheck.records import Case, Prompt

SEED = Prompt.of("go")


@dataclass
class Grid:
    """`go`, then so many x, then so many y: how far a change goes can be read off it."""

    width: int = 9
    name: str = "grid"

    def __call__(self, case: Case) -> st.SearchStrategy[Case]:
        steps = st.integers(0, self.width)
        return st.tuples(steps, steps).map(lambda at: at_grid(case, *at))


def at_grid(case: Case, x: int, y: int) -> Case:
    text = case.seed.text + "x" * x + "y" * y
    return replace(case, prompt=case.seed.with_text(text), steps=("x",) * x + ("y",) * y)


@dataclass
class Few:
    """A handful of cases, and many ways to draw each."""

    texts: tuple[str, ...]
    name: str = "few"

    def __call__(self, case: Case) -> st.SearchStrategy[Case]:
        def change(n: int) -> Case:
            text = self.texts[n % len(self.texts)]
            return replace(case, prompt=case.seed.with_text(text), steps=(text,))

        return st.one_of(st.just(case), st.integers(0, 1000).map(change))


class Nothing:
    name = "nothing"

    def __call__(self, case: Case) -> st.SearchStrategy[Case]:
        return st.just(case).filter(lambda _: False)


@pytest.mark.parametrize("seed", ["", "0:a", "1:a", "0:b"])
@pytest.mark.parametrize("most", [1, 2, 6, 20])
def test_the_unchanged_prompt_is_first_and_no_prompt_comes_twice(most: int, seed: str) -> None:
    cases = draw(Grid(), SEED, most=most, seed=seed)
    assert cases[0] == Case(SEED, SEED, "grid")
    assert len({case.prompt for case in cases}) == len(cases) == most


def test_the_same_seed_draws_the_same_cases() -> None:
    once, twice, other = (draw(Grid(), SEED, most=6, seed=s) for s in ("1:a", "1:a", "2:a"))
    assert once == twice != other


def test_few_cases_are_all_drawn() -> None:
    cases = draw(Few(("a", "b")), SEED, most=6, seed="0")
    assert {case.prompt.text for case in cases} == {"go", "a", "b"}


@pytest.mark.parametrize("perturbation", [Nothing(), Few(("go",))])
def test_a_perturbation_without_other_cases_leaves_the_prompt_as_written(perturbation) -> None:
    assert draw(perturbation, SEED, most=6, seed="0") == [Case(SEED, SEED, perturbation.name)]


def test_one_case_needs_no_strategy() -> None:
    def refuses(case: Case) -> st.SearchStrategy[Case]:
        raise AssertionError("asked for more")

    refuses.name = "refuses"
    assert len(draw(refuses, SEED, most=1, seed="0")) == 1


@pytest.mark.parametrize("y", [0, 1, 2, 5])
@pytest.mark.parametrize("x", [1, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_the_smallest_is_minimal_on_a_grid(x: int, y: int, seed: int) -> None:
    def breaks(case: Case) -> bool:
        return case.prompt.text.count("x") >= x and case.prompt.text.count("y") >= y

    found = smallest(Grid(), SEED, breaks, most=10, seed=str(seed))
    assert found == at_grid(Case(SEED, SEED, "grid"), x, y)


def test_the_search_starts_from_what_was_drawn() -> None:
    drawn = draw(Grid(), SEED, most=6, seed="0")
    met: list[Prompt] = []

    def breaks(case: Case) -> bool:
        met.append(case.prompt)
        return case.prompt == drawn[-1].prompt

    smallest(Grid(), SEED, breaks, most=6, seed="0")
    assert list(dict.fromkeys(met))[: len(drawn)] == [case.prompt for case in drawn]


def test_nothing_that_breaks_is_none() -> None:
    assert smallest(Grid(), SEED, lambda _: False, most=6, seed="0") is None
    assert smallest(Nothing(), SEED, lambda _: True, most=6, seed="0") is None


def test_an_exception_ends_the_search_and_is_not_shrunk() -> None:
    met = []

    def breaks(case: Case) -> bool:
        met.append(case)
        if len(met) == 3:
            raise OSError("no network")
        return False

    with pytest.raises(OSError, match="no network"):
        smallest(Grid(), SEED, breaks, most=6, seed="0")
    assert len(met) == 3


def test_size_counts_steps_then_characters() -> None:
    case = Case(SEED, SEED, "grid")
    one, two = at_grid(case, 1, 0), at_grid(case, 1, 1)
    shouted = replace(case, prompt=case.seed.with_text("GO"), steps=("upper",))
    assert size(case) < size(one) < size(shouted) < size(two)
    assert size(case)[:2] == (0, 0)
    assert size(one)[:2] == (1, 1)
    assert size(shouted)[:2] == (1, 2)
