from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, false_discovery_control

from surfcheck.statistics import benjamini_hochberg, wilson


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(counts: tuple[int, int]) -> None:
    successes, trials = counts
    expected = binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99])
def test_wilson_takes_a_confidence(confidence: float) -> None:
    expected = binomtest(3, 20).proportion_ci(confidence, method="wilson")
    assert wilson(3, 20, confidence=confidence) == pytest.approx((expected.low, expected.high))


def test_wilson_does_not_collapse_at_the_ends() -> None:
    assert wilson(0, 20) == (0.0, pytest.approx(0.161, abs=1e-3))
    assert wilson(20, 20) == (pytest.approx(0.839, abs=1e-3), 1.0)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (-1, 3), (4, 3)])
def test_wilson_refuses_what_is_no_proportion(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson(successes, trials)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_benjamini_hochberg_is_scipys(p_values: list[float]) -> None:
    expected = false_discovery_control(p_values, method="bh")
    assert benjamini_hochberg(p_values) == pytest.approx(list(expected), abs=1e-12)


def test_benjamini_hochberg_of_nothing() -> None:
    assert benjamini_hochberg([]) == []
