"""One behaviour stays one, two are told apart, and noise is neither."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from surfcheck.attribution.behaviours import (
    FEWEST,
    Tree,
    answers,
    limit_of,
    split,
    stand_out,
    unrelated,
)
from surfcheck.attribution.evidence import Rows

LAYERS, WIDTH, LIMIT = 2, 24, 0.35


def pointing(rng, direction, count, noise=1.0):
    """Changes that share a direction [count, L, d]; two have a cosine of 1 / (1 + noise²)."""
    scale = noise / np.sqrt(WIDTH)
    return (direction + scale * rng.normal(size=(count, LAYERS, WIDTH))).astype(np.float32)


def axis(number):
    direction = np.zeros((LAYERS, WIDTH))
    direction[:, number] = 1.0
    return direction


def labels_of(parts, count):
    labels = np.full(count, -1)
    for number, part in enumerate(parts):
        labels[part.members] = number
    return labels


@pytest.mark.parametrize("count", [1, 2, 11, 12, 40])
def test_one_behaviour_stays_one(count):
    for seed in range(10):
        change = pointing(np.random.default_rng(seed), axis(0), count)
        (part,) = split(change, LIMIT)
        assert sorted(part.members) == list(range(count))


@pytest.mark.parametrize(("one", "other"), [(8, 8), (30, 8), (40, 40)])
def test_two_unrelated_behaviours_are_two_and_the_larger_is_first(one, other):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        change = np.concatenate(
            [pointing(rng, axis(0), one, 0.7), pointing(rng, axis(1), other, 0.7)]
        )
        parts = split(change, LIMIT)
        truth = np.repeat([0, 1], [one, other])
        assert adjusted_rand_score(truth, labels_of(parts, one + other)) == pytest.approx(1.0)
        assert len(parts[0].members) >= len(parts[1].members)


def test_one_behaviour_in_two_manners_stays_one():
    """Clusters far apart that share where they lead."""
    rng = np.random.default_rng(0)
    manners = [axis(0) + 0.8 * axis(n) for n in (1, 2)]
    change = np.concatenate([pointing(rng, manner, 20, 0.2) for manner in manners])
    tree = Tree(change)
    first = np.arange(20)
    assert tree.alike(first) > 0.9
    assert tree.cosines[:20, 20:].mean() < 0.7
    assert len(split(change, LIMIT)) == 1


def test_what_says_nothing_is_never_divided():
    for seed in range(10):
        noise = np.random.default_rng(seed).normal(size=(40, LAYERS, WIDTH)).astype(np.float32)
        assert len(split(noise, LIMIT)) == 1
        assert stand_out(noise, LIMIT) == []


def test_a_few_strays_go_where_they_are_nearest():
    rng = np.random.default_rng(1)
    change = np.concatenate(
        [
            pointing(rng, axis(0), 20, 0.5),
            pointing(rng, axis(1), 20, 0.5),
            pointing(rng, 0.6 * axis(0) + axis(2), FEWEST - 1, 0.1),
        ]
    )
    parts = split(change, LIMIT)
    assert sorted(len(part.members) for part in parts) == [20, 25]
    with_strays = next(part for part in parts if 44 in part.members)
    assert set(range(20)) | set(range(40, 45)) == set(with_strays.members.tolist())


def test_what_stands_out_of_noise_is_found_alone():
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(60, LAYERS, WIDTH)).astype(np.float32)
    change = np.concatenate(
        [noise, pointing(rng, axis(0), 15, 0.5), pointing(rng, axis(1), 9, 0.5)]
    )
    found = stand_out(change, LIMIT)
    assert [set(part.members.tolist()) for part in found] == [
        set(range(60, 75)),
        set(range(75, 84)),
    ]
    assert all(part.alike > 0.6 for part in found)


def test_members_come_most_central_first():
    rng = np.random.default_rng(3)
    change = pointing(rng, axis(0), 10, 0.5)
    change[4] = axis(0)
    (part,) = split(change, LIMIT)
    assert part.members[0] == 4


def test_the_tree_is_wards_of_the_slow_cosines():
    change = np.random.default_rng(4).normal(size=(7, LAYERS, WIDTH)).astype(np.float32)
    change[6] = 0.0  # answers that read the same
    tree = Tree(change)
    for i in range(7):
        for j in range(7):
            cosines = [
                float(change[i, layer] @ change[j, layer])
                / max(np.linalg.norm(change[i, layer]) * np.linalg.norm(change[j, layer]), 1e-12)
                for layer in range(LAYERS)
            ]
            assert tree.cosines[i, j] == pytest.approx(np.mean(cosines), abs=1e-5)
    assert sorted(tree.order) == list(range(7))
    members = np.array([0, 2, 5])
    pairs = [tree.cosines[i, j] for i in members for j in members if i != j]
    assert tree.alike(members) == pytest.approx(np.mean(pairs))


def test_directions_are_compared_without_the_noise_of_single_changes():
    """With much noise the mean cosine of two sides is low; that of their directions is not."""
    rng = np.random.default_rng(5)
    change = pointing(rng, axis(0), 400, 1.2)
    tree, one, other = Tree(change), np.arange(200), np.arange(200, 400)
    assert tree.cosines[:200, 200:].mean() < 0.5
    assert tree.divides(one, other, limit=0.3) is False
    away = np.concatenate([change[:200], pointing(rng, axis(1), 200, 1.2)])
    assert Tree(away).divides(one, other, limit=0.3) is True


def test_the_limit_is_what_few_unrelated_changes_exceed():
    rng = np.random.default_rng(6)
    chosen = rng.normal(size=(3000, LAYERS, WIDTH)).astype(np.float32)
    rows = Rows(chosen, chosen, chosen, np.ones(3000, dtype=bool), chosen[:, 0, 0])
    pool = answers(rows, rng)
    assert pool.shape == (1000, LAYERS, WIDTH)
    limit = limit_of(pool, rng)
    # Means over two layers of cosines with variance 1/24: the 90 % quantile of a normal.
    assert limit == pytest.approx(1.2816 / np.sqrt(LAYERS * WIDTH), abs=0.03)
    assert limit_of(pool, np.random.default_rng(0)) == limit_of(pool, np.random.default_rng(0))
    assert unrelated(pool, 5, rng).shape == (5, LAYERS, WIDTH)
