"""Products of very many stored vectors with a few: exact, at the speed of the memory.

One direction: torch multiplies float16 in float32 and rounds each sum to float16, so a second pass
over the same block, while it is in the cache, asks for what the rounding lost. A bank of them: the
block becomes float32 and goes through a matrix product.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float32]

FEW = 4
"""Up to so many directions are scanned one by one."""
_FEW_BYTES = 2**22  # of a block that is gone through twice: what a processor's cache holds
_MANY_BYTES = 2**26  # of a block in float32
TINY = 1e-12


def unit(vectors: Floats) -> Floats:
    """Vectors of length one along the last axis; zeros stay zeros."""
    scaled: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), TINY)
    return scaled


def products(stored: torch.Tensor, directions: Floats) -> Floats:
    """Inner products of vectors [n, d] float16, mapped or not, with directions [k, d]: [n, k]."""
    wanted = torch.from_numpy(np.ascontiguousarray(directions, dtype=np.float32))
    found = torch.empty(len(stored), len(wanted))
    with torch.inference_mode():
        if len(wanted) <= FEW:
            for number, direction in enumerate(wanted):
                _scan(stored, direction, found[:, number])
        else:
            _multiply(stored, wanted.T.contiguous(), found)
    array: Floats = found.numpy()
    return array


def _scan(stored: torch.Tensor, direction: torch.Tensor, out: torch.Tensor) -> None:
    """One direction [d], in float16 with an exponent of its own."""
    scale = direction.abs().max().clamp(min=TINY)
    narrow = (direction / scale).half()
    rows = max(1, _FEW_BYTES // (2 * stored.shape[1]))
    for first in range(0, len(stored), rows):
        block = stored[first : first + rows]
        rounded = torch.mv(block, narrow)
        lost = torch.addmv(rounded, block, narrow, beta=-1)
        out[first : first + rows] = (rounded.float() + lost.float()) * scale


def _multiply(stored: torch.Tensor, wanted: torch.Tensor, out: torch.Tensor) -> None:
    rows = max(1, _MANY_BYTES // (4 * stored.shape[1]))
    wide = torch.empty(min(rows, len(stored)), stored.shape[1])
    for first in range(0, len(stored), rows):
        block = stored[first : first + rows]
        torch.mm(wide[: len(block)].copy_(block), wanted, out=out[first : first + len(block)])
