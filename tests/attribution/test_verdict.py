"""Verdicts on worlds whose truth is known, and p-values where there is nothing to find."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from surfcheck.attribution.corpus import RowText
from surfcheck.attribution.evidence import Evidence, Rows
from surfcheck.attribution.probe import probe
from surfcheck.attribution.verdict import chance, implicated, judge_ranking, source_table

LAYERS, WIDTH, N = 2, 24, 600


def states(rng, n):
    return rng.normal(size=(n, LAYERS, WIDTH)).astype(np.float32)


def world(planted, *, seed=0):
    """Rows of which some share a direction, and contrasts along it."""
    rng = np.random.default_rng(seed)
    direction = states(rng, 1)[0] * 2
    pairs, news = np.ones(N, dtype=bool), np.full(N, 0.5)
    rows = Rows(states(rng, N), states(rng, N), states(rng, N), pairs, news)
    rows.change[planted] += direction
    change = states(rng, 12) + direction
    n = np.arange(24)
    evidence = Evidence(states(rng, 24), states(rng, 24), n < 12, change, n)
    return evidence, rows


def report(evidence, rows, sources):
    ids = [f"row-{i}" for i in range(N)]
    texts = [
        RowText(i, s, "prompt", "chosen", "rejected") for i, s in zip(ids, sources, strict=True)
    ]
    return judge_ranking(
        probe(evidence, rows), evidence, rows, ids=ids, sources=sources, texts=texts,
        method="probe", seed=0,
    )  # fmt: skip


EVEN = [f"source-{i % 4}" for i in range(N)]


def test_a_few_rows_are_sparse():
    evidence, rows = world(np.arange(0, N, 20))
    found = report(evidence, rows, EVEN)
    assert found.verdict == "sparse"
    assert found.p_value <= 0.01
    guilty = {f"row-{i}" for i in range(0, N, 20)}
    assert {row.id for row in found.implicated[:10]} <= guilty
    assert [row.rank for row in found.implicated[:3]] == [1, 2, 3]


def test_most_of_one_source_is_a_source():
    evidence, rows = world(np.arange(60))
    sources = ["chunk"] * 60 + EVEN[60:]
    found = report(evidence, rows, sources)
    assert found.verdict == "source"
    assert found.sources[0].source == "chunk"
    assert found.sources[0].lift > 4
    assert found.sources[0].q_value < 1e-6


def test_a_habit_of_most_rows_is_diffuse():
    evidence, rows = world(np.arange(N) % 3 > 0)
    assert report(evidence, rows, EVEN).verdict == "diffuse"


def test_nothing_is_none():
    rng = np.random.default_rng(3)
    evidence, rows = world([])
    nothing = replace(evidence, change=states(rng, 12))
    found = report(nothing, rows, EVEN)
    assert found.verdict == "none"
    assert found.implicated == ()
    assert len(found.sources) == 4


@pytest.mark.parametrize("contrasts", [3, 12])
def test_p_values_of_unrelated_contrasts_are_uniform(contrasts):
    rng = np.random.default_rng(5)
    _, rows = world([])
    values = []
    for draw in range(120):
        i, j = rng.integers(N, size=(2, contrasts))
        empty = np.zeros(2 * contrasts, dtype=bool)
        evidence = Evidence(
            states(rng, 2 * contrasts), states(rng, 2 * contrasts), empty,
            rows.chosen[i] - rows.chosen[j], np.arange(2 * contrasts),
        )  # fmt: skip
        values.append(chance(evidence, rows, seed=draw))
    assert stats.kstest(values, "uniform", alternative="greater").pvalue > 0.01
    assert np.mean(np.array(values) <= 0.05) <= 0.1


def test_saying_the_same_thing_often_is_no_more_evidence():
    evidence, rows = world([], seed=7)
    once = replace(evidence, change=evidence.change[:2])
    often = replace(evidence, change=np.repeat(evidence.change[:2], 9, axis=0))
    assert chance(often, rows, seed=1) == chance(once, rows, seed=1)


def test_sources_are_tested_as_scipy_does():
    strong = np.array([True] * 8 + [False] * 92)
    sources = ["a"] * 10 + ["b"] * 90
    table = {row.source: row for row in source_table(strong, sources)}
    p_values = [stats.hypergeom.sf(7, 100, 10, 8), stats.hypergeom.sf(-1, 100, 90, 8)]
    expected = stats.false_discovery_control(p_values)
    assert table["a"].q_value == pytest.approx(expected[0])
    assert table["b"].q_value == pytest.approx(expected[1])
    assert table["a"].lift == pytest.approx((8 / 8) / 0.1)


def test_rows_without_a_positive_score_are_never_implicated():
    assert not implicated(np.zeros(50)).any()
    assert not implicated(np.full(50, -1.0)).any()
