"""An index as a table: the same numbers as everything in memory at once gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import expit

from surfcheck.attribution import table as table_module
from surfcheck.attribution.activations import Reader
from surfcheck.attribution.building.indexing import build
from surfcheck.attribution.conditional import conditional
from surfcheck.attribution.corpus import Corpus
from surfcheck.attribution.evidence import Evidence, Rows, Table
from surfcheck.attribution.index import Index
from surfcheck.attribution.moments import moments
from surfcheck.attribution.probe import bank, probe
from surfcheck.attribution.table import DEMONSTRATION, UNWEIGHED, IndexTable
from surfcheck.models.checkpoint import Checkpoint
from surfcheck.records import TrainingRow

LAYERS = (1, 3)
NEAR = {"rtol": 3e-3, "atol": 3e-3}


@pytest.fixture(scope="module")
def rows(rows: tuple[TrainingRow, ...]) -> tuple[TrainingRow, ...]:
    """With a second demonstration: a single one is all that is usual."""
    prompt = rows[3].prompt
    return (*rows, TrainingRow("h", "three", prompt, "yes paris in france", None))


@pytest.fixture(scope="module")
def expected(checkpoint: Callable[[str], Checkpoint], rows: tuple[TrainingRow, ...]) -> Rows:
    """What a table has to hold, straight from the reader."""
    states = Reader(checkpoint("llama"), LAYERS).read_rows(rows)
    is_pair = np.array([row.is_pair for row in rows])
    change = states.chosen - states.rejected
    change[~is_pair] = states.chosen[~is_pair] - states.chosen[~is_pair].mean(axis=0)
    silent = [n for n, row in enumerate(rows) if "" in (row.chosen, row.rejected)]
    change[silent] = 0.0
    likelihood = states.likelihood
    assert likelihood is not None
    each = likelihood[:, 0] / np.maximum(states.chosen_tokens, 1)
    shown = np.maximum(DEMONSTRATION * (1 - np.exp(each)), UNWEIGHED)
    news = np.where(is_pair, expit(likelihood[:, 1] - likelihood[:, 0]), shown)
    news[silent] = 0.0
    return Rows(states.prompt, states.chosen, change, is_pair, news)


@pytest.fixture(scope="module", params=[100, 3], ids=["one shard", "many shards"])
def index(
    request: pytest.FixtureRequest,
    checkpoint: Callable[[str], Checkpoint],
    rows: tuple[TrainingRow, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> Index:
    corpus = Corpus(rows, "fingerprint of the rows", ("rows.jsonl",))
    folder = tmp_path_factory.mktemp("index")
    return build(checkpoint("llama"), corpus, folder, layers=LAYERS, shard_rows=request.param)


@pytest.fixture(scope="module")
def table(index: Index) -> IndexTable:
    return IndexTable(index)


def joined(table: Table, **how: object) -> Rows:
    parts = list(table.chunks(**how))
    return Rows(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in Rows.__slots__)
    )


def same(one: Rows, other: Rows) -> None:
    for name in ("prompt", "chosen", "change", "news"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), **NEAR)
    np.testing.assert_array_equal(one.is_pair, other.is_pair)


def test_it_streams_what_the_reader_read(table: IndexTable, expected: Rows) -> None:
    same(joined(table), expected)
    assert len(table) == len(expected)
    np.testing.assert_allclose(table.news, expected.news, rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2 * 3 * 4 * 2 * 32])
def test_parts_may_be_small(
    table: IndexTable, expected: Rows, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_module, "_CHUNK_BYTES", size)
    assert max(len(part) for part in table.chunks()) <= max(1, size // 768)
    same(joined(table), expected)


@pytest.mark.parametrize("step", [1, 2, 3, 5, 20])
def test_layers_and_steps(table: IndexTable, expected: Rows, step: int) -> None:
    second = slice(1, 2)
    same(joined(table, layers=second, step=step), joined(expected, layers=second, step=step))


@pytest.mark.parametrize("numbers", [[6, 2, 0, 3], [3, 4, 5], [1], []])
def test_some_rows(table: IndexTable, expected: Rows, numbers: list[int]) -> None:
    same(table.some(numbers), expected.some(numbers))


@pytest.mark.parametrize("count", [1, 3, 30])
def test_cosines(table: IndexTable, expected: Rows, count: int) -> None:
    directions = np.random.default_rng(0).normal(size=(count, 2, 32)).astype(np.float32)
    found = table.cosines(directions)
    slow = [
        [
            np.mean(
                [
                    change[k] @ d[k] / max(np.linalg.norm(change[k]) * np.linalg.norm(d[k]), 1e-12)
                    for k in range(2)
                ]
            )
            for d in directions
        ]
        for change in expected.change
    ]
    np.testing.assert_allclose(found, slow, atol=1e-3)
    np.testing.assert_allclose(expected.cosines(directions), slow, atol=1e-5)


def test_moments(table: IndexTable, expected: Rows) -> None:
    for side in ("prompt", "chosen"):
        found = moments(table, side, 1)
        states = getattr(expected, side)[:, 1].astype(np.float64)
        np.testing.assert_allclose(found.mean, states.mean(axis=0), **NEAR)
        covariance = np.cov(states, rowvar=False, bias=True)
        np.testing.assert_allclose(found.covariance, covariance, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("method", [probe, bank, conditional])
def test_methods_score_alike_from_disk_and_from_memory(
    method: Callable[[Evidence, Table], np.ndarray], table: IndexTable, expected: Rows
) -> None:
    rng = np.random.default_rng(0)
    prompt, response = rng.normal(size=(2, 9, 2, 32)).astype(np.float32)
    bad = np.arange(9) < 3
    evidence = Evidence(prompt, response, bad, response[:3] - response[3:6], np.arange(9))
    np.testing.assert_allclose(method(evidence, table), method(evidence, expected), atol=3e-3)


@pytest.mark.parametrize("layers", [slice(0, 1), slice(1, 2), slice(None)])
def test_a_table_of_some_layers(index: Index, expected: Rows, layers: slice) -> None:
    some, wanted = IndexTable(index, layers), expected.at(layers, np.arange(len(expected)))
    same(joined(some), wanted)
    same(some.some([5, 0, 3]), wanted.some([5, 0, 3]))
    same(joined(some, layers=slice(0, 1), step=2), joined(wanted, layers=slice(0, 1), step=2))
    directions = np.random.default_rng(0).normal(size=(6, wanted.change.shape[1], 32))
    directions = directions.astype(np.float32)
    np.testing.assert_allclose(some.cosines(directions), wanted.cosines(directions), atol=1e-3)
