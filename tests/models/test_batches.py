"""Token-budget batches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from surfcheck.models.batches import batches

LENGTHS = st.lists(st.integers(1, 50))
BUDGETS = st.integers(1, 200)


@given(LENGTHS, BUDGETS)
def test_every_row_is_in_one_batch(lengths: list[int], budget: int) -> None:
    found = [row for batch in batches(lengths, budget) for row in batch]
    assert sorted(found) == list(range(len(lengths)))


@given(LENGTHS, BUDGETS)
def test_only_a_row_alone_may_exceed_the_budget(lengths: list[int], budget: int) -> None:
    for batch in batches(lengths, budget):
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= budget


@given(LENGTHS, BUDGETS)
def test_lengths_fall_from_batch_to_batch(lengths: list[int], budget: int) -> None:
    order = [lengths[row] for batch in batches(lengths, budget) for row in batch]
    assert order == sorted(lengths, reverse=True)


def test_like_goes_with_like() -> None:
    assert batches([1, 9, 1, 9, 1], 18) == [[1, 3], [0, 2, 4]]
