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
from surfcheck.attribution.store.manifest import (
    Manifest,
    damage,
    damaged,
    finished,
    flaw,
    names,
    unreadable,
)
from surfcheck.attribution.store.storage import Store
from surfcheck.errors import DataError, MismatchError

Side = Literal["prompt", "chosen", "rejected"]
Array = Literal["prompt", "chosen", "change", "length", "demonstrations"]

_HASHED_BYTES = 2**30  # of larger indexes, a file's checksum is compared when it is first read


class Index:
    """A finished index. Nothing but the manifest is in memory until it is asked for."""

    def __init__(self, folder: Store, manifest: Manifest, *, checked: bool = False) -> None:
        """`checked`: whether all files' checksums were compared; else each is when first read."""
        self.manifest, self._folder = manifest, folder
        self._mapped: dict[int, dict[Array, torch.Tensor]] = {}
        shards = range(len(manifest.shards)) if checked else ()
        self._checked = {name for number in shards for name in names(number)}

    def __len__(self) -> int:
        return self.manifest.rows

    @property
    def place(self) -> str:
        """Where it lies: a folder or a URL."""
        return self._folder.place

    @property
    def path(self) -> Path:
        """The folder of one that lies on this machine."""
        return Path(self.place)

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that were read, in the order of the vectors' second axis."""
        return self.manifest.layers

    def check_query(self, fingerprint: str, layers: Sequence[int]) -> None:
        """Raise MismatchError unless states of this checkpoint and layers may be compared."""
        there = self.manifest
        if fingerprint != there.fingerprint:
            raise MismatchError(
                f"{self.place}: was read by {there.model} ({there.fingerprint[:12]}), the query by "
                f"another model, tokenizer or chat template ({fingerprint[:12]}); ask with that "
                "model as base, or build an index with this one"
            )
        self._positions(layers)

    def _positions(self, layers: Sequence[int]) -> list[int]:
        """Where layers stand on the vectors' second axis."""
        if missing := [layer for layer in layers if layer not in self.layers]:
            raise MismatchError(
                f"{self.place}: has layers {_listed(self.layers)} and not {_listed(missing)}; ask "
                "for those it has, or build an index with these"
            )
        return [self.layers.index(layer) for layer in layers]

    @contextmanager
    def shard(self, number: int) -> Iterator[dict[Array, torch.Tensor]]:
        """A shard's arrays as they lie on the disk, mapped and not yet read.

        Raises DataError if the file is damaged.
        """
        if number not in self._mapped:  # a page that is mapped anew is looked up anew
            path = self._file(number, 0)
            try:
                with safe_open(path, framework="pt") as file:
                    arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            except (SafetensorError, OSError) as error:
                raise self._damaged(names(number)[0], str(error)) from None
            self._mapped[number] = arrays
        yield self._mapped[number]

    @cached_property
    def ids(self) -> list[str]:
        """The ids of all rows."""
        return list(self._column("id"))

    @cached_property
    def sources(self) -> list[str]:
        """The sources of all rows: one string a source."""
        known: dict[str, str] = {}
        return [known.setdefault(source, source) for source in self._column("source")]

    @cached_property
    def is_pair(self) -> npt.NDArray[np.bool_]:
        """Which rows are preference pairs [rows]."""
        return self._numbers("is_pair").astype(np.bool_)

    def tokens(self, side: Side) -> Counts:
        """Tokens that a side's means are over [rows]; 0 where there is none."""
        return self._numbers(f"{side}_tokens").astype(np.int64)

    @cached_property
    def silent(self) -> npt.NDArray[np.bool_]:
        """Of which rows nothing can be said, because an answer has no token [rows]."""
        lost = self.is_pair & (self.tokens("rejected") == 0)
        empty: npt.NDArray[np.bool_] = lost | (self.tokens("chosen") == 0)
        return empty

    @cached_property
    def likelihood(self) -> Floats:
        """Log-probability of the chosen and of the rejected answer under the model [rows, 2]; 0
        where there is no answer, NaN if the index was built without."""
        sides = [self._numbers(f"{side}_likelihood") for side in ("chosen", "rejected")]
        return np.stack(sides, axis=1).astype(np.float32)

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
            raise self._damaged(names(number)[1], str(error).partition("\n")[0]) from None

    def _file(self, number: int, which: int) -> Path:
        """A shard's vectors (0) or rows (1) on this machine, its checksum compared once."""
        name, shard = names(number)[which], self.manifest.shards[number]
        size, sha256 = shard.sizes[which], shard.sha256[which]
        try:
            path = self._folder.here(name, sha256)
            if name not in self._checked:
                if not self._folder.is_local and flaw(path, size, sha256):
                    path = self._folder.here(name, sha256, anew=True)
                if found := flaw(path, size, sha256):
                    raise self._damaged(name, found)
                self._checked.add(name)
        except FileNotFoundError:
            raise self._damaged(name, "is missing") from None
        except OSError as error:
            raise unreadable(self._folder, error) from None
        return path

    def _damaged(self, name: str, what: str) -> DataError:
        return damaged(self._folder, name, what, merged=bool(self.manifest.merged))

    def _column(self, name: str) -> Iterator[Any]:
        for number in range(len(self.manifest.shards)):
            yield from self._table(number, [name])[name].to_pylist()

    def _numbers(self, name: str) -> npt.NDArray[Any]:
        shards = range(len(self.manifest.shards))
        return np.concatenate([self._table(n, [name])[name].to_numpy() for n in shards])


def open_index(place: str | Path) -> Index:
    """A finished index in a folder or at a URL, its files checked: by size; on this machine up to
    1 GiB in all by checksum too; all others by checksum when they are first read.

    Raises UsageError if there is none or it is not finished, DataError naming a damaged file.
    """
    folder, manifest = finished(place)
    small = sum(sum(shard.sizes) for shard in manifest.shards) <= _HASHED_BYTES
    thorough = small and folder.is_local
    try:
        for number, shard in enumerate(manifest.shards):
            if found := damage(folder, number, shard, thorough=thorough):
                raise damaged(folder, *found, merged=bool(manifest.merged))
    except OSError as error:
        raise unreadable(folder, error) from None
    return Index(folder, manifest, checked=thorough)


def _listed(layers: Sequence[int]) -> str:
    return ", ".join(map(str, layers))
