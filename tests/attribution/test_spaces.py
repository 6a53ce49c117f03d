"""Centring and whitening against what they are meant to do, and the probe in them."""

from __future__ import annotations

import numpy as np
import pytest

from surfcheck.attribution.evidence import Evidence, Rows
from surfcheck.attribution.moments import Moments, moments
from surfcheck.attribution.probe import probe
from surfcheck.attribution.spaces import FLOOR, probe_in, space

LAYERS, WIDTH = 2, 6


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    shape = 400, LAYERS, WIDTH
    spread = np.array([5.0, 3, 1, 1, 0.5, 0.2])
    sides = [(rng.normal(size=shape) * spread + 2).astype(np.float32) for _ in range(3)]
    rows = Rows(*sides, np.ones(400, dtype=bool), np.ones(400, dtype=np.float32))
    some = rng.normal(size=(9, LAYERS, WIDTH)).astype(np.float32)
    return Evidence(some, some, np.arange(9) < 4, some[:4], np.arange(9)), rows


def test_white_is_white_but_for_the_floor(world):
    _, rows = world
    corpus = moments(rows, "chosen", 1)
    seen = space(corpus, power=0.5)
    states = (rows.chosen[:, 1] - seen.centre) @ seen.scale
    np.testing.assert_allclose(states.mean(axis=0), 0.0, atol=1e-4)
    variances = np.linalg.eigvalsh(corpus.covariance)
    expected = variances / (variances + FLOOR * variances.mean())
    found = np.linalg.eigvalsh(np.cov(states, rowvar=False, bias=True))
    np.testing.assert_allclose(found, np.sort(expected), rtol=1e-3)


def test_no_power_leaves_angles_as_they_were(world):
    _, rows = world
    seen = space(moments(rows, "chosen", 0), centred=False, power=0.0)
    units = rows.chosen[:, 0] / np.linalg.norm(rows.chosen[:, 0], axis=1, keepdims=True)
    np.testing.assert_allclose(seen.units(rows.chosen[:, 0]), units, atol=1e-5)


def test_a_corpus_without_variance_is_finite():
    seen = space(Moments(np.ones(3), np.zeros((3, 3))), power=0.25)
    np.testing.assert_array_equal(seen.units(np.ones((2, 3), dtype=np.float32)), 0.0)
    assert np.isfinite(seen.units(np.eye(3, dtype=np.float32))).all()


def test_in_the_plain_space_it_is_the_probe(world):
    evidence, rows = world
    plain = probe_in(evidence, rows, centred=False, power=0.0)
    np.testing.assert_allclose(plain, probe(evidence, rows), atol=1e-5)


def test_one_row_at_a_time_gives_the_same(world):
    evidence, rows = world
    expected = np.zeros(len(rows))
    for layer in range(LAYERS):
        changes = rows.change[:, layer].astype(np.float64)
        mean, covariance = changes.mean(axis=0), np.cov(changes, rowvar=False, bias=True)
        variances, axes = np.linalg.eigh(covariance)
        whiten = axes @ np.diag((variances + FLOOR * variances.mean()) ** -0.25) @ axes.T
        direction = evidence.change[:, layer].mean(axis=0) @ whiten
        for i, change in enumerate(changes):
            row = (change - mean) @ whiten
            cosine = row @ direction / np.linalg.norm(row) / np.linalg.norm(direction)
            expected[i] += cosine / LAYERS
    np.testing.assert_allclose(
        probe_in(evidence, rows, centred=True, power=0.25), expected, atol=1e-4
    )


def test_what_all_rows_share_is_no_likeness_once_centred():
    rng = np.random.default_rng(0)
    shared, planted = 10 * np.eye(WIDTH)[0], 2 * np.eye(WIDTH)[1]
    guilty = np.arange(60) < 10
    change = shared + guilty[:, None] * planted + rng.normal(size=(60, WIDTH))
    change = np.repeat(change[:, None], LAYERS, axis=1).astype(np.float32)
    rows = Rows(change, change, change, np.ones(60, dtype=bool), np.ones(60, dtype=np.float32))
    bad = np.repeat(np.repeat((shared + planted)[None, None], 4, 0), LAYERS, 1).astype(np.float32)
    evidence = Evidence(
        bad, bad, np.ones(4, dtype=bool), bad - shared.astype(np.float32), np.arange(4)
    )

    def gap(centred):
        scores = probe_in(evidence, rows, centred=centred, power=0.0)
        return scores[guilty].mean() - scores[~guilty].mean()

    assert gap(centred=True) > 3 * gap(centred=False) > 0
