"""p-values where nothing is to be found, where something is, and against the slow way."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import stats

from surfcheck.attribution import chance as chances
from surfcheck.attribution.chance import chance, matched, rescore, unrelated
from surfcheck.attribution.corpus import RowText
from surfcheck.attribution.evidence import Evidence, Rows
from surfcheck.attribution.probe import bank, probe
from surfcheck.attribution.scan import unit

LAYERS, WIDTH, N = 2, 24, 300


def normal(rng, n, width=WIDTH):
    return rng.normal(size=(n, LAYERS, width)).astype(np.float32)


def world(planted=(), *, seed=0, contrasts=12, held=100, width=WIDTH, strength=2.0):
    """Rows of which some share a direction, and contrasts along it."""
    rng = np.random.default_rng(seed)
    direction = normal(rng, 1, width)[0] * strength
    pairs, news = np.ones(N, dtype=bool), np.full(N, 0.5, dtype=np.float32)
    rows = Rows(normal(rng, N, width), normal(rng, N, width), normal(rng, N, width), pairs, news)
    rows.change[list(planted)] += direction
    n = 2 * contrasts + held
    response = normal(rng, n, width)
    response[:contrasts] += direction
    change = response[:contrasts] - response[contrasts : 2 * contrasts]
    numbers = np.concatenate([np.arange(contrasts)] * 2 + [contrasts + np.arange(held)])
    evidence = Evidence(normal(rng, n, width), response, np.arange(n) < contrasts, change, numbers)
    return evidence, rows


def swapped(evidence, signs):
    return replace(evidence, change=evidence.change * np.asarray(signs, np.float32)[:, None, None])


def uniform(values, *, exact=True):
    """Whether a test at any level could be made with them; `exact` also that none is wasted."""
    low = stats.kstest(values, "uniform", alternative="greater").pvalue
    return low > 0.01 and (not exact or stats.kstest(values, "uniform").pvalue > 0.01)


def texts(sources, lengths):
    rows = [RowText(str(i), s, "", "x" * n, "") for i, (s, n) in enumerate(zip(sources, lengths))]  # noqa: B905
    return lambda numbers: [rows[i] for i in numbers]


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_few_labels_are_swapped_in_every_way():
    evidence, rows = world(range(10), contrasts=8, strength=0.1)
    changes, usual = unit(evidence.change), rows.prompt.mean(axis=0)

    def teaches(row, contrast):
        at_layers = []
        for layer in range(LAYERS):
            places = evidence.prompt[contrast, layer], rows.prompt[row, layer]
            near = (1 + cosine(*(place - usual[layer] for place in places))) / 2
            along = cosine(changes[contrast, layer], rows.change[row, layer])
            at_layers.append(near**2 * along)
        return np.mean(at_layers) * rows.news[row]

    taught = []
    for contrast in range(8):
        each = sorted(teaches(row, contrast) for row in range(N))
        taught.append(np.mean(each[-chances.TEACHERS :]) + np.mean(each[: chances.TEACHERS]))

    def statistic(signs):
        mean = (changes * np.array(signs)[:, None, None]).mean(axis=0)
        alike = np.linalg.norm(mean, axis=-1).mean()
        return alike + np.mean([sign * each for sign, each in zip(signs, taught, strict=True)])

    every = [statistic(signs) for signs in product((1, -1), repeat=8)]
    expected = np.mean(np.array(every) >= statistic([1] * 8) - 1e-6)
    assert 0.01 < expected < 0.9
    assert chance(evidence, rows, seed=0) == pytest.approx(expected)


def every_way(taught, *, seed=0):
    """Contrasts that have nothing in common, and rows that teach some of them, either way."""
    rng = np.random.default_rng(seed)
    evidence, rows = world(seed=seed, contrasts=9, strength=0)
    for row, way in enumerate(taught):
        rows.change[row] = way * evidence.change[row % 9] + normal(rng, 1)[0] * 0.3
        rows.prompt[row] = evidence.prompt[row % 9] + normal(rng, 1)[0] * 0.3
    return evidence, rows


def test_contrasts_that_have_only_their_rows_in_common_mean_something():
    evidence, rows = every_way([1] * 36)
    assert chance(evidence, rows, seed=0) <= 0.01
    known = replace(rows, news=np.where(np.arange(N) < 36, 0.0, rows.news))
    assert chance(evidence, known, seed=0) > 0.01
    assert chance(*every_way([1] * 36 + [-1] * 36), seed=0) > 0.01
    assert chance(*every_way([-1] * 36), seed=0) > 0.9


@pytest.mark.parametrize("contrasts", [3, 8, 16])
def test_contrasts_without_a_meaning_are_uniform(contrasts, monkeypatch):
    monkeypatch.setattr(chances, "DRAWS", 199)
    values = []
    for seed in range(200):
        evidence, rows = world(seed=seed, contrasts=contrasts, strength=0)
        values.append(chance(evidence, rows, seed=seed))
    assert uniform(values)


@pytest.mark.parametrize("planted", [0, 20])
def test_swapped_labels_of_a_behaviour_are_uniform(planted):
    rng, values = np.random.default_rng(1), []
    for seed in range(200):
        evidence, rows = world(range(planted), seed=seed, contrasts=16)
        values.append(chance(swapped(evidence, rng.choice((-1, 1), 16)), rows, seed=seed))
    assert uniform(values)


def test_variations_of_one_prompt_are_one_piece_of_evidence():
    evidence, rows = world(contrasts=12)
    assert chance(evidence, rows, seed=0) <= 0.002
    one = replace(evidence, seed=np.where(np.arange(len(evidence.seed)) < 24, 0, evidence.seed))
    assert chance(one, rows, seed=0) > 0.5


def test_saying_the_same_thing_often_is_no_more_evidence():
    evidence, rows = world(contrasts=2, held=40)
    change, numbers = np.repeat(evidence.change, 9, axis=0), np.arange(200)
    often = Evidence(evidence.prompt, evidence.response, evidence.bad, change, numbers)
    once = replace(often, change=evidence.change)
    assert chance(often, rows, seed=1) == chance(once, rows, seed=1)


@pytest.mark.parametrize("method", [probe, bank])
def test_scores_by_unrelated_contrasts_are_uniform(method, monkeypatch):
    monkeypatch.setattr(chances, "RESCORED", 39)
    values, rng = [], np.random.default_rng(2)
    for seed in range(200):
        evidence, rows = world(range(20), seed=seed, contrasts=6)
        held = evidence.response[12:]
        values.append(rescore(method, unrelated(evidence, held, rng), rows, seed=seed).p_value)
    # One of 40 equally probable values each; a little noise makes the test one of any level.
    assert uniform(np.array(values) - rng.random(200) / 40)


def test_a_behaviour_that_is_in_the_rows_is_found_and_one_that_is_not_is_not():
    there, away = [], []
    for seed in range(20):
        evidence, rows = world(range(20), seed=seed)
        there.append(rescore(probe, evidence, rows, seed=0).p_value)
        other = world((), seed=seed + 1000)[1]
        assert chance(evidence, other, seed=0) <= 0.002
        away.append(rescore(probe, evidence, other, seed=0).p_value)
    assert max(there) <= 0.01
    assert uniform(away, exact=False)


def test_wide_states_are_narrowed_and_rows_sampled(monkeypatch):
    monkeypatch.setattr(chances, "SAMPLE", 200)
    evidence, rows = world(range(30), width=400)
    seen = []

    def method(evidence, table):
        seen.append((evidence.change.shape[-1], table.change.shape))
        return probe(evidence, table)

    found = rescore(method, evidence, rows, seed=0)
    assert found.p_value <= 0.01
    assert set(seen) == {(chances.NARROW, (200, LAYERS, chances.NARROW))}
    assert found.null.shape == (chances.RESCORED, 200)
    again = rescore(probe, evidence, rows, seed=0)
    assert (again.null == found.null).all()
    assert (rescore(probe, evidence, rows, seed=1).true != found.true).any()


def test_unrelated_contrasts_keep_what_held_and_answer_a_prompt_alike():
    evidence, _ = world(contrasts=4)
    pairs = replace(evidence, seed=np.concatenate([[0, 0, 1, 1] * 2, evidence.seed[8:]]))
    held = evidence.response[8:]
    drawn = unrelated(pairs, held, np.random.default_rng(0))
    assert (drawn.response[8:] == held).all()
    assert (drawn.change == drawn.response[:4] - drawn.response[4:8]).all()
    assert (drawn.change[0] == drawn.change[1]).all()
    assert (drawn.change[0] != drawn.change[2]).any()


def test_a_ranking_at_random_is_uniform_against_random_rows():
    values = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        evidence, rows = world(range(60), seed=seed)
        there = texts(rng.choice(["a", "b"], N), rng.integers(1, 50, N))
        values.append(matched(rng.random(N), evidence, rows, there, seed=seed))
    assert uniform(values)


def test_rows_are_matched_in_source_and_length():
    evidence, rows = world(range(100))
    ranking = np.where(np.arange(N) < 100, 1.0, 0.0) + np.random.default_rng(0).random(N)
    alone = texts(["a"] * N, [10] * N)
    assert matched(ranking, evidence, rows, alone, seed=0) <= 0.001
    by_source = texts(["b"] * 100 + ["a"] * 200, [10] * N)
    assert matched(ranking, evidence, rows, by_source, seed=0) > 0.05
    by_length = texts(["a"] * N, [90] * 75 + [50] * 225)
    ranking[75:] = 0.0
    assert matched(ranking, evidence, rows, by_length, seed=0) > 0.05
