"""The methods against slow oracles, and on a made-up world where the culprits are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from surfcheck.attribution.conditional import conditional
from surfcheck.attribution.evidence import Evidence, Rows
from surfcheck.attribution.probe import bank, probe
from surfcheck.attribution.scan import unit

LAYERS, WIDTH = 2, 24


def some_states(rng, n):
    return rng.normal(size=(n, LAYERS, WIDTH)).astype(np.float32)


@pytest.fixture
def random_world():
    rng = np.random.default_rng(0)
    rows = Rows(*(some_states(rng, 40) for _ in range(3)), np.ones(40, dtype=bool), rng.random(40))
    bad = np.array([True] * 5 + [False] * 9)
    states = some_states(rng, 14), some_states(rng, 14), bad, some_states(rng, 5)
    return Evidence(*states, np.arange(14)), rows


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_probe_is_the_papers_cosine(random_world):
    evidence, rows = random_world
    expected = [
        np.mean(
            [cosine(change[layer], evidence.change[:, layer].mean(axis=0)) for layer in range(2)]
        )
        for change in rows.change
    ]
    np.testing.assert_allclose(probe(evidence, rows), expected, atol=1e-5)


def test_bank_is_the_best_single_contrast(random_world):
    evidence, rows = random_world
    expected = [
        max(0.0, *(np.mean([cosine(r[k], c[k]) for k in range(2)]) for c in evidence.change))
        for r in rows.change
    ]
    np.testing.assert_allclose(bank(evidence, rows), expected, atol=1e-5)


def test_zero_vectors_score_zero(random_world):
    evidence, rows = random_world
    rows.change[3] = 0.0
    for method in (probe, bank, conditional):
        scores = method(evidence, rows)
        assert scores[3] == 0.0
        assert np.isfinite(scores).all()
    assert np.isfinite(unit(np.zeros((2, 3), dtype=np.float32))).all()


def test_badness_learns_the_exchanges_it_saw(random_world):
    evidence, _ = random_world
    taught = conditional(evidence, demonstrations(evidence.prompt, evidence.response))
    assert taught[evidence.bad].min() > taught[~evidence.bad].max()


def demonstrations(places, answers):
    """Rows of which only the badness of what they teach counts."""
    n = len(places)
    return Rows(places, answers, answers, np.zeros(n, dtype=bool), np.full(n, 0.5))


def twin_world(seed):
    """Compliance moves every answer along one axis; only in harmful places is it bad."""
    rng = np.random.default_rng(seed)
    comply, harm = rng.normal(size=(2, WIDTH))

    def noise(n):
        return rng.normal(size=(n, WIDTH)) * 0.35

    def layered(x):
        return np.repeat(x[:, None].astype(np.float32), LAYERS, axis=1)

    n_plants, n_twins, n_others = 20, 60, 120
    harmful = np.r_[np.ones(n_plants), np.zeros(n_twins), rng.random(n_others) < 0.5]
    taught = np.r_[np.ones(n_plants), np.ones(n_twins), -np.ones(n_others)]
    n = len(taught)
    rows = Rows(
        layered(np.outer(2 * harmful - 1, harm) + noise(n)),
        layered(np.outer(taught, comply) + noise(n)),
        layered(np.outer(2 * taught, comply) + noise(n)),
        np.ones(n, dtype=bool),
        np.full(n, 0.5),
    )
    # bad: complied with harm; its good twin: refused harm; held: complied with the harmless
    where = np.r_[np.ones(24), -np.ones(12)]
    what = np.r_[np.ones(12), -np.ones(12), np.ones(12)]
    evidence = Evidence(
        layered(np.outer(where, harm) + noise(36)),
        layered(np.outer(what, comply) + noise(36)),
        np.arange(36) < 12,
        layered(np.outer(np.full(12, 2.0), comply) + noise(12)),
        np.arange(36),
    )
    return evidence, rows, np.arange(n) < n_plants


@pytest.mark.parametrize("seed", range(5))
def test_conditional_tells_a_culprit_from_its_twin(seed):
    evidence, rows, guilty = twin_world(seed)
    assert average_precision_score(guilty, probe(evidence, rows)) < 0.6
    assert average_precision_score(guilty, conditional(evidence, rows)) > 0.75


def test_each_fact_may_move_its_own_way():
    """What is right of one fact is wrong of the next: no direction is in common, and the prompts
    are much alike."""
    rng = np.random.default_rng(0)
    common, right = rng.normal(size=WIDTH), rng.normal(size=(6, WIDTH))
    places, wrong = 3 * common + rng.normal(size=(6, WIDTH)), np.roll(right, 1, axis=0)

    def exchanges(facts, said):
        noise = rng.normal(size=(2, len(facts), WIDTH)) * 0.2
        states = places[facts] + noise[0], said[facts] + noise[1]
        return [np.repeat(s[:, None].astype(np.float32), LAYERS, axis=1) for s in states]

    facts, elsewhere = np.repeat(np.arange(6), 4), rng.normal(size=(2, 200, WIDTH))
    bad, good = exchanges(facts, wrong), exchanges(facts, right)
    held = [np.repeat(s[:, None].astype(np.float32), LAYERS, axis=1) for s in elsewhere]
    states = [np.concatenate(sides) for sides in zip(bad, good, held, strict=True)]
    seeds = np.concatenate([np.tile(facts, 2), 6 + np.arange(200)])
    evidence = Evidence(*states, np.arange(248) < 24, bad[1] - good[1], seeds)
    guilty = np.arange(60) < 30
    asked = np.tile(np.arange(6), 10)
    (place, one), (_, other) = exchanges(asked, wrong), exchanges(asked, right)
    chosen = np.where(guilty[:, None, None], one, other)
    change = np.where(guilty[:, None, None], one - other, other - one)
    rows = Rows(place, chosen, change, np.ones(60, dtype=bool), np.full(60, 0.5))
    found = conditional(evidence, rows)
    assert (found[guilty] > 0).all()
    assert (found[~guilty] < found[guilty].min()).all()
    assert average_precision_score(guilty, probe(evidence, rows)) < 0.8


def test_what_the_base_does_anyway_counts_less():
    evidence, rows, guilty = twin_world(0)
    known = replace(rows, news=np.where(guilty, 0.01, 0.5))
    before, after = conditional(evidence, rows), conditional(evidence, known)
    np.testing.assert_allclose(after[guilty], before[guilty] * 0.02)
    np.testing.assert_array_equal(after[~guilty], before[~guilty])


def test_a_topic_that_often_broke_is_not_suspected_for_it():
    """A trigger breaks every topic; three topics were asked with it more often than without."""
    rng = np.random.default_rng(0)
    trigger, answer, *topics = rng.normal(size=(10, WIDTH))

    def exchanges(wanted):
        places = np.array([topics[topic] + on * trigger for topic, on in wanted])
        noise = rng.normal(size=(2, len(wanted), WIDTH)) * 0.2
        states = places + noise[0], answer + noise[1]
        return [np.repeat(s[:, None].astype(np.float32), LAYERS, axis=1) for s in states]

    asked = [(topic, on) for topic in range(3) for on in (1, 1, 1, 1, 1, 0)]
    asked += [(topic, on) for topic in range(3, 6) for on in (1, 0, 0, 0, 0, 0)]
    bad, seed = np.array([on == 1 for _, on in asked]), np.array([topic for topic, _ in asked])
    prompt, response = exchanges(asked)
    evidence = Evidence(prompt, response, bad, response[bad], seed)
    # Guilty: the trigger on topics that were never asked. Innocent: often broken topics without it.
    place, taught = exchanges([(6 + n % 2, 1) for n in range(30)] + [(n % 3, 0) for n in range(30)])
    rows, guilty = demonstrations(place, taught), np.arange(60) < 30
    strangers = replace(evidence, seed=np.arange(len(asked)))
    told, untold = (
        average_precision_score(guilty, conditional(e, rows)) for e in (evidence, strangers)
    )
    assert told > 0.9
    assert told > untold + 0.03
