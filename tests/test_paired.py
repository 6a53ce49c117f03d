from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, permutation_test

from surfcheck.paired import mcnemar, paired_bootstrap, sign_flip

Pairs = tuple[list[bool], list[bool], list[int]]


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_is_scipys_binomial_test(b: int, c: int) -> None:
    expected = binomtest(b, b + c, 0.5).pvalue if b + c else 1.0
    assert mcnemar(b, c) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.integers(-5, 5), max_size=11))
def test_sign_flip_counts_all_signs(sums: list[int]) -> None:
    flipped = [sum(s * sign for s, sign in zip(sums, signs, strict=True))
               for signs in product((1, -1), repeat=len(sums))]  # fmt: skip
    expected = sum(abs(total) >= abs(sum(sums)) for total in flipped) / len(flipped)
    assert sign_flip(sums) == pytest.approx(expected, abs=1e-12)


def test_sign_flip_is_scipys_permutation_test() -> None:
    sums = [3, -1, 2, 2, 0, 5, -2, 1, 4]
    found = permutation_test(
        (np.array(sums), np.zeros(len(sums))),
        lambda x, y: x.sum() - y.sum(),
        permutation_type="samples",
        n_resamples=np.inf,
    )
    assert sign_flip(sums) == pytest.approx(found.pvalue)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 10))
def test_with_one_pair_a_cluster_sign_flip_is_mcnemar(b: int, c: int, same: int) -> None:
    assert sign_flip([-1] * b + [1] * c + [0] * same) == pytest.approx(mcnemar(b, c), abs=1e-12)


def test_sign_flip_of_thousands_of_clusters() -> None:
    rng = random.Random(0)
    sums = [rng.randint(-6, 6) for _ in range(5000)]
    z = abs(sum(sums)) / math.sqrt(sum(s * s for s in sums))
    assert sign_flip(sums) == pytest.approx(math.erfc(z / math.sqrt(2)), abs=0.01)


@pytest.mark.parametrize("seed", range(4))
def test_the_interval_is_that_of_every_resample(seed: int) -> None:
    """Four clusters and the two that nobody saw: 6⁶ resamples, all of them."""
    rng = random.Random(seed)
    clusters = [cluster for cluster in range(4) for _ in range(rng.randint(1, 4))]
    a, b = ([rng.random() < rate for _ in clusters] for rate in (0.2, 0.7))
    sums = [sum(int(y) - int(x) for x, y, c in zip(a, b, clusters, strict=True) if c == cluster)
            for cluster in range(4)]  # fmt: skip
    sizes = [clusters.count(cluster) for cluster in range(4)]
    average = sum(sizes) / 4
    sums, sizes = np.array([*sums, average, -average]), np.array([*sizes, average, average])
    picks = np.array(list(product(range(6), repeat=6)))
    every = sums[picks].sum(axis=1) / sizes[picks].sum(axis=1)
    found = paired_bootstrap(a, b, clusters, draws=40_000, seed=seed)
    assert found.difference == pytest.approx(np.mean(b) - np.mean(a))
    for beyond, at in ((every - found.low, found.low), (found.high - every, found.high)):
        assert (beyond < -1e-9).mean() < 0.03, at
        assert (beyond < 1e-9).mean() > 0.02, at


def test_the_interval_does_not_collapse_where_nothing_differs() -> None:
    few = paired_bootstrap([False] * 3, [False] * 3, [1, 2, 3])
    many = paired_bootstrap([False] * 300, [False] * 300, list(range(300)))
    assert (few.difference, few.p_value, many.p_value) == (0, 1, 1)
    assert few.high - few.low > 0.8
    assert 0.01 < many.high - many.low < 0.04


def test_the_same_seed_gives_the_same_interval() -> None:
    rng = random.Random(3)
    a, b = ([rng.random() < 0.4 for _ in range(60)] for _ in range(2))
    clusters = [n // 3 for n in range(60)]
    first = paired_bootstrap(a, b, clusters, seed=5)
    assert paired_bootstrap(a, b, clusters, seed=5) == first
    few = [paired_bootstrap(a, b, clusters, draws=9, seed=seed) for seed in (5, 6)]
    assert few[0] != few[1]
    swapped = paired_bootstrap(b, a, clusters, seed=5)
    assert (swapped.difference, swapped.p_value) == (-first.difference, first.p_value)


def test_draws_come_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, clusters = [False] * 9 + [True], [True] * 9 + [False], list(range(10))
    whole = paired_bootstrap(a, b, clusters, draws=1000)
    monkeypatch.setattr("surfcheck.paired._CELLS", 12 * 300)
    assert paired_bootstrap(a, b, clusters, draws=1000) == whole


def test_nothing_to_compare() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        paired_bootstrap([], [], [])


# What they are worth


def resembling(rng: random.Random, clusters: int, each: int) -> Pairs:
    """Models of the same mean rate whose answers to one prompt have much in common."""
    a: list[bool] = []
    b: list[bool] = []
    for _ in range(clusters):
        for answers in (a, b):
            rate = rng.choice((0.05, 0.55))
            answers += [rng.random() < rate for _ in range(each)]
    return a, b, [n // each for n in range(clusters * each)]


def stopping(rng: random.Random, clusters: int, each: int) -> Pairs:
    """Equal models of which each stops at its own first violation; what both answered is paired."""
    a, b, names = [], [], []
    for cluster in range(clusters):
        runs = []
        for _ in range(2):
            run = [rng.random() < 0.2 for _ in range(each)]
            runs.append(run[: run.index(True) + 1] if True in run else run)
        for first, second in zip(*runs, strict=False):
            a.append(first)
            b.append(second)
            names.append(cluster)
    return a, b, names


@pytest.mark.parametrize("world", [resembling, stopping])
def test_p_values_of_equal_models_are_no_smaller_than_chance(
    world: Callable[[random.Random, int, int], Pairs],
) -> None:
    rng = random.Random(11)
    p_values = []
    for _ in range(500):
        a, b, names = world(rng, 20, 6)
        p_values.append(paired_bootstrap(a, b, names, draws=2).p_value)
    for alpha in (0.01, 0.05, 0.2, 0.5):
        below = sum(p <= alpha for p in p_values)
        assert binomtest(below, len(p_values), alpha, alternative="greater").pvalue > 0.001
    assert sum(p <= 0.5 for p in p_values) > 0.3 * len(p_values), "nor useless"


def test_pairs_of_one_prompt_taken_for_independent_would_be_called_different_too_often() -> None:
    rng = random.Random(11)
    naive = []
    for _ in range(300):
        a, b, _ = resembling(rng, 20, 6)
        only_a = sum(x and not y for x, y in zip(a, b, strict=True))
        only_b = sum(y and not x for x, y in zip(a, b, strict=True))
        naive.append(mcnemar(only_a, only_b))
    assert sum(p <= 0.05 for p in naive) > 0.1 * len(naive)


@pytest.mark.parametrize(("rate_a", "rate_b"), [(0.1, 0.1), (0.05, 0.3), (0.5, 0.6)])
def test_the_interval_covers_the_difference(rate_a: float, rate_b: float) -> None:
    rng = random.Random(7)
    runs, covered = 300, 0
    for _ in range(runs):
        a, b, names = [], [], []
        for cluster in range(25):
            shift = rng.choice((-0.05, 0.05))
            for _ in range(4):
                a.append(rng.random() < rate_a + shift)
                b.append(rng.random() < rate_b + shift)
                names.append(cluster)
        found = paired_bootstrap(a, b, names, draws=400)
        covered += found.low <= rate_b - rate_a <= found.high
    assert covered >= 0.92 * runs
