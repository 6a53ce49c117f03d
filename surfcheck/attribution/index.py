"""A folder with the hidden-state means of every training row, read once and asked many times.

    manifest.json                which model read which rows at which layers, and what is done
    vectors-00017.safetensors    of n rows at L layers of width d
        prompt, chosen           mean states over prompt and chosen answer [n, L, d] float16
        change                   chosen minus rejected as unit vectors [n, L, d] float16, and
        length                   how long each of them was [n, L] float32; zeros without a rejected
        demonstrations           sum of the chosen states of the demonstrations [L, d] float32
    rows-00017.parquet           ids, sources, token counts, likelihoods, hashes, texts of the same

A change is kept as a unit vector because that is what is asked of it: a scan of all rows is one
product with the file as it lies on the disk. `prompt` and `chosen` that do not fit into float16 are
stored divided by the shard's `scale`, a power of two. Left out: building (`indexing`), and
nearest-neighbour structures: a scan takes seconds at the sizes in question, and a verdict needs
every score.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError, safe_open

from surfcheck.attribution.activations import Counts, Floats
from surfcheck.attribution.corpus import RowText
from surfcheck.attribution.manifest import Manifest, damage, damaged, finished, flaw, names
from surfcheck.errors import DataError, MismatchError

Side = Literal["prompt", "chosen", "rejected"]
Array = Literal["prompt", "chosen", "change", "length", "demonstrations"]

_HASHED_BYTES = 2**30  # of larger indexes, a file's checksum is compared when it is first read


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

    @contextmanager
    def shard(self, number: int) -> Iterator[dict[Array, torch.Tensor]]:
        """A shard's arrays as they lie on the disk, mapped and not yet read.

        Raises DataError if the file is damaged.
        """
        path = self._file(number, 0)
        try:
            with safe_open(path, framework="pt") as file:
                yield {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise self._damaged(path, str(error)) from None

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
        where there is no answer, NaN if the index was built without."""
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


def _listed(layers: Sequence[int]) -> str:
    return ", ".join(map(str, layers))
