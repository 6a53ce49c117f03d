from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, false_discovery_control

from surfcheck.statistics import (
    at_least,
    benjamini_hochberg,
    clopper_pearson,
    holm,
    percentile_bootstrap,
    wilson,
)

COUNTS = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; import surfcheck.statistics, surfcheck.sequential\n"
        "print(sorted({'numpy', 'scipy', 'hypothesis', 'pytest'} & set(sys.modules)))"
    )
    ran = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert ran.stdout == "[]\n"


@given(COUNTS)
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


@given(COUNTS, st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_clopper_pearson_is_scipys(counts: tuple[int, int], confidence: float) -> None:
    successes, trials = counts
    expected = binomtest(successes, trials).proportion_ci(confidence, method="exact")
    found = clopper_pearson(successes, trials, confidence=confidence)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("trials", [1, 6, 30])
def test_clopper_pearson_covers_at_every_rate(trials: int, rate: float) -> None:
    missed = 0.0
    for successes in range(trials + 1):
        low, high = clopper_pearson(successes, trials)
        if not low <= rate <= high:
            missed += binom.pmf(successes, trials, rate)
    assert missed <= 0.05


@given(COUNTS, st.sampled_from([0.51, 0.903, 0.951, 0.9987]))
def test_the_bootstrap_is_the_binomials_quantiles(
    counts: tuple[int, int], confidence: float
) -> None:
    successes, trials = counts
    expected = binom.interval(confidence, trials, successes / trials)
    found = percentile_bootstrap(successes, trials, confidence=confidence)
    assert [round(end * trials) for end in found] == [max(0, end) for end in expected]


def test_the_bootstrap_is_what_resampling_tends_to() -> None:
    outcomes = np.repeat([1, 0], [31, 169])
    drawn = np.random.default_rng(0).choice(outcomes, size=(20_000, 200)).mean(axis=1)
    expected = np.percentile(drawn, (2.5, 97.5))
    assert percentile_bootstrap(31, 200) == pytest.approx(tuple(expected), abs=0.005)


@pytest.mark.parametrize("interval", [wilson, clopper_pearson, percentile_bootstrap])
@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (-1, 3), (4, 3)])
def test_an_interval_of_what_is_no_proportion(
    interval: Callable[[int, int], object], successes: int, trials: int
) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        interval(successes, trials)


@given(st.integers(0, 3000), st.integers(-2, 3002), st.floats(0, 1))
def test_at_least_is_scipys(trials: int, successes: int, rate: float) -> None:
    expected = binom.sf(successes - 1, trials, rate)
    assert at_least(successes, trials, rate) == pytest.approx(expected, rel=1e-8, abs=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_benjamini_hochberg_is_scipys(p_values: list[float]) -> None:
    expected = false_discovery_control(p_values, method="bh")
    assert benjamini_hochberg(p_values) == pytest.approx(list(expected), abs=1e-12)


def test_benjamini_hochberg_of_nothing() -> None:
    assert benjamini_hochberg([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferroni(p_values: list[float]) -> None:
    """A hypothesis falls when every set of hypotheses that it is in does."""
    indices = range(len(p_values))
    sets = [some for n in indices for some in combinations(indices, n + 1)]
    expected = [
        max(min(1.0, len(some) * min(p_values[j] for j in some)) for some in sets if i in some)
        for i in indices
    ]
    assert holm(p_values) == pytest.approx(expected, abs=1e-12)


def test_holm_in_the_order_given() -> None:
    assert holm([0.04, 0.01, 0.03, 0.9]) == pytest.approx([0.09, 0.04, 0.09, 0.9])
    assert holm([]) == []
