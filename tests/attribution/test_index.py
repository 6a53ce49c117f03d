"""An index: built once, resumed, checked, and asked."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from surfcheck.attribution import corpus as corpora
from surfcheck.attribution.activations import Reader
from surfcheck.attribution.building.indexing import build, default_layers
from surfcheck.attribution.corpus import Corpus, RowText
from surfcheck.attribution.index import Index, open_index
from surfcheck.attribution.store import index_care
from surfcheck.errors import (
    DataError,
    InfrastructureError,
    MismatchError,
    ModelError,
    UsageError,
)
from surfcheck.models.checkpoint import Checkpoint
from surfcheck.records import TrainingRow

Make = Callable[[str], Checkpoint]
HARMLESS = Path(__file__).parents[3] / "shared" / "data" / "hh_harmless_test.jsonl.gz"


@pytest.fixture(scope="session")
def corpus(rows: tuple[TrainingRow, ...]) -> Corpus:
    return Corpus(rows, "fingerprint of the rows", ("rows.jsonl",))


@pytest.fixture
def base(checkpoint: Make) -> Checkpoint:
    return checkpoint("llama")


@pytest.fixture
def index(base: Checkpoint, corpus: Corpus, tmp_path: Path) -> Index:
    return build(base, corpus, tmp_path / "index", layers=(1, 3), shard_rows=3)


def vectors(index: Index) -> dict[str, np.ndarray]:
    """The arrays of all shards, one behind the other."""
    shards = []
    for number in range(len(index.manifest.shards)):
        with index.shard(number) as arrays:
            shards.append({name: array.clone().float().numpy() for name, array in arrays.items()})
    return {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}


def test_it_holds_what_the_reader_reads(index: Index, base: Checkpoint, corpus: Corpus) -> None:
    states = Reader(base, (1, 3)).read_rows(corpus.rows)
    stored = vectors(index)
    for side in ("prompt", "chosen"):
        np.testing.assert_allclose(stored[side], getattr(states, side), rtol=2e-3, atol=2e-3)
    for side in ("prompt", "chosen", "rejected"):
        tokens = getattr(states, f"{side}_tokens")
        np.testing.assert_array_equal(index.tokens(side), tokens)
    change = stored["change"] * stored["length"][..., None]
    expected = states.chosen - states.rejected
    expected[[3, 4, 6]] = 0.0  # a demonstration, and pairs with an empty side
    np.testing.assert_allclose(change, expected, rtol=2e-3, atol=2e-3)
    lengths = np.linalg.norm(stored["change"], axis=-1)
    np.testing.assert_allclose(lengths[[0, 1, 2]], 1.0, atol=1e-3)
    sums = stored["demonstrations"].reshape(3, 2, -1)
    np.testing.assert_allclose(sums.sum(axis=0), states.chosen[3], rtol=1e-5)


def test_likelihoods_are_kept(index: Index, base: Checkpoint, corpus: Corpus) -> None:
    states = Reader(base, (1, 3)).read_rows(corpus.rows)
    np.testing.assert_allclose(index.likelihood, states.likelihood, rtol=1e-5)


def test_it_is_the_folder_that_the_design_names(index: Index, corpus: Corpus) -> None:
    names = sorted(path.name for path in index.path.iterdir())
    shards = range(3)
    assert names == sorted(
        ["manifest.json"]
        + [f"vectors-{n:05d}.safetensors" for n in shards]
        + [f"rows-{n:05d}.parquet" for n in shards]
    )
    arrays = load_file(index.path / "vectors-00001.safetensors")
    assert {name: (array.shape, array.dtype.name) for name, array in arrays.items()} == {
        "prompt": ((3, 2, 32), "float16"),
        "chosen": ((3, 2, 32), "float16"),
        "change": ((3, 2, 32), "float16"),
        "length": ((3, 2), "float32"),
        "demonstrations": ((2, 32), "float32"),
    }
    table = pq.read_table(index.path / "rows-00002.parquet").to_pylist()
    assert [row["id"] for row in table] == ["g"]
    assert {"source", "is_pair", "text_sha256", "prompt_tokens", "chosen_tokens"} < set(table[0])
    manifest = json.loads((index.path / "manifest.json").read_text())
    assert manifest["schema"] == "surfcheck/index/2"
    assert manifest["layers"] == [1, 3]
    assert manifest["dtype"] == "float32"
    assert manifest["data"] == corpus.fingerprint
    assert [(shard["first"], shard["rows"]) for shard in manifest["shards"]] == [
        (0, 3),
        (3, 3),
        (6, 1),
    ]
    assert all(shard["done"] and all(shard["sha256"]) for shard in manifest["shards"])


def test_rows_are_there_to_be_shown(index: Index, corpus: Corpus) -> None:
    assert len(index) == 7
    assert index.ids == [row.id for row in corpus.rows]
    assert index.sources == [row.source for row in corpus.rows]
    assert index.is_pair.tolist() == [row.is_pair for row in corpus.rows]
    assert index.texts() == [RowText.of(row) for row in corpus.rows]
    assert index.texts([6, 2, 0, 3]) == [RowText.of(corpus.rows[n]) for n in (6, 2, 0, 3)]
    assert index.texts([]) == []


def test_a_query_must_fit(index: Index, base: Checkpoint) -> None:
    index.check_query(base.fingerprint, [3])
    with pytest.raises(MismatchError, match=r"was read by tiny-llama .* build an index with this"):
        index.check_query("another", [3])
    with pytest.raises(MismatchError, match=r"has layers 1, 3 and not 2, 4; ask for"):
        index.check_query(base.fingerprint, [1, 2, 4])


def test_building_again_reads_nothing_anew(index: Index, base: Checkpoint, corpus: Corpus) -> None:
    written = {path: path.stat().st_mtime_ns for path in index.path.iterdir()}
    build(base, corpus, index.path, layers=(1, 3))
    assert {path: path.stat().st_mtime_ns for path in index.path.iterdir()} == written


def test_another_model_template_choice_or_data_is_refused(
    index: Index, base: Checkpoint, corpus: Corpus, checkpoint: Make
) -> None:
    before = (index.path / "manifest.json").read_bytes()
    other = replace(corpus, fingerprint="of other rows")
    for model, data, layers, what in (
        (checkpoint("olmo2"), corpus, (1, 3), "another model"),
        (base, other, (1, 3), "another data set"),
        (base, corpus, (1, 2), r"another choice of layers \(1, 3 there, 1, 2 asked\)"),
    ):
        with pytest.raises(MismatchError, match=f"{what}.*; name another folder, or delete"):
            build(model, data, index.path, layers=layers)
    tokenizer = copy.deepcopy(base.tokenizer)
    tokenizer.chat_template = "{{ bos_token }}" + str(tokenizer.chat_template)
    with pytest.raises(MismatchError, match="another chat template"):
        build(replace(base, tokenizer=tokenizer), corpus, index.path, layers=(1, 3))
    assert (index.path / "manifest.json").read_bytes() == before


_KILLED = """
import os, signal, sys
from surfcheck.attribution import corpus
from surfcheck.attribution.building import indexing
from surfcheck.models.checkpoint import load_checkpoint

def progress(what, done, of):
    if done >= 5:  # in the middle: two shards of two rows are written, the third is being read
        os.kill(os.getpid(), signal.SIGKILL)

indexing.build(load_checkpoint(sys.argv[1], dtype="float32", device="cpu"),
               corpus.read(sys.argv[2]),
               sys.argv[3], shard_rows=2, progress=progress)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this platform")
def test_a_killed_build_goes_on_where_it_was(
    base: Checkpoint, corpus: Corpus, tmp_path: Path
) -> None:
    folder, data, out = tmp_path / "base", tmp_path / "data.jsonl", tmp_path / "index"
    base.model.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    records = [{"prompt": "is it", "completion": f" yes {n}", "id": str(n)} for n in range(7)]
    data.write_text("\n".join(map(json.dumps, records)))
    killed = subprocess.run(  # noqa: S603 (ourselves)
        [sys.executable, "-c", _KILLED, str(folder), str(data), str(out)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    with pytest.raises(UsageError, match=r"2 of 4 shards are not done; build the index again"):
        open_index(out)
    first = {path: path.stat().st_mtime_ns for path in out.glob("[rv]*-0000[01].*")}
    assert len(first) == 4

    from surfcheck.models.checkpoint import load_checkpoint

    seen: list[int] = []
    same = load_checkpoint(folder, dtype="float32", device="cpu")
    rows = corpora.read(data)
    resumed = build(same, rows, out, progress=lambda _, done, of: seen.append(done))
    assert {path: path.stat().st_mtime_ns for path in first} == first
    assert seen == [5, 7, 7]  # the third shard comes last: it was begun
    at_once = build(same, rows, tmp_path / "whole")
    for name, array in vectors(at_once).items():
        if name != "demonstrations":  # a sum for each shard, and the shards are others
            np.testing.assert_array_equal(vectors(resumed)[name], array)
    assert not list(out.glob("*.part"))


@pytest.mark.parametrize("name", ["vectors-00001.safetensors", "rows-00001.parquet"])
@pytest.mark.parametrize("how", ["flipped", "short", "gone"])
def test_a_damaged_shard_is_named_and_building_repairs_it(
    name: str, how: str, index: Index, base: Checkpoint, corpus: Corpus
) -> None:
    path = index.path / name
    good = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        flipped = bytes([good[-20] ^ 1])
        path.write_bytes(good[:-20] + (flipped + good[-19:] if how == "flipped" else b""))
    with pytest.raises(DataError, match=rf"{name}: .*; build the index again .* reads this shard"):
        open_index(index.path)
    untouched = (index.path / "vectors-00000.safetensors").stat().st_mtime_ns
    build(base, corpus, index.path, layers=(1, 3))
    assert path.read_bytes() == good
    assert (index.path / "vectors-00000.safetensors").stat().st_mtime_ns == untouched


def test_damage_that_opening_does_not_see_is_named_on_reading(index: Index) -> None:
    for name in ("vectors-00000.safetensors", "rows-00000.parquet"):
        (index.path / name).write_bytes(b"\0" * 100)
    with pytest.raises(DataError, match=r"vectors-00000.safetensors: "):
        vectors(index)
    with pytest.raises(DataError, match=r"rows-00000.parquet: "):
        index.texts()


def test_no_index_is_no_index(tmp_path: Path) -> None:
    for nothing in (tmp_path, tmp_path / "nowhere", "memory://nowhere"):
        with pytest.raises(UsageError, match=r"no index \(no manifest.json\); make one with"):
            open_index(nothing)
    for text in ("{", "[]", '{"schema": "surfcheck/index/2"}', '{"schema": "other"}'):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(DataError, match=r"not a manifest of surfcheck/index/2"):
            open_index(tmp_path)


def test_a_full_disk_leaves_nothing_half_written(
    base: Checkpoint, corpus: Corpus, tmp_path: Path
) -> None:
    resource = pytest.importorskip("resource", reason="no limits of files on this platform")
    out, usual = tmp_path / "index", resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(_: str, done: int, __: int) -> None:
        if done > 3:  # the second shard finds no room
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, usual[1]))

    try:
        with pytest.raises(InfrastructureError, match=r"File too large; make room .* kept"):
            build(base, corpus, out, shard_rows=3, progress=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    left = sorted(path.name for path in out.iterdir())
    assert left == [
        "manifest.json", "rows-00000.parquet", "shard-00000.json", "vectors-00000.safetensors",
    ]  # fmt: skip
    assert len(build(base, corpus, out, shard_rows=3)) == 7


def test_a_folder_that_cannot_be_is_an_error_of_one_line(
    base: Checkpoint, corpus: Corpus, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError, match="cannot be written: Not a directory"):
        build(base, corpus, tmp_path / "file" / "index")
    with pytest.raises(UsageError, match="give different numbers from 0 to 4"):
        build(base, corpus, tmp_path / "index", layers=(9,))
    assert not (tmp_path / "index").exists()


def test_what_float16_cannot_hold_is_scaled(
    base: Checkpoint, corpus: Corpus, tmp_path: Path
) -> None:
    model = copy.deepcopy(base.model)
    model.get_input_embeddings().weight *= 3e6
    loud = replace(base, model=model)
    index = build(loud, corpus, tmp_path, layers=(0,))
    truth = Reader(loud, (0,)).read_rows(corpus.rows).chosen
    assert np.abs(truth).max() > np.finfo(np.float16).max
    assert index.manifest.shards[0].scale > 1
    scaled = vectors(index)["chosen"] * index.manifest.shards[0].scale
    np.testing.assert_allclose(scaled, truth, rtol=1e-3, atol=1e3)


def test_default_layers() -> None:
    assert default_layers(3) == (1, 2, 3)
    assert default_layers(6) == (1, 2, 3, 4, 5, 6)
    assert default_layers(32) == (8, 14, 20, 26)
    for depth in range(7, 130):
        layers = default_layers(depth)
        assert len(set(layers)) == 4
        assert list(layers) == sorted(layers)
        assert layers[0] > 0
        assert layers[-1] < depth
        assert abs(layers[2] - depth * 5 / 8) <= 0.5


def test_real_transcripts(base: Checkpoint, tmp_path: Path) -> None:
    if not HARMLESS.is_file():
        pytest.skip(f"needs {HARMLESS.name} in shared/data")
    whole = corpora.read(HARMLESS)
    some = Corpus(whole.rows[:256], "the first 256", whole.files)
    index = build(base, some, tmp_path, layers=(3,), shard_rows=100)
    assert len(index) == 256
    chosen = vectors(index)["chosen"]
    assert np.isfinite(chosen).all()
    assert chosen[index.tokens("chosen") > 0].any(axis=(1, 2)).all()


# Bad input


def test_rows_that_cannot_be_read_are_named_and_the_rest_is_kept(
    base: Checkpoint, corpus: Corpus, tmp_path: Path
) -> None:
    poison = base.tokenizer(" green")["input_ids"]  # only in the second row
    model = copy.deepcopy(base.model)
    model.get_input_embeddings().weight[poison] = float("inf")
    bad = replace(base, model=model)
    order = [corpus.rows[n] for n in (0, 2, 3, 4, 6, 1, 5)]
    data = replace(corpus, rows=tuple(order))
    with pytest.raises(ModelError, match=r"row b: the hidden states of .* are not finite"):
        build(bad, data, tmp_path, layers=(1,), shard_rows=3)
    assert index_care.info(tmp_path).done == 3
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [
        "manifest.json", "rows-00000.parquet", "shard-00000.json", "vectors-00000.safetensors",
    ]  # fmt: skip


def test_cut_and_silent_rows_are_counted(base: Checkpoint, corpus: Corpus, tmp_path: Path) -> None:
    long = replace(corpus.rows[0], id="long", chosen="yes " * 400)
    index = build(base, replace(corpus, rows=(*corpus.rows, long)), tmp_path, shard_rows=3)
    assert sum(shard.truncated for shard in index.manifest.shards) == 1
    assert index.silent.tolist() == [False] * 4 + [True, False, True, False]


def test_without_likelihoods(base: Checkpoint, corpus: Corpus, tmp_path: Path) -> None:
    index = build(base, corpus, tmp_path, layers=(1, 3), likelihood=False)
    assert not index.manifest.likelihood
    assert index.likelihood.shape == (7, 2)
    assert np.isnan(index.likelihood).all()
    with pytest.raises(MismatchError, match=r"another choice of likelihoods \(False there, True"):
        build(base, corpus, tmp_path, layers=(1, 3))


def test_no_more_than_a_shard_is_held(base: Checkpoint, corpus: Corpus, tmp_path: Path) -> None:
    ahead: list[int] = []

    class Rows:
        """Thirty, and how far they are read ahead of what is written."""

        def __len__(self) -> int:
            return 30

        def __iter__(self) -> Iterator[TrainingRow]:
            for n in range(30):
                ahead.append(n - index_care.info(tmp_path).done)
                yield replace(corpus.rows[n % 3], id=str(n))

    index = build(base, replace(corpus, rows=Rows()), tmp_path, layers=(1,), shard_rows=5)
    assert len(index) == len(ahead) == 30  # gone through once
    assert max(ahead) == 4


def test_an_older_index_is_to_be_built_anew(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"schema": "surfcheck/index/1", "rows": 3}')
    older = r"another format \(surfcheck/index/1, .*; delete the folder and build the index anew"
    with pytest.raises(DataError, match=older):
        open_index(tmp_path)
