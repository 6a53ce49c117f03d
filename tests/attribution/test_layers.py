"""The choice of a layer against a slow oracle, and where the answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from surfcheck.attribution.evidence import Evidence
from surfcheck.attribution.layers import FOLDS, best_layer, separation

WIDTH = 16


def contrasts(noise, *, seeds=10, each=3, rng=0):
    """At layer l a bad answer differs from its good one by an axis and by noise of that size."""
    rng = np.random.default_rng(rng)
    m, layers = seeds * each, len(noise)
    axis, places = rng.normal(size=WIDTH), rng.normal(size=(m, layers, WIDTH))
    shift = axis + rng.normal(size=(m, layers, WIDTH)) * np.array(noise)[None, :, None]
    states = np.concatenate([places + shift, places]).astype(np.float32)
    bad = np.arange(2 * m) < m
    seed = np.tile(np.repeat(np.arange(seeds), each), 2)
    return Evidence(states, states, bad, states[:m] - states[m:], seed)


def test_the_layer_with_the_least_noise_is_chosen():
    for order in ([8, 0.1, 3], [0.1, 3, 8], [3, 8, 0.1]):
        assert best_layer(contrasts(order)) == order.index(0.1)


def slow(evidence):
    """One contrast at one layer at a time, against the direction of the other folds."""
    m, layers = evidence.change.shape[:2]
    bad, good = evidence.response[:m], evidence.response[m:]
    folds = [int(seed) % FOLDS for seed in evidence.seed[:m]]
    figures = []
    for layer in range(layers):
        distances = []
        for i in range(m):
            others = [j for j in range(m) if folds[j] != folds[i]]
            direction = np.mean([bad[j, layer] - good[j, layer] for j in others], axis=0)
            direction /= np.linalg.norm(direction)
            distances.append((bad[i, layer] - good[i, layer]) @ direction)
        figures.append(np.mean(distances) / np.std(distances))
    return figures


def test_it_is_the_slow_one():
    evidence = contrasts([0.5, 2, 6, 20])
    np.testing.assert_allclose(separation(evidence), slow(evidence), rtol=1e-4, atol=1e-4)


def test_noise_alone_separates_nothing():
    """Not even where the direction would fit the prompts that it was found on."""
    found = []
    for rng in range(40):
        evidence = contrasts([1.0], seeds=12, each=2, rng=rng)
        random = np.random.default_rng(rng).normal(size=evidence.change.shape).astype(np.float32)
        found.append(separation(replace(evidence, change=random))[0])
    assert np.mean(found) == pytest.approx(0.0, abs=0.15)


def test_prompts_are_held_out_whole():
    """What only one prompt's variations share is no reason to trust a layer."""
    rng = np.random.default_rng(0)
    own = np.repeat(rng.normal(size=(10, 1, WIDTH)), 4, axis=0)  # each prompt's own direction
    change = (own + 0.01 * rng.normal(size=own.shape)).astype(np.float32)
    evidence = replace(contrasts([1.0], each=4), change=change)
    mixed = replace(evidence, seed=np.arange(80))
    assert separation(evidence)[0] < 0.5
    assert separation(mixed)[0] > 1.0


def test_one_prompt_is_held_out_contrast_by_contrast():
    evidence = contrasts([9, 0.1], seeds=1, each=12)
    assert separation(evidence)[1] > 10
    assert best_layer(evidence) == 1


def test_a_single_contrast_says_nothing():
    np.testing.assert_array_equal(separation(contrasts([0.1, 0.2], seeds=1, each=1)), 0.0)


def test_contrasts_that_are_all_the_same_are_finite():
    found = separation(contrasts([0.0, 0.0], seeds=1, each=3))
    assert np.isfinite(found).all()
    assert (found > 10).all()
