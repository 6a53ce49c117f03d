"""Looking after an index: what it holds, what is damaged, several made into one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from surfcheck.attribution import index as index_module
from surfcheck.attribution.building.indexing import build
from surfcheck.attribution.corpus import Corpus
from surfcheck.attribution.index import Index, open_index
from surfcheck.attribution.store import index_care
from surfcheck.attribution.store.manifest import Manifest, names, read_manifest, write_manifest
from surfcheck.attribution.store.storage import LocalStore
from surfcheck.attribution.table import IndexTable
from surfcheck.errors import DataError, InfrastructureError, MismatchError, UsageError
from surfcheck.models.checkpoint import Checkpoint
from surfcheck.records import TrainingRow

Make = Callable[[str], Checkpoint]


@pytest.fixture
def base(checkpoint: Make) -> Checkpoint:
    return checkpoint("llama")


@pytest.fixture
def make(base: Checkpoint, rows: tuple[TrainingRow, ...], tmp_path: Path) -> Callable[..., Index]:
    """Build an index of some of the rows under a name."""

    def make(name: str, some: slice = slice(None), layers: tuple[int, ...] = (1, 3)) -> Index:
        corpus = Corpus(rows[some], f"rows {some.start} to {some.stop}", (f"{name}.jsonl",), 1)
        return build(base, corpus, tmp_path / name, layers=layers, shard_rows=2)

    return make


def rewrite(path: Path, manifest: Manifest) -> None:
    """Give an index another manifest."""
    write_manifest(LocalStore(path), manifest)


def flip(path: Path) -> None:
    """Turn over one bit in the middle of a file, its size unchanged."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


# What it holds


def test_info_says_what_the_manifest_says(make: Callable[..., Index]) -> None:
    made = make("index")
    found = index_care.info(made.path)
    assert (found.rows, found.done, found.shards, found.layers) == (7, 7, 4, (1, 3))
    assert (found.model, found.width, found.dtype) == ("tiny-llama", 32, "float32")
    assert (found.skipped, found.merged, found.files) == (1, 0, ("index.jsonl",))
    assert found.bytes == sum(path.stat().st_size for path in made.path.glob("*-*"))


def test_info_of_an_unfinished_one(make: Callable[..., Index]) -> None:
    made = make("index")
    shard = replace(made.manifest.shards[1], done=False)
    rewrite(made.path, made.manifest.with_shard(1, shard))
    found = index_care.info(made.path)
    assert (found.rows, found.done) == (7, 5)
    verified = index_care.verify(made.path)
    assert (verified.whole, verified.unfinished, verified.faults, verified.rows) == (
        False, 1, (), 5,
    )  # fmt: skip


@pytest.mark.parametrize("care", [index_care.info, index_care.verify])
def test_no_index_is_an_error(care: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no index .* make one with `surfcheck index build`"):
        care(tmp_path)


# Whether it is whole


def test_a_whole_index(make: Callable[..., Index]) -> None:
    seen: list[int] = []
    found = index_care.verify(make("index").path, progress=lambda _, done, __: seen.append(done))
    assert found.whole
    assert (found.shards, found.rows) == (4, 7)
    assert seen == [1, 2, 3, 4]


def test_every_damaged_file_is_named_and_building_repairs_it(make: Callable[..., Index]) -> None:
    made = make("index")
    flip(made.path / "vectors-00000.safetensors")
    flip(made.path / "rows-00000.parquet")
    (made.path / "rows-00003.parquet").unlink()
    (made.path / "vectors-00002.safetensors").write_bytes(b"short")
    found = index_care.verify(made.path)
    assert [(fault.file, fault.what.split()[0]) for fault in found.faults] == [
        ("vectors-00000.safetensors", "does"),
        ("rows-00000.parquet", "does"),
        ("vectors-00002.safetensors", "has"),
        ("rows-00003.parquet", "is"),
    ]
    assert (found.whole, found.rows, found.unfinished) == (False, 2, 0)
    make("index")
    assert index_care.verify(made.path).whole


def test_row_counts_are_held_against_the_manifest(make: Callable[..., Index]) -> None:
    made = make("index")
    there = made.manifest
    wrong = replace(there.with_shard(1, replace(there.shards[1], rows=3)), rows=9)
    rewrite(made.path, wrong)
    faults = {fault.file: fault.what for fault in index_care.verify(made.path).faults}
    assert faults["rows-00001.parquet"] == "holds 2, and the manifest says 3"
    assert "(2, 2, 32)" in faults["vectors-00001.safetensors"]
    assert faults["manifest.json"].startswith("its shards end at row 7 and not 9")


def test_a_gap_between_shards_is_seen(make: Callable[..., Index]) -> None:
    made = make("index")
    rewrite(made.path, replace(made.manifest, shards=made.manifest.shards[1:]))
    found = index_care.verify(made.path)
    assert not found.whole
    assert found.faults[0].what == "shard 0 begins at row 2 and not 0"


# A flipped bit


@pytest.mark.parametrize("name", names(1))
def test_a_flipped_bit_is_noticed_on_opening(make: Callable[..., Index], name: str) -> None:
    path = make("index").path
    flip(path / name)
    with pytest.raises(DataError, match=rf"{name}: does not match its checksum; build the index a"):
        open_index(path)


def test_a_flipped_bit_in_a_large_index_is_noticed_on_reading(
    make: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_HASHED_BYTES", 0)  # every index is a large one
    path = make("index").path
    for name in names(1):
        flip(path / name)
    opened = open_index(path)
    with opened.shard(0):
        pass  # the first shard is good
    damaged = r"vectors-00001.safetensors: does not match .* reads this"
    with pytest.raises(DataError, match=damaged), opened.shard(1):
        pass
    with pytest.raises(DataError, match=r"rows-00001.parquet: does not match its checksum"):
        _ = opened.ids
    assert opened.texts([0, 1])[0].id == "a"


def test_a_file_is_checked_once(
    make: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_HASHED_BYTES", 0)
    opened = open_index(make("index").path)
    with opened.shard(0) as arrays:
        first = arrays["chosen"].clone()
    position = (opened.path / names(0)[0]).stat().st_size - 1
    with (opened.path / names(0)[0]).open("rb+") as file:  # behind what is read next
        file.seek(position)
        last = file.read(1)[0]
        file.seek(position)
        file.write(bytes([last ^ 1]))
    with opened.shard(0) as arrays:
        assert arrays["chosen"][0].equal(first[0])
    again = open_index(opened.path)
    with pytest.raises(DataError, match="does not match its checksum"), again.shard(0):
        pass


# Several made into one


def vectors(index: Index) -> tuple[np.ndarray, ...]:
    """What the rows teach, and where."""
    rows = IndexTable(index).some(range(len(index)))
    return rows.prompt, rows.chosen, rows.change


@pytest.fixture
def parts(make: Callable[..., Index]) -> list[Path]:
    """The rows in two indexes, the first ends in a short shard."""
    return [make("left", slice(0, 3)).path, make("right", slice(3, 7)).path]


def test_merged_is_what_building_at_once_holds(
    parts: list[Path], make: Callable[..., Index], tmp_path: Path
) -> None:
    index_care.merge(parts, tmp_path / "both")
    merged, whole = open_index(tmp_path / "both"), make("whole")
    assert merged.ids == whole.ids
    assert merged.texts() == whole.texts()
    assert merged.texts([6, 2, 3]) == whole.texts([6, 2, 3])
    for one, other in zip(vectors(merged), vectors(whole), strict=True):
        np.testing.assert_allclose(one, other, rtol=2**-10, atol=2**-10)
    there = merged.manifest
    assert [(shard.first, shard.rows) for shard in there.shards] == [(0, 2), (2, 1), (3, 2), (5, 2)]
    assert (there.rows, there.skipped, there.files) == (7, 2, ("left.jsonl", "right.jsonl"))
    assert there.merged == ("rows 0 to 3", "rows 3 to 7")
    assert there.data not in there.merged
    assert index_care.verify(merged.path).whole
    assert index_care.info(merged.path).merged == 2
    assert len(list(merged.path.iterdir())) == 9


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("fingerprint", "f" * 64, "another model"),
        ("template", "e" * 64, "another chat template"),
        ("layers", (1, 2), r"another choice of layers \(1, 2\) than .*left \(1, 3\)"),
        ("dtype", "bfloat16", "another precision"),
        ("max_length", 9, "another length to cut at"),
        ("pooling", "last token", "another pooling"),
    ],
)
def test_what_was_read_otherwise_is_refused(
    parts: list[Path], tmp_path: Path, field: str, value: object, what: str
) -> None:
    path = parts[1] / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(MismatchError, match=f"right: was read with {what}.*; build both alike"):
        index_care.merge(parts, tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_ids_have_to_be_their_own(
    parts: list[Path], make: Callable[..., Index], tmp_path: Path
) -> None:
    overlapping = make("middle", slice(2, 5)).path
    with pytest.raises(MismatchError, match=r"middle: row id 'c' is in .*left as well; give"):
        index_care.merge([parts[0], overlapping], tmp_path / "both")
    with pytest.raises(MismatchError, match="row id 'a' is in"):
        index_care.merge([parts[0], parts[0]], tmp_path / "both")
    with pytest.raises(UsageError, match="two indexes or more"):
        index_care.merge(parts[:1], tmp_path / "both")
    assert not (tmp_path / "both").exists()


@pytest.mark.parametrize("name", names(0))
def test_a_damaged_part_is_named_and_not_copied(
    parts: list[Path], tmp_path: Path, name: str
) -> None:
    flip(parts[1] / name)
    with pytest.raises(DataError, match=f"right/{name}: does not match its checksum; build"):
        index_care.merge(parts, tmp_path / "both")
    assert not list((tmp_path / "both").glob("*.part"))


def test_an_unfinished_part_is_refused(parts: list[Path], tmp_path: Path) -> None:
    there = read_manifest(LocalStore(parts[0]))
    rewrite(parts[0], there.with_shard(0, replace(there.shards[0], done=False)))
    with pytest.raises(UsageError, match=r"left: 1 of 2 shards are not done; build the index ag"):
        index_care.merge(parts, tmp_path / "both")


def test_merging_again_repairs_and_keeps_the_rest(parts: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "both"
    index_care.merge(parts, out)
    untouched = (out / "vectors-00000.safetensors").stat().st_mtime_ns
    flip(out / "rows-00002.parquet")
    with pytest.raises(DataError, match=r"; merge the same indexes into it again .* this shard"):
        open_index(out)
    index_care.merge(parts, out)
    assert index_care.verify(out).whole
    assert (out / "vectors-00000.safetensors").stat().st_mtime_ns == untouched


def test_a_folder_with_another_index_is_left_alone(
    parts: list[Path], make: Callable[..., Index]
) -> None:
    other = make("whole").path
    before = {path.name: path.read_bytes() for path in other.iterdir()}
    with pytest.raises(MismatchError, match="whole: holds an index of another data set"):
        index_care.merge(parts, other)
    assert {path.name: path.read_bytes() for path in other.iterdir()} == before


def test_a_folder_that_cannot_be_written(parts: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError, match="cannot be written: Not a directory"):
        index_care.merge(parts, tmp_path / "file" / "both")


def test_merged_indexes_can_be_merged(
    make: Callable[..., Index], rows: tuple[TrainingRow, ...], tmp_path: Path
) -> None:
    one, two, three = (make(f"part-{n}", slice(n, n + 2)).path for n in (0, 2, 4))
    index_care.merge([one, two], tmp_path / "some")
    index_care.merge([tmp_path / "some", three], tmp_path / "all")
    assert open_index(tmp_path / "all").ids == [row.id for row in rows[:6]]
