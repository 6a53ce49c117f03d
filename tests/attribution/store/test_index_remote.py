"""An index that does not lie on this machine's disk, by fsspec's file system in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pytest

from surfcheck.attribution.building.indexing import build
from surfcheck.attribution.corpus import Corpus
from surfcheck.attribution.index import open_index
from surfcheck.attribution.store import index_care
from surfcheck.attribution.store.storage import LocalStore, store
from surfcheck.attribution.table import IndexTable
from surfcheck.errors import DataError, InfrastructureError, MismatchError, UsageError
from surfcheck.models.checkpoint import Checkpoint
from surfcheck.records import TrainingRow


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where fetched files are kept."""
    monkeypatch.setenv("SURFCHECK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "index"


@pytest.fixture
def base(checkpoint: Callable[[str], Checkpoint]) -> Checkpoint:
    return checkpoint("llama")


@pytest.fixture
def corpus(rows: tuple[TrainingRow, ...]) -> Corpus:
    return Corpus(rows, "fingerprint of the rows", ("rows.jsonl",))


@pytest.fixture
def place(base: Checkpoint, corpus: Corpus, tmp_path: Path) -> str:
    """A finished index in memory."""
    place = f"memory://{tmp_path}/index"
    build(base, corpus, place, layers=(1, 3), shard_rows=3)
    return place


def flip(url: str) -> None:
    """Turn over one bit, the size unchanged."""
    with fsspec.open(url, "rb") as file:
        content = bytearray(file.read())
    content[len(content) // 2] ^= 1
    with fsspec.open(url, "wb") as file:
        file.write(bytes(content))


def test_it_is_the_same_as_on_a_disk(
    place: str, base: Checkpoint, corpus: Corpus, tmp_path: Path, cache: Path
) -> None:
    here = build(base, corpus, tmp_path / "index", layers=(1, 3), shard_rows=3)
    there = open_index(place)
    assert there.place == place
    assert not list(cache.glob("*"))  # opening fetches nothing
    assert there.manifest == here.manifest
    assert store(place).names() == store(here.place).names()
    assert (there.ids, there.sources, there.texts()) == (here.ids, here.sources, here.texts())
    both = [IndexTable(index).some(range(7)) for index in (there, here)]
    for name in ("prompt", "chosen", "change", "news"):
        one, other = (getattr(rows, name) for rows in both)
        np.testing.assert_array_equal(one, other)
    assert len(list(cache.iterdir())) == 6


def test_it_is_fetched_once(place: str, cache: Path) -> None:
    open_index(place).texts()
    written = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert len(written) == 3
    open_index(place).texts()
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == written
    next(iter(written)).write_bytes(b"spoiled")
    assert len(open_index(place).texts()) == 7


def test_a_flipped_bit_is_named_and_building_repairs_it(
    place: str, base: Checkpoint, corpus: Corpus
) -> None:
    flip(f"{place}/vectors-00001.safetensors")
    damaged = open_index(place)
    with (
        pytest.raises(DataError, match=r"index/vectors-00001.safetensors: does not match .*build"),
        damaged.shard(1),
    ):
        pass
    fsspec.url_to_fs(place)[0].rm_file(f"{place}/rows-00002.parquet")
    with pytest.raises(DataError, match=r"rows-00002.parquet: is missing"):
        damaged.texts()
    found = index_care.verify(place)
    assert [fault.file for fault in found.faults] == [
        "vectors-00001.safetensors", "rows-00002.parquet",
    ]  # fmt: skip
    build(base, corpus, place, layers=(1, 3))
    assert index_care.verify(place).whole
    assert len(open_index(place).texts()) == 7


def test_info_verify_and_merge(
    place: str, base: Checkpoint, rows: tuple[TrainingRow, ...], tmp_path: Path
) -> None:
    assert index_care.info(place).path == place
    others = [TrainingRow(f"{row.id}2", *row_tail(row)) for row in rows]
    build(base, Corpus(tuple(others), "others", ("o",)), tmp_path / "o", layers=(1, 3))
    for out in (f"memory://{tmp_path}/both", tmp_path / "both"):
        merged = index_care.merge([place, tmp_path / "o"], out)
        assert merged.rows == 14
        assert index_care.verify(out).whole
        assert open_index(out).ids == [row.id for row in (*rows, *others)]


def row_tail(row: TrainingRow) -> tuple[object, ...]:
    """All of a row but its id."""
    return row.source, row.prompt, row.chosen, row.rejected, row.templated


def test_another_index_is_refused(place: str, base: Checkpoint, corpus: Corpus) -> None:
    with pytest.raises(MismatchError, match=r"^memory://.*index: holds an index of another choice"):
        build(base, corpus, place, layers=(2,))


def test_a_url_of_a_folder_is_the_folder(base: Checkpoint, corpus: Corpus, tmp_path: Path) -> None:
    index = build(base, corpus, f"file://{tmp_path}/index", layers=(1,))
    assert index.path == tmp_path / "index"
    assert isinstance(store(f"file://{tmp_path}/index"), LocalStore)
    assert index_care.verify(f"file://{tmp_path}/index").whole


def test_what_cannot_be_reached_is_an_error_of_one_line(
    base: Checkpoint, corpus: Corpus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"nothing://x: Protocol not known.*URL that fsspec knows"):
        open_index("nothing://x")

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no\nroute to host")  # as clients do, which have errors of their own

    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.pipe_file", refuse)
    with pytest.raises(InfrastructureError, match=r"cannot be written: no route to host; make"):
        build(base, corpus, f"memory://{tmp_path}/other")
    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.ls", refuse)
    with pytest.raises(InfrastructureError, match=r"cannot be read: no route to host; see to"):
        open_index(f"memory://{tmp_path}/other")
