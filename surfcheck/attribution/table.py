"""An index as a table of training rows, of which a part at a time is in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit

from surfcheck.attribution.activations import Floats
from surfcheck.attribution.evidence import EVERY, Bools, Rows
from surfcheck.attribution.index import Array, Index
from surfcheck.attribution.scan import products, unit

DEMONSTRATION, UNWEIGHED = 0.2, 0.03
"""What a demonstration's news counts for beside a pair's, and what it has if it is no news."""
_CHUNK_BYTES = 2**26  # of the float32 vectors that are in memory at a time

Numbers = npt.NDArray[np.int64]
Shard = dict[Array, torch.Tensor]


class IndexTable:
    """See `evidence.Table`."""

    def __init__(self, index: Index, layers: slice = EVERY) -> None:
        """`layers` are some of the index's, by their positions in it."""
        self._index, self._layers = index, range(len(index.layers))[layers]

    def __len__(self) -> int:
        return len(self._index)

    @property
    def is_pair(self) -> Bools:
        """Which rows are preference pairs [rows]."""
        return self._index.is_pair

    @cached_property
    def news(self) -> Floats:
        """See `evidence.Rows.news` [rows]; of a pair one half if the index has no likelihoods."""
        index = self._index
        margin = index.likelihood[:, 1] - index.likelihood[:, 0]
        each = np.nan_to_num(index.likelihood[:, 0]) / np.maximum(index.tokens("chosen"), 1)
        shown = np.maximum(-DEMONSTRATION * np.expm1(each), UNWEIGHED)
        news = np.where(index.is_pair, expit(np.nan_to_num(margin)), shown).astype(np.float32)
        news[index.silent] = 0.0
        return news

    def chunks(self, *, layers: slice = EVERY, step: int = 1) -> Iterator[Rows]:
        """Every row, or every `step`th one, in order, a part at a time."""
        room = self._room
        for number, shard in enumerate(self._index.manifest.shards):
            wanted = np.arange(-shard.first % step, shard.rows, step)
            with self._index.shard(number) as arrays:
                for first in range(0, len(wanted), room):
                    part = wanted[first : first + room]
                    yield self._rows(number, arrays, part, self._layers[layers])

    def some(self, numbers: Sequence[int] | Numbers) -> Rows:
        """The rows of these numbers, in that order, in memory."""
        wanted = np.asarray(numbers, dtype=np.int64)
        manifest, size = self._index.manifest, (len(wanted), len(self._layers))
        prompt, chosen, change = np.zeros((3, *size, manifest.width), dtype=np.float32)
        for number, shard in enumerate(manifest.shards):
            within = np.flatnonzero((shard.first <= wanted) & (wanted < shard.first + shard.rows))
            if len(within):
                with self._index.shard(number) as arrays:
                    here = wanted[within] - shard.first
                    part = self._rows(number, arrays, here, self._layers)
                prompt[within], chosen[within] = part.prompt, part.chosen
                change[within] = part.change
        return Rows(prompt, chosen, change, self.is_pair[wanted], self.news[wanted])

    def cosines(self, directions: Floats) -> Floats:
        """Of each row's change with directions [k, L, d], mean over layers [rows, k]."""
        layers = _slice(self._layers)
        flat = unit(directions).reshape(len(directions), -1) / np.float32(len(self._layers))
        found = np.zeros((len(self), len(directions)), dtype=np.float32)
        for number, shard in enumerate(self._index.manifest.shards):
            here = slice(shard.first, shard.first + shard.rows)
            with self._index.shard(number) as arrays:
                if self.is_pair[here].any():
                    found[here] = products(arrays["change"][:, layers].flatten(1), flat)
        shown = np.flatnonzero(~self.is_pair)
        for first in range(0, len(shown), self._room):
            part = shown[first : first + self._room]
            found[part] = self.some(part).cosines(directions)
        return found

    @property
    def _room(self) -> int:
        """Rows in memory at a time."""
        manifest = self._index.manifest
        return max(1, _CHUNK_BYTES // (3 * 4 * len(manifest.layers) * manifest.width))

    @cached_property
    def _usual(self) -> Floats:
        """The mean answer of all demonstrations [L, d]."""
        shape = len(self._index.layers), self._index.manifest.width
        total = np.zeros(shape, dtype=np.float64)
        for number in range(len(self._index.manifest.shards)):
            with self._index.shard(number) as arrays:
                total += arrays["demonstrations"].numpy()
        return (total / max(1, int((~self.is_pair).sum()))).astype(np.float32)

    def _rows(self, number: int, arrays: Shard, wanted: Numbers, positions: range) -> Rows:
        """Rows of a shard, by their numbers in it, at layers by their positions."""
        shard, layers = self._index.manifest.shards[number], _slice(positions)
        prompt, chosen, change = (
            _taken(arrays[name], wanted, layers) for name in ("prompt", "chosen", "change")
        )
        prompt *= np.float32(shard.scale)
        chosen *= np.float32(shard.scale)
        is_pair, news = self.is_pair[shard.first + wanted], self.news[shard.first + wanted]
        change *= arrays["length"].numpy()[wanted][:, layers, None]
        shown = ~is_pair & (news > 0)
        if shown.any():
            change[shown] = chosen[shown] - self._usual[layers]
        return Rows(prompt, chosen, change, is_pair, news)


def _slice(positions: range) -> slice:
    return slice(positions.start, positions.stop, positions.step)


def _taken(stored: torch.Tensor, wanted: Numbers, layers: slice) -> Floats:
    """Some rows at some layers [n, L, d], a copy in float32."""
    if len(wanted) and wanted[-1] - wanted[0] == len(wanted) - 1 and (np.diff(wanted) == 1).all():
        part = stored[int(wanted[0]) : int(wanted[-1]) + 1, layers]
    else:
        part = stored[torch.from_numpy(wanted)][:, layers]
    vectors: Floats = part.to(torch.float32, copy=True).numpy()
    return vectors
