"""A folder with the hidden-state means of every training row, read once and asked many times.

    manifest.json                which model read which rows at which layers, and what is done
    vectors-00017.safetensors    float16 `prompt`, `chosen`, `rejected` [n, L, d]
    rows-00017.parquet           ids, sources, token counts, likelihoods, hashes, texts of the same

The manifest is written after a shard's files, so a shard that it calls done is whole. Building
again goes on with what is not done, and reads anew what is damaged; a second builder of a folder
waits for the first. What does not fit into float16 is stored divided by the shard's `scale`, a
power of two. Left out: several builders of one folder at a time, and nearest-neighbour structures:
a scan takes seconds at the sizes in question, and a verdict needs every score.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from surfcheck.attribution import formats
from surfcheck.attribution.activations import Counts, Floats, Reader, RowStates, find_blocks
from surfcheck.attribution.corpus import Corpus, RowText
from surfcheck.attribution.manifest import (
    Manifest,
    Shard,
    damage,
    damaged,
    finished,
    flaw,
    names,
    resumed,
    sole_writer,
    write,
    write_manifest,
)
from surfcheck.errors import DataError, InfrastructureError, MismatchError
from surfcheck.models.checkpoint import Checkpoint
from surfcheck.records import TrainingRow
from surfcheck.roles import Progress, silent

Side = Literal["prompt", "chosen", "rejected"]

SHARD_ROWS = 8192
"""Most rows of a shard."""
_SHARD_BYTES = 2**28
_HASHED_BYTES = 2**30  # of larger indexes, a file's checksum is compared when it is first read
_FLOAT16_SAFE = 32768.0
_ROWS = pa.schema(
    {
        "id": pa.string(),
        "source": pa.string(),
        "is_pair": pa.bool_(),
        "text_sha256": pa.string(),
        "prompt_tokens": pa.int32(),
        "chosen_tokens": pa.int32(),
        "rejected_tokens": pa.int32(),
        "chosen_likelihood": pa.float32(),
        "rejected_likelihood": pa.float32(),
        "prompt": pa.string(),
        "chosen": pa.string(),
        "rejected": pa.string(),
    }
)


class Index:
    """A finished index. Nothing but the manifest is in memory until it is asked for."""

    def __init__(self, path: Path, manifest: Manifest, *, checked: bool = False) -> None:
        """`checked`: whether all files' checksums were compared; else each is when first read."""
        self.path, self.manifest = path, manifest
        shards = range(len(manifest.shards)) if checked else ()
        self._checked = {self.path / name for number in shards for name in names(number)}

    def __len__(self) -> int:
        return self.manifest.rows

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that were read, in the order of the vectors' second axis."""
        return self.manifest.layers

    def check_query(self, fingerprint: str, layers: Sequence[int]) -> None:
        """Raise MismatchError unless states of this checkpoint and layers may be compared."""
        there = self.manifest
        if fingerprint != there.fingerprint:
            raise MismatchError(
                f"{self.path}: was read by {there.model} ({there.fingerprint[:12]}), the query by "
                f"another model, tokenizer or chat template ({fingerprint[:12]}); ask with that "
                "model as base, or build an index with this one"
            )
        self._positions(layers)

    def _positions(self, layers: Sequence[int]) -> list[int]:
        """Where layers stand on the vectors' second axis."""
        if missing := [layer for layer in layers if layer not in self.layers]:
            raise MismatchError(
                f"{self.path}: has layers {_listed(self.layers)} and not {_listed(missing)}; ask "
                "for those it has, or build an index with these"
            )
        return [self.layers.index(layer) for layer in layers]

    def stream(
        self, side: Side, *, layers: Sequence[int] | None = None
    ) -> Iterator[tuple[int, Floats]]:
        """Shard by shard: the number of its first row, and its vectors [n, L, d] float32.

        The files are memory-mapped, and only the layers asked for are read. Raises MismatchError
        for a layer that is not there.
        """
        wanted = self._positions(self.layers if layers is None else layers)
        for number, shard in enumerate(self.manifest.shards):
            vectors = np.empty((shard.rows, len(wanted), self.manifest.width), dtype=np.float32)
            path = self._file(number, 0)
            try:
                with safe_open(path, framework="numpy") as file:
                    stored = file.get_slice(side)
                    for i, position in enumerate(wanted):
                        vectors[:, i] = stored[:, position]
            except (SafetensorError, OSError) as error:
                raise self._damaged(path, str(error)) from None
            yield shard.first, vectors * np.float32(shard.scale)

    def vectors(self, side: Side, *, layers: Sequence[int] | None = None) -> Floats:
        """The vectors of all rows at once [rows, L, d] float32."""
        return np.concatenate([part for _, part in self.stream(side, layers=layers)])

    @cached_property
    def ids(self) -> list[str]:
        """The ids of all rows."""
        return self._column("id")

    @cached_property
    def sources(self) -> list[str]:
        """The sources of all rows."""
        return self._column("source")

    @cached_property
    def is_pair(self) -> npt.NDArray[np.bool_]:
        """Which rows are preference pairs [rows]."""
        return np.array(self._column("is_pair"), dtype=np.bool_)

    def tokens(self, side: Side) -> Counts:
        """Tokens that a side's means are over [rows]; 0 where there is none."""
        return np.array(self._column(f"{side}_tokens"), dtype=np.int64)

    @cached_property
    def likelihood(self) -> Floats:
        """Log-probability of the chosen and of the rejected answer under the model [rows, 2]; 0
        where there is none."""
        sides = [self._column(f"{side}_likelihood") for side in ("chosen", "rejected")]
        return np.array(sides, dtype=np.float32).T

    def texts(self, numbers: Sequence[int] | None = None) -> list[RowText]:
        """What the rows say: all of them, or those of these numbers, in that order."""
        wanted = np.arange(len(self)) if numbers is None else np.asarray(numbers, dtype=np.int64)
        found: dict[int, RowText] = {}
        for number, shard in enumerate(self.manifest.shards):
            within = (shard.first <= wanted) & (wanted < shard.first + shard.rows)
            if within.any():
                table = self._table(number, list(RowText._fields))
                some = table.take(pa.array(wanted[within] - shard.first)).to_pylist()
                texts = (RowText(**row) for row in some)
                found.update(zip(wanted[within].tolist(), texts, strict=True))
        return [found[n] for n in wanted.tolist()]

    def _table(self, number: int, columns: list[str]) -> pa.Table:
        path = self._file(number, 1)
        try:
            return pq.read_table(path, columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(path, str(error).partition("\n")[0]) from None

    def _file(self, number: int, which: int) -> Path:
        """A shard's vectors (0) or rows (1), once its checksum has been compared."""
        path, shard = self.path / names(number)[which], self.manifest.shards[number]
        if path not in self._checked:
            if found := flaw(path, shard.sizes[which], shard.sha256[which]):
                raise self._damaged(path, found)
            self._checked.add(path)
        return path

    def _damaged(self, path: Path, what: str) -> DataError:
        return damaged(path, what, merged=bool(self.manifest.merged))

    def _column(self, name: str) -> list[Any]:
        shards = range(len(self.manifest.shards))
        return [value for n in shards for value in self._table(n, [name])[name].to_pylist()]


def default_layers(depth: int) -> tuple[int, ...]:
    """Layers of a model with `depth` blocks to read if none are named.

    All of up to six; else four, evenly spread, about 5/8 of the depth among them (20 of 32, where
    2602.11079 found its best) and neither end.
    """
    if depth <= 6:
        return tuple(range(1, depth + 1))
    return tuple(round(depth * part / 16) for part in (4, 7, 10, 13))


def build(
    base: Checkpoint,
    corpus: Corpus,
    out: str | Path,
    *,
    layers: Sequence[int] | None = None,
    shard_rows: int | None = None,
    progress: Progress = silent,
) -> Index:
    """Read every row of the corpus through `base`, or go on where an earlier call stopped.

    Shards have up to `shard_rows` rows, by default 8192 or what 256 MiB of vectors hold. Waits
    while another process builds into the folder. Raises
    MismatchError if the folder holds another index, UsageError for a layer that the model does
    not have, ModelError for states that are not finite, InfrastructureError if the folder cannot
    be written; what was done before stays good.
    """
    reader = Reader(base, layers or default_layers(len(find_blocks(base))))
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with sole_writer(folder, progress):
            _write(folder, _planned(reader, corpus, shard_rows), reader, corpus, progress)
    except OSError as error:
        raise InfrastructureError(
            f"{folder}: cannot be written: {error.strerror or error}; make room or name another "
            "folder, and build again (finished shards are kept)"
        ) from None
    return open_index(folder)


def open_index(path: str | Path) -> Index:
    """A finished index, its files checked: by checksum up to 1 GiB in all, above that by size,
    and by checksum when they are first read.

    Raises UsageError if there is none or it is not finished, DataError naming a damaged file.
    """
    folder = Path(path)
    manifest = finished(folder)
    thorough = sum(sum(shard.sizes) for shard in manifest.shards) <= _HASHED_BYTES
    for number, shard in enumerate(manifest.shards):
        if found := damage(folder, number, shard, thorough=thorough):
            raise damaged(*found, merged=bool(manifest.merged))
    return Index(folder, manifest, checked=thorough)


def _planned(reader: Reader, corpus: Corpus, shard_rows: int | None) -> Manifest:
    base, rows = reader.checkpoint, len(corpus.rows)
    width = base.model.config.get_text_config().hidden_size
    fitting = _SHARD_BYTES // (3 * 2 * len(reader.layers) * width)
    size = shard_rows or max(1, min(SHARD_ROWS, fitting))
    template = json.dumps(base.tokenizer.chat_template)
    return Manifest(
        model=base.path,
        fingerprint=base.fingerprint,
        template=hashlib.sha256(template.encode()).hexdigest(),
        layers=reader.layers,
        width=width,
        dtype=str(base.model.dtype).removeprefix("torch."),
        max_length=reader.max_length,
        data=corpus.fingerprint,
        files=corpus.files,
        rows=rows,
        skipped=corpus.skipped,
        shards=tuple(Shard(n, min(size, rows - n)) for n in range(0, rows, size)),
        versions={name: version(name) for name in ("torch", "transformers")},
    )


def _write(
    folder: Path, planned: Manifest, reader: Reader, corpus: Corpus, progress: Progress
) -> None:
    """Every shard that is not done; the manifest after each."""
    manifest = resumed(folder, planned)
    for number, shard in enumerate(manifest.shards):
        if not shard.done:
            ready = _write_shard(folder, number, shard, reader, corpus.rows, progress)
            manifest = manifest.with_shard(number, ready)
            write_manifest(folder, manifest)
        progress("building the index", shard.first + shard.rows, len(corpus.rows))


def _write_shard(
    folder: Path,
    number: int,
    shard: Shard,
    reader: Reader,
    corpus_rows: Sequence[TrainingRow],
    progress: Progress,
) -> Shard:
    rows = corpus_rows[shard.first : shard.first + shard.rows]

    def within(_: str, done: int, of: int) -> None:
        progress("building the index", shard.first + shard.rows * done // of, len(corpus_rows))

    states = reader.read_rows(rows, progress=within)
    sides = {"prompt": states.prompt, "chosen": states.chosen, "rejected": states.rejected}
    peak = max(float(np.abs(side).max()) for side in sides.values())
    scale = 2.0 ** max(0, math.ceil(math.log2(peak / _FLOAT16_SAFE))) if peak else 1.0
    stored = {name: (side / np.float32(scale)).astype(np.float16) for name, side in sides.items()}
    vectors, table = save(stored), _table(rows, states)
    for name, content in zip(names(number), (vectors, table), strict=True):
        write(folder / name, content)
    return replace(
        shard,
        done=True,
        sha256=(hashlib.sha256(vectors).hexdigest(), hashlib.sha256(table).hexdigest()),
        sizes=(len(vectors), len(table)),
        scale=scale,
        truncated=states.truncated,
    )


def _table(rows: Sequence[TrainingRow], states: RowStates) -> bytes:
    """A Parquet file of what is known of the rows beside their vectors."""
    texts = [RowText.of(row) for row in rows]
    columns = {
        **{name: [text[i] for text in texts] for i, name in enumerate(RowText._fields)},
        "is_pair": [row.is_pair for row in rows],
        "text_sha256": [hashlib.sha256(formats.canonical(row)).hexdigest() for row in rows],
        "prompt_tokens": states.prompt_tokens,
        "chosen_tokens": states.chosen_tokens,
        "rejected_tokens": states.rejected_tokens,
        "chosen_likelihood": states.likelihood[:, 0],
        "rejected_likelihood": states.likelihood[:, 1],
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns, schema=_ROWS), buffer, compression="zstd")
    return buffer.getvalue()


def _listed(layers: Sequence[int]) -> str:
    return ", ".join(map(str, layers))
