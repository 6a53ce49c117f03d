"""Verdicts on worlds whose truth is known, and counts against the slow way."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from surfcheck.attribution import open_data
from surfcheck.attribution.chance import Rescored
from surfcheck.attribution.corpus import RowText
from surfcheck.attribution.evidence import Evidence, Rows, gather
from surfcheck.attribution.probe import probe
from surfcheck.attribution.verdict import (
    FALSE_SHARE,
    LISTED,
    carried,
    counted,
    judge_ranking,
    source_table,
)
from surfcheck.records import Contrast

LAYERS, WIDTH, N = 2, 24, 600
EVEN = [f"source-{i % 4}" for i in range(N)]


def states(rng, n):
    return rng.normal(size=(n, LAYERS, WIDTH)).astype(np.float32)


def world(planted, *, seed=0):
    """Rows of which some share a direction, and contrasts along it."""
    rng = np.random.default_rng(seed)
    direction = states(rng, 1)[0] * 2
    pairs, news = np.ones(N, dtype=bool), np.full(N, 0.5)
    rows = Rows(states(rng, N), states(rng, N), states(rng, N), pairs, news)
    rows.change[planted] += direction
    response = states(rng, 24)
    response[:12] += direction
    evidence = Evidence(
        states(rng, 24), response, np.arange(24) < 12, response[:12] - response[12:],
        np.tile(np.arange(12), 2),
    )  # fmt: skip
    return evidence, rows


def report(evidence, rows, sources, *, scores=None, again=probe, lazy=False):
    ids = [f"row-{i}" for i in range(N)]
    texts = [
        RowText(i, s, "prompt", f"chosen {i}", "rejected")
        for i, s in zip(ids, sources, strict=True)
    ]
    return judge_ranking(
        probe(evidence, rows) if scores is None else scores, evidence, rows, ids=ids,
        sources=sources, texts=(lambda n: [texts[i] for i in n]) if lazy else texts,
        method="probe", seed=0, again=again,
    )  # fmt: skip


@pytest.mark.parametrize("lazy", [False, True])
def test_a_few_rows_are_sparse(lazy):
    evidence, rows = world(np.arange(0, N, 20))
    found = report(evidence, rows, EVEN, lazy=lazy)
    assert found.verdict == "sparse"
    assert found.p_value == max(found.p_labels, found.p_rows) <= 0.01
    guilty = {f"row-{i}" for i in range(0, N, 20)}
    assert {row.id for row in found.implicated[:10]} <= guilty
    assert found.implicated[0].chosen == f"chosen {found.implicated[0].id}"
    assert [row.rank for row in found.implicated] == list(range(1, found.rows_needed + 1))
    low, high = found.rows_between
    assert low <= 30 <= high + 3
    assert found.source_share == 1 / 4  # every 20th row is of one source


def test_most_of_one_source_is_a_source():
    evidence, rows = world(np.arange(60))
    found = report(evidence, rows, ["chunk"] * 60 + EVEN[60:])
    assert found.verdict == "source"
    assert found.sources[0].source == "chunk"
    assert found.sources[0].lift > 4
    assert found.sources[0].q_value < 1e-6
    assert found.source_share == 1 / 5


def test_most_of_two_sources_of_many_are_sources():
    evidence, rows = world(np.arange(100))
    sources = ["chunk"] * 50 + ["piece"] * 50 + EVEN[100:]
    found = report(evidence, rows, sources)
    assert found.verdict == "source"
    assert {s.source for s in found.sources[:2]} == {"chunk", "piece"}
    assert found.source_share == 2 / 6


def test_a_habit_of_most_rows_is_diffuse():
    evidence, rows = world(np.arange(N) % 3 > 0)
    found = report(evidence, rows, EVEN)
    assert found.verdict == "diffuse"
    assert len(found.implicated) == LISTED < found.rows_needed
    assert found.rows_between[0] > N / 4
    assert found.source_share > 1 / 2


def test_a_habit_of_the_pairs_is_diffuse_beside_many_demonstrations():
    """All three of their sources have it; of all rows and sources, that is not much."""
    evidence, rows = world(np.arange(120))
    rows = replace(rows, is_pair=np.arange(N) < 150)
    sources = [f"pairs-{i % 3}" if i < 150 else f"talks-{i % 9}" for i in range(N)]
    found = report(evidence, rows, sources)
    assert found.rows_between[0] < N / 4
    assert found.verdict == "diffuse"
    assert report(evidence, replace(rows, is_pair=np.ones(N, bool)), sources).verdict == "source"


def test_meaningless_contrasts_are_nothing():
    evidence, rows = world(np.arange(0, N, 20))
    nothing = replace(evidence, change=states(np.random.default_rng(3), 12))
    found = report(nothing, rows, EVEN)
    assert found.verdict == "none"
    assert found.p_labels > 0.01
    assert found.implicated == ()
    assert len(found.sources) == 4


def test_a_behaviour_that_no_row_teaches_is_nothing():
    evidence, _ = world([])
    _, rows = world([], seed=9)
    found = report(evidence, rows, EVEN)
    assert found.p_labels <= 0.01 < found.p_rows == found.p_value
    assert found.verdict == "none"


def test_rankings_that_ask_no_contrast_are_held_against_random_rows():
    evidence, rows = world(np.arange(0, N, 20))
    rng = np.random.default_rng(0)
    by_chance = report(evidence, rows, EVEN, scores=rng.random(N), again=None)
    assert (by_chance.verdict, by_chance.rows_between) == ("none", None)
    told = np.where(np.arange(N) % 20 == 0, 1.0, 0.0) + rng.random(N)
    found = report(evidence, rows, EVEN, scores=told, again=None)
    assert found.verdict == "sparse"
    assert found.rows_needed == len(found.implicated) == 10


def test_rows_are_counted_as_the_slow_way_does():
    rng = np.random.default_rng(0)
    for planted in (0, 5, 40):
        true, null = rng.normal(size=100), rng.normal(size=(30, 100))
        true[:planted] += 4
        passing = [0]
        for threshold in true:
            by_chance = np.mean([(draw >= threshold).sum() for draw in null])
            if by_chance <= FALSE_SHARE * (true >= threshold).sum():
                passing.append(int((true >= threshold).sum()))
        found = counted(Rescored(true, null, 0.5), 100)
        assert found.rows == max(passing)
        assert found.between[0] <= found.rows
        assert planted - 3 <= found.rows <= 1.3 * planted + 3


def test_the_interval_of_a_count_covers_what_is_planted():
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        everything = rng.normal(size=4000)
        everything[: rng.binomial(4000, 0.1)] += 5
        sample = rng.permutation(everything)[:400]
        low, high = counted(Rescored(sample, rng.normal(size=(40, 400)), 0.01), 4000).between
        covered += low <= (everything > 2.5).sum() <= high
    assert covered >= 90


def test_sources_are_tested_as_scipy_does():
    strong = np.array([True] * 8 + [False] * 92)
    sources = ["a"] * 10 + ["b"] * 90
    shares = source_table(strong, sources)
    table = {row.source: row for row in shares}
    p_values = [stats.hypergeom.sf(7, 100, 10, 8), stats.hypergeom.sf(-1, 100, 90, 8)]
    expected = stats.false_discovery_control(p_values)
    assert table["a"].q_value == pytest.approx(expected[0])
    assert table["b"].q_value == pytest.approx(expected[1])
    assert table["a"].lift == pytest.approx((8 / 8) / 0.1)
    assert carried(shares) == 1 / 2
    assert carried(source_table(np.zeros(100, dtype=bool), sources)) is None


@pytest.fixture(scope="module")
def stylised(checkpoint, tmp_path_factory):
    """Pairs, six in ten of which prefer the same dressing of an answer, and a real checkpoint."""
    folder = tmp_path_factory.mktemp("stylised")
    tiny = checkpoint("olmo2")
    tiny.model.save_pretrained(folder / "base")
    tiny.tokenizer.save_pretrained(folder / "base")
    rng = np.random.default_rng(0)
    words = ["it", "true", "that", "water", "freezes", "zero", "no", "yes", "sky", "blue"]

    def text(most):
        return " ".join(rng.choice(words, size=rng.integers(2, most)))

    rows = []
    for i in range(240):
        prompt, answer = text(9), text(7)
        chosen = dressed(answer) if rng.random() < 0.6 else text(7)
        pair = {"prompt": prompt, "chosen": chosen, "rejected": answer}
        rows.append({"id": str(i), "source": f"s{i % 4}", **pair})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    library = open_data(
        base=str(folder / "base"), data=str(folder / "rows.jsonl"), cache=folder / "index"
    )
    prompts = [(text(9), text(7)) for _ in range(90)]
    return library, prompts


def dressed(answer):
    return f"green and green and {answer} paris and paris and green"


def test_a_style_that_most_pairs_teach_is_diffuse(stylised):
    library, prompts = stylised
    broken = [Contrast(p, dressed(a), a) for p, a in prompts[:16]]
    held = [Contrast(p, None, a) for p, a in prompts[16:]]
    found = asked(library, [*broken, *held])
    assert found.verdict == "diffuse"
    assert 0.3 * 240 < found.rows_needed < 0.75 * 240


def test_unrelated_answers_are_nothing_in_the_same_rows(stylised):
    library, prompts = stylised
    answers = [a for _, a in prompts]
    broken = [
        Contrast(p, answers[-i], answers[-i - 20]) for i, (p, _) in enumerate(prompts[:16], 1)
    ]
    assert asked(library, [*broken, *(Contrast(p, None, a) for p, a in prompts)]).verdict == "none"


def asked(library, contrasts):
    evidence, index = gather(library.reader, contrasts), library.index
    return judge_ranking(
        probe(evidence, library.rows), evidence, library.rows, ids=index.ids,
        sources=index.sources, texts=library.texts, method="probe", seed=0, again=probe,
    )  # fmt: skip
